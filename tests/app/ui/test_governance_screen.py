"""Changing operating points on the threshold screen: confirming, approving, going back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.services.container import Services
from app.services.people import Person
from app.ui.change_record import document
from app.ui.governance import name_of
from tests.app.ui.test_screens import (  # noqa: F401 - screens is a fixture of Page's
    Page,
    environment,
    put_in_force,
    screens,
    stored,
)
from tests.thresholds import put_in_force as set_threshold

MODEL = "nih-ae-u"


@pytest.fixture
def approving(
    screens: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    loaded_home: Path,
    small_gallery: Path,
) -> Page:
    """Ana, a lead, at a site that asks for a second person."""
    environment(monkeypatch, loaded_home, small_gallery)
    monkeypatch.setenv("DDAD_SECOND_APPROVAL", "1")
    return Page().enter("Ana Ruiz", "lead").go("thresholds")


def labels(page: Page) -> list[str]:
    return [b.label for b in page.at.button]


def propose(page: Page, reason: str) -> Page:
    page.at.slider[0].set_value(page.at.slider[0].min)
    page.run().press("Propose …")
    page.at.text_input(key="change-override").set_value("three cases are all there are")
    page.at.text_input(key="change-reason").set_value(reason)
    return page.press("Propose to a second person")


def test_the_dialog_shows_both_thresholds_before_anything_is_asked(approving: Page) -> None:
    approving.at.slider[0].set_value(approving.at.slider[0].min)
    approving.run().press("Propose …")
    table = approving.html.partition("ddad-compare")[2].partition("</table>")[0]
    rows = [re.sub("<[^>]+>", "|", row) for row in table.split("<tr>")]
    (flagged,) = [row for row in rows if "Flagged of all scored" in row]
    assert "3 of 3" in flagged
    (side,) = [row for row in rows if "change side" in row]
    assert "newly flagged, 0 no longer flagged" in side
    assert "0 normal and 0 abnormal cases; this site asks for at least 50" in approving.html
    approving.press("Cancel")
    assert "change-reason" not in [t.key for t in approving.at.text_input]


def test_two_people_put_a_proposal_in_force(approving: Page, loaded_home: Path) -> None:
    page = propose(approving, "flag everything")
    assert page.errors == [] and "Proposal 1 waits for a second person" in page.text
    assert stored(loaded_home, "SELECT count(*) FROM operating_points") == [(0,)]
    assert "Withdraw …" in labels(page) and "Decide …" not in labels(page)
    page.enter("Eve", "auditor").go("thresholds")
    assert "Proposal 1" in page.html and "Decide …" not in labels(page)
    page.enter("Ben Okafor", "arbiter").go("thresholds")
    assert "flag everything" in page.html and "Propose …" not in labels(page)
    page.press("Decide …")
    assert "three cases are all there are" in page.html
    page.press("Refuse")
    assert len(page.errors) == 1 and "needs a reason" in page.errors[0]
    page.press("Approve")
    assert page.errors == [] and "Version 1 is in force" in page.text
    assert stored(loaded_home, "SELECT set_by, approved_by, reason FROM operating_points") == [
        ("Ana Ruiz", "Ben Okafor", "flag everything")
    ]
    assert "set by Ana Ruiz, approved by Ben Okafor" in page.text
    (row,) = page.at.dataframe[0].value.to_dict("records")
    assert (row["Approved by"], row["In force"]) == ("Ben Okafor", "●")


def test_a_proposal_that_was_overtaken_says_so_and_is_not_applied(
    approving: Page, loaded_home: Path
) -> None:
    propose(approving, "first")
    page = propose(approving, "second")
    page.enter("Ben Okafor", "arbiter").go("thresholds")
    page.press_key("decide-1").press("Cancel").press_key("decide-2").press("Approve")
    assert "Waiting for a second person" not in page.html
    assert stored(loaded_home, "SELECT reason FROM operating_points") == [("second",)]
    outcomes = stored(loaded_home, "SELECT proposal_id, decision FROM proposal_decisions")
    assert sorted(outcomes) == [(1, "overtaken"), (2, "approved")]


def test_its_maker_withdraws_a_proposal(approving: Page, loaded_home: Path) -> None:
    page = propose(approving, "a mistake").press("Withdraw …").press("Withdraw")
    assert "Proposal 1 is withdrawn" in page.text
    assert stored(loaded_home, "SELECT decision FROM proposal_decisions") == [("withdrawn",)]


@pytest.fixture
def alone(
    screens: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    loaded_home: Path,
    small_gallery: Path,
) -> Page:
    environment(monkeypatch, loaded_home, small_gallery)
    return Page().enter().go("thresholds")


def test_going_back_is_confirmed_like_any_change(alone: Page, loaded_home: Path) -> None:
    assert "Go back …" not in labels(alone)
    alone.at.slider[0].set_value(alone.at.slider[0].min)
    put_in_force(alone.run(), "a trial")
    page = alone.press("Go back …")
    assert "change-override" not in [t.key for t in page.at.text_input]
    page.press("Put in force")
    assert "needs a reason" in page.errors[0]
    page.at.text_input(key="change-reason").set_value("too many alarms")
    page.press("Put in force")
    assert page.errors == []
    rows = stored(loaded_home, "SELECT version, reason, restores FROM operating_points")
    assert rows == [(1, "a trial", None), (2, "too many alarms", 0)]
    assert list(page.at.dataframe[0].value["Reason"])[0] == (
        "Back to the model’s own. too many alarms"
    )


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        assert not any(name in ("src", "href") for name, _ in attrs)  # type: ignore[attr-defined]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_change_record_holds_everything_and_nothing_from_outside(loaded: Services) -> None:
    lead = Person("ana", frozenset({"lead"}))
    first = set_threshold(loaded, lead, MODEL, 0.5, "<script>alert(1)</script>")
    set_threshold(loaded, lead, MODEL, 0.75, "still too many")
    found = loaded.governance.record(lead, MODEL)
    page = document(found, name_of, made_by="ana", made_at=datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
    parsed = _Text()
    parsed.feed(page.decode())
    text = " ".join(parsed.words)
    assert "script" not in parsed.tags and "<script>alert(1)</script>" in text
    assert "Version 2 (in force): A_ratio ≥ 0.75" in text and "Version 1: A_ratio ≥ 0.5" in text
    for event in found.events:
        assert event.hash in text
    assert first.model_hash in text and "2026-03-04 05:06:00 UTC by ana" in text
    assert "a test has few cases" in text and "0 normal, 0 abnormal cases" in text
    assert "@media print" in text
