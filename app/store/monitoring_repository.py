"""What monitoring counts, as columns: many thousand rows, none of them a whole record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Integer, cast, exists, extract, func, select
from sqlalchemy.orm import aliased

from app.store.schema import AuditRow, ImageRow, ReadRow, ScoreRow


@dataclass(frozen=True)
class ScoredCase:
    """A score and what is known of where its image came from.

    Attributes:
        image_id: The case.
        score: By the model's primary score.
        added_at: When the image came in.
        station: Keyed pseudonym of the scanner; None if unknown.
        view: Such as "PA"; None if unknown.
        origin: "gallery" or "upload".
    """

    image_id: int
    score: float
    added_at: datetime
    station: str | None
    view: str | None
    origin: str


@dataclass(frozen=True)
class TimedRead:
    """A read that no later revision replaces.

    Attributes:
        image_id: Of which case.
        reader: Whose.
        verdict: What they said.
        model_hash: Of the model in view; None if there was none.
        score: As it was in view.
        threshold: In force then.
        seconds: To the verdict; None if it was not timed.
        first: Whether it is the reader's first of this case, not an amendment.
        saved_at: When.
    """

    image_id: int
    reader: str
    verdict: str
    model_hash: str | None
    score: float | None
    threshold: float | None
    seconds: float | None
    first: bool
    saved_at: datetime


class MonitoringRepository:
    """Counts inside one unit of work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def scored(
        self, model_name: str, model_hash: str, score_name: str, needed: Collection[str]
    ) -> list[ScoredCase]:
        """Every case with a current score of a model, the first that came in first.

        Args:
            model_name: The model.
            model_hash: Its version.
            score_name: Its primary score.
            needed: Columns without which a score is not current.
        """
        statement = (
            select(
                ImageRow.id,
                ScoreRow.score,
                ImageRow.added_at,
                ImageRow.station,
                ImageRow.view,
                ImageRow.origin,
            )
            .join(ScoreRow, ScoreRow.image_id == ImageRow.id)
            .where(
                ScoreRow.model_name == model_name,
                ScoreRow.model_hash == model_hash,
                ScoreRow.score_name == score_name,
                *(ScoreRow.__table__.c[name].is_not(None) for name in needed),
            )
            .order_by(ImageRow.added_at, ImageRow.id)
        )
        return [ScoredCase(*row) for row in self._connection.execute(statement)]

    def reads(self) -> list[TimedRead]:
        """The last revision of each reader and case, in the order saved."""
        newer = aliased(ReadRow)
        # Not by what a revision replaces: an imported one may lack the one before it.
        replaced = exists().where(
            newer.image_id == ReadRow.image_id,
            newer.reader == ReadRow.reader,
            newer.revision > ReadRow.revision,
        )
        statement = (
            select(
                ReadRow.image_id,
                ReadRow.reader,
                ReadRow.verdict,
                ReadRow.model_hash,
                ReadRow.score,
                ReadRow.threshold,
                ReadRow.seconds_to_verdict,
                ReadRow.revision == 1,
                ReadRow.saved_at,
            )
            .where(~replaced)
            .order_by(ReadRow.saved_at, ReadRow.id)
        )
        return [TimedRead(*row) for row in self._connection.execute(statement)]

    def files_by_month(self) -> list[tuple[str, int, int]]:
        """Files brought by month: its name, how many, how many of them were refused."""
        year, month = (
            cast(extract(part, AuditRow.at), Integer).label(part) for part in ("year", "month")
        )
        statement = (
            select(
                year,
                month,
                func.count(),
                func.count().filter(AuditRow.action == "refusal"),
            )
            .where(AuditRow.action.in_(("upload", "refusal")))
            .group_by(year, month)
            .order_by(year, month)
        )
        return [
            (f"{row[0]:04d}-{row[1]:02d}", row[2], row[3])
            for row in self._connection.execute(statement)
        ]
