"""Who may see whose reads, and what is on record of scores, on the shipped cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from app.services.case_details import CaseDetails
from app.services.container import Services
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.services.revisions import changes
from app.store.records import Box, NewScore, RejectedRegion, ScoreRecord
from ddad_core.errors import RequestError
from tests.thresholds import put_in_force

Ids = dict[str, int]
Draft = Callable[..., ReadDraft]
MODEL = "nih-ae-u"
AUDITOR = Person("Mx Audit", frozenset({"auditor"}))


@pytest.fixture
def case(ids: Ids) -> int:
    return ids["00000150"]


def details(services: Services, person: Person, case: int, **how: bool) -> CaseDetails:
    return services.details.of_case(person, case, MODEL, **how)


def test_others_verdicts_stay_hidden_until_ones_own_is_saved(
    loaded: Services, case: int, ana: Person, ben: Person, draft: Draft
) -> None:
    loaded.reading.save(ana, case, MODEL, draft("normal"))
    box = Box(1, 2, 3, 4, "Nodule or mass")
    loaded.reading.save(ana, case, MODEL, draft("abnormal", comment="left", boxes=(box,)))
    before = details(loaded, ben, case)
    assert (before.readers, before.others, before.others_hidden) == (1, (), True)
    loaded.reading.save(ben, case, MODEL, draft("uncertain"))
    after = details(loaded, ben, case)
    (other,) = after.others
    assert not after.others_hidden and after.readers == 1
    assert (other.who, other.read.verdict, other.read.revision) == ("Ana Ruiz", "abnormal", 2)
    assert other.read.comment == "left" and other.read.boxes[0].label == "Nodule or mass"
    assert [one.read.verdict for one in details(loaded, ana, case).others] == ["uncertain"]


def test_a_first_verdict_without_the_ai_does_not_show_others(
    loaded: Services, case: int, ana: Person, ben: Person, draft: Draft
) -> None:
    loaded.reading.save(ana, case, MODEL, draft("abnormal"))
    loaded.reading.save(ben, case, MODEL, draft("normal"), unaided=True)
    assert details(loaded, ben, case, unaided=True).others == ()
    loaded.reading.save(ben, case, MODEL, draft("normal"), unaided=True)
    assert [one.read.verdict for one in details(loaded, ben, case).others] == ["abnormal"]


def test_who_cannot_read_sees_all_reads(
    loaded: Services, case: int, ana: Person, ben: Person, draft: Draft
) -> None:
    for person, verdict in ((ana, "normal"), (ben, "abnormal")):
        loaded.reading.save(person, case, MODEL, draft(verdict))
    found = details(loaded, AUDITOR, case)
    assert [(one.who, one.read.verdict) for one in found.others] == [
        ("Ana Ruiz", "normal"), ("Ben Okafor", "abnormal"),
    ]  # fmt: skip
    # Whoever may read as well keeps to the rule of readers.
    both = Person("Mx Both", frozenset({"auditor", "reader"}))
    assert details(loaded, both, case).others == ()


def test_nothing_is_hidden_where_nobody_has_read(loaded: Services, case: int, ana: Person) -> None:
    found = details(loaded, ana, case)
    assert (found.readers, found.others_hidden) == (0, False)
    with pytest.raises(RequestError, match="case number 999"):
        details(loaded, ana, 999)


def test_terms_have_the_percentile_among_the_models_normals(
    loaded: Services, case: int, ana: Person
) -> None:
    card, shown = loaded.models.card(MODEL), loaded.reading.open_case(ana, case).judgement
    terms = {term.title: term for term in details(loaded, ana, case).terms}
    primary = terms[shown.score_title]
    assert primary.primary and sum(term.primary for term in terms.values()) == 1
    assert (primary.value, primary.percentile) == (shown.score.score, shown.score.percentile)
    assert {"A_inter", "A_intra", "A_rec (ensemble)"} <= set(terms)
    rec = terms["A_rec (ensemble)"]
    assert rec.value == shown.score.a_rec
    below = sum(value < rec.value for value in card.reference.of_score("a_rec"))
    assert rec.percentile == pytest.approx(100 * below / len(card.reference.of_score("a_rec")))


def test_nothing_of_the_ai_is_told_before_an_unaided_verdict(
    loaded: Services, case: int, ana: Person, draft: Draft
) -> None:
    loaded.reading.open_case(ana, case)  # scored
    hidden = details(loaded, ana, case, unaided=True)
    assert hidden.terms == () and hidden.scores == ()
    assert details(loaded, AUDITOR, case, unaided=True).scores
    loaded.reading.save(ana, case, MODEL, draft(), unaided=True)
    assert details(loaded, ana, case, unaided=True).scores


def test_each_version_is_flagged_by_the_operating_point_of_its_time(
    loaded: Services, case: int, ana: Person
) -> None:
    now = loaded.reading.open_case(ana, case).judgement
    store = loaded.access._store
    gone = "d" * 64
    with store.writing() as repositories:
        row = repositories.scores.of_image(case)[0]
        repositories.scores.put(_of_version(row, gone))
    own, unknown = details(loaded, ana, case).scores
    assert (own.model_hash, own.current, own.flagged) == (row.model_hash, True, now.flagged)
    assert own.threshold == now.operating_point.threshold
    assert (unknown.model_hash, unknown.current, unknown.flagged) == (gone, False, None)
    # An operating point that came later says nothing of what was flagged then.
    put_in_force(loaded, ana, MODEL, own.score * 2 + 1, "none")
    assert details(loaded, ana, case).scores[0] == own
    store._now = lambda: now.score.scored_at + timedelta(days=3)
    with store.writing() as repositories:
        repositories.scores.put(_of_version(row, row.model_hash))  # computed anew
    (_, again) = details(loaded, ana, case).scores
    assert (again.threshold, again.flagged) == (own.score * 2 + 1, False)


def _of_version(score: ScoreRecord, model_hash: str) -> NewScore:
    values = {f.name: getattr(score, f.name) for f in fields(NewScore)}
    return NewScore(**{**values, "model_hash": model_hash})


def test_revisions_tell_what_changed(
    loaded: Services, case: int, ana: Person, draft: Draft
) -> None:
    region = RejectedRegion("inter", 0.1, 16, 16, 32, 16, 0.5, 24, 24)
    first = loaded.reading.save(ana, case, MODEL, draft("normal"), unaided=True)
    second = loaded.reading.save(
        ana,
        case,
        MODEL,
        draft(
            "abnormal",
            confidence=4,
            findings=("Nodule or mass",),
            comment="x",
            boxes=(Box(1, 2, 3, 4),),
            agreement={"inter": "helpful"},
            rejected=(region,),
        ),
    )
    assert changes(first, second) == (
        "normal → abnormal",
        "confidence – → 4",
        "+ Nodule or mass",
        "comment added",
        "boxes 0 → 1",
        "A_inter helpful",
        "rejected regions 0 → 1",
        "after seeing the AI",
    )
    assert changes(second, replace(second, threshold=0.5)) == ("operating point 0.5",)
    assert changes(second, second) == ()


def test_rejected_regions_are_kept_with_the_read_and_seen_again(
    loaded: Services, case: int, ana: Person, draft: Draft
) -> None:
    region = RejectedRegion("inter", 0.1, 16, 16, 32, 16, 0.5, 24, 24)
    hidden = loaded.reading.save(ana, case, MODEL, draft(rejected=(region,)), unaided=True)
    assert hidden.rejected == ()  # nothing was shown that could be rejected
    saved = loaded.reading.save(ana, case, MODEL, draft(rejected=(region,)))
    assert loaded.reading.open_case(ana, case).read.rejected == saved.rejected == (region,)
    with loaded.access._store.reading() as repositories:
        assert [read.rejected for read in repositories.reads.iter_all()] == [(), (region,)]
        assert repositories.reads.count_rejected() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"map_name": "heat"},
        {"peak": 0.05},
        {"peak_x": 500.0},
        {"x": -1.0},
        {"width": 5000.0},
        {"pixel_threshold": float("nan")},
    ],
)
def test_regions_that_cannot_be_are_refused(
    loaded: Services, case: int, ana: Person, draft: Draft, wrong: dict[str, object]
) -> None:
    region = RejectedRegion("inter", 0.1, 16, 16, 32, 16, 0.5, 24, 24)
    with pytest.raises(RequestError, match="regions"):
        loaded.reading.save(ana, case, MODEL, draft(rejected=(replace(region, **wrong),)))
    assert loaded.reading.open_case(ana, case).read is None
