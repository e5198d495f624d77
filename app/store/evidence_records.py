"""What thresholds are tuned on, as columns; and audit samples. Nothing here knows SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class ScoreColumns:
    """Current scores of one model, one entry a case, by case.

    Attributes:
        score_id: Of the rows.
        image_id: The cases.
        score: The primary score.
        age: Years; None where unknown.
        reference: The label that came with the image; None where there is none.
    """

    score_id: tuple[int, ...] = ()
    image_id: tuple[int, ...] = ()
    score: tuple[float, ...] = ()
    age: tuple[float | None, ...] = ()
    reference: tuple[int | None, ...] = ()


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
    """

    image_id: tuple[int, ...] = ()
    reader: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()
    confidence: tuple[int | None, ...] = ()
    stage: tuple[str, ...] = ()
    model_name: tuple[str | None, ...] = ()
    saved_at: tuple[datetime, ...] = ()


@dataclass(frozen=True)
class Arrivals:
    """Cases that came, those of the demonstration gallery apart.

    Attributes:
        cases: How many.
        first: Day on which the first came; None without any.
        last: Likewise the last.
    """

    cases: int
    first: date | None
    last: date | None


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
