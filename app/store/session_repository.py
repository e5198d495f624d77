"""Sessions: who has signed in, from when to when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from app.store.account_records import NewSession, SessionRecord
from app.store.rows import columns_of, plain, values_of
from app.store.schema import SessionRow

_COLUMNS = columns_of(SessionRow, SessionRecord)


class SessionRepository:
    """Keeps sessions inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def open(self, new: NewSession) -> SessionRecord:
        """Begin a session."""
        now = self._now()
        statement = insert(SessionRow).values(**values_of(new), opened_at=now, seen_at=now)
        row = self._connection.execute(statement.returning(*_COLUMNS)).mappings().one()
        return SessionRecord(**plain(row))

    def list_open(self, user_id: int | None = None) -> list[SessionRecord]:
        """Sessions that nobody has ended, of one account or of all; the oldest first."""
        statement = select(*_COLUMNS).where(SessionRow.ended_at.is_(None)).order_by(SessionRow.id)
        if user_id is not None:
            statement = statement.where(SessionRow.user_id == user_id)
        rows = self._connection.execute(statement).mappings()
        return [SessionRecord(**plain(row)) for row in rows]

    def get(self, session_id: int) -> SessionRecord | None:
        """The session of that number, or None."""
        statement = select(*_COLUMNS).where(SessionRow.id == session_id)
        row = self._connection.execute(statement).mappings().one_or_none()
        return None if row is None else SessionRecord(**plain(row))

    def last_seen(self) -> dict[int, datetime]:
        """When each account's person last did something, by account."""
        statement = select(SessionRow.user_id, func.max(SessionRow.seen_at)).group_by(
            SessionRow.user_id
        )
        return {row[0]: row[1] for row in self._connection.execute(statement)}

    def seen(self, session_id: int, at: datetime) -> None:
        """Note that its person did something."""
        self._connection.execute(
            update(SessionRow).where(SessionRow.id == session_id).values(seen_at=at)
        )

    def end(self, session_id: int, reason: str) -> bool:
        """End a session; tell whether it was open."""
        statement = (
            update(SessionRow)
            .where(SessionRow.id == session_id, SessionRow.ended_at.is_(None))
            .values(ended_at=self._now(), end_reason=reason)
        )
        return self._connection.execute(statement).rowcount > 0
