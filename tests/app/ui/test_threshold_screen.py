"""The threshold screen: evidence chosen and told, what follows the slider, each part below it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.ui.thresholds.details import PARTS
from tests.app.ui.test_screens import Page, environment, figures, screens, stored

__all__ = ["screens"]
REFERENCE = "Reference labels that came with the gallery"


@pytest.fixture
def page(
    screens: None, monkeypatch: pytest.MonkeyPatch, loaded_home: Path, small_gallery: Path
) -> Page:
    """Ana at the worklist of three cases."""
    environment(monkeypatch, loaded_home, small_gallery)
    return Page().enter()


def choose(page: Page, key: str, value: object) -> Page:
    """Set the widget of this key, whatever its kind."""
    kinds = ("selectbox", "number_input", "multiselect", "button_group", "slider", "toggle")
    (found,) = [w for kind in kinds for w in page.at.get(kind) if w.key == key]
    found.set_value(value)
    return page.run()


def reference(page: Page) -> Page:
    page.go("thresholds")
    page.at.button_group[0].set_value(REFERENCE)
    return page.run()


def end(page: Page, which: str) -> Page:
    """Move the threshold to one end."""
    (slider,) = [s for s in page.at.slider if (s.key or "").startswith("threshold-")]
    slider.set_value(getattr(slider, which))
    return page.run()


def test_what_the_labels_rest_on_is_told_and_chosen(page: Page) -> None:
    page.press("Start reading").press("Normal").press("Save and next")
    page.press("Abnormal").press("Save")
    page.enter("Ben Okafor").go("worklist").press("Start reading").press("Abnormal").press("Save")
    page.go("thresholds")
    assert "1 labelled case from 1 read of 2 readers (Ana Ruiz, Ben Okafor)" in page.html
    assert "Left out: cases on which readers differ evenly (1)" in page.html
    choose(page, "evidence-rule", "Single reader")
    assert "2 labelled cases from 2 reads of 1 reader (Ana Ruiz)" in page.html
    choose(page, "evidence-word", "Ben Okafor")
    assert "1 labelled case from 1 read of 1 reader (Ben Okafor)" in page.html
    choose(page, "evidence-rule", "Arbiter settles")
    choose(page, "evidence-word", "Ben Okafor")
    assert "where they differ, the word of Ben Okafor" in page.html
    assert figures(page)["Sensitivity"] != "–" or figures(page)["Specificity"] != "–"
    choose(page, "evidence-stage", "Unaided")
    assert "0 labelled cases: what all agree on" in page.html.replace("&#x27;", "'")


def test_matrix_and_changed_cases_follow_the_slider(page: Page) -> None:
    reference(page)
    end(page, "max")
    body = page.html.partition("ddad-matrix")[2].partition("</table>")[0]
    cells = [part.partition("</b>")[0] for part in body.split("<b>")[1:]]
    assert cells == ["0", "0", "2", "1"]  # nothing is flagged: two misses
    was_flagged = stored_flags(page)
    if was_flagged:
        assert f"{was_flagged} case" in page.html and "flagged no more" in page.html
    else:
        assert "None: every scored case lies where" in page.html
    end(page, "min")
    assert f"{3 - was_flagged} case" in page.html and "newly flagged" in page.html


def stored_flags(page: Page) -> int:
    """Cases flagged by the threshold in force, from the screen's own tile at that threshold."""
    fresh = Page().enter()
    fresh.go("thresholds")
    return int(figures(fresh)["Flagged"].partition(" ")[0])


def test_flags_a_day_need_a_number_that_somebody_knows(page: Page) -> None:
    reference(page)
    end(page, "min")
    assert figures(page)["Flags a day"] == "–"
    choose(page, "cases-a-day", 40.0)
    assert figures(page)["Flags a day"] == "40"
    choose(page, "policy", "Workload")
    assert "at most 20 of 40 a day are flagged" in page.html


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_there_or_says_what_it_takes(page: Page, part: str) -> None:
    reference(page)
    choose(page, "threshold-part", part)
    assert page.errors == []
    expected = {
        "Scores": "",
        "Curves": "fewer than two" if "fewer than two" in page.html else "two of each",
        "Calibration": "No calibration plot:",
        "Readers": "No case has certain reads of two readers.",
        "Missed cases": "No audit sample was drawn",
        "Levels of maps": "takes some seconds",
    }
    assert expected[part] in page.html


def test_a_sample_is_drawn_read_and_on_record(page: Page, loaded_home: Path) -> None:
    reference(page)
    choose(page, "threshold-part", "Missed cases")
    page.at.number_input(key="sample-size").set_value(2)
    page.press("Draw")
    assert page.errors == [] and "2 cases drawn" in page.text
    assert stored(loaded_home, "SELECT size, eligible, drawn_by FROM audit_samples") == [
        (2, 3, "Ana Ruiz")
    ]
    assert "2 of 3" in page.html
    page.go("worklist")
    choose(page, "worklist-show", "Audit sample")
    assert "2 shown of 3" in page.html
    page.go("thresholds")
    choose(page, "threshold-part", "Missed cases")
    page.press("Read the sample")  # nobody has read a case, so both wait
    first = stored(
        loaded_home,
        "SELECT label FROM images JOIN audit_sample_members ON image_id = images.id "
        "WHERE position = 0",
    )
    assert page.case() == first[0][0]


def test_a_reader_sees_samples_but_draws_none(page: Page) -> None:
    page.enter("Somebody", "reader").go("thresholds")
    choose(page, "threshold-part", "Missed cases")
    assert not any(b.label == "Draw" for b in page.at.button)
    assert "a lead reader can" in page.html


def test_a_level_is_measured_on_the_boxes_that_came_along(page: Page) -> None:
    reference(page)
    choose(page, "threshold-part", "Levels of maps")
    choose(page, "level-boxes", "Boxes that came along")
    page.press("Look through")
    assert "findings on" in page.html and page.errors == []
    assert "it takes 10" in page.html  # too few images for a policy
    choose(page, "level-policy", "By hand")
    assert "Level of A_ratio" in page.html and figures(page)["Findings hit"] != "–"


def test_unaided_readers_are_not_shown_which_unread_cases_change_side(page: Page) -> None:
    choose(page, "worklist-unaided", True)
    reference(page)
    end(page, "min")
    if "newly flagged" in page.html:
        assert "Cases you have not read yet stay hidden" in page.html
    end(page, "max")
    if "flagged no more" in page.html:
        assert "Cases you have not read yet stay hidden" in page.html
