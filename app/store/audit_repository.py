"""Audit events: appended to a chain of hashes, never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol

from sqlalchemy import ColumnElement, Connection, func, insert, select, text

from app.store.account_records import AuditEvent, AuditFilter, NewAuditEvent
from app.store.audit_chain import EMPTY, Head, link_hash
from app.store.ordering import by_code_point
from app.store.rows import columns_of, plain, values_of
from app.store.schema import AuditRow
from app.store.storable import storable

_COLUMNS = columns_of(AuditRow, AuditEvent)
_APPEND = insert(AuditRow)
_CHUNK = 1000
# Any number will do as long as every process of this program uses the same.
_POSTGRESQL_LOCK = 0x44444155


class Anchor(Protocol):
    """Where the newest link is noted outside of the database, so that a cut chain shows."""

    def read(self) -> tuple[int, str] | None:
        """Number and hash of the link that was noted last; None if none was or it is lost."""

    def write(self, number: int, digest: str) -> None:
        """Note a newer link."""

    def replace(self, number: int, digest: str) -> None:
        """Note a link in place of whatever was noted."""


class AuditRepository:
    """Appends and finds audit events inside one unit of work."""

    def __init__(
        self, connection: Connection, now: Callable[[], datetime], anchor: Anchor | None = None
    ) -> None:
        self._connection = connection
        self._now = now
        self._anchor = anchor
        self._head: Head | None = None
        self._may_advance = True

    def append(self, new: NewAuditEvent) -> AuditEvent:
        """Put an act on record; it is kept if, and only if, the unit of work is."""
        if self._head is None:
            self._head = self._begin()
        content = {
            **{name: storable(value) for name, value in values_of(new).items()},
            "id": self._head.id + 1,
            "at": self._now(),
            "previous": self._head.hash,
        }
        event = AuditEvent(**content, hash=link_hash(content))
        self._connection.execute(_APPEND, values_of(event))
        self._head = Head(event.id, event.hash)
        return event

    def note_head(self) -> None:
        """After the commit: note the newest link outside, unless what was noted is gone."""
        if self._anchor and self._head and self._may_advance:
            self._anchor.write(self._head.id, self._head.hash)

    def head(self) -> Head:
        """The newest link."""
        statement = select(AuditRow.id, AuditRow.hash).order_by(AuditRow.id.desc()).limit(1)
        row = self._connection.execute(statement).one_or_none()
        return EMPTY if row is None else Head(*row)

    def find(
        self, wanted: AuditFilter | None = None, *, before_id: int | None = None, limit: int = 200
    ) -> list[AuditEvent]:
        """Events, the newest first.

        Args:
            wanted: Which; None for all.
            before_id: Only those with a lower number: the next page.
            limit: How many at most.
        """
        statement = select(*_COLUMNS).where(*_conditions(wanted or AuditFilter()))
        if before_id is not None:
            statement = statement.where(AuditRow.id < before_id)
        statement = statement.order_by(AuditRow.id.desc()).limit(limit)
        return [AuditEvent(**plain(row)) for row in self._connection.execute(statement).mappings()]

    def count(self, wanted: AuditFilter | None = None) -> int:
        """How many events there are."""
        statement = select(func.count()).select_from(AuditRow)
        return self._connection.scalar(statement.where(*_conditions(wanted or AuditFilter()))) or 0

    def actors(self) -> list[str]:
        """Who has acted, by name."""
        statement = select(AuditRow.actor).group_by(AuditRow.actor)
        return list(self._connection.scalars(statement.order_by(by_code_point(AuditRow.actor))))

    def iter_all(self, wanted: AuditFilter | None = None) -> Iterator[AuditEvent]:
        """Events, the first one first; a chunk at a time."""
        last = 0
        while True:
            statement = select(*_COLUMNS).where(
                AuditRow.id > last, *_conditions(wanted or AuditFilter())
            )
            statement = statement.order_by(AuditRow.id).limit(_CHUNK)
            rows = self._connection.execute(statement).mappings().all()
            yield from (AuditEvent(**plain(row)) for row in rows)
            if len(rows) < _CHUNK:
                return
            last = rows[-1]["id"]

    def _begin(self) -> Head:
        """Find the link to go on from, and whether the one noted outside is still there."""
        if self._connection.dialect.name == "postgresql":
            # A chain has one end, whoever writes and whatever locks they took before.
            self._connection.execute(text(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_LOCK})"))
        head = self.head()
        if self._anchor:
            # A note that is lost, or whose event is gone, is not replaced: verification tells.
            self._may_advance = self._is_there(self._anchor.read() or (0, ""), head)
        return head

    def _is_there(self, noted: tuple[int, str], head: Head) -> bool:
        number, digest = noted
        if number == 0:
            return head == EMPTY
        return self._connection.scalar(select(AuditRow.hash).where(AuditRow.id == number)) == digest


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.actor is not None:
        conditions.append(AuditRow.actor == wanted.actor)
    if wanted.actions:
        conditions.append(AuditRow.action.in_(wanted.actions))
    if wanted.subject is not None:
        conditions.append(AuditRow.subject == wanted.subject)
    if wanted.since is not None:
        conditions.append(AuditRow.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(AuditRow.at < wanted.until)
    return conditions
