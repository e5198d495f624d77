from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ddad_core.imaging.geometry import map_to_image
from ddad_core.overlay import (
    COLOR_MAPS,
    OPACITY,
    apply_window,
    color_table,
    default_window,
    map_regions,
    render_overlay,
)
from ddad_core.types import Window
from tests.core.synthetic import radiograph

LUMA = np.array([0.2126, 0.7152, 0.0722])


def _image(height=96, width=130, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width))
    return radiograph(pixels)


def test_window_is_linear_between_its_ends():
    pixels = np.array([-5.0, 0.0, 25.0, 50.0, 100.0, 300.0], np.float32)
    shown = apply_window(pixels, Window(50.0, 100.0))
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown, [0, 0, 0.25, 0.5, 1, 1])


def test_sigmoid_window_is_a_logistic_curve_and_never_overflows():
    pixels = np.array([-1e6, 0.0, 50.0, 75.0, 1e6], np.float32)
    shown = apply_window(pixels, Window(50.0, 100.0, function="sigmoid"))
    assert shown.dtype == np.float32
    expected = [0, 1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-1), 1]
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_lut_window_gives_the_entry_of_each_value_and_the_ends_beyond():
    table = np.array([10, 0, 100], "<u2").tobytes()
    window = Window(21.0, 2.0, function="lut", table=table, table_max=100)
    pixels = np.array([[-9, 19, 20, 20.4, 20.6, 21, 22, 23, 9e9]], np.float32)
    shown = apply_window(pixels, window)
    assert shown.dtype == np.float32 and shown.shape == pixels.shape
    np.testing.assert_allclose(shown[0], [0.1, 0.1, 0.1, 0.1, 0, 0, 1, 1, 1])


def test_window_of_the_file_is_used():
    image = replace(_image(), windows=(Window(100.0, 50.0, "first"), Window(1.0, 2.0)))
    assert default_window(image).name == "first"


@pytest.mark.parametrize("center", [-9000.0, 9000.0])
def test_window_that_shows_nothing_is_passed_over(center):
    good = Window(128.0, 200.0, "good")
    image = replace(_image(), windows=(Window(center, 10.0, "blind"), good))
    assert default_window(image) is good
    image = replace(image, windows=(Window(center, 10.0),))
    assert default_window(image) == Window(127.5, 255.0)


def test_eight_bit_image_is_shown_as_it_is():
    window = default_window(_image())
    ramp = np.arange(256, dtype=np.float32)
    np.testing.assert_allclose(apply_window(ramp, window) * 255, ramp, atol=1e-4)


def test_deep_image_without_a_window_is_shown_by_its_percentiles():
    pixels = np.linspace(0, 4000, 64 * 64).reshape(64, 64)
    pixels[0, 0] = 65535  # a marker must not darken the rest
    window = default_window(radiograph(pixels, bits=16))
    assert window.center == pytest.approx(2000, rel=0.02)
    assert window.width == pytest.approx(3960, rel=0.02)
    assert default_window(radiograph(np.full((64, 64), 7.0), bits=16)).width == 1.0


def test_colors_rise_in_luminance():
    table = color_table()
    assert table.shape == (256, 3) and table.dtype == np.uint8
    luminance = table @ LUMA
    assert np.all(np.diff(luminance) > -1.0)  # steps of 8-bit rounding
    assert np.all(np.diff(luminance[::8]) > 0)
    assert luminance[-1] - luminance[0] > 150


def test_colors_run_from_blue_to_yellow():
    low, high = color_table()[[0, 255]].astype(int)
    assert low[2] > low[0] > low[1]
    assert high[0] > 200 and high[1] > 200 and high[2] < 100


@pytest.mark.parametrize("opacity", [OPACITY, 0.0, 1.0])
def test_pixels_below_the_threshold_are_exactly_the_grey_and_others_blend(opacity):
    image = _image()
    values = np.random.default_rng(3).random((16, 16)).astype(np.float32) * 4
    picture = render_overlay(image, values, threshold=2.0, maximum=3.0, opacity=opacity)
    assert picture.shape == (96, 130, 3) and picture.dtype == np.uint8
    stretched = map_to_image(values, height=96, width=130)
    above = stretched >= 2.0
    assert 0.05 < above.mean() < 0.95
    grey = np.repeat(image.pixels[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(picture[~above], grey[~above])
    index = np.minimum(stretched / 3.0 * 255, 255).astype(int)
    blend = (1 - opacity) * grey + opacity * color_table()[index].astype(float)
    np.testing.assert_allclose(picture[above], blend[above], atol=0.501)


def test_value_at_the_threshold_is_painted():
    values = np.full((16, 16), 2.0, np.float32)
    image = _image()
    assert not np.array_equal(
        render_overlay(image, values, threshold=2.0, maximum=4.0),
        render_overlay(image, values, threshold=2.01, maximum=4.0),
    )


def test_overlay_does_not_change_its_inputs():
    image, values = _image(), np.ones((16, 16), np.float32)
    pixels = image.pixels.copy()
    render_overlay(image, values, threshold=0.5, maximum=2.0)
    assert np.array_equal(image.pixels, pixels) and np.all(values == 1)


@pytest.mark.parametrize("name", list(COLOR_MAPS))
def test_every_colour_map_rises_in_lightness(name):
    lightness = color_table(name).astype(float) @ LUMA
    assert lightness[-1] > lightness[0] + 100
    assert (np.diff(lightness) > -1.5).all()  # 8 bits are rounded


def test_regions_are_connected_over_corners_and_sorted_by_peak():
    values = np.zeros((6, 6), np.float32)
    values[0, 0], values[1, 1], values[2, 0] = 2.0, 3.0, 2.5
    values[4, 4] = values[4, 5] = 5.0
    values[0, 5] = 1.0
    first, second = map_regions(values, 2.0)
    assert (first.peak, first.peak_cell, first.cells) == (5.0, (4, 4), 2)
    assert (first.top, first.left, first.bottom, first.right) == (4, 4, 4, 5)
    assert (second.peak, second.peak_cell, second.cells) == (3.0, (1, 1), 3)
    assert (second.top, second.left, second.bottom, second.right) == (0, 0, 2, 1)
    assert [region.cells for region in map_regions(values, 1.0)] == [2, 3, 1]
    assert map_regions(values, 6.0) == []
    assert [region.cells for region in map_regions(values, 0.0)] == [36]
