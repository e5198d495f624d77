"""What the review screen tells of a case besides its score, by role and by what was saved."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

from app.services.container import Services
from app.services.people import Person
from app.store.records import RejectedRegion
from tests.app.ui import test_screens as screen_tests
from tests.app.ui.test_screens import Page, environment, stored

MODEL = "nih-ae-u"
screens = screen_tests.screens


@pytest.fixture
def page(
    screens: None, monkeypatch: pytest.MonkeyPatch, loaded_home: Path, small_gallery: Path
) -> Page:
    environment(monkeypatch, loaded_home, small_gallery)
    return Page().enter()


def plain(page: Page) -> str:
    return html.unescape(page.html)


def test_facts_of_the_image_are_in_their_tab(page: Page, loaded_home: Path) -> None:
    page.press("Start reading")
    ((sha256, bits),) = stored(
        loaded_home, f"SELECT sha256, bits FROM images WHERE label = '{page.case()}'"
    )
    assert [tab.label for tab in page.at.tabs] == ["Reads", "Image", "Scores"]
    for fact in (sha256, f"1024 × 1024, {bits} bits", "by DDAD Review", "pixels as 16-bit PNG"):
        assert fact in plain(page), fact


def test_another_readers_read_is_counted_then_told(page: Page, loaded: Services) -> None:
    page.press("Start reading").press("Abnormal")
    page.widget("text_area", "comment-").set_value("left hilum")
    page.press("Save")
    page.go("worklist")  # whoever starts begins with a case that nobody has open
    page.enter("Ben Okafor").go("worklist").press("Start reading")
    assert "1 other reader has read this case. Shown once your own read is saved." in plain(page)
    assert "left hilum" not in page.text and "Ana Ruiz: abnormal" not in page.text
    page.press("Normal").press("Save")
    assert "Ana Ruiz: abnormal" in page.html and "left hilum" in page.html
    page.go("worklist")
    page.enter("Mx Audit", "auditor").go("worklist")
    page.press([b.label for b in page.at.button if b.label.startswith("Start")][0])
    assert "Ana Ruiz: abnormal" in page.html and "Ben Okafor: normal" in page.html


def test_amending_tells_what_changed(page: Page) -> None:
    page.press("Start reading").press("Normal").press("Save")
    page.press("Uncertain")
    page.widget("button_group", "confidence-").set_value(3)
    page.press("Save")
    assert "2. uncertain" in page.html and "1. normal" in page.html
    assert "normal → uncertain · confidence – → 3" in plain(page)


def test_who_keeps_the_first_verdict_after_seeing_the_ai_says_so_by_a_second_read(
    screens: None, monkeypatch: pytest.MonkeyPatch, loaded_home: Path, small_gallery: Path
) -> None:
    environment(monkeypatch, loaded_home, small_gallery)
    monkeypatch.setenv("DDAD_UNAIDED_FIRST", "1")
    page = Page().enter().press("Start reading")
    assert "Scores are shown once your first verdict is saved." in plain(page)
    assert "<b>A_ratio</b>" not in page.html and "<td>A_inter</td>" not in page.html
    page.press("Normal").press("Save and show the AI")
    assert "<b>A_ratio</b>" in page.html and "<td>A_inter</td>" in page.html
    page.press("Save and next")
    found = stored(
        loaded_home,
        "SELECT stage, verdict, model_name, length(model_hash), threshold > 0, operating_point_id,"
        " score > 0, map_name, pixel_threshold > 0, opacity, ai_visible FROM reads ORDER BY id",
    )
    assert found == [
        ("unaided", "normal", MODEL, 64, 1, None, 1, None, None, None, 0),
        ("aided", "normal", MODEL, 64, 1, None, 1, "ratio", 1, 0.45, 1),
    ]


def test_rejected_regions_of_a_draft_come_back_and_those_of_another_model_do_not_count(
    page: Page, loaded: Services, loaded_home: Path
) -> None:
    page.press("Start reading")
    data = page.at.session_state["ddad"].case.data
    layer = data.map_named("inter")
    cell = next(
        cell for cell in range(layer.size**2) if data.region_at("inter", layer.threshold, cell)
    )
    region = data.region_at("inter", layer.threshold, cell)
    foreign = RejectedRegion("inter", layer.threshold, 0, 0, 16, 16, region.peak + 1, 8, 8)
    ana = Person.named("Ana Ruiz")
    content = {
        "verdict": "normal",
        "rejected": [vars(region) | {}, vars(foreign) | {}],
    }
    loaded.reading.keep_draft(ana, data.image_id, json.loads(json.dumps(content)))
    again = Page().enter().press("Start reading")
    assert again.at.session_state["ddad"].case.data.rejected == (region,)
    again.press("Save")
    kept = stored(loaded_home, "SELECT map_name, pixel_threshold, x, y, peak FROM rejected_regions")
    assert kept == [("inter", layer.threshold, region.x, region.y, region.peak)]
    assert "1 of the AI's regions rejected" in plain(again)
    # Under another model they are not on the screen: nothing has changed, so nothing is drafted.
    again.widget("selectbox", "model-").set_value("kermany-ae-u")
    again.run()
    assert stored(loaded_home, "SELECT count(*) FROM drafts") == [(0,)]
