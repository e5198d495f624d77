"""Another image of the patient beside the open case, others' boxes, and rejected regions."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.viewer.viewer_page import BRIGHT, DARK, EARLIER, Page

AT = """(root, [across, down]) => {
  const { beside, panes } = root.__ddad.state;
  const { width, height } = beside.view.image;
  const at = beside.view.pointToStage({ x: across * width, y: down * height });
  return [panes[1].x + at.x, panes[1].y + at.y];
}"""
PIXEL = """(canvas, at) => {
  const [x, y] = at.map((place) => Math.floor(place * window.devicePixelRatio));
  return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3);
}"""


@pytest.fixture
def several(shown):
    """The plain image with another one of the patient, another reader's box and a rejection."""
    shown.page.get_by_text("More on record").click()
    shown.page.get_by_label("Compare with").wait_for()
    return shown


@pytest.fixture
def beside(several):
    several.page.get_by_label("Compare with").select_option(label="Earlier PA")
    several.reported(lambda state: state["beside"] == 9)
    several.page.wait_for_function(
        "() => document.querySelector('.ddad-viewer')?.__ddad.state.beside"
        " || [...document.querySelectorAll('*')].some("
        "(e) => e.shadowRoot?.querySelector('.ddad-viewer')?.__ddad.state.beside)"
    )
    several.settle()
    return several


def other_pixel(shown, across, down):
    """RGB in the pane of the other image, at a place given as parts of its size."""
    shown.settle()
    return shown.canvas.evaluate(PIXEL, shown.root.evaluate(AT, [across, down]))


def grey(value, center, width):
    return 255 * min(max((value - center) / width + 0.5, 0), 1)


def place_of_middles(shown):
    """What each pane has in its middle and how far it is zoomed, as parts of image and fit."""
    return shown.root.evaluate(
        """(root) => [root.__ddad.state.view, root.__ddad.state.beside.view].map((view) => {
          const { width, height } = view.stage;
          const at = view.toImage(width / 2, height / 2);
          return [at.x / view.image.width, at.y / view.image.height, view.scale / view.fitScale()];
        })"""
    )


def test_other_image_is_sent_on_demand_and_windowed_as_its_own(several, beside):
    assert [pane["kind"] for pane in beside.state("panes")] == ["overlay", "beside"]
    for down, value in ((0.2, EARLIER["low"]), (0.8, EARLIER["high"])):
        assert other_pixel(beside, 0.5, down) == pytest.approx([grey(value, 400, 1000)] * 3, abs=1)
    for x, value in ((30, DARK), (280, BRIGHT)):
        assert beside.pixel(x, 180) == pytest.approx([grey(value, 2000, 4000)] * 3, abs=1)
    # The map is the open case's: its hot square is on the left only.
    assert beside.is_hot(190, 75)
    assert np.ptp(other_pixel(beside, 190 / 300, 75 / 200)) == 0


def test_nothing_of_the_other_image_is_there_before_it_is_asked_for_or_after(several):
    assert several.state("beside") is None and len(several.state("panes")) == 1
    several.focus()
    several.press("y")
    several.reported(lambda state: state["beside"] == 9)
    several.press("y")
    several.reported(lambda state: state["beside"] == 0)
    expect(several.page.get_by_label("Compare with")).to_have_value("0")
    several.page.wait_for_timeout(300)
    assert several.state("beside") is None and len(several.state("panes")) == 1


def test_a_drag_windows_the_pane_it_is_in(beside):
    start = beside.on_page(60, 150)
    beside.drag(start, (start[0] + 60, start[1]))
    changed = beside.state("window")["width"]
    assert changed == pytest.approx(4000 * np.exp(60 / 350), rel=0.02)
    assert other_pixel(beside, 0.5, 0.2) == pytest.approx([grey(100, 400, 1000)] * 3, abs=1)
    corner = beside.canvas.bounding_box()
    at = beside.root.evaluate(AT, [0.3, 0.3])
    start = (corner["x"] + at[0], corner["y"] + at[1])
    beside.drag(start, (start[0] + 70, start[1]))
    width = 1000 * np.exp(70 / 350)
    assert other_pixel(beside, 0.5, 0.2) == pytest.approx([grey(100, 400, width)] * 3, abs=2)
    assert beside.state("window")["width"] == changed
    beside.focus()
    beside.press("0")
    assert other_pixel(beside, 0.5, 0.2) == pytest.approx([grey(100, 400, 1000)] * 3, abs=1)


def test_zoom_and_pan_in_either_pane_show_the_same_place_of_both(beside):
    corner = beside.canvas.bounding_box()
    for across, down, turn in ((0.3, 0.6, -500), (0.55, 0.45, -300)):
        at = beside.root.evaluate(AT, [across, down])
        beside.page.mouse.move(corner["x"] + at[0], corner["y"] + at[1])
        beside.page.mouse.wheel(0, turn)
        beside.settle()
        mine, other = place_of_middles(beside)
        assert other == pytest.approx(mine, rel=1e-6) and mine[2] > 1.5
    start = beside.on_page(150, 100)
    beside.drag(start, (start[0] - 40, start[1] + 25), button="right")
    mine, other = place_of_middles(beside)
    assert other == pytest.approx(mine, rel=1e-6)
    # The edge between dark and bright stays on its pixel rows.
    dark, bright = (other_pixel(beside, mine[0], 0.5 + step) for step in (-0.01, 0.01))
    assert dark == pytest.approx([grey(100, 400, 1000)] * 3, abs=2)
    assert bright == pytest.approx([grey(700, 400, 1000)] * 3, abs=2)
    beside.focus()
    beside.press("r")
    mine, other = place_of_middles(beside)
    assert other == pytest.approx(mine, rel=1e-6)
    assert beside.state("beside")["view"]["turns"] == 1


def test_nothing_is_marked_on_the_other_image(beside):
    beside.focus()
    beside.press("b")
    corner = beside.canvas.bounding_box()
    start, end = (beside.root.evaluate(AT, at) for at in ([0.3, 0.3], [0.6, 0.6]))
    beside.drag(
        (corner["x"] + start[0], corner["y"] + start[1]),
        (corner["x"] + end[0], corner["y"] + end[1]),
    )
    assert beside.boxes() == []
    beside.focus()
    beside.press("f")
    beside.draw_box(40, 40, 90, 90)
    assert beside.boxes() == [pytest.approx([40, 40, 50, 50], abs=1.5)]


def test_side_by_side_with_reconstructions_takes_the_place_of_the_other_image(beside):
    beside.focus()
    beside.press("s")
    assert [pane["kind"] for pane in beside.state("panes")] == ["image", "overlay", "a", "b"]
    beside.reported(lambda state: state["beside"] == 0)


# ---- others' boxes -------------------------------------------------------------------------------


def test_others_boxes_are_shown_on_request_in_their_own_colour_and_stay_as_they_are(several):
    edge = [several.pixel(30 + step, 120) for step in range(4, 40)]
    assert max(np.ptp(color) for color in edge) == 0
    several.page.get_by_role("button", name="Show other readers' boxes").click()
    several.settle()
    edge = np.array([several.pixel(30 + step, 120) for step in range(4, 40)])
    # Violet where the dashes are: much blue, little green.
    assert (edge[:, 2] - edge[:, 1]).max() > 40
    several.page.mouse.click(*several.on_page(60, 140))
    several.focus()
    several.press("Delete")
    assert several.state("selected") == -1 and several.boxes() == []
    assert len(several.root.evaluate("(root) => root.__ddad.state.boxes")) == 0
    several.press("q")
    assert several.state("othersShown") is False
    assert max(np.ptp(several.pixel(30 + step, 120)) for step in range(4, 40)) == 0


# ---- rejected regions ----------------------------------------------------------------------------


def test_a_rejected_region_is_reported_with_its_box_in_image_pixels(shown):
    shown.page.get_by_role("button", name="Reject region 1").click()
    (one,) = shown.reported(lambda state: state["rejected"])["rejected"]
    assert (one["map_name"], one["pixel_threshold"], one["peak"]) == ("inter", 2.0, 5.0)
    assert [one[side] for side in ("x", "y", "width", "height")] == [150, 50, 75, 50]
    assert (one["peak_x"], one["peak_y"]) == pytest.approx((32.5 * 300 / 64, 16.5 * 200 / 64))
    shown.page.get_by_role("button", name="Reject region 1").click()
    assert shown.reported(lambda state: not state["rejected"])


def test_what_was_rejected_before_is_shown_again_and_may_be_taken_up(server, context):
    page = context.new_page()
    shown = Page(page)
    shown.open(server)
    page.get_by_text("More on record").click()
    page.get_by_label("Compare with").wait_for()
    # Another image and back: the viewer then starts from what the server says.
    page.get_by_text("Other image", exact=True).click()
    shown.wait_for_image(2)
    page.get_by_text("Other image", exact=True).click()
    shown.wait_for_image(1)
    reject = page.get_by_role("button", name="Reject region 1")
    expect(reject).to_have_attribute("aria-pressed", "true")
    (one,) = shown.reported(lambda state: state["rejected"])["rejected"]
    assert one["map_name"] == "inter"
    reject.click()
    assert shown.reported(lambda state: not state["rejected"])
    page.close()
