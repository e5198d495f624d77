"""What is asked of the worklist, and what it answers. Nothing here knows SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from app.store.records import ImageRecord, Origin, ScoreRecord

Show = Literal[
    "all",
    "unread",
    "mine",
    "read",
    "flagged",
    "warned",
    "uploads",
    "gallery",
    "disagreement",
    "arbitration",
    "sample",
]
NOBODY = ""
"""Stands for no reader where a filter asks to whom cases are assigned."""
Sort = Literal["score", "uncertainty", "newest", "oldest", "label", "random"]


@dataclass(frozen=True)
class ModelTerms:
    """What the query must know of a model.

    Attributes:
        name: Of the model.
        hash: Of its weights and card.
        lowest_age: Years from which on it is for; None for no limit.
        highest_age: Years from which on it is no more; None for no limit.
        score_name: Its primary score.
        needed: Scores that must be there for a stored row to be current.
        threshold: In force; None for a model that is not calibrated.
        spread: Interquartile range of its calibration normals, so that distances to thresholds
            of several models compare.
    """

    name: str
    hash: str
    lowest_age: float | None
    highest_age: float | None
    score_name: str = ""
    needed: tuple[str, ...] = ()
    threshold: float | None = None
    spread: float = 1.0


@dataclass(frozen=True)
class Wish:
    """What a reader wants to see.

    Attributes:
        show: Which cases. "unread" are those that wait for a read by the reader: what is assigned
            to others, or read by as many as are to read a case, is not offered. "mine" are those
            assigned to the reader; "arbitration" those that others disagree on and nobody has
            settled.
        sort: "score" puts the highest percentile first, "uncertainty" what is nearest to the
            operating point, "random" a sample that the seed repeats; unjudged cases last.
        search: Words, all of which occur in label, facts, own verdict or model; any case.
        model: Only cases judged by this model.
        since: Only cases taken in from then on.
        until: Only cases taken in before.
        within_days: Only cases taken in during the last so many days.
        batch: Only cases of this batch.
        origin: Only cases that came this way.
        assigned_to: Only cases assigned to this reader; `NOBODY` for those assigned to none.
        seed: Of the random order.
        unaided: Whether nothing of the AI shows through of cases that the reader has not read:
            neither scores, nor flags, nor an order by them.
    """

    show: Show = "all"
    sort: Sort = "score"
    search: str = ""
    model: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    within_days: int | None = None
    batch: int | None = None
    origin: Origin | None = None
    assigned_to: str | None = None
    seed: int = 0
    unaided: bool = False


@dataclass(frozen=True, kw_only=True)
class WorklistQuestion:
    """What is asked.

    Attributes:
        reader: Whose reads decide "read" and "unread".
        models: The default first, then in the order in which they are tried for an age.
        wish: Which cases, in which order; what it says of reading unaided is the caller's.
        now: The time that days are counted back from.
        alive_since: A tab that has given no sign of life since then has no case open.
        readers_per_case: How many people a case is offered to; None for all.
        sees_disputes: Whether the reader may learn where others disagree before their own read.
    """

    reader: str
    models: Sequence[ModelTerms]
    now: datetime
    alive_since: datetime
    wish: Wish = field(default_factory=Wish)
    readers_per_case: int | None = None
    sees_disputes: bool = False


@dataclass(frozen=True)
class WorklistCase:
    """One case.

    Attributes:
        image: Its record.
        model: Name of the model for its age.
        score: Current score by that model; None if there is none.
        flagged: Whether it reaches the model's threshold.
        verdict: The reader's own latest, or None.
        others: How many other readers have read it.
        offered: Whether it waits for a read by the reader, were it unread by them.
        assigned: To whom it is assigned.
        open_by: How others who have it open are called, the one who has had it longest first.
    """

    image: ImageRecord
    model: str
    score: ScoreRecord | None
    flagged: bool
    verdict: str | None
    others: int
    offered: bool = True
    assigned: tuple[str, ...] = ()
    open_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorklistCounts:
    """How many.

    Attributes:
        matching: Cases asked for.
        total: Cases there are, whatever is shown; so for the next three.
        unread: Those that wait for a read by the reader.
        flagged: At or above their model's threshold.
        unscored: Without a current score though their model is calibrated.
    """

    matching: int
    total: int
    unread: int
    flagged: int
    unscored: int
