"""ROC curve and AUC from reads of which flagged cases have more than their share.

Each read case stands for as many as its chance of being read says (He, Lyness and McDermott,
Statistics in Medicine 28, 2009, 361-376); after Begg and Greenes for as many as its group has
cases for each read one. Placements, variance and interval are DeLong's with these weights; with
equal weights value and variance are those of ``delong.delong_auc``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ddad_core.errors import MetricError
from ddad_core.evaluation.delong import ZERO_VARIANCE, delong_auc
from ddad_core.evaluation.intervals import on_logit
from ddad_core.evaluation.metrics import Estimate, RocCurve, roc_curve, split_by_class
from ddad_core.evaluation.verification import (
    Corrected,
    ScoredCases,
    check_cases,
    effective,
    groups,
)


@dataclass(frozen=True, eq=False)
class VerifiedRoc:
    """ROC curve and AUC, as they come and put right.

    Attributes:
        auc: As it comes with DeLong's interval, and put right both ways.
        naive: The curve of the reads as they are.
        corrected: The curve with each read case standing for 1 / chance cases.
        effective_normal: Normal reads of equal chance that would tell as much.
        effective_abnormal: Likewise.
        rare_abnormal: Abnormal reads among the cases with the lowest chance of being read: the
            correction rests on them.
        too_few: Why the corrected curve says nothing; empty if it does.
    """

    auc: Corrected
    naive: RocCurve
    corrected: RocCurve
    effective_normal: float
    effective_abnormal: float
    rare_abnormal: int
    too_few: str


LEAST_RARE = 5
"""Abnormal reads among the cases least often read below which the corrected AUC's own interval is
too sure of itself."""


def verified_roc(cases: ScoredCases) -> VerifiedRoc:
    """Trace the ROC curve as it comes and put right.

    Args:
        cases: All scored cases, read or not.

    Raises:
        MetricError: The cases are not what they claim, or fewer than two of a class were read.
    """
    check_cases(cases)
    read = cases.read
    labels, scores, weights = cases.labels[read], cases.scores[read], cases.weights()
    naive = delong_auc(labels, scores)
    group = groups(cases)
    size, seen = (np.bincount(g, minlength=int(group.max()) + 1) for g in (group, group[read]))
    by_group = None
    if (seen[size > 0] > 0).all():
        by_group = weighted_auc(labels, scores, (size / np.maximum(seen, 1))[group[read]])
    rare = int((labels[group[read] == 0] == 1).sum())
    even = len(size) == 1
    too_few = (
        f"Among the cases least often read only {rare} are abnormal: too few for the corrected "
        "curve, which rests on them."
        if rare < LEAST_RARE and not even
        else ""
    )
    return VerifiedRoc(
        auc=Corrected(naive, weighted_auc(labels, scores, weights), by_group),
        naive=roc_curve(labels, scores),
        corrected=weighted_roc(labels, scores, weights),
        effective_normal=effective(weights[labels == 0]),
        effective_abnormal=effective(weights[labels == 1]),
        rare_abnormal=rare,
        too_few=too_few,
    )


def weighted_auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> Estimate:
    """AUC of cases that stand for unequal numbers of cases.

    Args:
        labels: (N,) of 0 and 1, at least two of each.
        scores: (N,), higher is more abnormal; ties count half.
        weights: (N,) above 0.

    Raises:
        MetricError: A class has fewer than two cases, a score is not finite, or a weight is not
            above 0.
    """
    normal, abnormal, w_n, w_a = _split(labels, scores, weights)
    if min(len(normal), len(abnormal)) < 2:
        problem = f"There are {len(normal)} normal and {len(abnormal)} abnormal cases."
        raise MetricError(problem, "The AUC's variance needs two of each.")
    above = _share_below(abnormal, normal, w_n)
    below = 1 - _share_below(normal, abnormal, w_a)
    value = float((w_a * above).sum() / w_a.sum())
    spread, uncertain = 0.0, 0.0
    for placed, w in ((above, w_a), (below, w_n)):
        part, degrees = _variance(w * (placed - value) / w.sum())
        spread += part
        uncertain += part * part / degrees
    least = min(effective(w_a), effective(w_n))
    if spread <= ZERO_VARIANCE:
        return on_logit(value, 0.0, effective_n=least)
    welch = spread**2 / uncertain
    return on_logit(value, math.sqrt(spread), effective_n=least, degrees=welch)


def _variance(pulls: np.ndarray) -> tuple[float, float]:
    """Variance of a sum of pulls of mean 0, and its degrees of freedom.

    They are twice the square of the variance over the variance of its estimate (Satterthwaite),
    that from the fourth powers, so that a few heavy cases count as few: n - 1 for even weights
    and normal pulls.
    """
    n = len(pulls)
    total = float((pulls**2).sum())
    wobble = float((pulls**4).sum()) - total**2 / n
    degrees = 2 * total**2 / wobble if wobble > 0 else n - 1
    return total * n / (n - 1), float(np.clip(degrees, 1, n - 1))


def weighted_roc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> RocCurve:
    """Trace the ROC curve of cases that stand for unequal numbers of cases.

    Raises:
        MetricError: A class is missing, a score is not finite, or a weight is not above 0.
    """
    normal, abnormal, w_n, w_a = _split(labels, scores, weights)
    thresholds = np.concatenate([[np.inf], np.unique(np.asarray(scores, np.float64))[::-1]])

    def flagged(own: np.ndarray, w: np.ndarray) -> np.ndarray:
        order = np.argsort(own, kind="stable")
        below = np.concatenate([[0.0], w[order].cumsum()])
        return 1 - below[np.searchsorted(own[order], thresholds, side="left")] / below[-1]

    return RocCurve(thresholds, flagged(abnormal, w_a), 1 - flagged(normal, w_n))


def _split(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    normal, abnormal = split_by_class(labels, scores)
    labels, weights = np.asarray(labels), np.asarray(weights, np.float64)
    if weights.shape != labels.shape or not np.isfinite(weights).all() or (weights <= 0).any():
        problem = "Some weights are not above 0."
        raise MetricError(problem, "Give each case one over its chance of being read.")
    return normal, abnormal, weights[labels == 0], weights[labels == 1]


def _share_below(values: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted share of the others below each value, ties half, of the values' shape."""
    order = np.argsort(others, kind="stable")
    total = np.concatenate([[0.0], weights[order].cumsum()])
    lower, upper = (
        total[np.searchsorted(others[order], values, side=s)] for s in ("left", "right")
    )
    return (lower + upper) / 2 / total[-1]
