"""Who is signed in: the open sessions of the database, at hand in memory.

The database has the last word: another process may end a session or remove an account. `refresh`
takes over what it says, about once a second; a change made in this process calls it at once.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.services.signing_in import IDLE as IDLE_TOO_LONG
from app.services.signing_in import IDLE_MINUTES, SESSION_HOURS, TOO_LONG, SigningIn, token_hash
from app.store.account_records import SessionRecord, UserRecord

IDLE = timedelta(minutes=IDLE_MINUTES)
LONGEST = timedelta(hours=SESSION_HOURS)
WRITE_EVERY = timedelta(minutes=1)
MAX_SESSIONS = 10_000
TOO_MANY = "too many sessions were open"

Watcher = Callable[[], None]


@dataclass(eq=False)
class Session:
    """One browser that signed in, with all its tabs.

    Attributes:
        record: As stored when it was opened or taken over.
        user: Its account, as last seen in the database.
        active_at: When its person last did something, UTC.
        written_at: What of that the database knows.
        address: Where its last request came from.
        over: Whether it has ended.
        watchers: Called once when it ends, from any thread.
    """

    record: SessionRecord
    user: UserRecord
    active_at: datetime
    written_at: datetime
    number: int
    address: str = ""
    over: bool = False
    watchers: set[Watcher] = field(default_factory=set)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Sessions:
    """The open sessions. Safe to share between threads.

    Args:
        store: The accounts service.
        now: The clock, UTC.
        idle: How long a session lasts when nothing is done.
    """

    def __init__(
        self,
        store: SigningIn,
        now: Callable[[], datetime] = _utc_now,
        idle: timedelta = IDLE,
    ) -> None:
        self._store = store
        self._now = now
        self._idle = idle
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._numbers = itertools.count()
        self._by_hash: dict[str, Session] = {}
        self._dropped: set[int] = set()  # ended here; a list read a moment before still has them

    def add(self, record: SessionRecord, user: UserRecord, address: str = "") -> Session:
        """Take in a session that the store has just opened."""
        with self._lock:
            return self._take(record, user, address)

    def find(self, token: str) -> Session | None:
        """The session of a cookie's token, if it has not ended."""
        session = self._by_hash.get(token_hash(token))
        return session if session is not None and self.seconds_left(session) > 0 else None

    def seconds_left(self, session: Session) -> float:
        """Seconds until a session ends if nothing more is done; 0 if it has ended."""
        if session.over:
            return 0.0
        return max(0.0, (self._ends(session) - self._now()).total_seconds())

    def may_stay(self, session: Session) -> bool:
        """Whether doing something would make a session last longer."""
        left = session.record.opened_at + LONGEST - self._now()
        return not session.over and left > self._idle / 2

    def touch(self, session: Session) -> None:
        """Note that its person did something; the store hears of it in `refresh`."""
        session.active_at = self._now()

    def seconds_since_touch(self, session: Session) -> float:
        """How long ago its person did something."""
        return (self._now() - session.active_at).total_seconds()

    def drop(self, session: Session) -> None:
        """End a session here at once, with its sockets; telling the store is the caller's."""
        with self._lock:
            self._by_hash.pop(session.record.token_sha256, None)
            self._dropped.add(session.record.id)
            session.over = True
            watchers, session.watchers = session.watchers, set()
        for watcher in watchers:
            watcher()

    def watch(self, session: Session, watcher: Watcher) -> None:
        """Have ``watcher`` called when the session ends, at once if it has."""
        with self._lock:
            if not session.over:
                session.watchers.add(watcher)
                return
        watcher()

    def unwatch(self, session: Session, watcher: Watcher) -> None:
        """Undo `watch`."""
        with self._lock:
            session.watchers.discard(watcher)

    def refresh(self, *, write_all: bool = False) -> None:
        """Tell the store what happened here, and take over what it says. Blocks.

        Args:
            write_all: Write activity even if the last time is less than a minute ago.

        Raises:
            StoreError: The database cannot be asked; sessions stay as they are until their time.
        """
        with self._refreshing:
            self._write_activity(write_all)
            self._end_overdue()
            with self._lock:
                before = next(self._numbers)  # whatever was added after this is newer than the list
            listed = {record.token_sha256: (record, user) for record, user in self._open()}
            with self._lock:
                for key, (record, user) in listed.items():
                    known = self._by_hash.get(key)
                    if record.id in self._dropped:
                        continue
                    if known is None:
                        self._take(record, user, record.address)
                    else:
                        known.user = user
                        # Another process may have seen them more recently.
                        known.active_at = max(known.active_at, record.seen_at)
                self._dropped &= {record.id for record, _ in listed.values()}
                gone = [
                    session
                    for key, session in self._by_hash.items()
                    if key not in listed and session.number < before
                ]
            for session in gone:
                self.drop(session)

    def _open(self) -> list[tuple[SessionRecord, UserRecord]]:
        return [pair for pair in self._store.open_sessions() if pair[0].ended_at is None]

    def _take(self, record: SessionRecord, user: UserRecord, address: str) -> Session:
        session = Session(
            record, user, record.seen_at, record.seen_at, next(self._numbers), address
        )
        self._by_hash[record.token_sha256] = session
        return session

    def _ends(self, session: Session) -> datetime:
        return min(session.record.opened_at + LONGEST, session.active_at + self._idle)

    def _write_activity(self, write_all: bool) -> None:
        with self._lock:
            sessions = list(self._by_hash.values())
        now = self._now()
        for session in sessions:
            active = session.active_at
            news = active > session.written_at
            if news and (write_all or now - session.written_at >= WRITE_EVERY):
                self._store.seen(session.record.id, active)
                session.written_at = active

    def _end_overdue(self) -> None:
        with self._lock:
            sessions = list(self._by_hash.values())
        overdue = [session for session in sessions if self.seconds_left(session) <= 0]
        many = len(sessions) - len(overdue) - MAX_SESSIONS
        left_longest = sorted(set(sessions) - set(overdue), key=lambda one: one.active_at)
        for session in overdue:
            aged = self._now() - session.record.opened_at >= LONGEST
            self.drop(session)
            self._store.end_session(session.record.id, TOO_LONG if aged else IDLE_TOO_LONG)
        for session in left_longest[: max(0, many)]:
            self.drop(session)
            self._store.end_session(session.record.id, TOO_MANY)
