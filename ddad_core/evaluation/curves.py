"""ROC and precision-recall curves with 95 % bands.

Bands are pointwise: each covers its point, not the whole curve at once. They are those of the
bootstrap stratified by class with the threshold chosen anew in each resample, as in
``metrics.sensitivity_at_specificity``. A resample is drawn by distinct score, not by case, which
is the same and does not grow with the cases; beyond ``MAX_SCORES`` distinct scores, neighbouring
ones are taken together for the band alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ddad_core.errors import MetricError
from ddad_core.evaluation.delong import delong_auc
from ddad_core.evaluation.metrics import (
    BOOTSTRAP_SAMPLES,
    BOOTSTRAP_SEED,
    Estimate,
    RocCurve,
    average_precision,
    percentile_interval,
    roc_curve,
    split_by_class,
)

AXIS = np.linspace(0.0, 1.0, 101)
MAX_SCORES = 512


@dataclass(frozen=True, eq=False)
class Band:
    """A curve over a fixed axis.

    Attributes:
        axis: (101,) from 0 to 1: the share of normals flagged, or the recall.
        value: (101,) the curve.
        low: (101,) lower end of its 95 % interval at each point.
        high: (101,) upper end.
    """

    axis: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class RocWithBand:
    """ROC curve of one score.

    Attributes:
        curve: One point for each distinct threshold.
        band: Highest sensitivity while at most so many normals are flagged.
        auc: DeLong's, on the logit scale.
        n_normal: Normal cases.
        n_abnormal: Abnormal cases.
    """

    curve: RocCurve
    band: Band
    auc: Estimate
    n_normal: int
    n_abnormal: int


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Precision against recall of one score.

    Attributes:
        thresholds: (T,) descending.
        recall: (T,) share of abnormal cases flagged.
        precision: (T,) share of abnormal among the flagged.
        band: Precision at the highest threshold that reaches each recall.
        average_precision: Sum of steps, not interpolated, at the same prevalence.
        prevalence: Share of abnormal cases that the precision is stated for.
        stated: Whether that share was given, and is not just that of the cases.
    """

    thresholds: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    band: Band
    average_precision: Estimate
    prevalence: float
    stated: bool


@dataclass(frozen=True, eq=False)
class _Shares:
    """Shares flagged at each threshold, from the highest down, (..., T); the last flags all."""

    sensitivity: np.ndarray
    false_positive: np.ndarray


def roc_with_band(labels: np.ndarray, scores: np.ndarray) -> RocWithBand:
    """Trace the ROC curve with its band and AUC.

    Args:
        labels: (N,) of 0 and 1, at least two of each.
        scores: (N,), higher is more abnormal.

    Raises:
        MetricError: A class has fewer than two cases, or a score is not finite.
    """
    auc = delong_auc(labels, scores)
    normal, abnormal = split_by_class(labels, scores)

    def figure(shares: _Shares) -> np.ndarray:
        """(R, 101)."""
        reached = _rows(shares.false_positive, AXIS + 1e-9, "right")
        start = np.zeros((len(reached), 1))  # nothing flagged yet
        sensitivity = np.concatenate([start, shares.sensitivity], axis=1)
        return np.take_along_axis(sensitivity, reached, axis=1)

    band = _band(normal, abnormal, figure, _resampled(normal, abnormal))
    return RocWithBand(roc_curve(labels, scores), band, auc, len(normal), len(abnormal))


def precision_recall(
    labels: np.ndarray, scores: np.ndarray, *, prevalence: float | None = None
) -> PrecisionRecall:
    """Trace precision against recall.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), higher is more abnormal.
        prevalence: Share of abnormal cases to state the precision for; None for that of the
            cases, which is taken as fixed.

    Raises:
        MetricError: A class is missing, a score is not finite, or the prevalence is not between
            0 and 1.
    """
    normal, abnormal = split_by_class(labels, scores)
    if prevalence is not None and not 0 < prevalence < 1:
        problem = f"A prevalence of {prevalence} is not between 0 and 1."
        raise MetricError(problem, "Give a share such as 0.03.")
    share = len(abnormal) / (len(normal) + len(abnormal)) if prevalence is None else prevalence

    def precision(shares: _Shares) -> np.ndarray:
        found = share * shares.sensitivity
        flagged = found + (1 - share) * shares.false_positive
        # A resample may lack the cases with the highest scores: nothing is flagged yet.
        return np.divide(found, flagged, out=np.ones_like(found), where=flagged > 0)

    def at_recall(shares: _Shares) -> np.ndarray:
        # The recall 0 is that of the first abnormal case, for before it there is no precision.
        wanted = np.maximum(AXIS, 1e-12) - 1e-9
        first = _rows(shares.sensitivity, np.maximum(wanted, 1e-12), "left")
        return np.take_along_axis(precision(shares), first, axis=1)

    def average(shares: _Shares) -> np.ndarray:
        gained = np.diff(shares.sensitivity, axis=1, prepend=0.0)
        return (gained * precision(shares)).sum(axis=1)

    whole, thresholds = _shares(normal, abnormal, _distinct(normal, abnormal))
    resampled = _resampled(normal, abnormal)
    value = average_precision(labels, scores) if prevalence is None else float(average(whole)[0])
    return PrecisionRecall(
        thresholds=thresholds,
        recall=whole.sensitivity[0],
        precision=precision(whole)[0],
        band=_band(normal, abnormal, at_recall, resampled),
        average_precision=percentile_interval(value, average(resampled)),
        prevalence=share,
        stated=prevalence is not None,
    )


def _distinct(normal: np.ndarray, abnormal: np.ndarray) -> np.ndarray:
    """Thresholds, ascending."""
    return np.unique(np.concatenate([normal, abnormal]))


def _shares(
    normal: np.ndarray, abnormal: np.ndarray, thresholds: np.ndarray
) -> tuple[_Shares, np.ndarray]:
    """Shares flagged, (1, T), and the thresholds, both from the highest down."""
    flagged = [
        1 - np.searchsorted(np.sort(scores), thresholds[::-1], side="left") / len(scores)
        for scores in (abnormal, normal)
    ]
    return _Shares(flagged[0][None], flagged[1][None]), thresholds[::-1]


def _thinned(normal: np.ndarray, abnormal: np.ndarray) -> np.ndarray:
    thresholds = _distinct(normal, abnormal)
    if len(thresholds) > MAX_SCORES:
        kept = np.linspace(0, len(thresholds) - 1, MAX_SCORES).round().astype(int)
        thresholds = thresholds[kept]
    return thresholds


def _resampled(normal: np.ndarray, abnormal: np.ndarray) -> _Shares:
    """Shares flagged in each resample, (2000, T)."""
    thresholds = _thinned(normal, abnormal)
    generator = np.random.default_rng(BOOTSTRAP_SEED)

    def flagged(scores: np.ndarray) -> np.ndarray:
        # The lowest threshold is the lowest score, so every case has a place.
        place = np.searchsorted(thresholds, scores, side="right") - 1
        counts = np.bincount(place, minlength=len(thresholds))[::-1]
        drawn = generator.multinomial(len(scores), counts / len(scores), BOOTSTRAP_SAMPLES)
        return drawn.cumsum(axis=1) / len(scores)

    return _Shares(sensitivity=flagged(abnormal), false_positive=flagged(normal))


def _band(
    normal: np.ndarray,
    abnormal: np.ndarray,
    figure: Callable[[_Shares], np.ndarray],
    resampled: _Shares,
) -> Band:
    whole, _ = _shares(normal, abnormal, _distinct(normal, abnormal))
    value = figure(whole)[0]
    low, high = np.percentile(figure(resampled), [2.5, 97.5], axis=0)
    # Thinned thresholds lie beside the value's own by less than one step of 512.
    return Band(AXIS, value, np.minimum(low, value), np.maximum(high, value))


def _rows(rising: np.ndarray, wanted: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
    """`searchsorted` in each row of shares, (R, T) and (W,) to (R, W)."""
    # Rows are set apart by 2, more than shares and their margins are, and searched as one.
    apart = 2.0 * np.arange(len(rising))[:, None]
    places = np.searchsorted((rising + apart).reshape(-1), (wanted + apart).reshape(-1), side=side)
    return places.reshape(len(rising), -1) - rising.shape[1] * np.arange(len(rising))[:, None]
