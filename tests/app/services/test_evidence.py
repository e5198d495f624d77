"""Which reads count and how they become labels, against counting by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from app.services.container import Services
from app.services.evidence import EvidenceChoice, labels_of, table_of
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.store.evidence_records import ReadColumns
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError
from tests.thresholds import put_in_force

MODEL = "nih-ae-u"
WORDS = {"A": "abnormal", "N": "normal", "U": "uncertain", "X": "unreadable"}
Draft = Callable[..., ReadDraft]


def reads(*rows: tuple[int, str, str], **columns: tuple[object, ...]) -> ReadColumns:
    """Reads as (case, reader, letter of the verdict)."""
    n = len(rows)
    values = {
        "image_id": tuple(row[0] for row in rows),
        "reader": tuple(row[1] for row in rows),
        "verdict": tuple(WORDS[row[2]] for row in rows),
        "confidence": (None,) * n,
        "stage": ("aided",) * n,
        "model_name": (MODEL,) * n,
        "saved_at": (datetime(2026, 5, 1, 23, 59, tzinfo=UTC),) * n,
    }
    return ReadColumns(**{**values, **columns})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdicts", "label"),
    [
        ("A", 1), ("N", 0), ("AA", 1), ("AAN", 1), ("ANN", 0), ("AN", None), ("AANN", None),
        ("U", None), ("X", None), ("UX", None), ("AU", 1), ("NXU", 0), ("AANNU", None),
        ("AANU", 1),
    ],
)  # fmt: skip
def test_majority_is_of_those_who_decided(verdicts: str, label: int | None) -> None:
    rows = [(7, f"reader {i}", letter) for i, letter in enumerate(verdicts)]
    found = labels_of(reads(*rows), EvidenceChoice()).found
    assert found.labels == ({} if label is None else {7: label})
    assert set(found.undecided) == (set() if label is not None else {7})


THREE = reads((1, "ana", "A"), (1, "ben", "N"), (1, "cem", "N"), (2, "ana", "A"), (2, "ben", "A"))


@pytest.mark.parametrize(
    ("choice", "labels", "left_out"),
    [
        (EvidenceChoice(), {1: 0, 2: 1}, {}),
        (EvidenceChoice(rule="single", word="ana"), {1: 1, 2: 1}, {"reads of other readers": 3}),
        (EvidenceChoice(rule="arbiter", word="ana"), {1: 1, 2: 1}, {}),
        (EvidenceChoice(rule="arbiter", word="cem"), {1: 0, 2: 1}, {}),
        (EvidenceChoice(readers=("ana", "ben")), {2: 1}, {"reads of other readers": 1}),
        (
            EvidenceChoice(readers=("ana", "ben"), rule="arbiter", word="cem"),
            {1: 0, 2: 1},
            {},
        ),
    ],
)
def test_readers_and_rule_decide(
    choice: EvidenceChoice, labels: dict[int, int], left_out: dict[str, int]
) -> None:
    found = labels_of(THREE, choice)
    assert found.found.labels == labels
    assert dict(found.left_out) == left_out


def test_whoever_settled_a_case_has_the_last_word_on_it() -> None:
    settled = replace(THREE, settles=(False, True, False, False, False))
    for choice in (
        EvidenceChoice(rule="arbiter"),
        EvidenceChoice(readers=("ana",), rule="arbiter"),
    ):
        assert labels_of(settled, choice).found.labels == {1: 0, 2: 1}
    assert labels_of(THREE, EvidenceChoice(rule="arbiter")).found.labels == {2: 1}


def test_the_arbiter_of_a_case_is_who_settled_it(
    loaded: Services, ids: dict[str, int], ana: Person, ben: Person, draft: Draft
) -> None:
    arbiter, case = Person("Cem", frozenset({"arbiter"})), ids["00000150"]
    loaded.reading.save(ana, case, MODEL, draft("abnormal"))
    loaded.reading.save(ben, case, MODEL, draft("normal"))
    wanted = EvidenceChoice(rule="arbiter")
    assert loaded.tuning.evidence(ana, MODEL, wanted).facts.cases == 0
    loaded.reading.save(arbiter, case, MODEL, draft("abnormal"))
    loaded.reading.save(arbiter, case, MODEL, draft("normal"))  # amended later
    found = loaded.tuning.evidence(ana, MODEL, wanted)
    assert found.facts.cases == 1 and found.labels.tolist() == [0]
    assert "whoever settled the case" in found.facts.sentence


def test_period_counts_whole_days_and_model_is_the_one_read_with() -> None:
    late = datetime(2026, 5, 2, 0, 0, tzinfo=UTC)
    two = reads(
        (1, "ana", "A"), (2, "ana", "N"),
        saved_at=(late - timedelta(minutes=1), late), model_name=(None, MODEL),
    )  # fmt: skip
    first, second = date(2026, 5, 1), date(2026, 5, 2)
    for choice, labels in (
        (EvidenceChoice(since=first, until=first), {1: 1}),
        (EvidenceChoice(since=second), {2: 0}),
        (EvidenceChoice(since=first, until=second), {1: 1, 2: 0}),
        (EvidenceChoice(read_with=MODEL), {2: 0}),
    ):
        assert labels_of(two, choice).found.labels == labels
    assert labels_of(two, EvidenceChoice(until=first)).left_out == {"reads of another time": 1}


@pytest.mark.parametrize(
    "choice",
    [
        EvidenceChoice(rule="single"),
        EvidenceChoice(since=date(2026, 5, 2), until=date(2026, 5, 1)),
    ],
)
def test_a_choice_that_cannot_be_made_is_told(choice: EvidenceChoice) -> None:
    with pytest.raises(RequestError) as told:
        labels_of(THREE, choice)
    assert told.value.next_step


def test_a_choice_goes_on_record_as_json() -> None:
    choice = EvidenceChoice(
        readers=("ana",), since=date(2026, 5, 1), rule="arbiter", word="cem", stage="unaided"
    )
    assert json.loads(json.dumps(choice.on_record())) == {
        "source": "reads", "readers": ["ana"], "since": "2026-05-01", "until": None,
        "read_with": None, "stage": "unaided", "rule": "arbiter", "reader_of_the_rule": "cem",
    }  # fmt: skip
    assert EvidenceChoice(source="reference").on_record() == {"source": "reference"}


def test_table_holds_each_read_in_its_place() -> None:
    some = reads(
        (3, "ana", "A"), (3, "ben", "U"), (5, "ben", "N"), (9, "ana", "N"),
        confidence=(4, 3, 2, None),
    )  # fmt: skip
    found = table_of(some, np.array([3, 5]), ("ana", "ben"))
    np.testing.assert_array_equal(found.calls, [[1, np.nan], [np.nan, 0]])
    np.testing.assert_array_equal(found.suspicion, [[4, 0], [np.nan, -2]])


def test_stage_rule_and_what_is_left_out_are_told(
    loaded: Services, ids: dict[str, int], ana: Person, ben: Person, draft: Draft
) -> None:
    first, second, third = ids["00000150"], ids["00001426"], ids["00003391"]
    save = loaded.reading.save
    save(ana, first, MODEL, draft("normal"), unaided=True)
    save(ana, first, MODEL, draft("abnormal"))  # with the AI, a change of mind
    save(ben, first, MODEL, draft("abnormal"))
    save(ana, second, MODEL, draft("normal"))
    save(ben, third, MODEL, draft("uncertain"))

    def labels(**changes: object) -> dict[int, int]:
        found = loaded.tuning.evidence(ana, MODEL, EvidenceChoice(**changes))  # type: ignore[arg-type]
        return dict(zip(found.ids.tolist(), found.labels.tolist(), strict=True))

    assert labels() == {first: 1, second: 0}
    assert labels(stage="unaided") == {first: 0}
    assert labels(stage="aided") == {first: 1, second: 0}
    assert labels(rule="single", word="Ben Okafor") == {first: 1}
    assert labels(source="reference") == {first: 1, second: 0, third: 1}
    told = loaded.tuning.evidence(ana, MODEL, EvidenceChoice()).facts
    assert told.sentence == (
        "2 labelled cases from 3 reads of 2 readers (Ana Ruiz, Ben Okafor): majority of the "
        "readers, each reader's last word, unaided or aided. Left out: cases called uncertain "
        "or unreadable (1). Without a label: 1 scored case."
    )
    assert (told.ages.inside, told.ages.outside, told.ages.unknown) == (2, 0, 0)
    assert loaded.tuning.who(ana) == (["Ana Ruiz", "Ben Okafor"], [MODEL])
    unaided, aided = loaded.tuning.both_ways(ana, loaded.tuning.evidence(ana, MODEL))
    assert (unaided.image_id, len(aided.image_id)) == ((first,), 4)


def test_scores_of_another_version_of_the_model_do_not_count_and_neither_does_its_threshold(
    loaded: Services, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_force(loaded, ana, MODEL, 0.5, "for the present weights")
    card = loaded.models.card(MODEL)
    assert loaded.models.operating_point(MODEL).threshold == 0.5
    monkeypatch.setitem(
        loaded.models._cards, MODEL, replace(card, files={**card.files, "more": "0" * 64})
    )
    point = loaded.models.operating_point(MODEL)
    assert (point.version, point.threshold) == (0, card.operating_point.threshold)
    found = loaded.tuning.evidence(ana, MODEL, "reference")
    assert (len(found.scores), len(found.unlabelled), found.history) == (0, 0, ())


def test_a_model_of_a_new_name_begins_with_its_own_threshold(
    loaded: Services, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_force(loaded, ana, MODEL, 0.5, "for the present model")
    card = replace(loaded.models.card(MODEL), name="nih-ae-u-next")
    monkeypatch.setitem(loaded.models._cards, card.name, card)
    assert loaded.models.operating_point(card.name).version == 0
    assert loaded.tuning.evidence(ana, card.name).history == ()


def test_days_of_the_cases_say_how_many_come(loaded: Services, ana: Person) -> None:
    assert loaded.tuning.evidence(ana, MODEL).cases_a_day is None  # the gallery came with the app
    store: UnitOfWork = loaded.access._store
    with store.reading() as repositories:
        kept = repositories.evidence.scores(
            MODEL, loaded.models.card(MODEL).model_hash, "a_ratio", []
        )
    assert not kept.arrived.any() and len(kept.arrived) == 3
