"""Levels of a map from boxes, on maps made by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from app.gateways.files import FilesError
from app.services.container import Services
from app.services.evidence import EvidenceChoice
from app.services.levels import LevelEvidence, overlap
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.services.scoring import ScoringService
from app.store.records import Box, ImageRecord
from ddad_core.errors import RequestError

MODEL = "nih-ae-u"
SIZE = 32
Draft = Callable[..., ReadDraft]
Ids = dict[str, int]


@pytest.fixture
def maps(loaded: Services, monkeypatch: pytest.MonkeyPatch) -> dict[int, np.ndarray]:
    """Maps by case, given out in place of the networks'."""
    found: dict[int, np.ndarray] = {}

    def evidence(_: ScoringService, image: ImageRecord, model: str) -> SimpleNamespace:
        assert model == MODEL
        if image.id not in found:
            gone = "Gone."
            raise FilesError(gone)
        return SimpleNamespace(maps={"inter": found[image.id]})

    monkeypatch.setattr(ScoringService, "evidence", evidence)
    return found


def cell(image: ImageRecord, row: int, column: int, cells: int = 4) -> Box:
    """The box over some cells of the map."""
    wide, high = image.width / SIZE, image.height / SIZE
    return Box(column * wide, row * high, cells * wide, cells * high)


def peaks(**values: float) -> np.ndarray:
    """A flat map with single high cells, by "r<row>c<column>"."""
    found = np.zeros((SIZE, SIZE), np.float32)
    for name, value in values.items():
        row, column = name[1:].split("c")
        found[int(row), int(column)] = value
    return found


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(Box(0, 0, 4, 4), Box(0, 0, 4, 4)) == 1
    assert overlap(Box(0, 0, 4, 4), Box(2, 0, 4, 4)) == pytest.approx(8 / 24)
    assert overlap(Box(0, 0, 4, 4), Box(4, 0, 4, 4)) == 0


def test_boxes_of_the_readers_that_count_are_traced_and_each_finding_once(
    loaded: Services, ids: Ids, ana: Person, ben: Person, draft: Draft,
    maps: dict[int, np.ndarray],
) -> None:  # fmt: skip
    boxed, normal = ids["00000150"], ids["00001426"]
    with loaded.access._store.reading() as repositories:
        image = repositories.images.get(boxed)
    assert image is not None
    mine, near, other = cell(image, 4, 4), cell(image, 4, 5), cell(image, 20, 20)
    save = loaded.reading.save
    save(ana, boxed, MODEL, draft("abnormal", boxes=(mine,)))
    save(ben, boxed, MODEL, draft("abnormal", boxes=(near, other)))
    save(ana, normal, MODEL, draft("normal"))
    maps[boxed] = peaks(r6c6=0.9, r21c21=0.4375, r12c12=0.7)
    maps[normal] = peaks(r3c3=0.5)
    evidence = loaded.tuning.evidence(ana, MODEL)
    seen: list[tuple[int, int]] = []
    found = loaded.levels.evidence(ana, evidence, "inter", "reads", lambda *at: seen.append(at))
    assert seen == [(0, 2), (1, 2)]
    # Ana's box and Ben's near one are of one finding.
    assert (found.boxed, found.findings, found.normals, found.passed_over) == (1, 2, 1, 0)
    at = {
        level: loaded.levels.choose(found, "hand", level).choice
        for level in (0.95, 0.8, 0.45, 0.4375)
    }
    hit = {level: one.lesion_sensitivity.value for level, one in at.items()}
    assert hit == {0.95: 0, 0.8: 0.5, 0.45: 0.5, 0.4375: 1}
    assert {level: one.false_regions.value for level, one in at.items()} == {
        0.95: 0, 0.8: 0, 0.45: 1, 0.4375: 1
    }  # fmt: skip
    alone = loaded.tuning.evidence(ana, MODEL, EvidenceChoice(rule="single", word="Ana Ruiz"))
    assert loaded.levels.evidence(ana, alone, "inter", "reads").findings == 1


def test_boxes_that_came_along_and_images_without_a_map(
    loaded: Services, ids: Ids, ana: Person, maps: dict[int, np.ndarray]
) -> None:
    evidence = loaded.tuning.evidence(ana, MODEL, "reference")
    with pytest.raises(RequestError, match="has a map"):
        loaded.levels.evidence(ana, evidence, "inter", "reference")
    maps[ids["00000150"]] = peaks(r6c6=0.9)
    found = loaded.levels.evidence(ana, evidence, "inter", "reference")
    assert isinstance(found, LevelEvidence)
    with loaded.access._store.reading() as repositories:
        image = repositories.images.get(ids["00000150"])
    assert image is not None and found.findings == len(image.reference_boxes) > 0
    assert (found.normals, found.passed_over) == (0, 2)  # the others have no map
    assert "images with findings" in found.sentence
    with pytest.raises(RequestError, match="no map called"):
        loaded.levels.evidence(ana, evidence, "nonsense", "reference")


def test_a_policy_with_too_few_images_says_so_and_offers_no_level(
    loaded: Services, ids: Ids, ana: Person, maps: dict[int, np.ndarray]
) -> None:
    maps[ids["00000150"]] = peaks(r6c6=0.9)
    evidence = loaded.tuning.evidence(ana, MODEL, "reference")
    found = loaded.levels.evidence(ana, evidence, "inter", "reference")
    chosen = loaded.levels.choose(found, "falses", 0.5)
    assert (chosen.model, chosen.map_name, chosen.choice.level) == (MODEL, "inter", None)
    assert "it takes 10" in chosen.choice.why_not
