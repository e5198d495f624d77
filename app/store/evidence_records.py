"""What thresholds are tuned on, as columns; and audit samples. Nothing here knows SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime

import numpy as np

_NONE = np.empty(0)


@dataclass(frozen=True, eq=False)
class ScoreColumns:
    """Current scores of one model, one entry a case, by case.

    Attributes:
        score_id: (N,) int64, of the rows.
        image_id: (N,) int64, the cases, ascending.
        score: (N,) the primary score.
        age: (N,) years; nan where unknown.
        reference: (N,) int64, the label that came with the image; -1 where there is none.
        arrived: (N,) bool, False for cases of the demonstration gallery.
    """

    score_id: np.ndarray = field(default_factory=lambda: _NONE)
    image_id: np.ndarray = field(default_factory=lambda: _NONE)
    score: np.ndarray = field(default_factory=lambda: _NONE)
    age: np.ndarray = field(default_factory=lambda: _NONE)
    reference: np.ndarray = field(default_factory=lambda: _NONE)
    arrived: np.ndarray = field(default_factory=lambda: _NONE)


@dataclass(frozen=True)
class ReadColumns:
    """The last read of each reader and case at the stages asked for, by case and reader.

    Attributes:
        image_id: The cases.
        reader: Who.
        verdict: As stored.
        confidence: 1 to 5, or None.
        stage: "unaided" or "aided".
        model_name: Model in use; None if it was read without one.
        saved_at: UTC.
        settles: Whether the reader settled the case where others differed; nobody did if not given.
    """

    image_id: tuple[int, ...] = ()
    reader: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()
    confidence: tuple[int | None, ...] = ()
    stage: tuple[str, ...] = ()
    model_name: tuple[str | None, ...] = ()
    saved_at: tuple[datetime, ...] = ()
    settles: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        """Without a word on it, nobody settled a case."""
        object.__setattr__(self, "settles", self.settles or (False,) * len(self.image_id))

    def taken(self, places: Sequence[int]) -> ReadColumns:
        """The reads at these places."""
        if len(places) == len(self.image_id):
            return self
        columns = (getattr(self, one.name) for one in fields(self))
        return ReadColumns(*(tuple(column[i] for i in places) for column in columns))


@dataclass(frozen=True, kw_only=True)
class NewAuditSample:
    """A draw.

    Attributes:
        model_name: Whose scored cases it was drawn from.
        model_hash: Of its weights.
        score_name: Of the score by which cases are flagged.
        threshold: In force when it was drawn.
        rule: From which cases it was drawn, in words.
        seed: By which it can be drawn again.
        size: Cases drawn.
        eligible: Cases it was drawn from.
        flagged: Those of them at or above the threshold.
        last_score_id: The newest score then; later ones were not drawn from.
        drawn_by: Who.
    """

    model_name: str
    model_hash: str
    score_name: str
    threshold: float
    rule: str
    seed: int
    size: int
    eligible: int
    flagged: int
    last_score_id: int
    drawn_by: str


@dataclass(frozen=True, kw_only=True)
class AuditSampleRecord(NewAuditSample):
    """A draw as stored."""

    id: int
    drawn_at: datetime
