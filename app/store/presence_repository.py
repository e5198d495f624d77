"""Which case is open in which tab."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from app.store.rows import plain
from app.store.schema import UserRow
from app.store.team_records import PresenceRecord
from app.store.team_schema import PresenceRow
from app.store.worklist_team import alive

_COLUMNS = (
    PresenceRow.image_id,
    PresenceRow.reader,
    func.coalesce(UserRow.full_name, PresenceRow.reader).label("full_name"),
    PresenceRow.since,
    PresenceRow.seen_at,
)


class PresenceRepository:
    """Keeps who has which case open inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def put(self, tab: str, image_id: int, reader: str, session_id: int | None) -> None:
        """Note that a case was opened in a tab, in place of the one before."""
        self.remove(tab)
        now = self._now()
        values = {"tab": tab, "image_id": image_id, "reader": reader, "session_id": session_id}
        self._connection.execute(insert(PresenceRow).values(**values, since=now, seen_at=now))

    def touch(self, tab: str, image_id: int, *, alive_since: datetime) -> bool:
        """Note a sign of life; False if the tab no longer counted as having the case open."""
        statement = (
            update(PresenceRow)
            .where(
                PresenceRow.tab == tab,
                PresenceRow.image_id == image_id,
                PresenceRow.seen_at >= alive_since,
            )
            .values(seen_at=self._now())
        )
        return self._connection.execute(statement).rowcount > 0

    def remove(self, tab: str) -> None:
        """Note that a tab has no case open."""
        self._connection.execute(delete(PresenceRow).where(PresenceRow.tab == tab))

    def sweep(self, before: datetime) -> None:
        """Forget tabs that have given no sign of life since then."""
        self._connection.execute(delete(PresenceRow).where(PresenceRow.seen_at < before))

    def others(
        self, reader: str, *, alive_since: datetime, image_ids: Sequence[int] | None = None
    ) -> list[PresenceRecord]:
        """What other people have open, the longest first; of a person the first tab of a case."""
        statement = (
            select(*_COLUMNS)
            .outerjoin(UserRow, UserRow.name == PresenceRow.reader)
            .where(alive(alive_since), PresenceRow.reader != reader)
            .order_by(PresenceRow.since, PresenceRow.tab)
        )
        if image_ids is not None:
            statement = statement.where(PresenceRow.image_id.in_(list(image_ids)))
        found: dict[tuple[int, str], PresenceRecord] = {}
        for row in self._connection.execute(statement).mappings():
            one = PresenceRecord(**plain(row))
            found.setdefault((one.image_id, one.reader), one)
        return list(found.values())

    def of_tab(self, tab: str) -> datetime | None:
        """Since when a tab has its case open, or None."""
        return self._connection.scalar(select(PresenceRow.since).where(PresenceRow.tab == tab))
