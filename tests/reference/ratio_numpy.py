"""An independent numpy restatement of the density ratio's risk and pooling.

Kato and Teshima (ICML 2021), section 4, with f(t) = t log t - (1 + t) log(1 + t), the nominator
p_n, the denominator p_u and the bound 1 / C: r = p_n / p_u = exp(-z).
"""

from __future__ import annotations

import numpy as np


def derivative(t):
    return np.log(t) - np.log(1 + t)


def of_the_denominator(t):
    """The derivative of f at t, times t, less f(t)."""
    return derivative(t) * t - (t * np.log(t) - (1 + t) * np.log(1 + t))


def non_negative_risk(normal, unlabeled, weights, bound_share):
    r_n, r_u = np.exp(-np.asarray(normal, float)), np.exp(-np.asarray(unlabeled, float))
    nominator = np.mean(weights * (bound_share * of_the_denominator(r_n) - derivative(r_n)))
    rest = np.mean(of_the_denominator(r_u)) - bound_share * np.mean(
        weights * of_the_denominator(r_n)
    )
    return nominator + max(0.0, rest)


def pooled(maps):
    return np.array([sum(float(v) for v in one.ravel()) / one.size for one in maps])
