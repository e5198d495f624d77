"""Operating points: who is called abnormal, and what that costs.

A case is flagged when its score is at least the threshold. This module is the only place that
compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddad_core.errors import MetricError
from ddad_core.evaluation.metrics import Estimate, proportion


@dataclass(frozen=True)
class Confusion:
    """Counts at a threshold.

    Attributes:
        true_positive: Abnormal and flagged.
        false_negative: Abnormal and not flagged.
        false_positive: Normal and flagged.
        true_negative: Normal and not flagged.
    """

    true_positive: int
    false_negative: int
    false_positive: int
    true_negative: int

    @property
    def flagged(self) -> int:
        """Cases at or above the threshold."""
        return self.true_positive + self.false_positive

    @property
    def sensitivity(self) -> Estimate | None:
        """Share of abnormal cases flagged, exact interval; None without abnormal cases."""
        n = self.true_positive + self.false_negative
        return proportion(self.true_positive, n) if n else None

    @property
    def specificity(self) -> Estimate | None:
        """Share of normal cases not flagged, exact interval; None without normal cases."""
        n = self.false_positive + self.true_negative
        return proportion(self.true_negative, n) if n else None


def is_flagged(score: float, threshold: float) -> bool:
    """Whether a case is called abnormal at this threshold."""
    return score >= threshold


def flags(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Which cases are called abnormal at this threshold, bool of the scores' shape."""
    return np.asarray(scores) >= threshold


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Confusion:
    """Count cases on both sides of a threshold.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), higher is more abnormal.
        threshold: Flagged means score >= threshold.
    """
    labels = np.asarray(labels)
    flagged = flags(scores, threshold)
    return Confusion(
        true_positive=int(np.sum(flagged & (labels == 1))),
        false_negative=int(np.sum(~flagged & (labels == 1))),
        false_positive=int(np.sum(flagged & (labels == 0))),
        true_negative=int(np.sum(~flagged & (labels == 0))),
    )


def threshold_for_normal_rate(normal_scores: np.ndarray, max_rate: float) -> float:
    """Find a threshold that flags at most a share of these normals, and as many as that allows.

    It lies halfway between the last normal that is flagged and the first that is not, so that
    rounding does not move a case across it.

    Args:
        normal_scores: (n,), any order.
        max_rate: For instance 0.10.

    Raises:
        MetricError: There are no scores, or the rate is outside 0 to 1.
    """
    if not len(normal_scores) or not 0 <= max_rate < 1:
        problem = f"{len(normal_scores)} normal scores and a rate of {max_rate} give no threshold."
        raise MetricError(problem, "Give calibration normals and a rate from 0 to below 1.")
    allowed = int(np.floor(max_rate * len(normal_scores) + 1e-9))
    return threshold_above(normal_scores, allowed)


def threshold_above(scores: np.ndarray, allowed: int) -> float:
    """Find the lowest threshold that flags at most so many of these scores.

    It lies halfway between the last that is flagged and the first that is not, so that rounding
    does not move a case across it.

    Args:
        scores: (n,), any order.
        allowed: At least 0 and below n.
    """
    assert 0 <= allowed < len(scores)
    descending = np.sort(np.asarray(scores, dtype=np.float64))[::-1]
    # The first that must not be flagged; ties with it are not flagged either.
    barrier = descending[allowed]
    above = descending[descending > barrier]
    if not len(above):
        return float(np.nextafter(barrier, np.inf))
    middle = float((above[-1] + barrier) / 2)
    return middle if middle > barrier else float(above[-1])  # neighbouring floats have none
