from __future__ import annotations

import threading
import time

import pytest

from ddad_core.parallel import AHEAD, in_batches, in_order, processors


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(i: int) -> int:
        time.sleep(0.05 if i == 0 else 0)
        return i * i

    assert list(in_order(slow_first, range(20), 4)) == [i * i for i in range(20)]


def test_items_are_taken_no_further_ahead_than_needed() -> None:
    taken: list[int] = []
    results = in_order(lambda i: i, (taken.append(i) or i for i in range(1000)), 2)
    next(results)
    assert len(taken) <= 2 * AHEAD + 1
    results.close()
    assert len(taken) <= 2 * AHEAD + 1


def test_work_is_done_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=20)
    assert len(list(in_order(lambda _: together.wait(), range(3), 3))) == 3


def test_an_error_comes_in_its_turn() -> None:
    def fail_at_two(i: int) -> int:
        if i == 2:
            raise ValueError
        return i

    results = in_order(fail_at_two, range(5), 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError):
        next(results)


def test_batches() -> None:
    assert list(in_batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(in_batches([], 2)) == []


def test_a_batch_whose_first_item_came_long_ago_waits_for_no_more(monkeypatch) -> None:
    clock = iter([0.0, 0.1, 0.4, 0.7, 1.0, 1.0])  # asked at each item, and once more at a first
    monkeypatch.setattr("ddad_core.parallel.time.monotonic", lambda: next(clock))
    assert list(in_batches(range(4), 16, seconds=0.5)) == [[0, 1, 2], [3]]


def test_there_is_a_processor() -> None:
    assert processors() >= 1
