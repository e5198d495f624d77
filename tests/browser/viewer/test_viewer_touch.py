"""Fingers and touchpads: what a tablet's reader does, sent as the browser gets it from hardware."""

import pytest
from playwright.sync_api import expect

from tests.browser.viewer.viewer_page import Page


class Fingers:
    """Fingers on the screen, through the browser's own input."""

    def __init__(self, page):
        self.session = page.context.new_cdp_session(page)

    def put(self, kind, *points):
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def draw(self, *path):
        """Paths of one or two fingers, point by point."""
        self.put("touchStart", *path[0])
        for points in path[1:]:
            self.put("touchMove", *points)
        self.put("touchEnd")


@pytest.fixture
def touched(server, browser):
    context = browser.new_context(viewport={"width": 1200, "height": 800}, has_touch=True)
    shown = Page(context.new_page())
    shown.open(server)
    shown.fingers = Fingers(shown.page)
    yield shown
    context.close()


def choose_box_tool(touched):
    button = touched.page.get_by_role("button", name="Box tool")
    button.tap()
    expect(button).to_have_attribute("aria-pressed", "true")


def test_one_finger_does_what_the_tool_does(touched):
    x, y = touched.on_page(100, 100)
    window = touched.root.get_attribute("data-window")
    touched.fingers.draw([(x, y)], [(x + 30, y)], [(x + 70, y)])
    touched.settle()
    assert touched.root.get_attribute("data-window") != window
    choose_box_tool(touched)
    start, end = touched.on_page(20, 110), touched.on_page(80, 170)
    touched.fingers.draw([start], [(start[0] + 20, start[1] + 20)], [end])
    (box,) = touched.reported(lambda state: state["boxes"])["boxes"]
    assert (box["x"], box["y"], box["width"], box["height"]) == pytest.approx(
        (20, 110, 60, 60), abs=1.5
    )


def test_two_fingers_zoom_and_pan_and_nothing_else(touched):
    window = touched.root.get_attribute("data-window")
    x, y = touched.on_page(150, 100)
    before = touched.view()["scale"]
    touched.fingers.draw(
        [(x - 40, y), (x + 40, y)],
        [(x - 60, y), (x + 60, y)],
        [(x - 80 + 30, y + 20), (x + 80 + 30, y + 20)],
    )
    touched.settle()
    assert touched.view()["scale"] == pytest.approx(2 * before, rel=0.02)
    assert touched.on_page(150, 100) == pytest.approx((x + 30, y + 20), abs=2)
    assert touched.root.get_attribute("data-window") == window
    assert touched.is_hot(187, 75)


def test_second_finger_abandons_the_box_of_the_first(touched):
    choose_box_tool(touched)
    x, y = touched.on_page(40, 120)
    touched.fingers.put("touchStart", (x, y))
    touched.fingers.put("touchMove", (x + 60, y + 50))
    touched.fingers.put("touchStart", (x + 60, y + 50), (x + 200, y + 50))
    touched.fingers.put("touchMove", (x + 40, y + 50), (x + 240, y + 50))
    touched.fingers.put("touchEnd")
    touched.settle()
    assert touched.boxes() == [] and touched.state("draft") is None


def test_double_tap_fits(touched):
    fitted = touched.view()
    touched.page.mouse.move(*touched.on_page(100, 100))
    touched.page.mouse.wheel(0, -300)
    touched.settle()
    assert touched.view() != fitted
    at = touched.on_page(100, 100)
    for _ in range(2):
        touched.fingers.draw([at])
    touched.settle()
    assert touched.view() == fitted


def test_pinch_on_a_touchpad_zooms_at_the_pointer(shown):
    x, y = shown.on_page(60, 150)
    shown.page.mouse.move(x, y)
    before = shown.view()["scale"]
    shown.page.keyboard.down("Control")  # as browsers pass a pinch on
    for _ in range(5):
        shown.page.mouse.wheel(0, -8)
    shown.page.keyboard.up("Control")
    shown.settle()
    assert shown.view()["scale"] > 1.3 * before
    assert shown.on_page(60, 150) == pytest.approx((x, y), abs=0.5)


def test_shift_and_wheel_pan(shown):
    x, y = shown.on_page(60, 150)
    shown.page.mouse.move(x, y)
    shown.page.keyboard.down("Shift")
    shown.page.mouse.wheel(0, -30)
    shown.page.mouse.wheel(20, 0)
    shown.page.keyboard.up("Shift")
    shown.settle()
    moved = shown.on_page(60, 150)
    assert sorted((abs(moved[0] - x), abs(moved[1] - y))) != [0, 0]
    assert abs(moved[0] - x) + abs(moved[1] - y) == pytest.approx(50, abs=1)
