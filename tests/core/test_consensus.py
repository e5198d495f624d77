from __future__ import annotations

from dataclasses import replace

import pytest

from ddad_core.errors import MetricError
from ddad_core.evaluation.consensus import Verdict, consensus

READS = [
    Verdict(1, "ana", True), Verdict(1, "ben", True), Verdict(1, "eva", False),
    Verdict(2, "ana", False), Verdict(2, "ben", True),
    Verdict(3, "ana", None), Verdict(3, "ben", False),
    Verdict(4, "ana", None),
    Verdict(5, "ben", True), Verdict(5, "ana", False), Verdict(5, "eva", True),
]  # fmt: skip


def test_single_reader_alone_counts():
    found = consensus(READS, rule="single", reader="ana")
    assert found.labels == {1: 1, 2: 0, 5: 0}
    assert found.undecided == {3: "uncertain", 4: "uncertain"}
    assert found.n_reads == 3


def test_majority_decides_and_ties_do_not():
    found = consensus(READS, rule="majority")
    assert found.labels == {1: 1, 3: 0, 5: 1}
    assert found.undecided == {2: "readers differ evenly", 4: "uncertain"}
    assert found.n_reads == 7


def test_arbiter_decides_where_readers_differ_or_where_there_is_a_word():
    found = consensus(READS, rule="arbiter", reader="eva")
    assert found.labels == {1: 0, 3: 0, 5: 1}
    assert found.undecided == {2: "readers differ, no arbiter's word", 4: "uncertain"}


def test_whoever_settled_a_case_is_its_arbiter():
    read = [replace(v, settles=(v.case, v.reader) == (2, "ben")) for v in READS]
    found = consensus(read, rule="arbiter")
    assert found.labels == {2: 1, 3: 0}
    assert found.undecided.keys() == {1, 4, 5}


def test_order_of_verdicts_plays_no_part():
    assert (
        consensus(READS[::-1], rule="majority").labels == consensus(READS, rule="majority").labels
    )


def test_unclear_requests_are_refused():
    with pytest.raises(MetricError, match="needs a reader"):
        consensus(READS, rule="single")
    with pytest.raises(MetricError, match="no rule"):
        consensus(READS, rule="loudest")
    with pytest.raises(MetricError, match="two verdicts on case 1"):
        consensus([*READS, Verdict(1, "ana", False)], rule="majority")
