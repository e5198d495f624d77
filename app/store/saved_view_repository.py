"""Saved views of the worklist, and the batches that it can be filtered by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from app.store.ordering import by_code_point
from app.store.rows import columns_of, plain
from app.store.schema import ImageRow
from app.store.team_records import BatchRecord, SavedViewRecord
from app.store.team_schema import BatchRow, SavedViewRow

_VIEW = columns_of(SavedViewRow, SavedViewRecord)
_BATCH = columns_of(BatchRow, BatchRecord, without="cases")


class SavedViewRepository:
    """Keeps saved views inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def add(
        self, owner: str, name: str, wish: Mapping[str, Any], *, shared: bool
    ) -> SavedViewRecord:
        """Keep a view; a conflict if its owner has one of that name."""
        values = {"owner": owner, "name": name, "wish": dict(wish), "shared": shared}
        statement = insert(SavedViewRow).values(**values, saved_at=self._now()).returning(*_VIEW)
        return SavedViewRecord(**plain(self._connection.execute(statement).mappings().one()))

    def change(self, view_id: int, **values: Any) -> None:
        """Set a view's name, wish or whether it is shared anew."""
        statement = update(SavedViewRow).where(SavedViewRow.id == view_id)
        self._connection.execute(statement.values(**values, saved_at=self._now()))

    def remove(self, view_id: int) -> None:
        """Forget a view."""
        self._connection.execute(delete(SavedViewRow).where(SavedViewRow.id == view_id))

    def get(self, view_id: int) -> SavedViewRecord | None:
        """The view of that number, or None."""
        statement = select(*_VIEW).where(SavedViewRow.id == view_id)
        row = self._connection.execute(statement).mappings().one_or_none()
        return None if row is None else SavedViewRecord(**plain(row))

    def offered_to(self, person: str) -> list[SavedViewRecord]:
        """A person's own views and shared ones, by name."""
        statement = (
            select(*_VIEW)
            .where(or_(SavedViewRow.owner == person, SavedViewRow.shared))
            .order_by(by_code_point(SavedViewRow.name), SavedViewRow.id)
        )
        rows = self._connection.execute(statement).mappings()
        return [SavedViewRecord(**plain(row)) for row in rows]


class BatchRepository:
    """Keeps batches inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def named(self, name: str, added_by: str) -> int:
        """The number of the batch of that name, which is made if there is none."""
        found = self._connection.scalar(select(BatchRow.id).where(BatchRow.name == name))
        if found is not None:
            return found
        values = {"name": name, "added_by": added_by, "added_at": self._now()}
        statement = insert(BatchRow).values(values).returning(BatchRow.id)
        return self._connection.execute(statement).scalar_one()

    def list_all(self) -> list[BatchRecord]:
        """Batches that images are left of, the latest first."""
        counted = (
            select(ImageRow.batch_id, func.count().label("cases"))
            .where(ImageRow.batch_id.is_not(None))
            .group_by(ImageRow.batch_id)
            .subquery()
        )
        statement = (
            select(*_BATCH, counted.c.cases)
            .join(counted, counted.c.batch_id == BatchRow.id)
            .order_by(BatchRow.id.desc())
        )
        rows = self._connection.execute(statement).mappings()
        return [BatchRecord(**plain(row)) for row in rows]
