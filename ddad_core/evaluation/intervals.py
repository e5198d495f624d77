"""Intervals of shares, of the ratio of two shares, and of figures between 0 and 1.

No interval of a share covers its 95 % at every n and every share: counts are whole numbers, so
coverage jumps. ``mid_p`` is the one shown beside figures: of those here it stays closest to 95 %
(docs/statistics.md has the figures). ``clopper_pearson`` never covers less and is wider;
``wilson`` is as close as mid-P on average and covers too much for small n and shares near 1.

Sources: Wilson, JASA 22 (1927) 209-212; Clopper and Pearson, Biometrika 26 (1934) 404-413;
mid-P: Lancaster, JASA 56 (1961) 223-234, and Agresti and Gottard, Computational Statistics and
Data Analysis 51 (2007) 6447-6458; ratio: Koopman, Biometrics 40 (1984) 513-517.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaincinv, expit
from scipy.stats import norm, t

from ddad_core.errors import MetricError
from ddad_core.evaluation.metrics import Estimate

CONFIDENCE = 0.95
HALVINGS = 60
"""Of a bracket: enough for the last bit of a float64 between 0 and 1."""
LOG_RATIO = 40.0
"""Ratios are sought within exp(-40) to exp(40)."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """Values with their two-sided intervals, elementwise.

    Attributes:
        value: Any shape.
        low: Of the same shape.
        high: Of the same shape.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def at(self, index: int | tuple[int, ...] = ()) -> Estimate:
        """One of them; without an index that of a single figure."""
        return Estimate(float(self.value[index]), float(self.low[index]), float(self.high[index]))


def z_of(confidence: float) -> float:
    """Half-width of a two-sided normal interval in standard errors."""
    return float(norm.ppf((1 + confidence) / 2))


def _checked(
    count: np.ndarray | int, n: np.ndarray | int, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    k, total = np.broadcast_arrays(np.asarray(count), np.asarray(n))
    if not 0 < confidence < 1:
        problem = f"A confidence of {confidence} is not between 0 and 1."
        raise MetricError(problem, "Give for instance 0.95.")
    if not ((total > 0) & (k >= 0) & (k <= total)).all():
        problem = "Some counts are no share of their totals."
        raise MetricError(problem, "Each count lies between 0 and a total of at least 1.")
    return k.astype(np.float64), total.astype(np.float64)


def wilson(
    count: np.ndarray | int, n: np.ndarray | int, *, confidence: float = CONFIDENCE
) -> Intervals:
    """Shares with the interval of the score test.

    Args:
        count: Any shape, whole numbers; fractions are taken for weighted counts.
        n: Likewise, broadcast against the counts.
        confidence: Two-sided.

    Raises:
        MetricError: A total is zero or a count outside 0 to its total.
    """
    k, total = _checked(count, n, confidence)
    z = z_of(confidence)
    centre = (k + z * z / 2) / (total + z * z)
    half = z * np.sqrt(k * (total - k) / total + z * z / 4) / (total + z * z)
    low = np.where(k == 0, 0.0, centre - half)  # exactly, not to the last rounding
    return Intervals(k / total, low, np.where(k == total, 1.0, centre + half))


def clopper_pearson(
    count: np.ndarray | int, n: np.ndarray | int, *, confidence: float = CONFIDENCE
) -> Intervals:
    """Shares with the exact interval, which covers at least its confidence whatever the share.

    Raises:
        MetricError: As :func:`wilson`.
    """
    k, total = _checked(count, n, confidence)
    tail = (1 - confidence) / 2
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), total - k + 1, tail), 0.0)
    high = np.where(k < total, betaincinv(k + 1, np.maximum(total - k, 1), 1 - tail), 1.0)
    return Intervals(k / total, low, high)


def mid_p(
    count: np.ndarray | int, n: np.ndarray | int, *, confidence: float = CONFIDENCE
) -> Intervals:
    """Shares with the exact interval in which the observed count itself counts half.

    Args:
        count: Whole numbers.
        n: Whole numbers.
        confidence: Two-sided.

    Raises:
        MetricError: As :func:`wilson`.
    """
    k, total = _checked(count, n, confidence)
    tail = (1 - confidence) / 2

    def at_least(share: np.ndarray) -> np.ndarray:
        """P(X > k) + P(X = k) / 2, rising with the share."""
        more = np.where(k < total, betainc(k + 1, np.maximum(total - k, 1), share), 0.0)
        not_fewer = np.where(k > 0, betainc(np.maximum(k, 1), total - k + 1, share), 1.0)
        return (more + not_fewer) / 2

    unit = np.zeros(k.shape), np.ones(k.shape)
    low = np.where(k > 0, _rising_root(lambda p: at_least(p) - tail, *unit), 0.0)
    high = np.where(k < total, _rising_root(lambda p: at_least(p) - 1 + tail, *unit), 1.0)
    return Intervals(k / total, low, high)


def _rising_root(
    function: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Where a rising function crosses 0 between two bounds, elementwise."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = function(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


METHODS = {"mid-p": mid_p, "wilson": wilson, "clopper-pearson": clopper_pearson}


def share_of(count: int, n: int, *, method: str = "mid-p") -> Estimate:
    """One share with its 95 % interval.

    Args:
        count: Cases that have it.
        n: All cases.
        method: One of ``METHODS``.

    Raises:
        MetricError: As :func:`wilson`, or there is no such method.
    """
    if method not in METHODS:
        problem = f"{method!r} is no interval of a share."
        raise MetricError(problem, f"Choose among {', '.join(METHODS)}.")
    return METHODS[method](count, n).at()


def ratio_of_shares(
    count_1: np.ndarray | int,
    n_1: np.ndarray | int,
    count_0: np.ndarray | int,
    n_0: np.ndarray | int,
    *,
    confidence: float = CONFIDENCE,
) -> Intervals:
    """Share 1 over share 0, two independent samples, with Koopman's score interval.

    The value is infinite where only share 0 is zero and nan where both are; then the interval is
    0 to infinity.

    Raises:
        MetricError: As :func:`wilson`.
    """
    x1, m1 = _checked(count_1, n_1, confidence)
    x0, m0 = _checked(count_0, n_0, confidence)
    x1, m1, x0, m0 = np.broadcast_arrays(x1, m1, x0, m0)
    z = z_of(confidence)

    def score(log_ratio: np.ndarray) -> np.ndarray:
        """The standardised difference, rising with the ratio supposed."""
        ratio = np.exp(log_ratio)
        b = m1 * ratio + x1 + m0 + x0 * ratio
        root = np.sqrt(np.maximum(b * b - 4 * (m1 + m0) * ratio * (x1 + x0), 0.0))
        # The smaller root of the restricted likelihood's quadratic, written without cancellation.
        p0 = np.clip(2 * (x1 + x0) / (b + root), 0.0, np.minimum(1.0, 1 / ratio))
        p1 = p0 * ratio
        variance = p1 * (1 - p1) / m1 + ratio * ratio * p0 * (1 - p0) / m0
        difference = ratio * x0 / m0 - x1 / m1
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(difference == 0, 0.0, difference / np.sqrt(variance))

    bounds = np.full(x1.shape, -LOG_RATIO), np.full(x1.shape, LOG_RATIO)
    low = np.exp(_rising_root(lambda ratio: score(ratio) + z, *bounds))
    high = np.exp(_rising_root(lambda ratio: score(ratio) - z, *bounds))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (x1 / m1) / (x0 / m0)
    return Intervals(value, np.where(x1 == 0, 0.0, low), np.where(x0 == 0, np.inf, high))


def on_logit(
    value: float, standard_error: float, *, effective_n: float, degrees: float = math.inf
) -> Estimate:
    """A figure between 0 and 1 with an interval on the logit scale, so that it stays between.

    Args:
        value: 0 to 1.
        standard_error: Of the value itself.
        effective_n: How many cases the figure rests on. At 0, at 1 and without any spread a
            standard error says nothing; there the interval is Wilson's for so many cases.
        degrees: Of freedom of the standard error; Student's t then takes the normal's place.
    """
    if 0 < value < 1 and standard_error > 0:
        half = z_of(CONFIDENCE) if math.isinf(degrees) else float(t.ppf(0.975, degrees))
        half *= standard_error / (value * (1 - value))
        logit = math.log(value / (1 - value))
        return Estimate(value, float(expit(logit - half)), float(expit(logit + half)))
    n = max(effective_n, 1.0)
    found = wilson(np.asarray(value * n), np.asarray(n)).at()
    return Estimate(value, min(found.low, value), max(found.high, value))
