"""Audit samples: drawn by chance on record, and what they make of the chances of being read."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest

from app.services.container import Services
from app.services.measures import Measures
from app.services.people import Person
from app.services.sampling import DrawnSample, design
from app.services.tuning_evidence import TuningEvidence
from app.services.worklist import Wish
from app.store.account_records import AuditFilter
from app.store.evidence_records import AuditSampleRecord
from ddad_core.errors import RequestError

MODEL = "nih-ae-u"


def test_a_draw_is_on_record_and_can_be_drawn_again(loaded: Services, ana: Person) -> None:
    first = loaded.sampling.draw(ana, MODEL, 2, seed=5)
    again = loaded.sampling.draw(ana, MODEL, 2, seed=5)
    assert first.image_ids == again.image_ids and len(set(first.image_ids)) == 2
    assert first.record.id != again.record.id
    record = first.record
    assert (record.size, record.eligible, record.seed, record.drawn_by) == (2, 3, 5, ana.name)
    assert record.threshold == loaded.models.operating_point(MODEL).threshold
    kept = loaded.sampling.drawn(ana, MODEL)
    assert [one.image_ids for one in kept] == [first.image_ids] * 2
    event = loaded.audit.page(Person.named("x"), AuditFilter(actions=("audit sample",))).events[-1]
    assert event.after["seed"] == 5 and event.after["size"] == 2 and event.actor == ana.name
    assert {row.image_id for row in loaded.worklist.list(ana, Wish(show="sample")).rows} == set(
        first.image_ids
    )
    other = {loaded.sampling.draw(ana, MODEL, 1, seed=s).image_ids[0] for s in range(12)}
    assert len(other) == 3  # every case can be drawn


def test_members_show_to_readers_who_read_unaided_without_a_word_of_the_ai(
    loaded: Services, ana: Person
) -> None:
    drawn = loaded.sampling.draw(ana, MODEL, 3, seed=1)
    rows = loaded.worklist.list(ana, Wish(show="sample", unaided=True)).rows
    assert {row.image_id for row in rows} == set(drawn.image_ids)
    assert all(row.hidden and row.score is None for row in rows)


@pytest.mark.parametrize(("size", "seed"), [(0, 1), (4, 1), (2, -1), (2, 2**31)])
def test_a_draw_that_cannot_be_made_leaves_nothing(
    loaded: Services, ana: Person, size: int, seed: int
) -> None:
    with pytest.raises(RequestError):
        loaded.sampling.draw(ana, MODEL, size, seed)
    assert loaded.sampling.drawn(ana, MODEL) == ()


def made(size: int, eligible: int, threshold: float, last: int, ids: list[int]) -> DrawnSample:
    record = AuditSampleRecord(
        id=1, model_name=MODEL, model_hash="e" * 64, score_name="a_inter", threshold=threshold,
        rule="", seed=1, size=size, eligible=eligible, flagged=0, last_score_id=last,
        drawn_by="lea", drawn_at=datetime.now(UTC),
    )  # fmt: skip
    return DrawnSample(record, tuple(ids))


@pytest.fixture
def evidence(loaded: Services) -> TuningEvidence:
    """Ten cases numbered 1 to 10 with scores 0.1 to 1.0; 1, 2, 3 and 8 to 10 have a label."""
    return dataclasses.replace(
        loaded.tuning.evidence(Person.named("Ana"), MODEL),
        ids=np.array([1, 2, 3, 8, 9, 10]),
        scores=np.array([0.1, 0.2, 0.3, 0.8, 0.9, 1.0]),
        labels=np.array([0, 1, 0, 1, 0, 1]),
        unlabelled_ids=np.array([4, 5, 6, 7]),
        unlabelled=np.array([0.4, 0.5, 0.6, 0.7]),
        score_ids=np.array([1, 2, 3, 8, 9, 10, 4, 5, 6, 7]),
    )


def test_chances_are_those_of_flags_and_draw(evidence: TuningEvidence) -> None:
    # Flagged from 0.8: 8, 9, 10, all read. Drawn of ten: 2, 4, 9; 4 has no label yet.
    found = design(evidence, (made(3, 10, 0.8, 10, [4, 9, 2]),))
    assert (found.population, found.to_read, found.done) == (10, 5, 4)
    assert found.by_hand == 2  # 1 and 3 were read by nobody's design
    assert found.later == 0
    cases = found.cases
    assert cases is not None
    by_score = np.argsort(cases.scores)
    assert cases.labels[by_score].tolist() == [-1, 1, -1, -1, -1, -1, -1, 1, 0, 1]
    # 3 of 10 drawn, half of the drawn unflagged cases read; all flagged cases read.
    np.testing.assert_allclose(cases.chance[by_score], [0.15] * 7 + [1.0] * 3)
    assert "2 labels of cases outside flags and sample play no part" in found.sentence


def test_cases_scored_after_the_draw_play_no_part(evidence: TuningEvidence) -> None:
    found = design(evidence, (made(3, 8, 0.8, 8, [2, 4, 5]),))
    assert (found.population, found.later) == (8, 2)
    assert found.cases is not None and len(found.cases.scores) == 8


def test_two_draws_add_up(evidence: TuningEvidence) -> None:
    found = design(
        evidence, (made(2, 10, 0.8, 10, [1, 2]), made(5, 10, 0.95, 10, [3, 1, 2, 9, 10]))
    )
    assert found.cases is not None
    by_score = np.argsort(found.cases.scores)
    # 1 - 0.8 * 0.5, and all of 1, 2 and 3 were read; flagged at either drawing: 8, 9, 10.
    np.testing.assert_allclose(found.cases.chance[by_score], [0.6] * 7 + [1.0] * 3)


def test_without_sample_or_reads_it_says_why(evidence: TuningEvidence) -> None:
    assert "No audit sample" in design(evidence, ()).why_not
    unread = design(evidence, (made(2, 10, 0.8, 10, [4, 5]),))
    assert unread.cases is None and "not flagged" in unread.why_not
    measures = Measures(evidence, (made(2, 10, 0.8, 10, [4, 5]),))
    assert measures.verified(0.8).found is None
    assert measures.verified_roc.why_not == unread.why_not


def test_too_few_unflagged_reads_are_told(evidence: TuningEvidence) -> None:
    measures = Measures(evidence, (made(3, 10, 0.8, 10, [4, 9, 2]),))
    figures = measures.verified(0.8).found
    assert figures is not None
    assert "Only 1 of 7 unflagged cases" in figures.too_few
    assert (figures.sensitivity.naive, figures.flagged_read) != (None, 0)


def test_corrected_sensitivity_meets_the_truth_where_the_naive_one_misses_it(
    evidence: TuningEvidence,
) -> None:
    """4000 cases of known truth; flagged ones read, of the others one in ten."""
    chance = np.random.default_rng(3)
    ill = chance.random(4000) < 0.2
    scores = chance.normal(ill * 1.0, 1.0)
    flagged = scores >= 1.0
    drawn = chance.random(4000) < 0.1
    read = flagged | drawn
    numbers = np.arange(4000)
    some = dataclasses.replace(
        evidence,
        ids=numbers[read],
        scores=scores[read],
        labels=ill[read].astype(int),
        unlabelled_ids=numbers[~read],
        unlabelled=scores[~read],
        score_ids=np.concatenate([numbers[read], numbers[~read]]),
    )
    sample = made(int(drawn.sum()), 4000, 1.0, 4000, numbers[drawn].tolist())
    figures = Measures(some, (sample,)).verified(1.0).found
    assert figures is not None and figures.too_few == ""
    truth = flagged[ill].mean()
    naive, weighted, greenes = (
        figures.sensitivity.naive, figures.sensitivity.weighted, figures.sensitivity.begg_greenes
    )  # fmt: skip
    assert naive is not None and weighted is not None and greenes is not None
    assert naive.low > truth + 0.1
    assert weighted.low < truth < weighted.high and abs(weighted.value - truth) < 0.06
    assert greenes.low < truth < greenes.high and greenes.value == pytest.approx(
        weighted.value, abs=0.01
    )
