"""Do scores still come from where they came from? Month by month against reference normals.

Each month's scores are compared with the reference by the chance that a new score is the higher
one (Mann-Whitney; 0.5 if nothing changed) and by the largest distance of the two distributions
(Kolmogorov-Smirnov). With many cases any trifle is significant, with few nothing is, so a month is
judged by its interval against a stated limit: drifted if it lies wholly outside, steady if wholly
inside, else unclear. The intervals hold for all months together (Sidak).

Give cases of the same kind as the reference: those read as normal beside the calibration normals.
All cases beside them differ from the start by the abnormal ones; compare those with an earlier
period instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import ks_2samp, norm

from ddad_core.errors import MetricError
from ddad_core.evaluation.delong import delong_auc
from ddad_core.evaluation.intervals import CONFIDENCE, share_of
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.thresholds import flags

LIMIT = 0.1
LEAST = 20
"""Scores a month below which it is not judged."""
Verdict = Literal["steady", "drifted", "unclear", "too few"]


@dataclass(frozen=True)
class Month:
    """One month's scores against the reference.

    Attributes:
        month: Such as "2026-11".
        n: Scores.
        median: Of the scores.
        higher: Chance that one of them is above one of the reference, ties half, with an interval
            that holds for all months together; None with fewer than two.
        distance: Kolmogorov-Smirnov, 0 to 1.
        p_value: Of that distance, for this month alone.
        flagged: Share at or above the threshold; None without one.
        verdict: Against the limit.
    """

    month: str
    n: int
    median: float
    higher: Estimate | None
    distance: float
    p_value: float
    flagged: Estimate | None
    verdict: Verdict


@dataclass(frozen=True)
class Drift:
    """All months.

    Attributes:
        months: In order of time; a month without scores is not there.
        limit: How far the chance may lie from 0.5.
        n_reference: Reference scores.
        reference_flagged: Share of the reference at or above the threshold; None without one.
        drifted: The months that drifted.
    """

    months: tuple[Month, ...]
    limit: float
    n_reference: int
    reference_flagged: Estimate | None
    drifted: tuple[str, ...]


def score_drift(
    reference: np.ndarray,
    scores: np.ndarray,
    when: np.ndarray,
    *,
    limit: float = LIMIT,
    threshold: float | None = None,
) -> Drift:
    """Compare each month's scores with the reference.

    Args:
        reference: (n,) scores, at least two.
        scores: (N,), finite.
        when: (N,) datetime64 of each score; its month counts.
        limit: Between 0 and 0.5.
        threshold: To state the share flagged by.

    Raises:
        MetricError: There are too few reference scores, shapes differ, a score is not finite, a
            time is missing, or the limit lies outside 0 to 0.5.
    """
    reference, scores = np.asarray(reference, np.float64), np.asarray(scores, np.float64)
    times = np.asarray(when, "datetime64[M]")
    if scores.shape != times.shape or scores.ndim != 1 or np.isnat(times).any():
        problem = "Scores and their times do not match, or a time is missing."
        raise MetricError(problem, "Give one time a score.")
    if not np.isfinite(scores).all() or not np.isfinite(reference).all():
        problem = "Some scores are not finite."
        raise MetricError(problem, "Find the images they come from.")
    if len(reference) < 2 or not 0 < limit < 0.5:
        problem = f"{len(reference)} reference scores and a limit of {limit} tell no drift."
        raise MetricError(problem, "Give at least two, and a limit such as 0.1.")
    names = np.unique(times)
    confidence = CONFIDENCE ** (1 / max(len(names), 1))
    months = tuple(
        _month(str(name), reference, scores[times == name], limit, confidence, threshold)
        for name in names
    )
    return Drift(
        months=months,
        limit=limit,
        n_reference=len(reference),
        reference_flagged=_flagged(reference, threshold),
        drifted=tuple(m.month for m in months if m.verdict == "drifted"),
    )


def _flagged(scores: np.ndarray, threshold: float | None) -> Estimate | None:
    if threshold is None:
        return None
    return share_of(int(flags(scores, threshold).sum()), len(scores))


def _month(
    name: str,
    reference: np.ndarray,
    scores: np.ndarray,
    limit: float,
    confidence: float,
    threshold: float | None,
) -> Month:
    labels = np.repeat([0, 1], [len(reference), len(scores)])
    higher = None
    if len(scores) >= 2:
        both = delong_auc(labels, np.concatenate([reference, scores]))
        higher = _widened(both, confidence)
    tested = ks_2samp(scores, reference, method="asymp")
    return Month(
        month=name,
        n=len(scores),
        median=float(np.median(scores)),
        higher=higher,
        distance=float(tested.statistic),
        p_value=float(tested.pvalue),
        flagged=_flagged(scores, threshold),
        verdict=_verdict(higher, len(scores), limit),
    )


def _widened(found: Estimate, confidence: float) -> Estimate:
    """A 95 % interval on the logit scale, stretched to a higher confidence."""
    factor = float(norm.ppf((1 + confidence) / 2) / norm.ppf((1 + CONFIDENCE) / 2))

    def logit(x: float) -> float:
        return math.log(x / (1 - x)) if 0 < x < 1 else math.copysign(math.inf, x - 0.5)

    def moved(end: float) -> float:
        middle = logit(found.value)
        if math.isinf(middle) or math.isinf(logit(end)):
            return end
        return 1 / (1 + math.exp(-(middle + factor * (logit(end) - middle))))

    return Estimate(found.value, moved(found.low), moved(found.high))


def _verdict(higher: Estimate | None, n: int, limit: float) -> Verdict:
    if higher is None or n < LEAST:
        return "too few"
    if higher.low > 0.5 + limit or higher.high < 0.5 - limit:
        return "drifted"
    if higher.low >= 0.5 - limit and higher.high <= 0.5 + limit:
        return "steady"
    return "unclear"
