"""A model with every score and map, from what is kept on disk to the stored read."""

from __future__ import annotations

import csv
import dataclasses
import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.services.container import Services
from app.services.models import default_map
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.services.reading import MAP_HINTS
from ddad_core.vocabulary import MAP_TITLES, SCORE_TITLES, map_of_score
from tests.databases import Databases
from tests.eight_maps import (
    DEFAULT_MAP,
    HOT,
    NORMALS,
    THRESHOLD,
    give_eight_maps,
    made_up,
    make_map,
)
from tests.exports import exported
from tests.thresholds import put_in_force

Build = Callable[..., Services]
Draft = Callable[..., ReadDraft]
Ids = dict[str, int]
MODEL = "nih-ae-u"

pytestmark = pytest.mark.sqlite_only("what it looks at is models: the rows are the same")


@pytest.fixture
def services(build: Build, loaded_home: Path, eight_maps: Path) -> Services:
    """On a home that was filled before the model had more than three maps: same weights."""
    return build(loaded_home, eight_maps)


@pytest.fixture
def image_id(ids: Ids) -> int:
    return ids["00000150"]


def test_all_maps_are_offered_in_one_order_with_what_they_show(
    services: Services, image_id: int, ana: Person
) -> None:
    found = services.reading.open_case(ana, image_id).judgement
    assert [(m.name, m.title) for m in found.maps] == list(MAP_TITLES.items())
    assert found.default_map == DEFAULT_MAP
    assert [m.hint for m in found.maps] == [MAP_HINTS[name] for name in MAP_TITLES]
    for layer in found.maps:
        assert layer.hint and layer.maximum > layer.threshold
        values = np.frombuffer(zlib.decompress(layer.values), "<f4").reshape(2 * (layer.size,))
        if layer.name in made_up(MAP_TITLES):
            np.testing.assert_array_equal(values, make_map(layer.name, layer.size))
    assert (found.maps[-1].threshold, found.maps[-1].unit) == (0.5, "")


def test_maps_kept_before_the_model_had_more_are_computed_again_once(
    services: Services,
    image_id: int,
    ana: Person,
    request: pytest.FixtureRequest,
) -> None:
    first = services.reading.open_case(ana, image_id).judgement
    request.getfixturevalue("no_network")
    again = services.reading.open_case(ana, image_id).judgement
    assert [m.values for m in again.maps] == [m.values for m in first.maps]


@pytest.mark.parametrize(
    ("wanted", "first"),
    [({"default_map": "rec"}, "rec"), ({}, "r_dual"), ({"default_map": "no such map"}, "inter")],
    ids=str,
)
def test_map_shown_first_is_the_cards_or_that_of_its_score(
    services: Services, wanted: dict[str, str], first: str
) -> None:
    card = services.models.card(MODEL)
    raw = {name: value for name, value in card.raw.items() if name != "default_map"}
    assert default_map(dataclasses.replace(card, raw=raw | wanted)) == first


def test_score_kept_under_another_primary_is_not_cut_by_the_new_threshold(
    loaded: Services, services: Services, loaded_home: Path, ana: Person, databases: Databases
) -> None:
    before = dict(databases.query(loaded_home, "SELECT image_id, a_inter FROM scores"))
    assert {row.score_title for row in loaded.worklist.list(ana).rows} == {"A_ratio"}
    rows = services.worklist.list(ana).rows
    assert len(rows) == len(before) == 3
    for row in rows:
        a_inter = before[row.image_id]
        score = a_inter / (1 + a_inter) + 0.001 * len("r_dual")
        assert (row.score, row.score_title) == (pytest.approx(score), "R_dual")
        assert row.flagged is (score >= THRESHOLD)
        assert row.percentile == pytest.approx(100 * sum(n < score for n in NORMALS) / len(NORMALS))
    stored = databases.query(loaded_home, "SELECT score_name, score = r_dual FROM scores")
    assert stored == [("r_dual", True)] * 3  # in place of the old ones, not beside them


def test_every_score_is_exported(services: Services, image_id: int, ana: Person) -> None:
    score = services.reading.open_case(ana, image_id).judgement.score
    data = exported(services.exporting, Person.named("Ana"))["scores.csv"].decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(data)))
    (row,) = [row for row in rows if row["score_name"] == "r_dual"]  # the others wait to be seen
    assert len(rows) == 3 and float(row["score"]) == score.score == score.r_dual
    assert {name: float(row[name]) for name in SCORE_TITLES} == {
        name: score.value(name) for name in SCORE_TITLES
    }


def test_scores_a_model_lacks_are_empty_in_the_export(loaded: Services) -> None:
    files = exported(loaded.exporting, Person.named("Ana"))
    for row in csv.DictReader(io.StringIO(files["scores.csv"].decode("utf-8-sig"))):
        lacking = [n for n in SCORE_TITLES if row[n] == ""]
        card = loaded.models.card(row["model"])
        assert lacking == [n for n in SCORE_TITLES if map_of_score(n) not in card.maps]
        assert float(row["a_inter"]) > 0


def test_read_keeps_the_map_and_the_score_it_was_made_on(
    services: Services, image_id: int, ana: Person, draft: Draft
) -> None:
    case = services.reading.open_case(ana, image_id)
    saved = services.reading.save(
        ana, image_id, MODEL, draft(map_name="r_intra", pixel_threshold=HOT)
    )
    assert (saved.map_name, saved.pixel_threshold) == ("r_intra", HOT)
    assert saved.score == case.judgement.score.r_dual and saved.threshold == THRESHOLD


def test_threshold_of_one_score_says_nothing_of_another(
    loaded: Services, services: Services, ana: Person
) -> None:
    put_in_force(loaded, ana, MODEL, 0.001, "under A_inter")
    found = services.tuning.evidence(Person.named("Ana"), MODEL, "reference")
    assert found.score_title == "R_dual" and found.in_force.threshold == THRESHOLD
    assert found.scores.size == 0  # scored under A_inter so far
    services.worklist.list(ana)
    found = services.tuning.evidence(Person.named("Ana"), MODEL, "reference")
    assert found.scores.size == 3 and found.scores.max() < 1
    saved = put_in_force(services, ana, MODEL, 0.9, "under R_dual")
    assert (saved.score_name, saved.version) == ("r_dual", 1)
    assert services.worklist.list(ana).flagged == 0


@pytest.mark.parametrize(("primary", "lowest"), [("c_inter", -0.5), ("a_ratio", -20.0)])
def test_threshold_below_zero_is_for_standard_deviations_and_log_ratios(
    build: Build, loaded_home: Path, eight_maps: Path, ana: Person, primary: str, lowest: float
) -> None:
    give_eight_maps(eight_maps, primary=primary)
    services = build(loaded_home, eight_maps)
    assert put_in_force(services, ana, MODEL, lowest, "flag more").threshold == lowest
    assert services.worklist.list(ana).flagged == 3


def test_all_maps_are_kept_at_intake(build: Build, home: Path, eight_maps: Path) -> None:
    services = build(home, eight_maps)
    services.gallery.load(services.gallery.missing()[:1])
    (row,) = services.worklist.list(Person.named("Ana")).rows
    card = services.models.card(MODEL)
    (kept,) = (home / "maps").rglob(f"{card.model_hash}.npz")
    assert set(np.load(kept).files) == set(MAP_TITLES) and row.score_title == "R_dual"
