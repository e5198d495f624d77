"""Who is to read what, what was settled, and how far a reader has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Exists,
    delete,
    distinct,
    exists,
    func,
    insert,
    select,
)

from app.store.schema import ReadRow
from app.store.team_records import DayRecord
from app.store.team_schema import ArbitrationRow, AssignmentRow
from app.store.worklist_team import disputed

_IDS_PER_QUERY = 500


class AssignmentRepository:
    """Keeps assignments and arbitrations inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def add(self, pairs: Sequence[tuple[int, str]], assigned_by: str) -> None:
        """Assign cases, given with their readers, none of which is assigned already."""
        now = self._now()
        rows = [
            {"image_id": image, "reader": reader, "assigned_by": assigned_by, "assigned_at": now}
            for image, reader in pairs
        ]
        if rows:
            self._connection.execute(insert(AssignmentRow), rows)

    def remove(self, image_ids: Sequence[int], reader: str | None = None) -> list[tuple[int, str]]:
        """Take cases back from a reader, or from all; tell which from whom, those read left out."""
        removed: list[tuple[int, str]] = []
        for ids in _chunks(image_ids):
            chosen = AssignmentRow.image_id.in_(ids)
            removed += self._remove(chosen if reader is None else chosen & _of(reader))
        return removed

    def remove_all(self, reader: str) -> list[tuple[int, str]]:
        """Take back all that a reader has not read; tell what it was."""
        return self._remove(_of(reader))

    def _remove(self, chosen: ColumnElement[bool]) -> list[tuple[int, str]]:
        statement = delete(AssignmentRow).where(chosen, ~_read_by_its_reader())
        found = statement.returning(AssignmentRow.image_id, AssignmentRow.reader)
        return [(row[0], row[1]) for row in self._connection.execute(found)]

    def readers_of(self, image_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """To whom cases are assigned, in the order of assignment."""
        found: dict[int, tuple[str, ...]] = {}
        for ids in _chunks(image_ids):
            statement = (
                select(AssignmentRow.image_id, AssignmentRow.reader)
                .where(AssignmentRow.image_id.in_(ids))
                .order_by(AssignmentRow.id)
            )
            for image_id, reader in self._connection.execute(statement):
                found[image_id] = (*found.get(image_id, ()), reader)
        return found

    def read_by(self, image_ids: Sequence[int]) -> dict[int, frozenset[str]]:
        """Who has read cases."""
        found: dict[int, frozenset[str]] = {}
        for ids in _chunks(image_ids):
            statement = (
                select(ReadRow.image_id, ReadRow.reader).where(ReadRow.image_id.in_(ids)).distinct()
            )
            for image_id, reader in self._connection.execute(statement):
                found[image_id] = found.get(image_id, frozenset()) | {reader}
        return found

    def left(self) -> dict[str, int]:
        """How many cases each reader still has to read, by name."""
        statement = (
            select(AssignmentRow.reader, func.count())
            .where(~_read_by_its_reader())
            .group_by(AssignmentRow.reader)
        )
        return {row[0]: row[1] for row in self._connection.execute(statement)}

    def day(self, reader: str, since: datetime) -> DayRecord:
        """What a reader has read since an instant, and what is left for them."""
        mine = (ReadRow.reader == reader) & (ReadRow.saved_at >= since)
        statement = select(func.count(distinct(ReadRow.image_id))).where(mine)
        read = self._connection.scalar(statement) or 0
        # A first read by the reader: an amendment takes other time.
        seconds = self._connection.scalars(
            select(ReadRow.seconds_to_verdict)
            .where(mine, ReadRow.revision == 1, ReadRow.seconds_to_verdict.is_not(None))
            .order_by(ReadRow.id)
        )
        left = self._connection.scalar(
            select(func.count())
            .select_from(AssignmentRow)
            .where(AssignmentRow.reader == reader, ~_read_by_its_reader())
        )
        return DayRecord(read, left or 0, tuple(float(one) for one in seconds if one is not None))

    def in_dispute(self, image_id: int, apart_from: str) -> bool:
        """Whether others' latest verdicts of a case differ, and nothing has settled it."""
        statement = disputed(apart_from, image_id)
        settled = select(ArbitrationRow.image_id).where(ArbitrationRow.image_id == image_id)
        return (
            self._connection.scalar(statement) is not None
            and self._connection.scalar(settled) is None
        )

    def settle(self, image_id: int, read_id: int) -> None:
        """Note the read that settles a case."""
        values = {"image_id": image_id, "read_id": read_id, "settled_at": self._now()}
        self._connection.execute(insert(ArbitrationRow).values(values))

    def settled_by(self, image_id: int) -> int | None:
        """The number of the read that settled a case, or None."""
        statement = select(ArbitrationRow.read_id).where(ArbitrationRow.image_id == image_id)
        return self._connection.scalar(statement)


def _of(reader: str) -> ColumnElement[bool]:
    return AssignmentRow.reader == reader


def _read_by_its_reader() -> Exists:
    return exists().where(
        ReadRow.image_id == AssignmentRow.image_id, ReadRow.reader == AssignmentRow.reader
    )


def _chunks(image_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Databases limit the number of values in one statement."""
    for start in range(0, len(image_ids), _IDS_PER_QUERY):
        yield image_ids[start : start + _IDS_PER_QUERY]
