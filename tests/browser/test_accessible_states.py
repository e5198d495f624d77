"""axe-core where screens are not at rest: dialogs, menus, errors, the pages of a first start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Server, make_gallery
from tests.browser.test_accessibility import (
    READY,
    ROLES,
    THEMES,
    findings,
    go,
    in_theme,
    shows,
)


def idle(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


@pytest.mark.parametrize("theme", THEMES)
def test_the_worklists_menus_and_dialogs_have_no_serious_finding(server, page, enter, theme):
    enter(page, server, f"Dr Menu {theme}", *ROLES)
    in_theme(page, server, theme)
    go(page, server, "")
    shows(page, theme)
    found = {}
    for name in ("Filters", "Views"):
        page.get_by_role("button", name=name).first.click()
        page.locator('[data-testid="stPopoverBody"]').wait_for()
        found[name] = findings(page)
        page.keyboard.press("Escape")
        page.locator('[data-testid="stPopoverBody"]').wait_for(state="detached")
    page.get_by_label("Mark NIH").first.check()
    page.get_by_role("button", name="Assign 1", exact=True).click()
    page.get_by_role("dialog").wait_for()
    found["assign"] = findings(page)
    page.get_by_role("tab", name="Take back").click()
    found["take back"] = findings(page)
    assert not any(found.values()), found


@pytest.mark.parametrize("theme", THEMES)
def test_each_part_of_the_thresholds_and_their_dialog_have_no_serious_finding(
    server, page, enter, theme
):
    enter(page, server, f"Dr Parts {theme}", *ROLES)
    in_theme(page, server, theme)
    go(page, server, "thresholds")
    shows(page, theme)
    page.get_by_role("radio", name="Reference labels").click()
    found = {}
    for part in ("Curves", "Calibration", "Readers", "Missed cases", "Levels of maps"):
        page.get_by_role("radio", name=part).click()
        idle(page)
        found[part] = findings(page)
    page.get_by_role("button", name="Which reads count").click()
    page.locator('[data-testid="stPopoverBody"]').wait_for()
    found["which reads"] = findings(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("^Put in force")).click()
    page.get_by_role("dialog").wait_for()
    found["put in force"] = findings(page)
    page.get_by_role("dialog").get_by_role("button", name="Put in force").click()
    page.get_by_role("dialog").locator('[data-testid="stAlert"]').wait_for()
    found["refused"] = findings(page)
    assert not any(found.values()), found


@pytest.mark.parametrize("theme", THEMES)
def test_monitoring_has_no_serious_finding(server, page, enter, theme):
    enter(page, server, f"Dr Months {theme}", *ROLES)
    in_theme(page, server, theme)
    go(page, server, "monitoring")
    shows(page, theme)
    found = {}
    for part in ("Scores and flags", "Reads and files", "Scanners and views"):
        page.get_by_role("tab", name=part).click()
        found[part] = findings(page)
    for part in ("The rules", "Performance report"):
        page.get_by_text(part, exact=True).click()
    found["unfolded"] = findings(page)
    assert not any(found.values()), found


@pytest.mark.parametrize("theme", THEMES)
def test_refused_files_have_no_serious_finding(server, page, enter, theme):
    enter(page, server, f"Dr Files {theme}", *ROLES)
    in_theme(page, server, theme)
    go(page, server, "upload")
    shows(page, theme)
    page.locator('input[type="file"]').first.set_input_files(
        [{"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture at all"}]
    )
    page.get_by_text("notes.png").last.wait_for()
    page.get_by_text(re.compile("refused|Refused|not a")).first.wait_for()
    idle(page)
    assert findings(page) == []


@pytest.mark.parametrize("theme", THEMES)
def test_the_case_page_and_who_else_has_it_open_have_no_serious_finding(
    server, page, browser: Browser, enter, theme
):
    enter(page, server, f"Dr First {theme}", "reader")
    other = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    try:
        enter(other, server, f"Dr Second {theme}", *ROLES)
        in_theme(other, server, theme)
        page.locator("button.row").first.click()
        page.locator(READY).wait_for()
        other.goto(server.url)
        other.locator("button.row").first.click()
        other.locator(".ddad-presence").wait_for()
        shows(other, theme)
        found = {"presence": findings(other)}
        for part in ("Reads", "Image", "Scores"):
            other.get_by_role("tab", name=part).click()
            found[part] = findings(other)
        assert not any(found.values()), found
    finally:
        other.context.close()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Server]:
    """A server on an empty home."""
    found = Server(tmp_path / "home", make_gallery(tmp_path / "gallery", 1))
    found.start()
    yield found
    found.stop()


@pytest.mark.parametrize("theme", THEMES)
def test_a_first_start_and_signing_out_have_no_serious_finding(bare, page, theme):
    in_theme(page, bare, theme)
    page.goto(bare.url)
    page.get_by_label("Name to sign in with").wait_for()
    found = {"first account": findings(page)}
    page.get_by_label("Name to sign in with").fill("ana")
    page.get_by_label("Full name").fill("Ana Ruiz")
    page.get_by_label("Password", exact=True).fill("password1234")
    page.get_by_label("Password once more").fill("password1234")
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("alert").wait_for()
    found["refused"] = findings(page)
    page.goto(f"{bare.url}/gate/sign-out")
    page.locator("h1").first.wait_for()
    found["sign-out"] = findings(page)
    assert not any(found.values()), found
