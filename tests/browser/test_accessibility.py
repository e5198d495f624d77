"""axe-core on every screen, in both themes, with what matters of their states.

The file is in ``vendor``: the policy of the pages allows no other origin, and no test a network.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RUN = "() => axe.run(document, { resultTypes: ['violations'] })"
GRAVE = ("serious", "critical")
READY = '.ddad-viewer[data-ready="true"]'
THEMES = ("dark", "light")
ALLOWED: dict[str, str] = {}
"""Findings that Streamlit itself causes and that cannot be mended here: "rule target" -> why."""


def findings(page: Page) -> list[str]:
    """Each serious or critical finding as rule, place and reason."""
    page.wait_for_timeout(800)  # what fades in is pale until it is there
    page.evaluate(AXE)
    found = page.evaluate(RUN)["violations"]
    return [
        f"{rule['id']} {node['target']}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
        if f"{rule['id']} {node['target']}" not in ALLOWED
    ]


def in_theme(page: Page, server, theme: str) -> None:
    page.context.add_cookies([{"name": "ddad_theme", "value": theme, "url": server.url}])


def shows(page: Page, theme: str) -> None:
    """The page really is in that theme, not only said to be."""
    light = page.evaluate(
        "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    )
    assert light == {"dark": "rgb(11, 13, 16)", "light": "rgb(255, 255, 255)"}[theme]


def go(page: Page, server, screen: str) -> None:
    page.goto(f"{server.url}/{screen}")
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    page.locator("[data-testid=stMain] :is(button, .ddad-section)").first.wait_for()


ROLES = ("reader", "arbiter", "lead", "auditor", "administrator")


@pytest.mark.parametrize("theme", THEMES)
def test_no_screen_has_a_serious_finding(server, page, enter, theme):
    enter(page, server, f"Dr Axe {theme}", *ROLES)
    in_theme(page, server, theme)
    found = {}
    for screen in ("", "review", "upload", "thresholds", "export", "users", "audit", "account",
                   "help"):  # fmt: skip
        go(page, server, screen)
        shows(page, theme)
        found[screen] = findings(page)
    assert not any(found.values()), found


@pytest.mark.parametrize("theme", THEMES)
def test_a_case_its_lists_and_the_guide_have_no_serious_finding(server, page, enter, theme):
    enter(page, server, f"Dr Case {theme}", *ROLES)
    in_theme(page, server, theme)
    page.goto(server.url)
    page.get_by_role("button", name="Show me").click()
    page.locator(READY).wait_for()
    page.get_by_text("1 of 7").wait_for()
    shows(page, theme)
    found = {"with the guide": findings(page)}
    page.get_by_role("button", name="End the guide").click()
    page.get_by_role("button", name="Abnormal").click()
    page.locator('[data-testid="stBaseButton-primary"]', has_text="Abnormal").wait_for()
    found["with a verdict"] = findings(page)
    page.locator(".ddad-viewer").focus()
    page.keyboard.press("?")
    page.locator(".sheet").wait_for()
    found["keys"] = findings(page)
    assert not any(found.values()), found


@pytest.mark.parametrize("theme", THEMES)
def test_errors_and_empty_lists_have_no_serious_finding(server, page, enter, theme):
    enter(page, server, f"Dr Error {theme}", *ROLES)
    in_theme(page, server, theme)
    go(page, server, "")
    page.get_by_label("Search").fill("nothing is called this")
    page.keyboard.press("Enter")
    page.locator("button.row").first.wait_for(state="detached")
    found = {"no case": findings(page)}
    go(page, server, "account")
    for label, text in (("Present", "wrong"), ("New password", "a"), ("once more", "b")):
        page.get_by_label(re.compile(label)).first.fill(text)
    page.get_by_role("button", name="Change password").click()
    page.locator('[data-testid="stAlert"]').first.wait_for()
    found["error"] = findings(page)
    assert not any(found.values()), found


@pytest.mark.parametrize("theme", THEMES)
def test_the_gates_pages_have_no_serious_finding(server, page, theme):
    page.context.add_init_script("")  # the pages allow no script: axe comes by the debugger
    in_theme(page, server, theme)
    colors = set()
    for _ in range(2):
        page.goto(server.url)
        colors.add(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
        assert findings(page) == []
        page.get_by_label("Name").fill("nobody")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.locator("#error", has_text=re.compile(".")).wait_for()
        assert findings(page) == []
    assert colors == {{"dark": "rgb(11, 13, 16)", "light": "rgb(255, 255, 255)"}[theme]}
