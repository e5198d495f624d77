"""How the image is looked at: orientation, zoom, magnifier, ruler, presets, dense screens."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.viewer.viewer_page import BRIGHT, DARK, Page

# Image positions of the plain image (300 x 200): in the hot square, dark, bright.
HOT_AT, DARK_AT, BRIGHT_AT = (187, 75), (40, 150), (250, 150)
GREY = {name: 255 * ((value - 2000) / 4000 + 0.5) for name, value in (("d", DARK), ("b", BRIGHT))}


def assert_everything_lies_where_it_belongs(shown):
    """The picture and the map under the same image coordinates, whichever way it is turned."""
    assert shown.pixel(*DARK_AT) == pytest.approx([GREY["d"]] * 3, abs=1.5)
    assert shown.pixel(*BRIGHT_AT) == pytest.approx([GREY["b"]] * 3, abs=1.5)
    assert shown.is_hot(*HOT_AT)
    # The hot square of the map is rows 16 to 31 and columns 32 to 47 of 64; its mirror images
    # and its turned ones are cold.
    for x, y in ((300 - 187, 75), (187, 200 - 75), (300 - 187, 200 - 75)):
        assert not shown.is_hot(x, y)


@pytest.mark.parametrize(
    ("keys", "turned", "corner"),
    [
        ("r", True, "ne"),
        ("rr", False, "se"),
        ("Rrrr", False, "se"),
        ("R", True, "sw"),
        ("l", False, "ne"),
        ("L", False, "sw"),
        ("rl", True, "nw"),
        ("lr", True, "se"),
        ("rL", True, "se"),
    ],
)
def test_rotating_and_flipping_turn_image_and_map_alike(shown, keys, turned, corner):
    shown.focus()
    shown.press(*(f"Shift+{key}" if key.isupper() else key for key in keys))
    left, top = shown.on_stage(0, 0)
    right, bottom = shown.on_stage(300, 200)
    assert (abs(right - left) < abs(bottom - top)) is turned
    assert ("n" if top < bottom else "s") + ("w" if left < right else "e") == corner
    assert_everything_lies_where_it_belongs(shown)


def test_turned_image_stays_on_its_pixels_through_zoom_and_pan(shown):
    shown.focus()
    shown.press("r", "l")
    x, y = shown.on_page(187, 75)
    shown.page.mouse.move(x, y)
    shown.page.mouse.wheel(0, -250)
    shown.settle()
    assert shown.on_page(187, 75) == pytest.approx((x, y), abs=0.5)
    shown.drag((x, y), (x + 30, y - 20), button="right")
    assert shown.on_page(187, 75) == pytest.approx((x + 30, y - 20), abs=0.5)
    assert shown.is_hot(187, 75)
    assert not shown.is_hot(187, 35)


def test_turning_tells_the_server_nothing_and_reset_undoes_it(shown):
    before, sent = shown.view(), len(shown.frames)
    shown.focus()
    shown.press("r", "l", "i")
    assert "Rotated 90°" in shown.readout() or "Rotated 270°" in shown.readout()
    shown.press("0")
    assert shown.view() == before and len(shown.frames) == sent
    assert_everything_lies_where_it_belongs(shown)


def test_rotating_keeps_the_middle_of_what_is_seen(shown):
    shown.page.mouse.move(*shown.on_page(60, 150))
    shown.page.mouse.wheel(0, -300)
    shown.settle()
    middle = """root => {
      const { view } = root.__ddad.state;
      return view.toImage(view.stage.width / 2, view.stage.height / 2);
    }"""
    before = shown.root.evaluate(middle)
    shown.focus()
    shown.press("r")
    after = shown.root.evaluate(middle)
    assert (after["x"], after["y"]) == pytest.approx((before["x"], before["y"]), abs=0.01)


def test_one_to_one_puts_a_pixel_on_a_pixel_and_double_click_fits_again(shown):
    fitted = shown.view()
    shown.focus()
    shown.press("o")
    assert shown.view()["scale"] == 1 and "Zoom 100 %" in shown.readout()
    shown.page.mouse.dblclick(*shown.on_page(20, 20))
    shown.settle()
    assert shown.view() == fitted


def test_tools_of_the_left_button_pan_and_zoom(shown):
    shown.focus()
    shown.press("p")
    x, y = shown.on_page(100, 100)
    shown.drag((x, y), (x + 50, y + 30))
    assert shown.on_page(100, 100) == pytest.approx((x + 50, y + 30), abs=0.2)
    shown.press("z")
    before = shown.view()["scale"]
    x, y = shown.on_page(100, 100)
    shown.drag((x, y), (x, y - 60))
    assert shown.view()["scale"] > 1.3 * before
    assert shown.on_page(100, 100) == pytest.approx((x, y), abs=0.5)
    expect(shown.page.get_by_role("button", name="Zoom tool")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_space_and_left_drag_pan_with_every_tool(shown):
    shown.focus()
    shown.press("b")
    x, y = shown.on_page(100, 100)
    shown.page.keyboard.down(" ")
    shown.drag((x, y), (x - 40, y + 10))
    shown.page.keyboard.up(" ")
    assert shown.on_page(100, 100) == pytest.approx((x - 40, y + 10), abs=0.2)
    assert shown.boxes() == []


def test_keys_pan_and_zoom(shown):
    shown.focus()
    x, y = shown.on_page(150, 100)
    shown.press("ArrowRight", "ArrowDown")
    assert shown.on_page(150, 100) == pytest.approx((x - 40, y - 40), abs=0.2)
    before = shown.view()["scale"]
    shown.press("+")
    assert shown.view()["scale"] == pytest.approx(1.25 * before)
    shown.press("-", "f")
    assert shown.view()["scale"] == pytest.approx(before)


def test_numbers_choose_window_presets(shown):
    shown.focus()
    default = shown.pixel(*DARK_AT)
    shown.press("2")
    assert shown.pixel(*DARK_AT) == [0, 0, 0]
    expect(shown.page.get_by_label("Window preset")).to_have_value("1")
    shown.press("3")  # after the file's: from the darkest to the brightest pixel
    assert (shown.pixel(*DARK_AT)[0], shown.pixel(*BRIGHT_AT)[0]) == (0, 255)
    assert shown.root.get_attribute("data-window") == f"{(DARK + BRIGHT) / 2:g},{BRIGHT - DARK}"
    shown.press("9")
    assert shown.pixel(*DARK_AT)[0] == 0
    shown.press("1")
    assert shown.pixel(*DARK_AT) == default


def test_ruler_measures_millimetres_by_the_spacing(shown):
    shown.focus()
    shown.press("d")
    shown.drag(shown.on_page(20, 20), shown.on_page(140, 110))
    # 120 x 90 pixels of 0.5 mm: a triangle of 60, 45 and 75 mm.
    ruler = shown.state("ruler")
    length = 0.5 * np.hypot(
        ruler["to"]["x"] - ruler["from"]["x"], ruler["to"]["y"] - ruler["from"]["y"]
    )
    assert length == pytest.approx(75, abs=0.5)
    assert f"{length:.1f} mm" in shown.readout()
    middle = shown.pixel(80, 65)
    assert middle[0] > middle[2] + 40  # the yellow line is on the image
    shown.press("r")
    assert shown.state("ruler") == ruler and f"{length:.1f} mm" in shown.readout()
    shown.press("Delete")
    assert shown.state("ruler") is None and f"{length:.1f} mm" not in shown.readout()


def test_ruler_is_placed_and_pulled_by_keys(shown):
    shown.focus()
    shown.press("d", "Enter")
    before = shown.state("ruler")
    shown.press(*["ArrowRight"] * 5)
    shown.press(*["Shift+ArrowUp"] * 3)
    after = shown.state("ruler")
    step = 2 / shown.view()["scale"]
    assert after["to"]["x"] - before["to"]["x"] == pytest.approx(5 * step)
    assert after["from"]["y"] - before["from"]["y"] == pytest.approx(-3 * step)


def test_magnifier_enlarges_what_is_under_the_pointer(shown):
    shown.focus()
    shown.press("g")
    x, y = shown.on_page(140, 150)
    shown.page.mouse.move(x, y)
    # The edge at column 150 is 10 columns away: in the glass it lies 2.5 times as far.
    edge = shown.view()["scale"] * 10
    for away, grey in ((1.8 * edge, GREY["d"]), (3.2 * edge, GREY["b"])):
        # Seen on the canvas, the place still has its own coordinates.
        column = 140 + away / shown.view()["scale"]
        assert shown.pixel(column, 150)[0] == pytest.approx(grey, abs=2)
    shown.press("g")
    assert shown.pixel(140 + 1.8 * 10, 150)[0] == pytest.approx(GREY["b"], abs=2)


def test_position_is_read_out_in_pixels_and_millimetres(shown):
    shown.focus()
    shown.press("r", "l")
    shown.page.mouse.move(*shown.on_page(187.5, 75.5))
    shown.settle()
    text = shown.page.locator(".readout-pointer").inner_text()
    assert text.startswith("x 187 y 75") and f"value {BRIGHT}" in text
    millimetres = shown.page.locator(".readout-pointer span").nth(1).inner_text()
    numbers = [float(number) for number in millimetres.removesuffix(" mm").split(",")]
    assert numbers == pytest.approx([187.5 * 0.5, 75.5 * 0.5], abs=0.3)
    assert "A_inter 5.0 σ" in text


def test_full_screen_and_back(shown):
    shown.focus()
    shown.press("e")
    expect(shown.page.get_by_role("button", name="Full screen")).to_have_attribute(
        "aria-pressed", "true"
    )
    box, size = shown.root.bounding_box(), shown.page.viewport_size
    assert (box["x"], box["y"]) == (0, 0) and box["width"] == size["width"]
    shown.press("e")
    expect(shown.page.get_by_role("button", name="Full screen")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_every_key_is_on_the_sheet(shown):
    shown.focus()
    shown.press("?")
    sheet = shown.page.get_by_role("dialog", name="Keys and gestures")
    expect(sheet).to_be_visible()
    text = sheet.inner_text()
    for words in ("Window presets", "Magnifier", "Side by side", "Undo", "hold to hide", "1:1"):
        assert words in text
    view = shown.view()
    shown.press("r")
    assert shown.view() == view  # the sheet is over the image: keys do nothing to it
    shown.press("Escape")
    expect(sheet).to_be_hidden()
    shown.press("i")
    assert shown.pixel(*DARK_AT)[0] == pytest.approx(255 - GREY["d"], abs=1.5)


@pytest.mark.parametrize("ratio", [2, 1.5])
def test_canvas_has_a_pixel_for_each_of_a_dense_screens(server, browser, ratio):
    context = browser.new_context(
        viewport={"width": 1200, "height": 800}, device_scale_factor=ratio
    )
    shown = Page(context.new_page())
    shown.open(server)
    shown.settle()
    sizes = shown.canvas.evaluate("c => [c.width, c.clientWidth, c.height, c.clientHeight]")
    assert sizes[::2] == pytest.approx([ratio * size for size in sizes[1::2]], abs=1)
    assert shown.pixel(*DARK_AT)[0] == pytest.approx(GREY["d"], abs=1.5)
    assert shown.is_hot(*HOT_AT) and not shown.is_hot(187, 35)
    # The edge between dark and bright, 1 device pixel sharp when pixels are shown one to one.
    shown.focus()
    shown.press("o")
    assert shown.view()["scale"] == pytest.approx(1 / ratio)
    colors = [shown.pixel(150 + step, 150)[0] for step in (-2.5, 2.5)]
    assert colors == pytest.approx([GREY["d"], GREY["b"]], abs=2)
    context.close()


def test_the_next_image_has_the_keys_while_the_one_before_is_still_there(shown):
    page = shown.page
    page.get_by_text("Long run").click()
    page.wait_for_timeout(2500)
    shown.focus()
    page.get_by_label("Other image").evaluate("(box) => box.click()")  # leaves the focus there
    following = page.locator('.ddad-viewer[data-ready="true"][data-image-id="2"]')
    following.wait_for()
    assert shown.root.count() == 2  # until the page's run ends
    page.keyboard.press("?")
    expect(following.locator(".sheet")).to_be_visible()
    page.keyboard.press("Escape")
    expect(following.locator(".sheet")).to_be_hidden()
    expect(shown.root).to_have_count(1)
    page.keyboard.press("i")
    assert shown.state("inverted")
