"""What a flag is worth: predictive values, among the cases at hand and at a stated prevalence.

Predictive values follow the share of abnormal cases. Those of a set that was put together, with
every second case abnormal, say nothing of a clinic where one in thirty is; there they are computed
from sensitivity and specificity by Bayes' rule at the clinic's prevalence.

PPV = 1 / (1 + (1 - pi) / pi * (1 - specificity) / sensitivity) rises with one ratio of two
independent shares, and NPV likewise, so their intervals are those of the ratio (Koopman's score
interval), carried over. Mercaldo, Lau and Zhou (Statistics in Medicine 26, 2007, 2170-2183) give
the same from the normal interval of the log ratio, which fails where a count is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddad_core.errors import MetricError
from ddad_core.evaluation.intervals import Intervals, ratio_of_shares, share_of
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.thresholds import Confusion


@dataclass(frozen=True)
class PredictiveValues:
    """What a flag, and its absence, say.

    Attributes:
        ppv: Share of abnormal among the flagged; None if nothing was flagged.
        npv: Share of normal among the others; None if everything was flagged.
        prevalence: Share of abnormal cases that both are stated for.
        stated: Whether that share was given, and is not just that of the cases.
    """

    ppv: Estimate | None
    npv: Estimate | None
    prevalence: float
    stated: bool


def predictive_values(counts: Confusion, *, prevalence: float | None = None) -> PredictiveValues:
    """Predictive values at a threshold.

    Args:
        counts: Cases on both sides of the threshold. For a stated prevalence the abnormal and
            the normal ones may be drawn apart; without one they must be drawn together.
        prevalence: Between 0 and 1, known; its own uncertainty is not in the intervals.

    Raises:
        MetricError: The prevalence is not between 0 and 1, or a class it needs is missing.
    """
    tp, fn = counts.true_positive, counts.false_negative
    fp, tn = counts.false_positive, counts.true_negative
    abnormal, normal = tp + fn, fp + tn
    if prevalence is None:
        if not abnormal + normal:
            problem = "There are no cases."
            raise MetricError(problem, "Predictive values need cases with a label.")
        return PredictiveValues(
            ppv=share_of(tp, tp + fp) if tp + fp else None,
            npv=share_of(tn, tn + fn) if tn + fn else None,
            prevalence=abnormal / (abnormal + normal),
            stated=False,
        )
    if not 0 < prevalence < 1:
        problem = f"A prevalence of {prevalence} is not between 0 and 1."
        raise MetricError(problem, "Give a share such as 0.03.")
    if not abnormal or not normal:
        problem = f"There are {normal} normal and {abnormal} abnormal cases."
        raise MetricError(problem, "Predictive values at a stated prevalence need both.")
    odds = prevalence / (1 - prevalence)
    return PredictiveValues(
        ppv=_from_ratio(ratio_of_shares(tp, abnormal, fp, normal), odds) if tp + fp else None,
        npv=_from_ratio(ratio_of_shares(tn, normal, fn, abnormal), 1 / odds) if tn + fn else None,
        prevalence=prevalence,
        stated=True,
    )


def _from_ratio(ratio: Intervals, odds: float) -> Estimate:
    """Probability whose odds are the ratio times the odds before."""
    with np.errstate(divide="ignore"):
        value, low, high = (
            float(1 / (1 + 1 / (odds * part))) for part in (ratio.value, ratio.low, ratio.high)
        )
    return Estimate(value, low, high)
