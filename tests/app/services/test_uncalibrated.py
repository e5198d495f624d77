"""A model without calibration calls nothing abnormal, and nothing breaks for it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.services import models
from app.services.container import Services
from app.services.intake import IntakeOutcome
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.services.worklist import Wish
from ddad_core.calibration import NormalReference
from ddad_core.errors import UncalibratedError
from tests.eight_maps import BASE, OTHER, SHIPPED, edit_card, take_calibration
from tests.thresholds import put_in_force

Build = Callable[..., Services]
Draft = Callable[..., ReadDraft]

pytestmark = pytest.mark.sqlite_only("what it looks at is models: the rows are the same")


@pytest.fixture
def services(build: Build, loaded_home: Path, weights: Path) -> Services:
    """Three cases of adults, whose model has lost its calibration."""
    return build(loaded_home, take_calibration(weights))


@pytest.fixture
def image_id(services: Services, ana: Person) -> int:
    return services.worklist.list(ana, Wish(sort="label")).rows[0].image_id


def test_worklist_shows_the_cases_unjudged_with_the_reason(services: Services, ana: Person) -> None:
    found = services.worklist.list(ana)
    assert (found.total, found.flagged) == (3, 0)
    for row in found.rows:
        assert (row.model, row.score, row.percentile, row.flagged) == (BASE, None, None, False)
        assert row.score_title == "" and "is not calibrated" in row.warnings[-1]
    assert len(services.worklist.list(ana, Wish(show="warned")).rows) == 3


def test_unjudged_cases_come_after_all_scores(
    build: Build,
    loaded_home: Path,
    weights: Path,
    ana: Person,
    changed_dicom: Callable[..., bytes],
) -> None:
    services = build(loaded_home, take_calibration(weights))
    child = services.intake.take(ana, "x", changed_dicom(PatientAge="003Y"))
    rows = services.worklist.list(ana, Wish(sort="score")).rows
    assert rows[0].image_id == child.image_id and rows[0].score is not None
    assert [row.score for row in rows[1:]] == [None] * 3


def test_case_opens_without_maps_or_flag_and_with_the_next_step(
    services: Services, image_id: int, ana: Person
) -> None:
    case = services.reading.open_case(ana, image_id)
    assert case.judgement is None and len(case.display.pixels) > 1000
    assert case.refusal.startswith("The model “AE-U for adults")
    assert "calls nothing abnormal" in case.refusal and "Choose another model" in case.refusal
    assert (case.model.name, case.model.score_title) == (BASE, "")
    other = services.reading.open_case(ana, image_id, OTHER)
    assert other.judgement is not None and other.refusal == ""


def test_read_without_a_judgement_is_kept_as_one_made_without_a_model(
    services: Services, image_id: int, ana: Person, draft: Draft
) -> None:
    saved = services.reading.save(
        ana, image_id, BASE, draft("abnormal", map_name="", pixel_threshold=0.0)
    )
    assert saved.verdict == "abnormal" and saved.seconds_to_verdict == 12.5
    assert saved.ai_visible is False
    circumstances = ("model_name", "model_hash", "score", "threshold", "operating_point_id")
    seen = ("map_name", "pixel_threshold", "opacity")
    assert [getattr(saved, name) for name in (*circumstances, *seen)] == [None] * 8
    assert services.reading.open_case(ana, image_id).history == (saved,)


def test_upload_is_kept_and_scored_once_the_model_is_calibrated(
    build: Build, home: Path, weights: Path, ana: Person, small_png: Callable[[int], bytes]
) -> None:
    outcome = build(home, take_calibration(weights)).intake.take(ana, "x.png", small_png(1))
    assert outcome.status == "unscored" and outcome.image_id is not None
    assert "is not calibrated" in outcome.reason
    again = build(home, SHIPPED)
    (row,) = again.worklist.list(ana).rows
    assert row.image_id == outcome.image_id and row.score is not None


def test_gallery_is_taken_in_all_the_same(
    build: Build, home: Path, weights: Path, ana: Person
) -> None:
    services = build(home, take_calibration(weights))
    seen: list[IntakeOutcome] = []
    services.gallery.load(services.gallery.missing(), seen.append)
    assert [outcome.status for outcome in seen] == ["unscored"] * 3
    assert services.gallery.missing() == []


def test_thresholds_are_refused_in_the_same_words(services: Services, ana: Person) -> None:
    calls: tuple[Callable[[], Any], ...] = (
        lambda: services.tuning.evidence(Person.named("Ana"), BASE, "reads"),
        lambda: put_in_force(services, ana, BASE, 0.5, "trial"),
        lambda: services.models.operating_point(BASE),
        lambda: services.models.score(BASE, []),
    )
    for call in calls:
        with pytest.raises(UncalibratedError, match="is not calibrated") as refusal:
            call()
        assert "Choose another model" in refusal.value.next_step
    assert services.tuning.evidence(Person.named("Ana"), OTHER, "reads").score_title == "A_inter"


def test_warming_up_passes_it_over(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    blank = type("Scorer", (), {"score_prepared": lambda *_: []})()
    monkeypatch.setattr(services.models, "_scorer", lambda name: loaded.append(name) or blank)
    monkeypatch.setattr(models.gc, "freeze", lambda: None)
    services.models.warm_up()
    assert loaded == [OTHER]


@pytest.mark.parametrize(
    "changes",
    [{"own_point": None}, {"reference": NormalReference({})}],
    ids=["no operating point", "no reference"],
)
def test_card_that_lacks_either_part_is_uncalibrated(
    services: Services, image_id: int, ana: Person, changes: dict[str, Any]
) -> None:
    card = dataclasses.replace(services.models.card(OTHER), **changes)
    services.models._cards[OTHER] = card
    assert not models.is_calibrated(card)
    assert services.reading.open_case(ana, image_id, OTHER).judgement is None
    assert services.models.summary(OTHER).score_title == ""
    assert services.worklist.list(ana).total == 3


def test_refusal_of_the_scorer_itself_is_told_too(
    services: Services, ana: Person, image_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core may know of something missing that the card does not show."""

    refusal = UncalibratedError("The map c_inter has no calibration.", "Calibrate it.")

    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(services.models, "score", refuse)
    case = services.reading.open_case(ana, image_id, OTHER)
    assert (case.judgement, case.refusal) == (
        None,
        "The map c_inter has no calibration. Calibrate it.",
    )


def test_shipped_models_are_calibrated(loaded: Services) -> None:
    assert all(models.is_calibrated(card) for card in loaded.models.cards)
    assert all(summary.score_title for summary in loaded.models.summaries())


def test_test_result_without_the_primary_score_is_no_figure(
    build: Build, home: Path, weights: Path
) -> None:
    card = json.loads((weights / BASE / "card.json").read_text(encoding="utf-8"))
    auc = {**card["evaluation"]["auc"]}
    del auc[card["operating_point"]["score"]]
    edit_card(weights, BASE, evaluation={**card["evaluation"], "auc": auc})
    summary = build(home, weights).models.summary(BASE)
    assert summary.figures == "Not measured on test images"
