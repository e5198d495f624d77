"""What the gate remembers: failed attempts and open sessions, both bounded."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

SESSION_SECONDS = 12 * 3600
MAX_SESSIONS = 10_000
MAX_CLIENTS = 10_000
FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
# Failures of everybody together that pass before they delay everybody: a few readers' typing errors
# must not, guessing from a thousand addresses must.
SHARED_ALLOWANCE = 10
FORGET_SECONDS = 900.0


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass
class _Failures:
    """Failures in a row: how many, and when the last one was."""

    count: int = 0
    last: float = 0.0

    def add(self, now: float) -> None:
        self.count = 1 if now - self.last > FORGET_SECONDS else self.count + 1
        self.last = now

    def wait(self, now: float, allowance: int = 0) -> float:
        counted = self.count - allowance
        if counted < 1 or now - self.last > FORGET_SECONDS:
            return 0.0
        delay = min(FIRST_DELAY * 2.0 ** min(counted - 1, 30), LONGEST_DELAY)
        return max(0.0, self.last + delay - now)


class AttemptLog:
    """Failures by client and of all together; the delay doubles with each. Memory is bounded.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._clients: OrderedDict[str, _Failures] = OrderedDict()
        self._everyone = _Failures()

    def wait(self, client: str) -> float:
        """Seconds until this client may try again; 0 if now."""
        now = self._clock()
        own = self._clients.get(client, _Failures()).wait(now)
        return max(own, self._everyone.wait(now, SHARED_ALLOWANCE))

    def failed(self, client: str) -> None:
        """Count a failure."""
        now = self._clock()
        self._everyone.add(now)
        failures = self._clients.pop(client, _Failures())
        failures.add(now)
        self._clients[client] = failures
        while len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)

    def forget(self, client: str) -> None:
        """Clear a client after success; the count of all together stays."""
        self._clients.pop(client, None)


@dataclass
class Session:
    """One browser that gave the password.

    Attributes:
        ends: When, by the clock of `Sessions`.
        ended: Set when it is ended before that; open sockets wait for it.
    """

    ends: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Sessions:
    """Who has given the password: hashes of random tokens, with an end. Memory is bounded.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_token: OrderedDict[bytes, Session] = OrderedDict()  # the first ends first

    def open(self) -> str:
        """Make a token of 256 random bits."""
        token = secrets.token_urlsafe(32)
        self._by_token[_hash(token)] = Session(self._clock() + SESSION_SECONDS)
        while len(self._by_token) > MAX_SESSIONS or self._first_is_over():
            self._by_token.popitem(last=False)[1].ended.set()
        return token

    def find(self, token: str) -> Session | None:
        """The session of a token, if it has not ended."""
        session = self._by_token.get(_hash(token))
        return session if session is not None and self.seconds_left(session) > 0 else None

    def seconds_left(self, session: Session) -> float:
        """Seconds until a session ends; 0 if it has."""
        return 0.0 if session.ended.is_set() else max(0.0, session.ends - self._clock())

    def close(self, token: str) -> None:
        """End a session, and with it the sockets that it opened."""
        session = self._by_token.pop(_hash(token), None)
        if session is not None:
            session.ended.set()

    def _first_is_over(self) -> bool:
        return self.seconds_left(next(iter(self._by_token.values()))) <= 0
