"""Work on several threads with the results in order, holding only a few at a time."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Items a worker may be ahead of who takes the results."""


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Do ``work`` on each item.

    Args:
        work: Called on threads; what it raises is raised here, in the item's turn.
        items: Taken one by one, no further ahead than needed, on the caller's thread.
        workers: Threads.

    Yields:
        The results in the order of the items.
    """
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > workers * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def in_batches(
    items: Iterable[Item], size: int, *, seconds: float = float("inf")
) -> Iterator[list[Item]]:
    """Group items, ``size`` at a time; the last group may be smaller.

    Args:
        items: What to group.
        size: Items of a group.
        seconds: A group whose first item came so long ago waits for no more: what comes slowly,
            large files for instance, is passed on in smaller groups.
    """
    batch: list[Item] = []
    since = 0.0
    for item in items:
        since = since if batch else time.monotonic()
        batch.append(item)
        if len(batch) == size or time.monotonic() - since > seconds:
            yield batch
            batch = []
    if batch:
        yield batch
