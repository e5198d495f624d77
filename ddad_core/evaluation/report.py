"""What a test part says of a model, in numbers and in one plain sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ddad_core.evaluation.metrics import Estimate, auc_difference, auc_with_interval
from ddad_core.evaluation.thresholds import Confusion, confusion

SCORE_TITLES = {
    "a_rec_single": "A_rec (mean of the single networks)",
    "a_rec": "A_rec (ensemble)",
    "a_intra": "A_intra",
    "a_inter": "A_inter",
}


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one labelled part.

    Attributes:
        n_normal: Normal cases.
        n_abnormal: Abnormal cases.
        auc: By score name; A_rec of the single networks is the mean of their scores.
        inter_minus_rec: AUC of A_inter less AUC of the ensemble's A_rec, paired.
        at_threshold: Counts at the model's own operating point.
        threshold: That operating point.
        by_stratum: (n normal, n abnormal, AUC of the primary score) within each stratum that
            has at least ten cases of both classes.
        statement: The finding in plain words.
    """

    n_normal: int
    n_abnormal: int
    auc: dict[str, Estimate]
    inter_minus_rec: Estimate
    at_threshold: Confusion
    threshold: float
    by_stratum: dict[str, tuple[int, int, Estimate]]
    statement: str


def evaluate(
    labels: np.ndarray,
    scores: Mapping[str, np.ndarray],
    *,
    primary: str,
    threshold: float,
    strata: np.ndarray | None = None,
) -> Evaluation:
    """Compare scores with labels.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) by score name; must hold a_rec and a_inter.
        primary: Name of the score the threshold applies to.
        threshold: Flagged means score >= threshold.
        strata: (N,) names of strata, such as views; blank names are left out.

    Raises:
        MetricError: A class is missing or a score is not finite.
    """
    labels = np.asarray(labels)
    aucs = {name: auc_with_interval(labels, scores[name]) for name in SCORE_TITLES}
    difference = auc_difference(labels, scores["a_inter"], scores["a_rec"])
    return Evaluation(
        n_normal=int(np.sum(labels == 0)),
        n_abnormal=int(np.sum(labels == 1)),
        auc=aucs,
        inter_minus_rec=difference,
        at_threshold=confusion(labels, scores[primary], threshold),
        threshold=threshold,
        by_stratum=_strata(labels, np.asarray(scores[primary]), strata),
        statement=_statement(aucs, difference),
    )


def _strata(
    labels: np.ndarray, scores: np.ndarray, strata: np.ndarray | None
) -> dict[str, tuple[int, int, Estimate]]:
    found: dict[str, tuple[int, int, Estimate]] = {}
    if strata is None:
        return found
    for name in sorted(set(strata.tolist()) - {""}):
        inside = strata == name
        normal, abnormal = int(np.sum(labels[inside] == 0)), int(np.sum(labels[inside] == 1))
        if min(normal, abnormal) >= 10:
            estimate = auc_with_interval(labels[inside], scores[inside])
            found[name] = (normal, abnormal, estimate)
    return found


def _statement(aucs: Mapping[str, Estimate], difference: Estimate) -> str:
    inter, rec = aucs["a_inter"], aucs["a_rec"]
    sentences = []
    if difference.low > 0:
        sentences.append(
            f"A_inter tells abnormal from normal better than reconstruction error: its AUC of "
            f"{inter.value:.2f} is {difference.value:.2f} above A_rec's "
            f"(95 % CI {difference.low:.2f} to {difference.high:.2f})."
        )
    else:
        sentences.append(
            f"A_inter (AUC {inter.value:.2f}) is not reliably better than reconstruction error "
            f"(A_rec, AUC {rec.value:.2f}) on this test part: the difference is "
            f"{difference.value:+.2f} (95 % CI {difference.low:+.2f} to {difference.high:+.2f})."
        )
    if inter.low <= 0.5:
        sentences.append("It is not shown to be better than chance.")
    elif inter.value < 0.8:
        sentences.append("It misses and over-calls many cases; read it as a weak hint.")
    return " ".join(sentences)
