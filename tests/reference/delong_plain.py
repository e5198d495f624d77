"""DeLong's test restated pair by pair, in exact fractions until the last square root."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product


def delong_plain(labels, first, second):
    """(AUC, AUC, variance of each, covariance, z), from DeLong et al. 1988, equations 2 to 5."""
    cases = [i for i, label in enumerate(labels) if label == 1]
    controls = [i for i, label in enumerate(labels) if label == 0]
    m, n = len(cases), len(controls)
    aucs, of_cases, of_controls = [], [], []
    for score in (first, second):
        kernel = {(i, j): _kernel(score[i], score[j]) for i, j in product(cases, controls)}
        aucs.append(sum(kernel.values()) / (m * n))
        of_cases.append([sum(kernel[i, j] for j in controls) / n for i in cases])
        of_controls.append([sum(kernel[i, j] for i in cases) / m for j in controls])

    def covariance(r, s):
        s10 = _products(of_cases[r], aucs[r], of_cases[s], aucs[s]) / (m - 1)
        s01 = _products(of_controls[r], aucs[r], of_controls[s], aucs[s]) / (n - 1)
        return s10 / m + s01 / n

    var_1, var_2, cov = covariance(0, 0), covariance(1, 1), covariance(0, 1)
    z = float(aucs[0] - aucs[1]) / math.sqrt(var_1 + var_2 - 2 * cov)
    return aucs[0], aucs[1], var_1, var_2, cov, z


def _kernel(case, control):
    return Fraction(2 if case > control else 1 if case == control else 0, 2)


def _products(a, mean_a, b, mean_b):
    return sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
