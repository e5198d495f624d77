"""Discrimination and proportions, with intervals.

Labels are 0 (normal) and 1 (abnormal); a higher score means more abnormal; ties count half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import beta

from ddad_core.errors import MetricError

BOOTSTRAP_SAMPLES = 2000
BOOTSTRAP_SEED = 20220608
CHUNK = 250
"""Resamples counted at once: with a few thousand cases their arrays stay in the tens of MB."""


@dataclass(frozen=True)
class Estimate:
    """A value with its two-sided 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Operating characteristic, one point for each distinct threshold, most lenient last.

    Attributes:
        thresholds: Descending; flagged means score >= threshold; the first is +inf.
        sensitivity: Share of abnormal cases flagged.
        specificity: Share of normal cases not flagged.
    """

    thresholds: np.ndarray
    sensitivity: np.ndarray
    specificity: np.ndarray


def split_by_class(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the normal cases and of the abnormal ones, float64, in the order given.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,).

    Raises:
        MetricError: A class is missing, a label is another number, a score is not finite, or the
            shapes differ.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        problem = f"Labels {labels.shape} and scores {scores.shape} do not match."
        raise MetricError(problem)
    if not np.isfinite(scores).all():
        problem = "Some scores are not finite."
        raise MetricError(problem, "Find the images they come from.")
    normal, abnormal = scores[labels == 0], scores[labels == 1]
    if len(normal) + len(abnormal) != len(scores):
        problem = "Labels other than 0 and 1 were given."
        raise MetricError(problem)
    if not len(normal) or not len(abnormal):
        problem = f"There are {len(normal)} normal and {len(abnormal)} abnormal cases."
        raise MetricError(problem, "This figure needs both.")
    return normal, abnormal


@dataclass(frozen=True, eq=False)
class _Counts:
    """Cases flagged at each distinct threshold, from the highest down; the last flags all.

    The first axis, if there is one, is that of the bootstrap's resamples.

    Attributes:
        abnormal: (..., T), abnormal cases with score >= threshold.
        normal: (..., T), likewise.
    """

    abnormal: np.ndarray
    normal: np.ndarray

    def auc(self) -> np.ndarray:
        new_a, new_n = _steps(self.abnormal), _steps(self.normal)
        # Each abnormal case beats the normals not yet flagged, and half of its ties.
        beaten = self.normal[..., -1:] - self.normal + 0.5 * new_n
        return (new_a * beaten).sum(-1) / (self.abnormal[..., -1] * self.normal[..., -1])

    def average_precision(self) -> np.ndarray:
        flagged = np.maximum(self.abnormal + self.normal, 1)  # a resample may lack the top cases
        gained = _steps(self.abnormal) / self.abnormal[..., -1:]
        return (gained * (self.abnormal / flagged)).sum(-1)

    def sensitivity(self, specificity: float) -> np.ndarray:
        # (1 - 0.9) * 10 is a little less than 1 in floating point.
        allowed = np.floor((1 - specificity) * self.normal[..., -1:] + 1e-9)
        return (self.abnormal * (self.normal <= allowed)).max(-1) / self.abnormal[..., -1]


def _steps(counts: np.ndarray) -> np.ndarray:
    return np.diff(counts, axis=-1, prepend=0)


_Figure = Callable[[_Counts], np.ndarray]


def _figure(labels: np.ndarray, scores: np.ndarray, figure: _Figure) -> float:
    normal, abnormal = split_by_class(labels, scores)
    weights = np.ones((1, len(normal)), np.int64), np.ones((1, len(abnormal)), np.int64)
    return float(figure(_counts(normal, abnormal, *weights))[0])


def _counts(
    normal: np.ndarray, abnormal: np.ndarray, weights_n: np.ndarray, weights_a: np.ndarray
) -> _Counts:
    """Count with each case standing for as many as its weight, (R, n) and (R, m)."""
    both = np.concatenate([normal, abnormal])
    order = np.argsort(-both, kind="stable")
    last_of_ties = np.append(np.diff(both[order]) != 0, True)

    def flagged(weights: np.ndarray, start: int) -> np.ndarray:
        spread = np.zeros((len(weights), len(both)), weights.dtype)
        spread[:, start : start + weights.shape[1]] = weights
        return spread[:, order].cumsum(axis=1)[:, last_of_ties]  # (R, T)

    return _Counts(normal=flagged(weights_n, 0), abnormal=flagged(weights_a, len(normal)))


@lru_cache(maxsize=2)
def _resamples(normal: int, abnormal: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each case is drawn in each resample, (2000, n) and (2000, m); always the same."""
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    weights_a, weights_n = (
        generator.multinomial(n, np.full(n, 1 / n), BOOTSTRAP_SAMPLES).astype(np.int32)
        for n in (abnormal, normal)
    )
    return weights_n, weights_a


def _bootstrap(labels: np.ndarray, scores: np.ndarray, figure: _Figure) -> tuple[float, np.ndarray]:
    """A figure of the sample and of its 2000 resamples stratified by class."""
    normal, abnormal = split_by_class(labels, scores)
    weights_n, weights_a = _resamples(len(normal), len(abnormal))
    parts = [
        figure(_counts(normal, abnormal, weights_n[i : i + CHUNK], weights_a[i : i + CHUNK]))
        for i in range(0, BOOTSTRAP_SAMPLES, CHUNK)
    ]
    return _figure(labels, scores, figure), np.concatenate(parts)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve (Mann-Whitney).

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), higher is more abnormal.

    Raises:
        MetricError: A class is missing or a score is not finite.
    """
    return _figure(labels, scores, _Counts.auc)


def auc_with_interval(labels: np.ndarray, scores: np.ndarray) -> Estimate:
    """AUC with a percentile interval of the bootstrap stratified by class.

    Raises:
        MetricError: As :func:`auc`.
    """
    return percentile_interval(*_bootstrap(labels, scores, _Counts.auc))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve as a sum of steps, not interpolated.

    Precision is taken where all cases tied at a score are flagged. A useless score has the share
    of abnormal cases, not a half, so figures of parts with other shares cannot be compared.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), higher is more abnormal.

    Raises:
        MetricError: As :func:`auc`.
    """
    return _figure(labels, scores, _Counts.average_precision)


def average_precision_with_interval(labels: np.ndarray, scores: np.ndarray) -> Estimate:
    """Average precision with a percentile interval of the bootstrap stratified by class.

    Raises:
        MetricError: As :func:`auc`.
    """
    return percentile_interval(*_bootstrap(labels, scores, _Counts.average_precision))


def sensitivity_at_specificity(
    labels: np.ndarray, scores: np.ndarray, specificity: float
) -> Estimate:
    """The highest sensitivity of a threshold whose specificity is at least the one asked for.

    Flagged means score >= threshold; tied cases are flagged together; there is no interpolation
    between thresholds, so the point can be had with the cases given. The interval is that of the
    stratified bootstrap with the threshold chosen anew in each resample.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), higher is more abnormal.
        specificity: For instance 0.9.

    Raises:
        MetricError: As :func:`auc`, or the specificity is outside 0 to 1.
    """
    if not 0 <= specificity <= 1:
        problem = f"A specificity of {specificity} is not a share."
        raise MetricError(problem, "Give one from 0 to 1.")
    return percentile_interval(
        *_bootstrap(labels, scores, lambda counts: counts.sensitivity(specificity))
    )


def auc_difference(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Estimate:
    """AUC of ``first`` minus AUC of ``second`` on the same cases, by paired bootstrap.

    Raises:
        MetricError: As :func:`auc`.
    """
    value_1, samples_1 = _bootstrap(labels, first, _Counts.auc)
    value_2, samples_2 = _bootstrap(labels, second, _Counts.auc)
    return percentile_interval(value_1 - value_2, samples_1 - samples_2)


def percentile_interval(value: float, samples: np.ndarray) -> Estimate:
    """A value with the middle 95 % of its resampled values."""
    low, high = np.percentile(samples, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def proportion(count: int, n: int) -> Estimate:
    """A share with its Clopper-Pearson (exact) interval.

    Raises:
        MetricError: ``n`` is zero or ``count`` is outside 0 to n.
    """
    if n <= 0 or not 0 <= count <= n:
        problem = f"{count} of {n} is not a share."
        raise MetricError(problem)
    low = float(beta.ppf(0.025, count, n - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, n - count)) if count < n else 1.0
    return Estimate(count / n, low, high)


def roc_curve(labels: np.ndarray, scores: np.ndarray) -> RocCurve:
    """Trace the ROC curve.

    Raises:
        MetricError: As :func:`auc`.
    """
    normal, abnormal = (
        np.sort(split_by_class(labels, scores)[0]),
        np.sort(split_by_class(labels, scores)[1]),
    )
    thresholds = np.concatenate([[np.inf], np.unique(np.asarray(scores, dtype=float))[::-1]])
    flagged_a = len(abnormal) - np.searchsorted(abnormal, thresholds, side="left")
    flagged_n = len(normal) - np.searchsorted(normal, thresholds, side="left")
    return RocCurve(thresholds, flagged_a / len(abnormal), 1 - flagged_n / len(normal))
