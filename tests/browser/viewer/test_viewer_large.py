"""Large images: a smaller picture first, the whole when it is looked at closely."""

import pytest

from tests.browser.viewer.viewer_page import BRIGHT, DARK

MEAN = (DARK + BRIGHT) / 2
GREY = {value: 255 * ((value - 2000) / 4000 + 0.5) for value in (DARK, MEAN, BRIGHT)}


@pytest.fixture
def large(shown):
    shown.page.get_by_text("Large image").click()
    shown.wait_for_image(4)
    return shown


def wait_until_full(shown):
    shown.page.wait_for_selector('.ddad-viewer[data-full="true"]')


def test_smaller_picture_is_shown_in_the_coordinates_of_the_whole(large):
    assert large.root.get_attribute("data-full") == "false"
    assert large.pixel(2900, 2300) == pytest.approx([GREY[MEAN]] * 3, abs=1.5)
    assert large.is_hot(3000 * 40 / 64, 2400 * 24 / 64)
    large.page.mouse.move(*large.on_page(2500.5, 2000.5))
    assert f"value ≈ {MEAN:.0f}" in large.readout()
    large.draw_box(200, 1500, 800, 2100)
    (box,) = large.reported(lambda state: state["boxes"])["boxes"]
    assert (box["x"], box["y"], box["width"], box["height"]) == pytest.approx(
        (200, 1500, 600, 600), abs=6
    )


def test_zooming_in_brings_the_whole_once_and_changes_nothing_else(large):
    large.draw_box(200, 1500, 800, 2100)
    large.reported(lambda state: state["boxes"])
    large.press("w", "i")
    large.page.mouse.move(*large.on_page(2500, 2000))
    sent = len(large.frames)
    large.page.mouse.wheel(0, -100)
    large.page.wait_for_timeout(200)
    assert len(large.frames) == sent  # still fewer device pixels than the smaller picture has
    for _ in range(11):
        large.page.mouse.wheel(0, -300)
    wait_until_full(large)
    large.settle()
    view = large.view()
    assert view["scale"] > 15
    for column, value in ((2500, DARK), (2501, BRIGHT)):
        expected = 255 - GREY[value]  # the window and the inversion stay
        assert large.pixel(column + 0.5, 2000.5)[0] == pytest.approx(expected, abs=10)
    large.page.mouse.move(*large.on_page(2501.5, 2000.5))
    assert f"value {BRIGHT}" in large.readout()
    assert len(large.boxes()) == 1
    sent = len(large.frames)
    large.press("f", "o", "f")
    large.page.wait_for_timeout(300)
    assert len(large.frames) == sent and large.root.get_attribute("data-full") == "true"


def test_side_by_side_after_the_whole_does_not_lose_it(large):
    large.focus()
    large.press("o")
    wait_until_full(large)
    large.press("s")
    large.page.wait_for_selector('.ddad-viewer[data-explained="true"]')
    large.settle()
    assert large.root.get_attribute("data-full") == "true"
    large.press("f")
    assert large.pixel(2900, 2300) == pytest.approx([GREY[MEAN]] * 3, abs=3)
