"""What the AI drew: contours, colours, hiding it, the list of regions, side by side."""

import numpy as np
import pytest
from playwright.sync_api import expect

from ddad_core.overlay import color_table, map_regions
from tests.browser.viewer.viewer_page import (
    BRIGHT,
    DARK,
    HOT_VALUE,
    MAXIMUM,
    RECONSTRUCTED,
    SIZE,
    THRESHOLD,
)

INSIDE, EDGE = (187, 75), 300 * (32 - 0.5 + THRESHOLD / HOT_VALUE) / SIZE
BRIGHT_GREY = 255 * 0.75


def test_contours_lie_where_the_filled_overlay_ends(shown):
    shown.focus()
    assert shown.is_hot(*INSIDE)
    shown.press("c")
    assert not shown.is_hot(*INSIDE)
    assert shown.is_hot(EDGE, 75) and not shown.is_hot(EDGE - 3, 75)
    # Zoomed in eight times it is still one line wide, and still on the same pixels.
    shown.page.mouse.move(*shown.on_page(EDGE, 75))
    for _ in range(5):
        shown.page.mouse.wheel(0, -300)
    assert shown.view()["scale"] > 12
    assert shown.is_hot(EDGE, 75) and not shown.is_hot(EDGE - 0.5, 75)
    shown.press("r", "l")
    assert shown.is_hot(EDGE, 75) and not shown.is_hot(EDGE - 0.5, 75)
    shown.press("c", "f")
    assert shown.is_hot(*INSIDE)


def test_contours_follow_the_threshold(shown):
    shown.focus()
    shown.press("c")
    shown.page.get_by_label("Pixel threshold").fill(str(4.0))
    edge = 300 * (32 - 0.5 + 4.0 / HOT_VALUE) / SIZE
    assert shown.is_hot(edge, 75)
    shown.page.get_by_label("Pixel threshold").fill(str(6.0))
    assert not shown.is_hot(edge, 75) and not shown.is_hot(EDGE, 75)


@pytest.mark.parametrize("name", ["Viridis", "Cividis", "Magma"])
def test_colours_can_be_chosen(shown, name):
    shown.page.get_by_label("Colours").select_option(name)
    color = color_table(name)[round(255 * HOT_VALUE / MAXIMUM)].astype(float)
    assert shown.pixel(*INSIDE) == pytest.approx(0.45 * color + 0.55 * BRIGHT_GREY, abs=3)
    bar = shown.root.evaluate(
        """root => {
          const canvas = root.querySelector('.colorbar canvas');
          const context = canvas.getContext('2d');
          return [...context.getImageData(18, 12, 1, 1).data].slice(0, 3);
        }"""
    )
    assert bar == pytest.approx(color_table(name)[255].astype(float), abs=12)


def test_key_steps_through_the_colours(shown):
    shown.focus()
    seen = [tuple(shown.pixel(*INSIDE))]
    for _ in range(4):
        shown.press("Shift+C")
        seen.append(tuple(shown.pixel(*INSIDE)))
    assert len(set(seen)) == 4 and seen[0] == seen[4]


def test_holding_h_hides_everything_of_the_ai_for_as_long_as_it_is_down(shown):
    shown.focus()
    sent = len(shown.frames)
    shown.page.keyboard.down("h")
    assert shown.pixel(*INSIDE) == pytest.approx([BRIGHT_GREY] * 3, abs=1.5)
    regions = shown.page.get_by_label("Regions above the threshold")
    expect(regions).to_be_hidden()
    shown.page.keyboard.down("h")  # the key repeats
    shown.page.wait_for_timeout(500)
    assert not shown.is_hot(*INSIDE)
    shown.page.keyboard.up("h")
    assert shown.is_hot(*INSIDE)
    expect(regions).to_be_visible()
    assert len(shown.frames) == sent  # a look beneath goes on no record
    shown.page.keyboard.down("h")
    shown.page.get_by_label("Window preset").focus()
    assert shown.is_hot(*INSIDE)  # a key that is let go elsewhere hides nothing for good


def test_opacity_by_keys_is_drawn_and_reported(shown):
    shown.focus()
    shown.press(*[","] * 9)
    assert shown.pixel(*INSIDE) == pytest.approx([BRIGHT_GREY] * 3, abs=1.5)
    assert shown.reported(lambda state: state["opacity"] == 0)
    shown.press(".")
    assert shown.reported(lambda state: state["opacity"] == 0.05)


# ---- regions -------------------------------------------------------------------------------------


def rows(shown):
    return shown.page.get_by_label("Regions above the threshold").locator(".row")


def test_regions_are_listed_with_size_and_peak(shown):
    expect(rows(shown)).to_have_count(1)
    words = rows(shown).first.inner_text()
    # 256 cells of 300 / 64 x 200 / 64 pixels of 0.5 mm.
    assert "5.0 σ" in words and "256 cells" in words
    assert f"{256 * (300 * 0.5 / 64) * (200 * 0.5 / 64):.0f} mm²" in words
    shown.page.get_by_label("Pixel threshold").fill("6")
    expect(rows(shown)).to_have_count(0)


def test_clicked_region_comes_to_the_middle(shown):
    shown.page.mouse.move(*shown.on_page(20, 20))
    shown.page.mouse.wheel(0, -300)
    shown.page.get_by_role("button", name="Region 1, peak").click()
    shown.settle()
    stage = shown.canvas.bounding_box()
    middle = (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    assert shown.on_page(300 * 40 / 64, 200 * 24 / 64) == pytest.approx(middle, abs=0.5)


def test_accepted_region_is_a_box_of_the_readers_and_undo_takes_it_back(shown):
    accept = shown.page.get_by_role("button", name="Accept region 1 as a box")
    accept.click()
    (box,) = shown.reported(lambda state: state["boxes"])["boxes"]
    assert [box[name] for name in ("x", "y", "width", "height")] == pytest.approx(
        [150, 50, 75, 50], abs=0.05
    )
    expect(accept).to_have_attribute("aria-pressed", "true")
    accept.click()
    assert len(shown.boxes()) == 1
    shown.page.get_by_role("button", name="Undo").click()
    assert shown.reported(lambda state: not state["boxes"])
    expect(accept).to_have_attribute("aria-pressed", "false")


def test_rejected_region_loses_its_box_and_can_be_taken_up_again(shown):
    reject = shown.page.get_by_role("button", name="Reject region 1")
    shown.page.get_by_role("button", name="Accept region 1 as a box").click()
    shown.reported(lambda state: state["boxes"])
    reject.click()
    assert shown.reported(lambda state: not state["boxes"])
    expect(reject).to_have_attribute("aria-pressed", "true")
    shown.page.get_by_label("Pixel threshold").fill("3")  # the same region, a little smaller
    expect(reject).to_have_attribute("aria-pressed", "true")
    reject.click()
    expect(reject).to_have_attribute("aria-pressed", "false")
    shown.focus()
    shown.press("Control+z")
    expect(reject).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6, 0.75, 0.9, 0.99])
def test_regions_are_those_of_the_core(shown, threshold):
    values = np.random.default_rng(7).random((SIZE, SIZE), np.float32)
    values = (values + np.roll(values, 1, 0) + np.roll(values, 1, 1)).astype("<f4") / 3
    values = np.round(values, 2)  # so that some peaks are equal
    threshold = float(np.float32(threshold))
    found = shown.root.evaluate(
        """async (root, [values, threshold]) => {
          const map = { coarse: Float32Array.from(values), size: 64 };
          return root.__ddad.findRegions(map, threshold, { width: 64, height: 64 });
        }""",
        [values.ravel().tolist(), threshold],
    )
    expected = map_regions(values, threshold)
    assert len(found) == len(expected) > 0 if threshold < 0.95 else True
    for one, other in zip(found, expected, strict=True):
        assert one["peak"] == pytest.approx(other.peak)
        assert one["peakCell"] == other.peak_cell[0] * SIZE + other.peak_cell[1]
        assert one["cells"] == other.cells
        box = one["box"]
        assert (box["x"], box["y"]) == (other.left, other.top)
        assert (box["width"], box["height"]) == (
            other.right + 1 - other.left,
            other.bottom + 1 - other.top,
        )


# ---- side by side --------------------------------------------------------------------------------


@pytest.fixture
def compared(shown):
    shown.focus()
    shown.press("s")
    shown.page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some(e =>"
        " e.shadowRoot?.querySelector('.ddad-viewer[data-explained=\"true\"]'))"
    )
    shown.settle()
    return shown


def test_four_panes_show_image_overlay_and_what_the_modules_reconstruct(compared):
    assert [pane["kind"] for pane in compared.state("panes")] == ["image", "overlay", "a", "b"]
    assert not compared.is_hot(*INSIDE, pane=0) and compared.is_hot(*INSIDE, pane=1)
    for pane, (_, grey) in enumerate(RECONSTRUCTED.items(), 2):
        value = DARK + grey / 255 * (BRIGHT - DARK)
        expected = 255 * ((value - 2000) / 4000 + 0.5)
        assert compared.pixel(40, 100, pane) == pytest.approx([expected] * 3, abs=1.5)
    compared.press("3")  # the same window for all: black is the darkest pixel, white the brightest
    for pane, grey in enumerate(RECONSTRUCTED.values(), 2):
        assert compared.pixel(40, 100, pane) == pytest.approx([grey] * 3, abs=1.5)


def test_zoom_and_pan_are_linked(compared):
    x, y = compared.on_page(200, 120, pane=3)
    compared.page.mouse.move(x, y)
    compared.page.mouse.wheel(0, -400)
    compared.settle()
    assert compared.on_page(200, 120, pane=3) == pytest.approx((x, y), abs=0.5)
    panes = compared.state("panes")
    for i, pane in enumerate(panes):
        at = compared.on_stage(200, 120, pane=i)
        away = compared.on_stage(200, 120, pane=3)
        assert at[0] - pane["x"] == pytest.approx(away[0] - panes[3]["x"], abs=0.01)
    compared.drag((x, y), (x + 25, y + 15), button="right")
    assert compared.on_page(200, 120, pane=3) == pytest.approx((x + 25, y + 15), abs=0.5)
    assert compared.is_hot(*INSIDE, pane=1) and not compared.is_hot(*INSIDE, pane=0)


def test_box_drawn_in_any_pane_is_in_image_pixels(compared):
    compared.press("b")
    compared.drag(compared.on_page(20, 110, pane=2), compared.on_page(80, 170, pane=2))
    (box,) = compared.reported(lambda state: state["boxes"])["boxes"]
    assert [box[name] for name in ("x", "y", "width", "height")] == pytest.approx(
        [20, 110, 60, 60], abs=1.5
    )


def test_hidden_ai_hides_the_reconstructions_too(compared):
    compared.press("h")
    for pane in (1, 2, 3):
        assert not compared.is_hot(*INSIDE, pane=pane)
    assert compared.pixel(40, 60, 2) == [0, 0, 0]
    assert compared.pixel(250, 150, 0) == pytest.approx([BRIGHT_GREY] * 3, abs=1.5)


def test_reconstructions_are_asked_for_once_and_the_pixels_are_not_sent_again(compared):
    sent = len(compared.frames)
    compared.press("s", "s")
    compared.page.wait_for_timeout(300)
    assert len(compared.frames) == sent
    assert [pane["kind"] for pane in compared.state("panes")][2:] == ["a", "b"]
