"""A level of a map, measured on the threshold screen, becomes what the viewer begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.ui.test_screens import Page, environment, screens, stored
from tests.app.ui.test_threshold_screen import choose, reference

__all__ = ["screens"]


@pytest.fixture
def page(
    screens: None, monkeypatch: pytest.MonkeyPatch, loaded_home: Path, small_gallery: Path
) -> Page:
    """Ana at the worklist of three cases."""
    environment(monkeypatch, loaded_home, small_gallery)
    return Page().enter()


def levels_part(page: Page) -> Page:
    """The level of the first map chosen by hand, on the boxes that came along."""
    reference(page)
    choose(page, "threshold-part", "Levels of maps")
    choose(page, "level-boxes", "Boxes that came along")
    page.press("Look through")
    return choose(page, "level-policy", "By hand")


def in_viewer(page: Page) -> dict[str, float]:
    """The level that the viewer begins with, by map, of the case opened anew."""
    page.go("worklist").press("Start reading")
    state = page.at.session_state["ddad"]
    return {layer.name: layer.threshold for layer in state.case.view.judgement.maps}


def put_in_force(page: Page, reason: str) -> Page:
    page.at.text_input(key="change-override").set_value("three cases are all there are")
    page.at.text_input(key="change-reason").set_value(reason)
    return page.press("Put in force")


def level_slider(page: Page):
    (found,) = [s for s in page.at.slider if (s.key or "").startswith("level-")]
    return found


def test_the_level_chosen_is_what_the_viewer_begins_with(page: Page, loaded_home: Path) -> None:
    before = in_viewer(page)
    levels_part(page)
    slider = level_slider(page)
    chosen = slider.min + 0.25 * (slider.max - slider.min)
    slider.set_value(chosen)
    page.run().press("Put level in force …")
    assert "Regions drawn when A_ratio is at least" in page.html
    assert "Findings hit" in page.html and "False regions an image" in page.html
    assert stored(loaded_home, "SELECT count(*) FROM operating_points") == [(0,)]
    page.press("Put in force")
    assert "needs a reason" in page.errors[0] or "asks for at least" in page.errors[0]
    put_in_force(page, "boxes say so")
    assert page.errors == []
    (row,) = stored(
        loaded_home,
        "SELECT kind, map_name, version, set_by, reason, threshold FROM operating_points",
    )
    assert row[:5] == ("pixel", "ratio", 1, "Ana Ruiz", "boxes say so")
    assert row[5] == pytest.approx(chosen)
    assert "Levels of A_ratio, the first in force" in page.html and "boxes say so" in page.html
    assert in_viewer(page) == {**before, "ratio": row[5]}


def test_going_back_to_the_models_own_level_is_confirmed(page: Page, loaded_home: Path) -> None:
    before = in_viewer(page)
    levels_part(page)
    level_slider(page).set_value(level_slider(page).max)
    page.run().press("Put level in force …")
    put_in_force(page, "a trial")
    assert in_viewer(page) != before
    page.go("thresholds")
    choose(page, "threshold-part", "Levels of maps")
    page.press("Go back to level …")
    page.at.text_input(key="change-reason").set_value("too little is drawn")
    page.press("Put in force")
    assert page.errors == []
    assert stored(loaded_home, "SELECT version, restores FROM operating_points") == [
        (1, None),
        (2, 0),
    ]
    assert in_viewer(page) == before


def test_a_reader_sees_levels_and_changes_none(page: Page) -> None:
    page.enter("Somebody", "reader")
    levels_part(page)
    labels = [b.label for b in page.at.button]
    assert "Put level in force …" not in labels and "In force for A_ratio" in page.html
