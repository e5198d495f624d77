"""The slider in a real browser: only its part of the page runs, and the cases open."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect


def tile(page: Page, name: str) -> str:
    found = page.locator(".ddad-figure", has_text=re.compile(f"^{name}")).locator("b")
    return str(found.inner_text())


def test_slider_moves_numbers_and_cases_and_a_case_opens(server, page: Page, enter) -> None:
    enter(page, server, "Dr Threshold")
    page.get_by_role("link", name="Thresholds", exact=True).first.click()
    page.get_by_text("Reference labels that came with the gallery").click()
    page.get_by_text("4 labelled cases: labels that came with the images").wait_for()
    slider = page.get_by_role("slider").first
    slider.focus()
    page.keyboard.press("Home")
    flagged = page.locator(".ddad-figure", has_text=re.compile("^Flagged")).locator("b")
    expect(flagged).to_have_text("4 of 4")
    assert tile(page, "Sensitivity") == "1.00"
    on = page.get_by_text("newly flagged against the threshold in force")
    expect(on).to_be_visible()
    newly = int(on.inner_text().split()[0])
    expect(page.locator("button.case")).to_have_count(newly)
    page.keyboard.press("End")
    expect(flagged).to_have_text("0 of 4")
    off = page.get_by_text("flagged no more against the threshold in force")
    expect(off).to_be_visible()
    expect(page.locator("button.case")).to_have_count(4 - newly)
    pictures = page.locator("button.case img").evaluate_all(
        "all => all.map((one) => one.complete && one.naturalWidth > 20)"
    )
    assert pictures == [True] * (4 - newly)
    case = page.locator("button.case").first
    number = case.get_attribute("data-case")
    case.click()
    page.wait_for_url(re.compile("/review"))
    root = page.locator('.ddad-viewer[data-ready="true"]:visible')
    root.wait_for()
    assert root.get_attribute("data-image-id") == number
