"""A change asked for in the part of the page that follows the slider, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect


def test_a_change_is_asked_for_and_put_in_force_beside_the_slider(
    server, page: Page, enter
) -> None:
    enter(page, server, "Dr Change")
    page.get_by_role("link", name="Thresholds", exact=True).first.click()
    slider = page.get_by_role("slider").first
    slider.focus()
    page.keyboard.press("Home")
    flagged = page.locator(".ddad-figure", has_text=re.compile("^Flagged")).locator("b").first
    expect(flagged).to_have_text("4 of 4", timeout=20_000)
    page.get_by_role("button", name=re.compile("^Put in force …")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason", exact=True).fill("a trial")
    dialog.get_by_label("Reason to change it on so few cases").fill("no more cases")
    dialog.get_by_role("button", name="Put in force", exact=True).click()
    expect(page.get_by_text("version 1, set by Dr Change")).to_be_visible(timeout=20_000)
    expect(dialog).to_have_count(0)
