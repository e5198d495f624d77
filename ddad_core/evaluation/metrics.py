"""Discrimination and proportions, with intervals.

Labels are 0 (normal) and 1 (abnormal); a higher score means more abnormal; ties count half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from ddad_core.errors import MetricError

BOOTSTRAP_SAMPLES = 2000
BOOTSTRAP_SEED = 20220608


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


def _split(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _wins(normal: np.ndarray, abnormal: np.ndarray) -> np.ndarray:
    """(n abnormal, n normal): 1 where the abnormal case scores higher, 0.5 on ties."""
    difference = abnormal[:, None] - normal[None, :]
    return (difference > 0) + 0.5 * (difference == 0)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve (Mann-Whitney).

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), higher is more abnormal.

    Raises:
        MetricError: A class is missing or a score is not finite.
    """
    return float(_wins(*_split(labels, scores)).mean())


def auc_with_interval(labels: np.ndarray, scores: np.ndarray) -> Estimate:
    """AUC with a percentile interval of the bootstrap stratified by class.

    Raises:
        MetricError: As :func:`auc`.
    """
    normal, abnormal = _split(labels, scores)
    value, samples = _bootstrap(_wins(normal, abnormal))
    return _percentile_interval(value, samples)


def auc_difference(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Estimate:
    """AUC of ``first`` minus AUC of ``second`` on the same cases, by paired bootstrap.

    Raises:
        MetricError: As :func:`auc`.
    """
    value_1, samples_1 = _bootstrap(_wins(*_split(labels, first)))
    value_2, samples_2 = _bootstrap(_wins(*_split(labels, second)))
    return _percentile_interval(value_1 - value_2, samples_1 - samples_2)


def _bootstrap(wins: np.ndarray) -> tuple[float, np.ndarray]:
    """AUC of the sample and of its stratified resamples; the same resamples on every call."""
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    abnormal, normal = wins.shape
    weight_a = generator.multinomial(abnormal, np.full(abnormal, 1 / abnormal), BOOTSTRAP_SAMPLES)
    weight_n = generator.multinomial(normal, np.full(normal, 1 / normal), BOOTSTRAP_SAMPLES)
    samples = ((weight_a @ wins) * weight_n).sum(axis=1) / (abnormal * normal)
    return float(wins.mean()), samples


def _percentile_interval(value: float, samples: np.ndarray) -> Estimate:
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
    normal, abnormal = np.sort(_split(labels, scores)[0]), np.sort(_split(labels, scores)[1])
    thresholds = np.concatenate([[np.inf], np.unique(np.asarray(scores, dtype=float))[::-1]])
    flagged_a = len(abnormal) - np.searchsorted(abnormal, thresholds, side="left")
    flagged_n = len(normal) - np.searchsorted(normal, thresholds, side="left")
    return RocCurve(thresholds, flagged_a / len(abnormal), 1 - flagged_n / len(normal))
