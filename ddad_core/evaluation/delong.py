"""DeLong's test: do two scores of the same cases differ in AUC?

Sources: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837-845, for the covariance;
Sun and Xu, IEEE Signal Processing Letters 21 (2014) 1389-1393, for its computation by midranks in
O(n log n). A higher score means more abnormal; ties count half.

For one AUC, ``delong_auc`` lays DeLong's variance on the logit scale (Pepe, The Statistical
Evaluation of Medical Tests, 2003, section 5.2.5): the plain interval covers less than 93 % where
the AUC is 0.9 and more (docs/statistics.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from ddad_core.errors import MetricError
from ddad_core.evaluation.intervals import on_logit
from ddad_core.evaluation.metrics import Estimate, split_by_class

Z_95 = float(norm.ppf(0.975))
ZERO_VARIANCE = 1e-15
"""Below this a variance of AUCs is rounding: one discordant pair among 10^6 cases gives more."""


@dataclass(frozen=True)
class DelongTest:
    """Two AUCs of the same cases and whether they differ.

    Attributes:
        first: AUC of the first score, DeLong's 95 % interval cut to 0 to 1.
        second: AUC of the second score, likewise.
        difference: AUC of the first less AUC of the second, normal 95 % interval.
        z: The difference in units of its standard error; 0 if the scores order all pairs of
            cases alike, infinite if they differ and the estimated variance is zero, which takes
            very few cases or a score that separates the classes fully.
        p_value: Two-sided; 1 where z is 0, 0 where z is infinite.
    """

    first: Estimate
    second: Estimate
    difference: Estimate
    z: float
    p_value: float

    def __str__(self) -> str:
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"
        d = self.difference
        return f"{d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f}), z = {self.z:.2f}, {p}"


def delong_test(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> DelongTest:
    """Compare two correlated AUCs.

    Args:
        labels: (N,) of 0 and 1, at least two of each.
        first: (N,), a score of the cases, higher is more abnormal.
        second: (N,), another score of the same cases.

    Raises:
        MetricError: A class has fewer than two cases, or a score is not finite.
    """
    placements = [_placements(*split_by_class(labels, scores)) for scores in (first, second)]
    of_abnormal = np.stack([above for above, _ in placements])  # (2, m)
    of_normal = np.stack([below for _, below in placements])  # (2, n)
    m, n = of_abnormal.shape[1], of_normal.shape[1]
    _check_sizes(n, m)
    aucs = of_abnormal.mean(axis=1)
    covariance = np.cov(of_abnormal) / m + np.cov(of_normal) / n  # (2, 2)
    difference = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance > ZERO_VARIANCE:
        z = difference / math.sqrt(variance)
    else:
        variance = 0.0
        z = 0.0 if abs(difference) < math.sqrt(ZERO_VARIANCE) else math.copysign(np.inf, difference)
    return DelongTest(
        first=_auc_estimate(aucs[0], covariance[0, 0]),
        second=_auc_estimate(aucs[1], covariance[1, 1]),
        difference=_estimate(difference, variance),
        z=z,
        p_value=float(2 * norm.sf(abs(z))),
    )


def delong_auc(labels: np.ndarray, scores: np.ndarray) -> Estimate:
    """AUC with DeLong's variance on the logit scale, by Student's t.

    The degrees of freedom are Welch's, from the two classes' shares of the variance. Where the
    classes are fully apart the variance is zero; there the interval is Wilson's for as many cases
    as the smaller class has.

    Args:
        labels: (N,) of 0 and 1, at least two of each.
        scores: (N,), higher is more abnormal.

    Raises:
        MetricError: A class has fewer than two cases, or a score is not finite.
    """
    normal, abnormal = split_by_class(labels, scores)
    m, n = len(abnormal), len(normal)
    _check_sizes(n, m)
    above, below = _placements(normal, abnormal)
    parts = float(above.var(ddof=1)) / m, float(below.var(ddof=1)) / n
    variance = sum(parts)
    if variance <= ZERO_VARIANCE:
        return on_logit(float(above.mean()), 0.0, effective_n=min(m, n))
    degrees = variance**2 / (parts[0] ** 2 / (m - 1) + parts[1] ** 2 / (n - 1))
    error = math.sqrt(variance)
    return on_logit(float(above.mean()), error, effective_n=min(m, n), degrees=degrees)


def _check_sizes(n: int, m: int) -> None:
    if min(m, n) < 2:
        problem = f"There are {n} normal and {m} abnormal cases."
        raise MetricError(problem, "DeLong's variance needs two of each.")


def _placements(normal: np.ndarray, abnormal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each case's share of the other class on its right side, (m,) and (n,); ties count half."""
    m, n = len(abnormal), len(normal)
    ranks = rankdata(np.concatenate([abnormal, normal]))
    above = (ranks[:m] - rankdata(abnormal)) / n
    below = 1 - (ranks[m:] - rankdata(normal)) / m
    return above, below


def _estimate(value: float, variance: float) -> Estimate:
    half = Z_95 * math.sqrt(max(variance, 0.0))
    return Estimate(float(value), float(value - half), float(value + half))


def _auc_estimate(value: float, variance: float) -> Estimate:
    found = _estimate(value, variance)
    return Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0))
