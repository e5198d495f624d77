"""Failed attempts by client, so that guessing takes ever longer. Memory is bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MAX_CLIENTS = 10_000
FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
FORGET_SECONDS = 900.0


@dataclass
class _Failures:
    """Failures in a row: how many, and when the last one was."""

    count: int = 0
    last: float = 0.0

    def add(self, now: float) -> None:
        self.count = 1 if now - self.last > FORGET_SECONDS else self.count + 1
        self.last = now

    def wait(self, now: float) -> float:
        if self.count < 1 or now - self.last > FORGET_SECONDS:
            return 0.0
        delay = min(FIRST_DELAY * 2.0 ** min(self.count - 1, 30), LONGEST_DELAY)
        return max(0.0, self.last + delay - now)


class AttemptLog:
    """Failures of each client; the delay doubles with each.

    Nobody waits for what others do: an outsider who guesses from many addresses must not keep
    readers out. Guessing one account from many addresses is what its lock is for.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._clients: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds until this client may try again; 0 if now."""
        return self._clients.get(client, _Failures()).wait(self._clock())

    def failed(self, client: str) -> None:
        """Count a failure."""
        failures = self._clients.pop(client, _Failures())
        failures.add(self._clock())
        self._clients[client] = failures
        while len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)

    def forget(self, client: str) -> None:
        """Clear a client after success."""
        self._clients.pop(client, None)
