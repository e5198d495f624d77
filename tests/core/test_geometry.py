from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.geometry import (
    image_to_map,
    map_to_image,
    normalise,
    to_network_grey,
    to_network_greys,
)
from tests.core.synthetic import radiograph
from tests.reference import ddad_numpy as reference

SHAPES = [(64, 64), (512, 512), (90, 130), (700, 200)]


def _pixels(shape, low, high, seed=0):
    """Smooth content that spans exactly low to high."""
    coarse = np.random.default_rng(seed).normal(size=(7, 9)).astype(np.float32)
    x = np.asarray(Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC))
    x = (x - x.min()) / (x.max() - x.min())
    return np.rint(x * (high - low) + low).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [32, 64, 512])
def test_eight_bit_image_takes_the_published_path(shape, size):
    pixels = _pixels(shape, 0, 255)
    image = Image.fromarray(pixels.astype(np.uint8))
    for side in (512, size):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    found = to_network_grey(radiograph(pixels), size)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.asarray(image))


BLOCKS = [(64, 64), (1100, 700), (30, 70_000)]
ORDERS = [(3, 900), (517, 600), (688, 600), (689, 600), (2500, 700), (700, 2500)]
"""Pictures that PIL shrinks rows first, and such that it shrinks columns first."""


@pytest.mark.parametrize("shape", [*BLOCKS, *ORDERS])
@pytest.mark.parametrize(("low", "high"), [(0, 255), (-1000.25, 3071.5), (3, 32767), (0, 1e-3)])
def test_working_in_blocks_changes_no_bit(shape, low, high):
    generator = np.random.default_rng(3)
    pixels = generator.uniform(low, high, shape).astype(np.float32)
    darkest, brightest = float(pixels.min()), float(pixels.max())
    scaled = (pixels - darkest) * (255.0 / (brightest - darkest))
    image = Image.fromarray(np.rint(scaled).astype(np.uint8))
    for side in (512, 64):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(to_network_grey(radiograph(pixels), 64), np.asarray(image))


@pytest.mark.parametrize(("low", "high"), [(13, 201), (-1024, 3071), (0, 65535), (7, 8)])
def test_any_range_is_stretched_to_eight_bits(low, high):
    pixels = _pixels((120, 90), low, high)
    found = to_network_grey(radiograph(pixels), 64)
    expected = reference.published_grey(pixels, 64)
    assert np.abs(found.astype(int) - expected).max() <= 1  # ties of rounding only
    assert np.mean(found != expected) < 0.02


def test_score_path_does_not_depend_on_a_linear_change_of_units():
    pixels = _pixels((100, 80), 0, 255)
    other = to_network_grey(radiograph(pixels * 4 - 1000), 64)
    np.testing.assert_array_equal(other, to_network_grey(radiograph(pixels), 64))


@pytest.mark.parametrize("value", [0.0, 255.0, -3.0])
def test_blank_image_is_refused(value):
    with pytest.raises(RefusedImageError, match=f"value {value:g}") as caught:
        to_network_grey(radiograph(np.full((64, 64), value)), 64)
    assert caught.value.next_step


def test_grey_is_normalised_to_minus_one_and_one():
    grey = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    found = normalise(grey)
    assert found.dtype == np.float32 and found.shape == grey.shape
    assert found.min() == -1 and found.max() == 1
    np.testing.assert_allclose(found, reference.network_input(grey), atol=1e-7)


def _at(values, y, x):
    """Bilinear in cell centres, edges extended: the value of a map at a fractional cell."""
    size = len(values)
    y, x = (min(max(v, 0.0), size - 1.0) for v in (y, x))
    i, j = (min(int(v), size - 2) for v in (y, x))
    top = values[i, j] * (1 - (x - j)) + values[i, j + 1] * (x - j)
    bottom = values[i + 1, j] * (1 - (x - j)) + values[i + 1, j + 1] * (x - j)
    return top * (1 - (y - i)) + bottom * (y - i)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (301, 77)])
def test_map_covers_the_whole_image_bilinearly(height, width):
    values = np.random.default_rng(1).random((16, 16)).astype(np.float32)
    stretched = map_to_image(values, height=height, width=width)
    assert stretched.shape == (height, width) and stretched.dtype == np.float32
    for row in (0, 1, height // 3, height // 2, height - 1):
        for column in (0, 2, width // 3, width // 2, width - 1):
            y = (row + 0.5) * 16 / height - 0.5
            x = (column + 0.5) * 16 / width - 0.5
            assert stretched[row, column] == pytest.approx(_at(values, y, x), abs=2e-3)


def test_corners_and_cell_centres_of_a_map_keep_their_values():
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    stretched = map_to_image(values, height=12, width=20)  # 3 x 5 pixels a cell, centres exact
    assert [stretched[0, 0], stretched[0, -1]] == [values[0, 0], values[0, -1]]
    assert [stretched[-1, 0], stretched[-1, -1]] == [values[-1, 0], values[-1, -1]]
    np.testing.assert_allclose(stretched[1::3, 2::5], values, atol=1e-5)


@pytest.mark.parametrize(("height", "width", "size"), [(12, 20, 4), (1024, 833, 64), (64, 64, 64)])
def test_image_to_map_undoes_the_stretching(height, width, size):
    for i in range(size):
        for j in (0, i, size - 1):
            x, y = (j + 0.5) * width / size, (i + 0.5) * height / size
            assert image_to_map(x, y, height=height, width=width, size=size) == (i, j)


def test_image_to_map_finds_the_peak_of_a_stretched_map():
    values = np.zeros((8, 8), np.float32)
    values[2, 6] = 1
    stretched = map_to_image(values, height=120, width=200)
    row, column = np.unravel_index(stretched.argmax(), stretched.shape)
    found = image_to_map(column + 0.5, row + 0.5, height=120, width=200, size=8)
    assert found == (2, 6)


def test_positions_on_the_border_stay_inside_the_map():
    border = {"height": 100, "width": 50, "size": 64}
    assert image_to_map(0, 0, **border) == (0, 0)
    assert image_to_map(50, 100, **border) == (63, 63)
    assert image_to_map(-3, 120, **border) == (63, 0)


def test_several_sizes_are_each_as_alone() -> None:
    pixels = np.random.default_rng(5).integers(0, 4096, (700, 610)).astype(np.float32)
    image = radiograph(pixels)
    found = to_network_greys(image, (64, 128, 512))
    assert list(found) == [64, 128, 512]
    for size, grey in found.items():
        np.testing.assert_array_equal(grey, to_network_grey(image, size))
    assert to_network_greys(image, ()) == {}
