"""Boxes: named, resized by their handles, undone, and all of it by keyboard, turned or not."""

import pytest
from playwright.sync_api import expect

from app.services.read_draft import FINDINGS


def drawn(shown, *corners):
    """Draw a box and wait until the server has it."""
    count = len(shown.boxes())
    shown.draw_box(*corners)
    shown.reported(lambda state: len(state["boxes"]) == count + 1)


def numbers(box):
    return [box[name] for name in ("x", "y", "width", "height")]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((80, 170), (100, 180), [20, 110, 80, 70]),  # lower right corner
        ((20, 110), (30, 120), [30, 120, 50, 50]),  # upper left corner
        ((80, 140), (95, 160), [20, 110, 75, 60]),  # right side: its height stays
        ((50, 110), (70, 90), [20, 90, 60, 80]),  # upper side: its width stays
        ((80, 140), (5, 140), [5, 110, 15, 60]),  # pulled past the other side
        ((80, 170), (330, 230), [20, 110, 280, 90]),  # cut at the image
    ],
)
def test_handles_resize(shown, start, end, expected):
    drawn(shown, 20, 110, 80, 170)
    exact = shown.boxes()[0]
    shown.drag(shown.on_page(*start), shown.on_page(*end))
    (box,) = shown.reported(lambda state: numbers(state["boxes"][0]) != exact)["boxes"]
    assert numbers(box) == pytest.approx(expected, abs=1)


def test_box_on_a_turned_image_is_in_image_coordinates(shown):
    shown.focus()
    shown.press("r")
    drawn(shown, 20, 110, 80, 170)
    assert shown.boxes()[0] == pytest.approx([20, 110, 60, 60], abs=1)
    # Turned clockwise, the image's lower left corner is the upper left one on the screen.
    shown.drag(shown.on_page(20, 170), shown.on_page(10, 190))
    (box,) = shown.reported(lambda state: state["boxes"][0]["x"] < 15)["boxes"]
    assert numbers(box) == pytest.approx([10, 110, 70, 80], abs=1)
    shown.press("Shift+R", "l")
    green = shown.pixel(10, 130)
    assert green[1] > green[0] + 40  # its side is drawn where it belongs


def test_box_is_given_a_finding(shown):
    drawn(shown, 20, 110, 80, 170)
    shown.page.get_by_label("Finding of box 1").select_option("Pneumothorax")
    (box,) = shown.reported(lambda state: state["boxes"][0]["label"])["boxes"]
    assert box["label"] == "Pneumothorax"
    options = shown.page.get_by_label("Finding of box 1").locator("option").all_inner_texts()
    assert options == ["No finding named", *FINDINGS]
    # Moved and resized, it keeps its name.
    shown.drag(shown.on_page(80, 170), shown.on_page(100, 180))
    (box,) = shown.reported(lambda state: state["boxes"][0]["width"] > 70)["boxes"]
    assert box["label"] == "Pneumothorax"


def test_finding_is_chosen_by_keys(shown):
    drawn(shown, 20, 110, 80, 170)
    shown.focus()
    shown.press("Enter")
    expect(shown.page.get_by_label("Finding of box 1")).to_be_focused()
    shown.press("N")  # the list's own type-ahead
    assert shown.reported(lambda state: state["boxes"][0]["label"] == "Nodule or mass")


def test_undo_and_redo_walk_through_every_change(shown):
    drawn(shown, 20, 110, 80, 170)
    drawn(shown, 100, 110, 140, 170)
    shown.page.get_by_label("Finding of box 2").select_option("Atelectasis")
    shown.focus()
    shown.press("Escape", "Tab", "Tab", "Delete")
    steps = [shown.boxes()]
    for _ in range(4):
        shown.press("Control+z")
        steps.append(shown.boxes())
    assert [len(boxes) for boxes in steps] == [1, 2, 2, 1, 0]
    expect(shown.page.get_by_role("button", name="Undo")).to_be_disabled()
    shown.press("Control+y", "Control+Shift+z", "Control+y")
    assert shown.boxes() == steps[1]
    assert shown.state("boxes")[1]["label"] == "Atelectasis"
    assert shown.reported(lambda state: len(state["boxes"]) == 2)
    drawn(shown, 200, 110, 240, 170)  # a new change: what was undone is gone
    expect(shown.page.get_by_role("button", name="Redo")).to_be_disabled()


def test_boxes_are_made_moved_resized_and_deleted_by_keys(shown):
    shown.focus()
    shown.press("b", "Enter")
    first = shown.reported(lambda state: state["boxes"])["boxes"][0]
    assert first["x"] + first["width"] / 2 == pytest.approx(150, abs=1)
    step = 2 / shown.view()["scale"]
    shown.press(*["ArrowRight"] * 10, *["ArrowUp"] * 5)
    moved = shown.reported(lambda state: state["boxes"][0]["x"] > first["x"])["boxes"][0]
    assert moved["x"] - first["x"] == pytest.approx(10 * step, abs=0.6)
    assert moved["y"] - first["y"] == pytest.approx(-5 * step, abs=0.6)
    assert moved["width"] == first["width"]
    shown.page.wait_for_timeout(1100)  # a pause: what follows is a move of its own
    shown.press(*["Shift+ArrowRight"] * 10, *["Shift+ArrowUp"] * 5)
    resized = shown.reported(lambda state: state["boxes"][0]["width"] > moved["width"])["boxes"][0]
    assert resized["width"] - moved["width"] == pytest.approx(10 * step, abs=0.6)
    assert resized["height"] - moved["height"] == pytest.approx(-5 * step, abs=0.6)
    assert (resized["x"], resized["y"]) == pytest.approx((moved["x"], moved["y"]), abs=0.01)
    shown.press("Control+z")  # a run of keys is one move
    assert shown.boxes()[0] == numbers(moved)
    shown.press("Tab", "Delete")
    assert shown.reported(lambda state: not state["boxes"])


def test_tab_goes_from_box_to_box_and_then_on(shown):
    drawn(shown, 20, 110, 80, 170)
    drawn(shown, 100, 110, 140, 170)
    shown.focus()
    shown.press("Escape")
    seen = []
    for _ in range(2):
        shown.press("Tab")
        seen.append(shown.state("selected"))
    assert seen == [0, 1]
    focused = "root => root.getRootNode().activeElement === root"
    assert shown.root.evaluate(focused)
    shown.press("Tab")
    assert shown.state("selected") == -1 and not shown.root.evaluate(focused)
    shown.focus()
    shown.press("Shift+Tab")
    assert shown.state("selected") == 1


def test_list_selects_and_deletes(shown):
    drawn(shown, 20, 110, 80, 170)
    drawn(shown, 100, 110, 140, 170)
    boxes = shown.page.get_by_label("Your boxes")
    assert "30.0 × 30.0 mm" in boxes.locator(".row").first.inner_text().replace("29.9", "30.0")
    boxes.locator(".row b").first.click()
    assert shown.state("selected") == 0
    shown.page.get_by_role("button", name="Delete box 2").click()
    (box,) = shown.reported(lambda state: len(state["boxes"]) == 1)["boxes"]
    assert box["x"] == pytest.approx(20, abs=1)


def test_a_last_key_is_reported_when_the_focus_leaves(shown):
    drawn(shown, 20, 110, 80, 170)
    before = shown.boxes()[0][0]
    sent = len(shown.frames)
    shown.press("ArrowRight")
    shown.page.evaluate("document.activeElement.blur()")
    shown.page.wait_for_timeout(120)  # less than a run of keys is waited for
    assert len(shown.frames) > sent
    assert shown.reported(lambda state: state["boxes"][0]["x"] > before)
