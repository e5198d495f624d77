"""Audit samples in the database: drawn once, never changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select

from app.store.evidence_records import AuditSampleRecord, NewAuditSample
from app.store.rows import columns_of, plain, values_of
from app.store.sample_schema import AuditSampleMemberRow, AuditSampleRow

_COLUMNS = columns_of(AuditSampleRow, AuditSampleRecord)


class SampleRepository:
    """Appends and finds audit samples inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def append(self, new: NewAuditSample, image_ids: Sequence[int]) -> AuditSampleRecord:
        """Store a draw with its members in the order drawn."""
        statement = insert(AuditSampleRow).values(**values_of(new), drawn_at=self._now())
        row = self._connection.execute(statement.returning(*_COLUMNS)).mappings().one()
        saved = AuditSampleRecord(**plain(row))
        chance = new.size / new.eligible
        members = [
            {"sample_id": saved.id, "position": place, "image_id": one, "chance": chance}
            for place, one in enumerate(image_ids)
        ]
        self._connection.execute(insert(AuditSampleMemberRow), members)
        return saved

    def of_model(
        self, model_name: str, model_hash: str, score_name: str
    ) -> list[AuditSampleRecord]:
        """All draws from one version of a model, the first one first."""
        statement = (
            select(*_COLUMNS)
            .where(
                AuditSampleRow.model_name == model_name,
                AuditSampleRow.model_hash == model_hash,
                AuditSampleRow.score_name == score_name,
            )
            .order_by(AuditSampleRow.id)
        )
        rows = self._connection.execute(statement).mappings()
        return [AuditSampleRecord(**plain(row)) for row in rows]

    def members(self, sample_id: int) -> list[int]:
        """The cases of a draw that are still there, in the order drawn."""
        statement = (
            select(AuditSampleMemberRow.image_id)
            .where(AuditSampleMemberRow.sample_id == sample_id)
            .order_by(AuditSampleMemberRow.position)
        )
        return list(self._connection.scalars(statement))
