from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.bootstrap import build_services
from app.gateways.files import FilesError
from app.services.container import Services
from app.services.people import Person
from app.services.read_draft import COMMENT_LIMIT, FINDINGS, MAX_BOXES, ReadDraft
from app.services.reading import UNAIDED
from app.services.worklist import Wish
from app.settings import REPOSITORY, load_settings
from app.store.records import Box
from ddad_core.errors import DdadError, RequestError
from ddad_core.imaging import read_radiograph
from ddad_core.vocabulary import MAP_TITLES
from tests.databases import Databases, current
from tests.exports import tables
from tests.thresholds import put_in_force

Ids = dict[str, int]
Draft = Callable[..., ReadDraft]
NAN, INF = math.nan, math.inf


def reads_in(home: Path) -> int:
    counts = [
        current().query(home, f"SELECT count(*) FROM {table}")[0][0] for table in ("reads", "boxes")
    ]
    return sum(counts)


def test_case_carries_the_pixels_of_the_file_and_its_maps(
    loaded: Services, ids: Ids, ana: Person, no_network: None
) -> None:
    case = loaded.reading.open_case(ana, ids["00000150"])
    image = case.image
    sent = np.frombuffer(zlib.decompress(case.display.pixels), "<u2").reshape(
        image.height, image.width
    )
    original = read_radiograph((REPOSITORY / "data/demo/00000150_002.png").read_bytes())
    np.testing.assert_array_equal(
        sent * case.display.slope + case.display.intercept, original.pixels
    )
    card = loaded.models.card(case.model.name)
    names = [layer.name for layer in case.judgement.maps]
    assert names == [name for name in MAP_TITLES if name in card.maps] and "inter" in names
    for layer in case.judgement.maps:
        values = np.frombuffer(zlib.decompress(layer.values), "<f4")
        assert values.size == layer.size**2 == 64 * 64
        assert np.isfinite(values).all() and layer.maximum > layer.threshold
        # Half of the places lie below the mean of normals there, and some speak for D_n.
        assert bool(values.min() < 0) is (layer.name.startswith("c_") or layer.name == "ratio")
    assert case.display.window.width > 0
    assert case.facts == "AP · F · 55 y · PNG · 1024 × 1024"


def test_case_says_which_model_judged_and_why(loaded: Services, ids: Ids, ana: Person) -> None:
    case = loaded.reading.open_case(ana, ids["00000150"])
    assert (case.model.name, case.suggested_model, case.suggested_for_age) == (
        "nih-ae-u",
        "nih-ae-u",
        True,
    )
    found = case.judgement
    assert len(found.normals) == 50 and list(found.normals) == sorted(found.normals)
    below = sum(normal < found.score.score for normal in found.normals)
    assert found.score.percentile == pytest.approx(100 * below / 50)
    assert found.score.p_value == pytest.approx((1 + 50 - below) / 51)
    assert found.flagged is (found.score.score >= found.operating_point.threshold)
    other = loaded.reading.open_case(ana, ids["00000150"], "kermany-ae-u")
    assert (other.model.name, other.suggested_model) == ("kermany-ae-u", "nih-ae-u")
    assert len(other.judgement.normals) == 100 and "55 years old" in " ".join(other.warnings)
    assert other.judgement.operating_point.threshold != found.operating_point.threshold


def test_saved_read_is_there_when_the_case_is_opened_again(
    loaded: Services, ids: Ids, ana: Person, draft: Draft
) -> None:
    image_id = ids["00000150"]
    saved = loaded.reading.save(
        ana,
        image_id,
        "nih-ae-u",
        draft(
            "abnormal",
            confidence=4,
            findings=("Consolidation", "Pleural effusion"),
            comment="  right base\n„trüb“ 🫁 ",
            boxes=(Box(10.5, 20, 30, 40, "lobe"), Box(0, 0, 1024, 1024)),
            map_name="intra",
            pixel_threshold=0.25,
            opacity=0.6,
            ai_visible=False,
            seconds=3.25,
        ),
    )
    case = loaded.reading.open_case(ana, image_id)
    assert case.read == saved and case.history == (saved,)
    assert (saved.verdict, saved.confidence, saved.revision) == ("abnormal", 4, 1)
    assert saved.findings == ("Consolidation", "Pleural effusion")
    assert saved.comment == "right base\n„trüb“ 🫁"
    assert [(b.x, b.y, b.width, b.height, b.label) for b in saved.boxes] == [
        (10.5, 20, 30, 40, "lobe"),
        (0, 0, 1024, 1024, ""),
    ]
    assert (saved.map_name, saved.pixel_threshold, saved.opacity) == ("intra", 0.25, 0.6)
    assert (saved.ai_visible, saved.seconds_to_verdict) == (False, 3.25)


def test_read_keeps_the_evidence_it_was_made_on(
    loaded: Services, ids: Ids, ana: Person, draft: Draft
) -> None:
    image_id = ids["00000150"]
    case = loaded.reading.open_case(ana, image_id)
    first = loaded.reading.save(ana, image_id, "nih-ae-u", draft())
    assert first.operating_point_id is None
    assert first.threshold == case.judgement.operating_point.threshold
    assert first.score == case.judgement.score.score
    assert (first.model_name, first.model_hash) == ("nih-ae-u", case.judgement.score.model_hash)
    point = put_in_force(loaded, ana, "nih-ae-u", 0.321, "a trial")
    second = loaded.reading.save(ana, image_id, "nih-ae-u", draft())
    assert (second.operating_point_id, second.threshold) == (point.id, 0.321)
    history = loaded.reading.open_case(ana, image_id).history
    assert history == (first, second)  # the first one still says what it said
    other = loaded.reading.save(ana, image_id, "kermany-ae-u", draft())
    assert other.model_name == "kermany-ae-u" and other.operating_point_id is None
    assert other.score != first.score


def test_amending_appends_a_revision_and_keeps_the_first(
    loaded: Services, ids: Ids, ana: Person, draft: Draft
) -> None:
    image_id = ids["00000150"]
    first = loaded.reading.save(
        ana, image_id, "nih-ae-u", draft("normal", boxes=(Box(1, 1, 2, 2),))
    )
    second = loaded.reading.save(ana, image_id, "nih-ae-u", draft("abnormal"))
    assert (second.revision, second.replaces_id) == (2, first.id)
    case = loaded.reading.open_case(ana, image_id)
    assert case.history == (first, second) and case.read == second
    assert len(case.history[0].boxes) == 1


def test_readers_see_only_their_own_reads(
    loaded: Services, ids: Ids, ana: Person, ben: Person, draft: Draft
) -> None:
    image_id = ids["00000150"]
    loaded.reading.save(ana, image_id, "nih-ae-u", draft("normal"))
    assert loaded.reading.open_case(ben, image_id).read is None
    own = loaded.reading.save(ben, image_id, "nih-ae-u", draft("abnormal"))
    assert own.revision == 1
    assert loaded.reading.open_case(ben, image_id).history == (own,)
    read = loaded.reading.open_case(ana, image_id).read
    assert read is not None and read.verdict == "normal"


BAD_DRAFTS: dict[str, dict[str, Any]] = {
    "no verdict": {"verdict": ""},
    "unknown verdict": {"verdict": "maybe"},
    "wrong case": {"verdict": "Normal"},
    "confidence 0": {"confidence": 0},
    "confidence 6": {"confidence": 6},
    "confidence -1": {"confidence": -1},
    "unknown finding": {"findings": ("Consolidation", "Unicorn")},
    "long comment": {"comment": "x" * (COMMENT_LIMIT + 1)},
    "too many boxes": {"boxes": (Box(1, 1, 2, 2),) * (MAX_BOXES + 1)},
    "box left": {"boxes": (Box(-1, 0, 10, 10),)},
    "box above": {"boxes": (Box(0, -0.1, 10, 10),)},
    "box right": {"boxes": (Box(1020, 0, 10, 10),)},
    "box below": {"boxes": (Box(0, 1020, 10, 10),)},
    "no width": {"boxes": (Box(0, 0, 0, 10),)},
    "negative height": {"boxes": (Box(10, 10, 5, -5),)},
    "nan x": {"boxes": (Box(NAN, 0, 10, 10),)},
    "nan width": {"boxes": (Box(0, 0, NAN, 10),)},
    "infinite": {"boxes": (Box(0, 0, INF, 10),)},
    "second box": {"boxes": (Box(0, 0, 10, 10), Box(0, 0, 9999, 10))},
}


@pytest.mark.parametrize("changes", BAD_DRAFTS.values(), ids=BAD_DRAFTS)
def test_invalid_draft_is_refused_and_nothing_stored(
    loaded: Services,
    loaded_home: Path,
    ids: Ids,
    ana: Person,
    draft: Draft,
    changes: dict[str, Any],
) -> None:
    with pytest.raises(RequestError) as refusal:
        loaded.reading.save(ana, ids["00000150"], "nih-ae-u", draft(**changes))
    assert refusal.value.problem and refusal.value.next_step
    assert reads_in(loaded_home) == 0
    assert loaded.reading.open_case(ana, ids["00000150"]).read is None


@pytest.mark.parametrize(
    "changes", [{"opacity": 1.5}, {"seconds": -1.0}, {"opacity": -0.1}], ids=str
)
def test_impossible_circumstances_are_refused_and_nothing_stored(
    loaded: Services,
    loaded_home: Path,
    ids: Ids,
    ana: Person,
    draft: Draft,
    changes: dict[str, Any],
) -> None:
    boxes = (Box(1, 1, 2, 2),)
    with pytest.raises(DdadError):
        loaded.reading.save(ana, ids["00000150"], "nih-ae-u", draft(boxes=boxes, **changes))
    assert reads_in(loaded_home) == 0


def test_limits_themselves_are_allowed(
    loaded: Services, ids: Ids, ana: Person, draft: Draft
) -> None:
    for confidence in (1, 5, None):
        saved = loaded.reading.save(
            ana,
            ids["00000150"],
            "nih-ae-u",
            draft(
                "unreadable",
                confidence=confidence,
                findings=FINDINGS,
                comment="x" * COMMENT_LIMIT,
                boxes=(Box(0, 0, 1024, 1024),) * MAX_BOXES,
            ),
        )
        assert len(saved.boxes) == MAX_BOXES and saved.findings == FINDINGS


def test_unknown_case_or_model_is_told(
    loaded: Services, ids: Ids, ana: Person, draft: Draft
) -> None:
    with pytest.raises(RequestError, match="no case number 999"):
        loaded.reading.open_case(ana, 999)
    with pytest.raises(RequestError, match="no case number 999"):
        loaded.reading.save(ana, 999, "nih-ae-u", draft())
    with pytest.raises(RequestError, match="no model called x"):
        loaded.reading.open_case(ana, ids["00000150"], "x")
    with pytest.raises(RequestError, match="no model called x"):
        loaded.reading.save(ana, ids["00000150"], "x", draft())


def test_reads_survive_a_restart(
    loaded: Services,
    loaded_home: Path,
    ids: Ids,
    ana: Person,
    draft: Draft,
    build: Callable[[Path], Services],
    no_network: None,
) -> None:
    saved = loaded.reading.save(
        ana, ids["00000150"], "nih-ae-u", draft("abnormal", boxes=(Box(1, 2, 3, 4, "a"),))
    )
    before = loaded.reading.open_case(ana, ids["00000150"])
    again = build(loaded_home).reading.open_case(ana, ids["00000150"])
    assert again.read == saved and again.judgement.score == before.judgement.score
    assert again.display.pixels == before.display.pixels
    assert [m.values for m in again.judgement.maps] == [m.values for m in before.judgement.maps]


def test_missing_pixels_are_told_with_a_next_step(
    loaded: Services, loaded_home: Path, ids: Ids, ana: Person
) -> None:
    for path in (loaded_home / "images").rglob("*.png"):
        path.unlink()
    with pytest.raises(FilesError, match="are missing") as refusal:
        loaded.reading.open_case(ana, ids["00000150"])
    assert "backup" in refusal.value.next_step


def test_missing_maps_are_made_anew_and_the_score_stays(
    loaded: Services, loaded_home: Path, ids: Ids, ana: Person
) -> None:
    before = loaded.reading.open_case(ana, ids["00000150"])
    for path in (loaded_home / "maps").rglob("*.npz"):
        path.unlink()
    after = loaded.reading.open_case(ana, ids["00000150"])
    assert after.judgement.score == before.judgement.score
    for old, new in zip(before.judgement.maps, after.judgement.maps, strict=True):
        np.testing.assert_allclose(
            np.frombuffer(zlib.decompress(new.values), "<f4"),
            np.frombuffer(zlib.decompress(old.values), "<f4"),
            rtol=1e-4,
            atol=1e-6,
        )


def test_damaged_maps_are_made_anew(
    loaded: Services, loaded_home: Path, ids: Ids, ana: Person
) -> None:
    for path in (loaded_home / "maps").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:-20])
    loaded.reading.open_case(ana, ids["00000150"])


# Unaided first


def test_nothing_of_the_ai_leaves_before_the_first_verdict(
    loaded: Services, ana: Person, ben: Person, draft: Draft
) -> None:
    case = loaded.worklist.list(ana).rows[0].image_id
    view = loaded.reading.open_case(ana, case, unaided=True)
    assert view.unaided and view.judgement is None and view.refusal == UNAIDED
    assert view.warnings == view.image.warnings
    saved = loaded.reading.save(
        ana,
        case,
        view.model.name,
        draft("normal", map_name="inter", pixel_threshold=1.0, opacity=0.5, ai_visible=True,
              agreement={"inter": "helpful"}),
        unaided=True,
    )  # fmt: skip
    assert (saved.stage, saved.ai_visible, saved.map_name) == ("unaided", False, None)
    assert (saved.pixel_threshold, saved.opacity, saved.agreement) == (None, None, {})
    assert saved.score is not None and saved.model_hash  # on record, though it was not shown
    after = loaded.reading.open_case(ana, case, unaided=True)
    assert not after.unaided and after.judgement is not None
    revised = loaded.reading.save(
        ana, case, view.model.name, draft("abnormal", agreement={"inter": "misleading"}),
        unaided=True,
    )  # fmt: skip
    assert (revised.stage, revised.revision) == ("aided", 2)
    assert revised.agreement == {"inter": "misleading"}
    assert [r.verdict for r in after.history] == ["normal"]
    assert loaded.reading.open_case(ben, case, unaided=True).unaided  # each for themselves


def test_the_setting_hides_whatever_the_screen_asks(
    loaded_home: Path, small_gallery: Path, ana: Person, draft: Draft, databases: Databases
) -> None:
    environ = databases.environ(loaded_home) | {
        "DDAD_HOME": str(loaded_home),
        "DDAD_GALLERY": str(small_gallery),
        "DDAD_DEVICE": "cpu",
        "DDAD_UNAIDED_FIRST": "1",
        "DDAD_FINDINGS": "Device,  Rib fracture ,,Nodule or mass",
    }
    services = build_services(load_settings(environ))
    found = services.worklist.list(ana, Wish(sort="score"))
    assert found.flagged is None
    assert {(row.score, row.percentile, row.flagged, row.hidden) for row in found.rows} == {
        (None, None, False, True)
    }
    assert [row.added_at for row in found.rows] == sorted(
        (row.added_at for row in found.rows), reverse=True
    )
    assert services.worklist.list(ana, Wish("flagged")).matching == 3
    case = found.rows[0].image_id
    assert services.reading.open_case(ana, case).judgement is None
    saved = services.reading.save(
        ana, case, "nih-ae-u", draft("normal", findings=("Rib fracture",))
    )
    assert saved.stage == "unaided" and saved.findings == ("Rib fracture",)
    assert services.reading.findings[-2:] == ("Device", "Rib fracture")
    row = next(r for r in services.worklist.list(ana).rows if r.image_id == case)
    assert row.score is not None and not row.hidden
    auditor = Person("olga", frozenset({"auditor"}))  # has no verdict to protect
    assert services.reading.open_case(auditor, case).judgement is not None
    assert services.worklist.list(auditor).flagged is not None


@pytest.mark.parametrize("agreement", [{"inter": "great"}, {"nothing": "helpful"}])
def test_what_is_said_of_a_map_must_be_of_the_list(
    loaded: Services, ana: Person, draft: Draft, agreement: dict[str, str]
) -> None:
    case = loaded.worklist.list(ana).rows[0].image_id
    with pytest.raises(RequestError):
        loaded.reading.save(ana, case, "nih-ae-u", draft("normal", agreement=agreement))
    assert loaded.reading.open_case(ana, case).history == ()


def test_agreement_and_stage_are_exported(loaded: Services, ana: Person, draft: Draft) -> None:
    case = loaded.worklist.list(ana).rows[0].image_id
    loaded.reading.save(
        ana, case, "nih-ae-u", draft("normal", agreement={"rec": "missed", "inter": "helpful"})
    )
    (row,) = tables(loaded.exporting, ana)["reads"]
    assert (row["stage"], row["agreement"]) == ("aided", ["inter: helpful", "rec: missed"])
