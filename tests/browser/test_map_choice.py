"""Choosing a refined or calibrated map in the whole app: on the canvas, in the read, next case."""

from __future__ import annotations

import json
import zipfile

from playwright.sync_api import Page, expect

from tests.browser.conftest import make_export
from tests.eight_maps import DEFAULT_MAP, SQUARE, make_map

READY = '.ddad-viewer[data-ready="true"]'
SIDE = 64
COLOUR = """(root, places) => {
  const rect = root.__ddad.state.view.imageRect();
  const context = root.querySelector('canvas.picture').getContext('2d');
  return places.map(([across, down]) => {
    const x = (rect.x + across * rect.width) * window.devicePixelRatio;
    const y = (rect.y + down * rect.height) * window.devicePixelRatio;
    const [red, , blue] = context.getImageData(Math.round(x), Math.round(y), 1, 1).data;
    return Math.abs(red - blue);
  });
}"""
MADE_UP = ("c_inter", "c_intra", "c_rec", "r_dual", "r_intra")


def middle(name: str) -> list[float]:
    """Middle of the map's square as a fraction of the image's width and height."""
    at = int(make_map(name, SIDE).argmax())
    return [(at % SIDE + SQUARE / 2) / SIDE, (at // SIDE + SQUARE / 2) / SIDE]


def painted(page: Page) -> list[str]:
    """Which of the made-up maps' squares are painted on the canvas (the image itself is grey)."""
    page.wait_for_timeout(80)  # a frame
    found = page.locator(".ddad-viewer").evaluate(COLOUR, [middle(name) for name in MADE_UP])
    return [name for name, difference in zip(MADE_UP, found, strict=True) if difference > 24]


def choose(page: Page, title: str) -> None:
    page.get_by_role("combobox", name="Map", exact=True).click()
    page.get_by_role("option", name=title, exact=True).click()


def test_a_chosen_map_is_painted_stored_and_kept_for_the_next_case(eight_map_server, page, enter):
    enter(page, eight_map_server)
    page.locator("button.row").first.click()
    viewer = page.locator(READY)
    viewer.wait_for()
    assert painted(page) == [DEFAULT_MAP]
    choose(page, "R_dual")
    assert painted(page) == ["r_dual"]
    choose(page, "A_intra by place")
    assert painted(page) == ["c_intra"]
    viewer.focus()
    for expected in ([], ["c_rec"], ["r_dual"], ["r_intra"]):  # A_rec has no square of its own
        page.keyboard.press("m")
        if expected:
            assert painted(page) == expected

    case = viewer.get_attribute("data-image-id")
    page.get_by_role("button", name="Normal Shortcut N").click()
    page.locator('[data-testid="stBaseButton-primary"]', has_text="Normal").wait_for()
    page.get_by_role("button", name="Save and next").click()
    page.locator(f'{READY}:not([data-image-id="{case}"])').wait_for()
    expect(page.locator(".ddad-viewer")).to_have_count(1)
    assert painted(page) == ["r_intra"]
    page.get_by_role("button", name="Abnormal Shortcut A").click()
    page.get_by_role("button", name="Save Shortcut Ctrl + S").click()
    page.get_by_text("Saved as abnormal").wait_for()
    assert painted(page) == ["r_intra"]

    page.get_by_role("link", name="Export").first.click()
    with zipfile.ZipFile(make_export(page).path()) as made:
        reads, scores = (
            [json.loads(line) for line in made.read(f"{table}.jsonl").splitlines()]
            for table in ("reads", "scores")
        )
    kept = [(read["verdict"], read["map"], read["pixel_threshold"]) for read in reads]
    assert kept == [("normal", "r_intra", 0.5), ("abnormal", "r_intra", 0.5)]
    assert {score["score_name"] for score in scores} == {"r_dual"}


def test_threshold_set_by_hand_outlives_saving(eight_map_server, page, enter):
    enter(page, eight_map_server, "Dr Threshold")
    page.locator("button.row").first.click()
    viewer = page.locator(READY)
    viewer.wait_for()
    choose(page, "R_dual")
    viewer.focus()
    for _ in range(5):
        page.keyboard.press("]")
    page.wait_for_timeout(600)  # the report waits for the last of a run of keys
    page.get_by_role("button", name="Normal Shortcut N").click()
    page.get_by_role("button", name="Save Shortcut Ctrl + S").click()
    page.get_by_text("Saved as normal").wait_for()
    page.wait_for_timeout(300)
    assert (viewer.get_attribute("data-map"), viewer.get_attribute("data-threshold")) == (
        "r_dual",
        "0.55",
    )
