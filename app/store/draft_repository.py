"""Unsaved reads, so that they survive the end of a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from app.store.account_records import DraftRecord
from app.store.rows import columns_of, plain
from app.store.schema import DraftRow

_COLUMNS = columns_of(DraftRow, DraftRecord)


class DraftRepository:
    """Keeps drafts inside one unit of work: one a reader and case."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def put(self, reader: str, image_id: int, content: Mapping[str, Any]) -> None:
        """Keep a draft in place of the one there is."""
        self.remove(reader, image_id)
        values = {"reader": reader, "image_id": image_id, "content": dict(content)}
        self._connection.execute(insert(DraftRow).values(**values, saved_at=self._now()))

    def get(self, reader: str, image_id: int) -> DraftRecord | None:
        """The draft of a reader and case, or None."""
        statement = select(*_COLUMNS).where(
            DraftRow.reader == reader, DraftRow.image_id == image_id
        )
        row = self._connection.execute(statement).mappings().one_or_none()
        return None if row is None else DraftRecord(**plain(row))

    def remove(self, reader: str, image_id: int) -> None:
        """Forget a draft, if there is one."""
        self._connection.execute(
            delete(DraftRow).where(DraftRow.reader == reader, DraftRow.image_id == image_id)
        )
