"""Two readers at once, each in a browser of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

READY = '.ddad-viewer[data-ready="true"]'


@pytest.fixture
def other(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    found = context.new_page()
    found.set_default_timeout(20_000)
    yield found
    context.close()


def open_row(page: Page, place: int) -> str:
    row = page.locator("button.row").nth(place)
    label = row.locator(".name b").inner_text()
    row.click()
    page.locator(READY).wait_for()
    page.locator(".ddad-title", has_text=label).wait_for()
    return label


def to_worklist(page: Page) -> None:
    page.get_by_role("link", name="Worklist").first.click()
    page.get_by_role("button", name="Start reading").wait_for()


def test_a_case_that_another_has_open_is_told_and_passed_over(server, page, other, enter):
    enter(page, server, "Dr Anna", "reader")
    enter(other, server, "Dr Bert", "reader")
    first = open_row(page, 0)

    to_worklist(other)  # drawn anew
    other.reload()
    other.get_by_role("button", name="Start reading").wait_for()
    expect(other.locator("button.row", has_text=first)).to_contain_text("Open: Dr Anna")
    assert open_row(other, 0) == first
    told = other.locator(".ddad-presence")
    expect(told).to_contain_text("Dr Anna just opened this case")
    assert page.locator(".ddad-presence").count() == 0  # who was first is left in peace

    other.get_by_role("button", name="Next free case").click()
    expect(other.locator(".ddad-title")).not_to_contain_text(first)
    expect(told).to_have_count(0)
    second = other.locator(".ddad-title").inner_text()

    # The one that was first steps on: over the case that the other has open by now.
    page.locator(".st-key-step-next button").first.click()
    expect(page.locator(".ddad-title")).not_to_contain_text(first)
    expect(page.locator(".ddad-title")).not_to_contain_text(second)

    to_worklist(other)
    other.get_by_role("button", name="Start reading").click()
    expect(other.locator(".ddad-title")).to_contain_text(first)  # free again

    to_worklist(page)  # leaves
    to_worklist(other)
    for place in range(3):
        open_row(other, place)
        other.wait_for_timeout(500)
        assert other.locator(".ddad-presence").count() == 0
        to_worklist(other)


def test_signing_out_leaves_the_case(server, page, other, enter):
    enter(page, server, "Dr Anna", "reader")
    first = open_row(page, 0)
    enter(other, server, "Dr Bert", "reader")
    expect(other.locator("button.row", has_text=first)).to_contain_text("Open: Dr Anna")
    page.get_by_role("link", name="Sign out").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Password").wait_for()
    other.reload()
    row = other.locator("button.row", has_text=first)
    row.wait_for()
    expect(row).not_to_contain_text("Open:")


def test_a_lead_marks_cases_and_their_reader_finds_them(server, page, other, enter):
    server.add_user("Dr Cora", "reader")
    enter(page, server, "Dr Lead", "lead")
    page.get_by_label("Mark all cases of this page").wait_for()
    marks = page.locator('.line[role="listitem"] input.mark')
    labels = []
    for place in (1, 2):
        marks.nth(place).check()
        labels.append(page.locator("button.row .name b").nth(place).inner_text())
    page.get_by_role("button", name="Assign 2", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Readers").click()
    page.keyboard.type("Cora")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    dialog.get_by_role("button", name="Assign 2 cases").click()
    page.get_by_text("2 cases assigned: Dr Cora 2.").wait_for()
    expect(page.locator("button.row", has_text=labels[0])).to_contain_text("Dr Cora")
    expect(page.get_by_role("button", name="Assign", exact=True)).to_be_visible()  # none marked
    expect(page.locator("input.mark:checked")).to_have_count(0)

    enter(other, server, "Dr Cora", "reader")
    other.get_by_test_id("stButtonGroup").get_by_text("Mine", exact=True).click()
    expect(other.locator("button.row")).to_have_count(2)
    expect(other.get_by_text("left of mine")).to_contain_text("2 left of mine")
    open_row(other, 0)
    to_worklist(other)  # the filter is still there
    expect(other.locator("button.row")).to_have_count(2)


def test_a_view_is_saved_chosen_and_deleted(server, page, enter):
    enter(page, server, "Dr Views", "reader")
    page.get_by_test_id("stButtonGroup").get_by_text("Warnings", exact=True).click()
    page.get_by_role("button", name="Views").click()
    page.get_by_label("Save what is shown now as").fill("Morning")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save view").click()
    page.get_by_text("View “Morning” saved.").wait_for()
    warned = page.locator("button.row").count()
    page.reload()
    page.get_by_role("button", name="Start reading").wait_for()
    expect(page.locator("button.row")).to_have_count(4)
    page.get_by_role("button", name="Views").click()
    page.get_by_role("button", name="Morning").click()
    expect(page.locator("button.row")).to_have_count(warned)
    assert warned < 4
    page.locator('[class*="st-key-view-change-"] button').first.click()
    dialog = page.get_by_role("dialog")
    delete = dialog.get_by_role("button", name="Delete", exact=True)
    expect(delete).to_be_disabled()
    dialog.get_by_text("Delete it").click()
    delete.click()
    page.get_by_text("View “Morning” deleted.").wait_for()
