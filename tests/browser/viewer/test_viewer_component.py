"""The viewer in a real browser: what is drawn, what the mouse does, what the server hears."""

import math

import numpy as np
import pytest
from playwright.sync_api import expect

from app.store.records import Box
from app.ui.viewer import parse_state
from ddad_core.overlay import apply_window
from ddad_core.types import Window
from ddad_core.vocabulary import MAP_TITLES
from tests.browser.viewer.viewer_page import (
    BARS,
    BRIGHT,
    COLORS,
    COLUMN,
    DARK,
    HOT_VALUE,
    LUT,
    MAXIMUM,
    SIGMOID,
    SIZE,
    THRESHOLD,
    make_data,
    plain_image,
)


def test_default_window_gives_the_grey_of_the_formula(shown):
    for x, value in ((40, DARK), (250, BRIGHT)):
        expected = 255 * ((value - 2000) / 4000 + 0.5)
        assert shown.color(x, 150) == pytest.approx([expected] * 3, abs=1.5)


def test_left_drag_changes_the_window_without_telling_the_server(shown):
    before = shown.color(250, 150)
    sent = len(shown.frames)
    x, y = shown.on_page(250, 150)
    shown.drag((x, y), (x - 120, y))
    narrower = shown.color(250, 150)
    assert narrower[0] > before[0] + 10
    shown.drag((x, y), (x, y + 80))
    assert shown.color(250, 150)[0] < narrower[0] - 10
    shown.focus()
    shown.page.keyboard.press("0")
    assert shown.color(250, 150) == pytest.approx(before, abs=1)
    assert len(shown.frames) == sent


def test_invert_and_presets_change_the_grey(shown):
    shown.focus()
    shown.page.keyboard.press("i")
    assert shown.color(40, 150)[0] == pytest.approx(255 * 0.75, abs=1.5)
    shown.page.keyboard.press("i")
    shown.page.get_by_label("Window preset").select_option(label="2 Narrow")
    assert shown.color(40, 150)[0] == 0


def greys_of_bars(shown):
    colors, columns = shown.row_of_colors(100, 0, 320)
    middles = [np.abs(columns - (20 * i + 10)).argmin() for i in range(16)]
    return colors[middles, 0]


def window_now(shown):
    center, width = shown.root.get_attribute("data-window").split(",")
    function = shown.root.get_attribute("data-window-function")
    return Window(float(center), float(width), function=function)


def expected_greys(window):
    return np.rint(255 * apply_window(BARS.astype(np.float32), window))


def test_lookup_table_and_sigmoid_are_drawn_as_the_core_computes_them(curved):
    expected = expected_greys(LUT)
    assert len(set(expected)) > 6  # the window is no blank
    assert greys_of_bars(curved) == pytest.approx(expected, abs=1)
    preset = curved.page.get_by_label("Window preset")
    preset.select_option(label="2 SOFT")
    assert greys_of_bars(curved) == pytest.approx(expected_greys(SIGMOID), abs=1)
    assert "Sigmoid" in curved.page.locator(".readout").inner_text()
    curved.focus()
    curved.page.keyboard.press("i")
    assert greys_of_bars(curved) == pytest.approx(255 - expected_greys(SIGMOID), abs=1)
    curved.page.keyboard.press("0")
    assert greys_of_bars(curved) == pytest.approx(expected, abs=1)


def test_dragging_keeps_a_sigmoid_and_turns_a_table_into_a_line(curved):
    x, y = curved.on_page(160, 100)
    curved.drag((x, y), (x + 35, y))
    now = window_now(curved)
    assert (now.function, now.center) == ("linear", LUT.center)
    assert now.width == pytest.approx(LUT.width * math.exp(0.1))
    assert greys_of_bars(curved) == pytest.approx(expected_greys(now), abs=1)
    curved.page.get_by_label("Window preset").select_option(label="2 SOFT")
    curved.drag((x, y), (x + 35, y + 35))
    now = window_now(curved)
    assert now.function == "sigmoid"
    assert now.width == pytest.approx(SIGMOID.width * math.exp(0.1))
    assert now.center == pytest.approx(SIGMOID.center + SIGMOID.width / 10)
    assert greys_of_bars(curved) == pytest.approx(expected_greys(now), abs=1)


def test_an_abandoned_drag_brings_the_table_back(curved):
    x, y = curved.on_page(160, 100)
    curved.focus()
    curved.page.mouse.move(x, y)
    curved.page.mouse.down()
    curved.page.mouse.move(x + 60, y)
    curved.settle()
    assert window_now(curved).function == "linear"
    curved.page.keyboard.press("Escape")
    curved.page.mouse.up()
    assert greys_of_bars(curved) == pytest.approx(expected_greys(LUT), abs=1)
    assert curved.page.get_by_label("Window preset").input_value() == "0"


def expected_edge(cell, width):
    """Where a step from 0 to HOT_VALUE between two map cells crosses the threshold."""
    return (cell - 0.5 + THRESHOLD / HOT_VALUE) / SIZE * width


def test_overlay_lies_on_the_right_pixels_of_a_wide_image(shown):
    left, right = shown.hot_span(75)
    tolerance = 300 / SIZE / 8 + 1.5 / shown.view()["scale"]
    assert left == pytest.approx(expected_edge(32, 300), abs=tolerance)
    assert right == pytest.approx(300 - expected_edge(16, 300), abs=tolerance)
    assert shown.hot_span(40) is None
    assert shown.hot_span(110) is None


def test_overlay_stays_on_its_pixels_through_zoom_and_pan(shown):
    shown.page.mouse.move(*shown.on_page(160, 80))
    shown.page.mouse.wheel(0, -250)
    shown.settle()
    x, y = shown.on_page(160, 80)
    before = shown.view()
    shown.drag((x, y), (x + 40, y - 25), button="right")
    after = shown.view()
    assert after["x"] - before["x"] == pytest.approx(40, abs=0.1)
    assert after["y"] - before["y"] == pytest.approx(-25, abs=0.1)
    left, right = shown.hot_span(75, 130, 245)
    assert left == pytest.approx(expected_edge(32, 300), abs=1.5)
    assert right == pytest.approx(300 - expected_edge(16, 300), abs=1.5)
    assert shown.hot_span(40, 130, 245) is None


def test_wheel_zooms_at_the_pointer(shown):
    x, y = shown.on_page(60, 150)
    shown.page.mouse.move(x, y)
    shown.page.mouse.wheel(0, -300)
    shown.settle()
    assert shown.on_page(60, 150) == pytest.approx((x, y), abs=0.5)


def test_overlay_has_constant_opacity_above_the_threshold(shown):
    color = COLORS[round(255 * HOT_VALUE / MAXIMUM)].astype(float)
    grey = 255 * 0.75
    assert shown.color(187, 75) == pytest.approx(0.45 * color + 0.55 * grey, abs=3)


def test_threshold_drag_is_drawn_at_once_and_sent_on_release(shown):
    slider = shown.page.get_by_label("Pixel threshold")
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    sent = len(shown.frames)
    assert shown.hot_span(75)
    shown.page.mouse.move(box["x"] + box["width"] * THRESHOLD / MAXIMUM, y)
    shown.page.mouse.down()
    for share in (0.3, 0.5, 0.7, 0.9):
        shown.page.mouse.move(box["x"] + box["width"] * share, y)
    assert shown.hot_span(75) is None
    shown.page.wait_for_timeout(200)
    assert len(shown.frames) == sent
    shown.page.mouse.up()
    state = shown.reported(lambda state: state["pixel_threshold"] > HOT_VALUE)
    assert len(shown.frames) > sent
    assert state["pixel_threshold"] == pytest.approx(float(slider.input_value()))


def test_hiding_the_ai_is_drawn_and_reported(shown):
    shown.focus()
    shown.page.keyboard.press("h")
    assert shown.hot_span(75) is None
    assert shown.reported(lambda state: not state["ai_visible"])
    shown.page.keyboard.press("h")
    assert shown.hot_span(75)


def test_shift_and_two_choose_the_second_map(shown):
    shown.focus()
    shown.page.keyboard.press("Shift+Digit2")
    assert shown.reported(lambda state: state["map_name"] == "intra")


NAMES = list(MAP_TITLES)


def map_in_view(shown):
    """The map whose square is on the canvas."""
    left, right = shown.hot_span(75)
    return NAMES[int((left + right) / 2 / 300 * SIZE / COLUMN)]


def test_click_in_the_list_changes_the_map_on_the_canvas(every_map):
    assert map_in_view(every_map) == "c_inter"
    every_map.map_button.click()
    options = every_map.page.locator(".map-list").get_by_role("option")
    expect(options).to_have_count(len(NAMES))
    expect(options.nth(NAMES.index("r_dual"))).to_contain_text("What r_dual is")
    every_map.page.get_by_role("option", name="R_dual", exact=True).click()
    expect(options.first).to_be_hidden()
    assert map_in_view(every_map) == "r_dual"
    assert every_map.reported(lambda state: state["map_name"] == "r_dual")
    expect(every_map.map_button).to_have_text("R_dual")
    assert "What r_dual is" in every_map.map_button.get_attribute("title")


def test_every_map_can_be_reached_by_key(every_map):
    every_map.focus()
    seen = []
    for _ in NAMES:
        every_map.page.keyboard.press("m")
        seen.append(map_in_view(every_map))
    first = NAMES.index("c_inter")
    assert seen == [*NAMES[first + 1 :], *NAMES[: first + 1]]
    for name in (*reversed(NAMES[:first]), NAMES[-1]):
        every_map.page.keyboard.press("Shift+M")
        assert map_in_view(every_map) == name
    for i, name in enumerate(NAMES, 1):
        every_map.page.keyboard.press(f"Shift+Digit{i}")
        assert map_in_view(every_map) == name


def test_list_is_walked_by_keys_without_moving_the_image(every_map):
    view, button = every_map.view(), every_map.map_button
    button.focus()
    press = every_map.page.keyboard.press
    press("ArrowDown")
    expect(button).to_have_attribute("aria-expanded", "true")
    assert map_in_view(every_map) == "c_inter"  # opening chooses nothing
    press("ArrowDown")
    assert map_in_view(every_map) == "intra"
    expect(button).to_have_attribute("aria-activedescendant", "ddad-map-intra")
    press("End")
    assert map_in_view(every_map) == "r_intra"
    press("ArrowUp")
    press("Enter")
    expect(button).to_have_attribute("aria-expanded", "false")
    assert map_in_view(every_map) == "r_dual" and every_map.view() == view
    press(" ")
    expect(button).to_have_attribute("aria-expanded", "true")
    press("Escape")
    expect(button).to_have_attribute("aria-expanded", "false")
    press("ArrowDown")
    every_map.page.mouse.click(*every_map.on_page(200, 150))
    expect(button).to_have_attribute("aria-expanded", "false")
    assert every_map.reported(lambda state: state["map_name"] == "r_dual")


def test_list_lies_inside_the_viewer(every_map):
    every_map.map_button.click()
    viewer, found = (
        every_map.root.bounding_box(),
        every_map.page.get_by_role("listbox").bounding_box(),
    )
    assert found["x"] >= viewer["x"] and found["y"] > viewer["y"]
    assert found["x"] + found["width"] <= viewer["x"] + viewer["width"]
    assert found["y"] + found["height"] <= viewer["y"] + viewer["height"]


def test_hidden_ai_leaves_no_map_to_choose(every_map):
    every_map.focus()
    every_map.page.keyboard.press("h")
    expect(every_map.map_button).to_be_disabled()
    every_map.page.keyboard.press("m")
    every_map.page.keyboard.press("h")
    assert map_in_view(every_map) == "c_inter"


def test_box_is_drawn_moved_and_deleted_in_image_pixels(shown):
    shown.draw_box(20, 110, 60, 170)
    (box,) = shown.reported(lambda state: state["boxes"])["boxes"]
    assert [box[name] for name in ("x", "y", "width", "height")] == pytest.approx(
        [20, 110, 40, 60], abs=1
    )
    shown.drag(shown.on_page(20, 125), shown.on_page(30, 130))  # a side, off its handle
    moved = shown.reported(lambda state: state["boxes"][0]["x"] > 25)["boxes"][0]
    assert (moved["x"], moved["y"]) == pytest.approx((30, 115), abs=1)
    assert (moved["width"], moved["height"]) == (box["width"], box["height"])
    shown.page.keyboard.press("Delete")
    assert shown.reported(lambda state: not state["boxes"])


def test_box_is_cut_at_the_image(shown):
    shown.draw_box(250, 150, 320, 215)
    (box,) = shown.reported(lambda state: state["boxes"])["boxes"]
    assert box["x"] + box["width"] == pytest.approx(300, abs=0.01)
    assert box["y"] + box["height"] == pytest.approx(200, abs=0.01)


def test_escape_abandons_a_box_under_way(shown):
    shown.focus()
    shown.page.keyboard.press("b")
    shown.page.mouse.move(*shown.on_page(20, 110))
    shown.page.mouse.down()
    shown.page.mouse.move(*shown.on_page(60, 170))
    shown.page.keyboard.press("Escape")
    shown.page.mouse.up()
    shown.draw_box(100, 110, 140, 170)
    (box,) = shown.reported(lambda state: state["boxes"])["boxes"]
    assert box["x"] == pytest.approx(100, abs=1)


def test_a_rerun_keeps_window_and_zoom(shown):
    x, y = shown.on_page(40, 150)
    shown.drag((x, y), (x + 60, y))
    shown.page.mouse.wheel(0, -200)
    shown.settle()
    window, view = shown.root.get_attribute("data-window"), shown.view()
    shown.draw_box(20, 110, 60, 150)
    shown.reported(lambda state: state["boxes"])
    assert shown.root.get_attribute("data-window") == window
    assert shown.view() == view


def test_another_image_brings_its_own_boxes(shown):
    shown.draw_box(20, 110, 60, 170)
    shown.reported(lambda state: state["boxes"])
    shown.page.get_by_text("Other image").click()
    shown.wait_for_image(2)
    state = shown.reported(lambda state: state["boxes"] and state["boxes"][0]["label"] == "seed")
    assert len(state["boxes"]) == 1
    assert shown.root.get_attribute("data-boxes") == "1"


def test_another_model_keeps_the_boxes_and_brings_its_threshold(shown):
    shown.draw_box(20, 110, 60, 170)
    shown.page.keyboard.press("]")
    shown.reported(lambda state: state["boxes"] and state["pixel_threshold"] > THRESHOLD)
    shown.page.get_by_text("Other model").click()
    state = shown.reported(lambda state: state["pixel_threshold"] == 3.5)
    assert len(state["boxes"]) == 1
    shown.page.wait_for_selector('.ddad-viewer[data-threshold="3.5"][data-boxes="1"]')


def test_pixel_value_is_read_out_in_full(shown):
    shown.page.get_by_text("Other image").click()
    shown.wait_for_image(2)
    shown.page.mouse.move(*shown.on_page(300.5, 300.5))
    stored = int(np.linspace(0, 4095, 512)[300])
    assert f"value {stored}" in shown.page.locator(".readout").inner_text()


def test_unused_keys_pass_on(shown):
    shown.page.evaluate(
        "() => document.addEventListener('keydown', e => { window.passedOn = e.key })"
    )
    shown.focus()
    shown.page.keyboard.press("j")
    assert shown.page.evaluate("window.passedOn") == "j"
    shown.page.keyboard.press("f")
    assert shown.page.evaluate("window.passedOn") == "j"


def report(data, **changes):
    """A well-formed report of the browser, with changes."""
    whole = {
        "image_id": data.image_id,
        "maps_key": getattr(data, "maps_key", None),
        "boxes": [],
        "map": "intra",
        "threshold": 4.0,
        "opacity": 0.7,
        "ai_visible": False,
    }
    return {**whole, **changes}


def box(**changes):
    return {"x": 1, "y": 2, "width": 3, "height": 4, "label": "", **changes}


def test_a_sound_report_is_taken_as_it_is():
    data = plain_image()
    state = parse_state(report(data, boxes=[box(label="nodule")]), data)
    assert state.boxes == (Box(1.0, 2.0, 3.0, 4.0, "nodule"),)
    assert (state.map_name, state.pixel_threshold) == ("intra", 4.0)
    assert (state.opacity, state.ai_visible) == (0.7, False)


@pytest.mark.parametrize(
    "raw", [None, "x", 3, [], {}, {"image_id": 7}, {"image_id": True, "boxes": []}]
)
def test_a_report_for_nothing_or_another_image_gives_the_defaults(raw):
    data = make_data(1, np.zeros((200, 300)), boxes=(Box(1.0, 1.0, 5.0, 5.0),))
    state = parse_state(raw, data)
    assert state.boxes == data.boxes
    assert (state.map_name, state.pixel_threshold) == ("inter", THRESHOLD)
    assert (state.opacity, state.ai_visible) == (0.45, True)


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, "3", None, True, [], {}, 10**400], ids=lambda bad: str(bad)[:8]
)
def test_numbers_that_are_none_fall_back(bad):
    data = plain_image()
    boxes = [box(x=bad), box(height=bad), box()]
    state = parse_state(report(data, threshold=bad, opacity=bad, boxes=boxes), data)
    assert (state.pixel_threshold, state.opacity) == (THRESHOLD, 0.45)
    assert len(state.boxes) == 1


@pytest.mark.parametrize("bad", ["other", None, 3, ["inter"]])
def test_an_unknown_map_falls_back_to_the_initial_one(bad):
    data = plain_image()
    assert parse_state(report(data, map=bad), data).map_name == "inter"


def test_numbers_are_clamped():
    data = plain_image()
    state = parse_state(report(data, threshold=99, opacity=-1), data)
    assert (state.pixel_threshold, state.opacity) == (MAXIMUM, 0.0)


def test_boxes_are_cut_to_the_image_or_dropped():
    data = plain_image()
    boxes = [
        box(x=-5, width=10),
        box(x=290, width=50),
        box(x=400),
        box(width=0),
        box(height=-3),
        "box",
    ]
    kept = parse_state(report(data, boxes=boxes), data).boxes
    assert [(b.x, b.width) for b in kept] == [(0.0, 5.0), (290.0, 10.0)]


def test_too_many_boxes_and_too_long_labels_are_cut():
    data = plain_image()
    boxes = [box(label="a" * 500), box(label=7)] + [box()] * 200
    kept = parse_state(report(data, boxes=boxes), data).boxes
    assert len(kept) == 100
    assert kept[0].label == "a" * 80
