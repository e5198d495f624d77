"""Blocking calls off the event loop: few at once, and few waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ddad_core.errors import DdadError

T = TypeVar("T")


class BusyError(DdadError):
    """Too many calls wait already."""


class Workers:
    """A few threads. Of one event loop.

    Args:
        name: Of the threads.
        threads: How many calls run at once.
        waiting: How many more may wait; beyond that callers are turned away.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._limit = threads + waiting
        self._pending = 0

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call in one of the threads.

        Raises:
            BusyError: Too many wait already.
        """
        if self._pending >= self._limit:
            problem = "The server is busy with other people who sign in."
            raise BusyError(problem, "Try again in a few seconds.")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._pending -= 1
