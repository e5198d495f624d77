"""What a test part says of a model, in numbers and in one plain sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ddad_core.errors import MetricError
from ddad_core.evaluation.delong import DelongTest, delong_test
from ddad_core.evaluation.metrics import (
    Estimate,
    auc_difference,
    auc_with_interval,
    average_precision_with_interval,
    sensitivity_at_specificity,
)
from ddad_core.evaluation.thresholds import Confusion, confusion
from ddad_core.vocabulary import SCORE_TITLES

SPECIFICITY = 0.9
"""At which every score's sensitivity is stated, whatever the model's own operating point."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one labelled part.

    Attributes:
        n_normal: Normal cases.
        n_abnormal: Abnormal cases.
        auc: By score name, in the order of the vocabulary; A_rec of the single networks is the
            mean of their scores.
        average_precision: By score name; a useless score has n_abnormal / (n_normal + n_abnormal).
        sensitivity: By score name, at a specificity of at least 0.9 on these very cases.
        inter_minus_rec: AUC of A_inter less AUC of the ensemble's A_rec, paired.
        delong: By score name, DeLong's paired test of A_inter, A_ratio, R_dual and the primary
            score against the ensemble's A_rec.
        primary: Name of the score that the operating point and the statement are about.
        at_threshold: Counts at the model's own operating point.
        threshold: That operating point.
        by_stratum: (n normal, n abnormal, AUC of the primary score) within each stratum that
            has at least ten cases of both classes.
        statement: The finding in plain words.
    """

    n_normal: int
    n_abnormal: int
    auc: dict[str, Estimate]
    average_precision: dict[str, Estimate]
    sensitivity: dict[str, Estimate]
    inter_minus_rec: Estimate
    delong: dict[str, DelongTest]
    primary: str
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
        scores: (N,) by score name of the vocabulary; must hold a_rec, a_inter and the primary.
        primary: Name of the score the threshold applies to.
        threshold: Flagged means score >= threshold.
        strata: (N,) names of strata, such as views; blank names are left out.

    Raises:
        MetricError: A class has fewer than two cases, a score is not finite, not in the
            vocabulary, or missing.
    """
    _check_names(scores, primary)
    labels = np.asarray(labels)
    given = {name: np.asarray(scores[name]) for name in SCORE_TITLES if name in scores}
    aucs = {name: auc_with_interval(labels, values) for name, values in given.items()}
    tested = [
        name
        for name in given
        if name in ("a_inter", "a_ratio", "r_dual", primary) and name != "a_rec"
    ]
    return Evaluation(
        n_normal=int(np.sum(labels == 0)),
        n_abnormal=int(np.sum(labels == 1)),
        auc=aucs,
        average_precision={
            name: average_precision_with_interval(labels, values) for name, values in given.items()
        },
        sensitivity={
            name: sensitivity_at_specificity(labels, values, SPECIFICITY)
            for name, values in given.items()
        },
        inter_minus_rec=auc_difference(labels, given["a_inter"], given["a_rec"]),
        delong={name: delong_test(labels, given[name], given["a_rec"]) for name in tested},
        primary=primary,
        at_threshold=confusion(labels, scores[primary], threshold),
        threshold=threshold,
        by_stratum=_strata(labels, np.asarray(scores[primary]), strata),
        statement=_statement(primary, aucs, auc_difference(labels, given[primary], given["a_rec"])),
    )


def _check_names(scores: Mapping[str, np.ndarray], primary: str) -> None:
    unknown = [name for name in scores if name not in SCORE_TITLES]
    missing = [name for name in dict.fromkeys(("a_rec", "a_inter", primary)) if name not in scores]
    if unknown or missing:
        problem = (
            f"Scores {', '.join(unknown or missing)} are {'unknown' if unknown else 'missing'}."
        )
        raise MetricError(problem, f"Scores are among {', '.join(SCORE_TITLES)}.")


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


def _below_one(value: float) -> str:
    """Two decimals, three where two would claim a perfect AUC that it is not."""
    return f"{value:.3f}" if 0.995 <= value < 1 else f"{value:.2f}"


def _statement(primary: str, aucs: Mapping[str, Estimate], difference: Estimate) -> str:
    """What is found of the primary score, against the ensemble's A_rec and against chance."""
    found, rec = aucs[primary], aucs["a_rec"]
    name = SCORE_TITLES[primary]
    sentences = []
    if primary == "a_rec":
        sentences.append(
            f"{name} tells abnormal from normal with an AUC of {found.value:.2f} "
            f"(95 % CI {found.low:.2f} to {found.high:.2f})."
        )
    elif difference.low > 0:
        sentences.append(
            f"{name} tells abnormal from normal better than reconstruction error: its AUC of "
            f"{_below_one(found.value)} is {difference.value:.2f} above A_rec's "
            f"(95 % CI {difference.low:.2f} to {difference.high:.2f})."
        )
    else:
        sentences.append(
            f"{name} (AUC {found.value:.2f}) is not reliably better than reconstruction error "
            f"(A_rec, AUC {rec.value:.2f}) on this test part: the difference is "
            f"{difference.value:+.2f} (95 % CI {difference.low:+.2f} to {difference.high:+.2f})."
        )
    if found.low <= 0.5:
        sentences.append("It is not shown to be better than chance.")
    elif found.value < 0.8:
        sentences.append("It misses and over-calls many cases; read it as a weak hint.")
    return " ".join(sentences)
