"""What thresholds are tuned on, fetched as columns: 50,000 scores are no 50,000 objects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, case, select
from sqlalchemy.orm import aliased

from app.store.evidence_records import ReadColumns, ScoreColumns
from app.store.records import Box
from app.store.schema import BoxRow, ImageRow, ReadRow, ScoreRow
from app.store.team_schema import ArbitrationRow

_IDS_PER_QUERY = 500


class EvidenceRepository:
    """Gathers evidence inside one unit of work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def scores(
        self, model_name: str, model_hash: str, score_name: str, needed: Collection[str]
    ) -> ScoreColumns:
        """Current scores of one version of a model.

        Args:
            model_name: The model.
            model_hash: Of its weights and card.
            score_name: Its primary score; rows of another one are not current.
            needed: Scores that must be there for a row to be current.
        """
        statement = (
            select(
                ScoreRow.id, ScoreRow.image_id, ScoreRow.score, ImageRow.age_years,
                ImageRow.reference_label, case((ImageRow.origin == "gallery", 0), else_=1),
            )
            .join(ImageRow, ImageRow.id == ScoreRow.image_id)
            .where(
                ScoreRow.model_name == model_name,
                ScoreRow.model_hash == model_hash,
                ScoreRow.score_name == score_name,
                *(getattr(ScoreRow, name).is_not(None) for name in needed),
            )
            .order_by(ScoreRow.image_id)
        )  # fmt: skip
        # Straight from the driver: these are numbers, and a row object for each costs more than
        # the query. Ids are exact in a float up to 2 ** 53; None becomes nan.
        cursor: Any = self._connection.execute(statement).cursor
        found = np.array(cursor.fetchall(), dtype=np.float64).reshape(-1, 6)
        ids, cases, score, age, reference, arrived = np.ascontiguousarray(found.T)
        return ScoreColumns(
            score_id=ids.astype(np.int64),
            image_id=cases.astype(np.int64),
            score=score,
            age=age,
            reference=np.where(np.isnan(reference), -1, reference).astype(np.int64),
            arrived=arrived > 0,
        )

    def reads(self, stages: Collection[str] = ("unaided", "aided")) -> ReadColumns:
        """The last read of each reader and case among those made at these stages."""
        newer = aliased(ReadRow)
        replaced = (
            select(newer.id)
            .where(
                newer.image_id == ReadRow.image_id,
                newer.reader == ReadRow.reader,
                newer.revision > ReadRow.revision,
                newer.stage.in_(stages),
            )
            .exists()
        )
        # By the reader, not by the read: an arbiter may amend what settled the case.
        settling = aliased(ReadRow)
        settles = (
            select(ArbitrationRow.image_id)
            .join(settling, settling.id == ArbitrationRow.read_id)
            .where(ArbitrationRow.image_id == ReadRow.image_id, settling.reader == ReadRow.reader)
            .exists()
        )
        wanted = [getattr(ReadRow, f.name) for f in fields(ReadColumns) if f.name != "settles"]
        statement = (
            select(*wanted, settles)
            .where(and_(ReadRow.stage.in_(stages), ~replaced))
            .order_by(ReadRow.image_id, ReadRow.reader)
        )
        return ReadColumns(*self._columns(statement))

    def who(self) -> tuple[list[str], list[str]]:
        """All who have read anything, and all models that anything was read with, by name."""
        readers = self._connection.scalars(select(ReadRow.reader).distinct())
        models = self._connection.scalars(
            select(ReadRow.model_name).where(ReadRow.model_name.is_not(None)).distinct()
        )
        return sorted(readers), sorted(str(name) for name in models)

    def days(self) -> tuple[date, date] | None:
        """UTC days on which the first and the last case came, the demonstration gallery apart."""
        came = select(ImageRow.added_at).where(ImageRow.origin != "gallery")
        first = self._connection.scalar(came.order_by(ImageRow.added_at).limit(1))
        last = self._connection.scalar(came.order_by(ImageRow.added_at.desc()).limit(1))
        return None if first is None or last is None else (first.date(), last.date())

    def boxes(self) -> list[tuple[int, str, Box]]:
        """Boxes of the last read of each reader and case: case, reader, box."""
        newer = aliased(ReadRow)
        replaced = (
            select(newer.id)
            .where(
                newer.image_id == ReadRow.image_id,
                newer.reader == ReadRow.reader,
                newer.revision > ReadRow.revision,
            )
            .exists()
        )
        statement = (
            select(
                ReadRow.image_id, ReadRow.reader,
                BoxRow.x, BoxRow.y, BoxRow.width, BoxRow.height, BoxRow.label,
            )
            .join(BoxRow, BoxRow.read_id == ReadRow.id)
            .where(~replaced)
            .order_by(ReadRow.image_id, ReadRow.reader, BoxRow.index)
        )  # fmt: skip
        return [(row[0], row[1], Box(*row[2:])) for row in self._connection.execute(statement)]

    def read_by(self, reader: str, image_ids: Sequence[int]) -> set[int]:
        """Which of these cases the reader has read."""
        found: set[int] = set()
        for start in range(0, len(image_ids), _IDS_PER_QUERY):
            chunk = image_ids[start : start + _IDS_PER_QUERY]
            statement = select(ReadRow.image_id).where(
                ReadRow.reader == reader, ReadRow.image_id.in_(chunk)
            )
            found.update(self._connection.scalars(statement))
        return found

    def labels(self, image_ids: Sequence[int]) -> dict[int, str]:
        """What the worklist calls these cases."""
        found: dict[int, str] = {}
        for start in range(0, len(image_ids), _IDS_PER_QUERY):
            chunk = image_ids[start : start + _IDS_PER_QUERY]
            statement = select(ImageRow.id, ImageRow.label).where(ImageRow.id.in_(chunk))
            found.update({row[0]: row[1] for row in self._connection.execute(statement)})
        return found

    def _columns(self, statement: Any) -> list[tuple[Any, ...]]:
        return list(zip(*self._connection.execute(statement).all(), strict=True))
