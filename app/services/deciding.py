"""What moving a threshold means for the cases at hand and for the days to come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import poisson

from app.services.tuning_evidence import TuningEvidence
from ddad_core.errors import RequestError
from ddad_core.evaluation.intervals import share_of
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.thresholds import flags

KINDS = {1: "abnormal", 0: "normal", -1: "no label"}


@dataclass(frozen=True)
class ChangedCase:
    """A case that changes side.

    Attributes:
        image_id: The case.
        score: Its score.
        kind: "abnormal" or "normal" by its label, or "no label".
    """

    image_id: int
    score: float
    kind: str


@dataclass(frozen=True, eq=False)
class Sides:
    """Cases that a threshold puts on the other side than the one in force does.

    Attributes:
        flagged_on: Whether they become flagged; False where they are flagged no more.
        image_ids: (C,) those that matter first: of cases flagged no more the abnormal ones with
            the highest scores, of those newly flagged the normal ones; then without a label.
        scores: (C,).
        labels: (C,) 1, 0, or -1 for no label.
    """

    flagged_on: bool
    image_ids: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def counts(self) -> dict[str, int]:
        """Cases by kind."""
        return {kind: int((self.labels == label).sum()) for label, kind in KINDS.items()}

    def first(self, limit: int) -> tuple[ChangedCase, ...]:
        """The first few of them."""
        rows = zip(self.image_ids, self.scores, self.labels, strict=True)
        return tuple(
            ChangedCase(int(one), float(score), KINDS[int(label)])
            for (one, score, label), _ in zip(rows, range(limit), strict=False)
        )


@dataclass(frozen=True)
class FlagsADay:
    """Flagged cases to expect.

    Attributes:
        mean: A day, with the interval that comes of the share flagged.
        least: On one day in forty there are fewer.
        most: On one day in forty there are more.
        cases_a_day: Cases that come a day.
        stated: Whether somebody said so; otherwise the cases' own days do.
    """

    mean: Estimate
    least: int
    most: int
    cases_a_day: float
    stated: bool


def sides(evidence: TuningEvidence, threshold: float) -> Sides:
    """Find the cases that change side against the threshold in force."""
    scores = evidence.all_scores
    before = flags(scores, evidence.in_force.threshold)
    changed = np.flatnonzero(flags(scores, threshold) != before)
    ids = np.concatenate([evidence.ids, evidence.unlabelled_ids])
    labels = np.concatenate([evidence.labels, np.full(len(evidence.unlabelled), -1)])
    on = bool(len(changed)) and not before[changed[0]]
    # A miss counts where flags are lost, a false alarm where they are won.
    if on:
        matters = np.select([labels[changed] == 0, labels[changed] == 1], [0, 1], 2)
    else:
        matters = np.select([labels[changed] == 1, labels[changed] == 0], [0, 1], 2)
    order = np.lexsort((-scores[changed], matters))
    chosen = changed[order]
    return Sides(on, ids[chosen], scores[chosen], labels[chosen])


def flags_a_day(
    evidence: TuningEvidence, flagged: int, scored: int, stated: float | None = None
) -> FlagsADay | None:
    """Flagged cases a day to expect while cases stay as the scored ones are.

    Args:
        evidence: Whose days say how many cases come.
        flagged: Of the scored cases.
        scored: All of them.
        stated: Cases a day where somebody knows better; None for those of the days.

    Returns:
        None where neither is known, or nothing was scored.

    Raises:
        RequestError: The number stated is not above 0.
    """
    if stated is not None and not stated > 0:
        problem = f"{stated} cases a day are none."
        raise RequestError(problem, "Give a number above 0.")
    cases = stated if stated is not None else evidence.cases_a_day
    if cases is None or not scored:
        return None
    share = share_of(flagged, scored)
    mean = Estimate(share.value * cases, share.low * cases, share.high * cases)
    least, most = (int(poisson.ppf(q, mean.value)) for q in (0.025, 0.975))
    return FlagsADay(mean, least, most, cases, stated is not None)
