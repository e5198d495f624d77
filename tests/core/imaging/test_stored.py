from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest

from app.store.schema import THUMBNAIL_LIMIT_BYTES
from ddad_core.imaging.prepare import display_of
from ddad_core.imaging.stored import (
    MAX_STORED,
    THUMBNAIL_SIDE,
    from_stored,
    pack,
    thumbnail,
    to_stored,
)
from ddad_core.types import Radiograph, RadiographFacts, Window


def radiograph(pixels: np.ndarray, *windows: Window) -> Radiograph:
    return Radiograph(pixels.astype(np.float32), "a" * 64, RadiographFacts("png"), windows)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 255), (0, 4095), (0, 65535), (-32768, 32767), (-1024, 3071), (100, 101), (1e6, 1065535)],
)
def test_whole_numbers_come_back_exactly(low: float, high: float) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(int(low), int(high), (70, 90), endpoint=True).astype(np.float32)
    pixels[0, :2] = low, high
    stored = to_stored(pixels)
    assert stored.values.dtype == np.uint16 and stored.slope == 1.0
    back = from_stored(stored)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, pixels)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.7, 12.25), (0.0, 1e6), (1e-6, 3e-6)])
def test_fractions_come_back_within_half_a_step(low: float, high: float) -> None:
    pixels = np.random.default_rng(2).uniform(low, high, (70, 90)).astype(np.float32)
    stored = to_stored(pixels)
    span = float(pixels.max()) - float(pixels.min())
    assert stored.slope == pytest.approx(span / MAX_STORED)
    error = np.abs(from_stored(stored).astype(np.float64) - pixels)
    rounding = np.abs(pixels).max() * np.finfo(np.float32).eps
    assert error.max() <= stored.slope / 2 + rounding
    assert (stored.values.min(), stored.values.max()) == (0, MAX_STORED)


def test_whole_numbers_over_more_than_16_bits_are_scaled_not_wrapped() -> None:
    pixels = np.array([[0, 65536, 131070]], dtype=np.float32)
    stored = to_stored(pixels)
    assert stored.slope == 2.0
    np.testing.assert_array_equal(from_stored(stored), pixels)


def test_packed_values_are_little_endian_rows() -> None:
    values = np.array([[1, 256], [65535, 2]], dtype=">u2")
    assert zlib.decompress(pack(values)) == bytes([1, 0, 0, 1, 255, 255, 2, 0])
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    np.testing.assert_array_equal(
        np.frombuffer(zlib.decompress(pack(turned)), "<f4").reshape(3, 2), turned
    )


@pytest.mark.parametrize(
    "shape", [(100, 200), (200, 100), (64, 9000), (9000, 64), (112, 112), (64, 64)]
)
def test_thumbnail_is_a_square_jpeg_with_the_image_in_the_middle(shape: tuple[int, int]) -> None:
    pixels = np.full(shape, 200.0)
    pixels[0, 0] = 0
    data = thumbnail(radiograph(pixels, Window(100, 200)))
    assert data.startswith(b"\xff\xd8\xff") and len(data) <= THUMBNAIL_LIMIT_BYTES
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    bright = image > 128
    height, width = (
        max(1, round(shape[0] * 112 / max(shape))),
        max(1, round(shape[1] * 112 / max(shape))),
    )
    assert bright.any(axis=1).sum() == pytest.approx(height, abs=2)
    assert bright.any(axis=0).sum() == pytest.approx(width, abs=2)


def test_thumbnail_of_noise_fits_the_database() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (112, 112)).astype(np.float32)
    assert len(thumbnail(radiograph(noise, Window(128, 256)))) <= THUMBNAIL_LIMIT_BYTES


def test_thumbnail_uses_the_files_default_window() -> None:
    pixels = np.tile(np.linspace(0, 4000, 112), (112, 1))
    data = thumbnail(radiograph(pixels, Window(3000, 2000), Window(1000, 2000)))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image[:, :50].max() < 10  # below 2000: black
    assert image[:, 84].mean() == pytest.approx(128, abs=10)  # 3000, the centre


def test_large_image_is_shown_smaller_in_the_same_steps() -> None:
    rng = np.random.default_rng(5)
    pixels = rng.integers(-1000, 3000, (300, 500)).astype(np.float32)
    pixels[0, 0], pixels[7, 9] = -1024, 3071
    whole, small = display_of(radiograph(pixels)), display_of(radiograph(pixels), 250)
    assert (whole.width, whole.height, small.width, small.height) == (500, 300, 250, 150)
    for display in (whole, small):
        assert (display.slope, display.intercept, display.highest) == (1.0, -1024.0, 3071.0)
        assert display.window == whole.window
    shown = np.frombuffer(zlib.decompress(small.pixels), "<u2").reshape(150, 250)
    means = pixels.reshape(150, 2, 250, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(shown + small.intercept, means, atol=0.5)


@pytest.mark.parametrize("side", [0, 500, 2048])
def test_image_that_is_small_enough_is_shown_as_it_is(side: int) -> None:
    pixels = np.random.default_rng(6).integers(0, 4096, (300, 500))
    display = display_of(radiograph(pixels), side)
    shown = np.frombuffer(zlib.decompress(display.pixels), "<u2").reshape(300, 500)
    np.testing.assert_array_equal(shown + display.intercept, pixels)


def test_very_narrow_image_keeps_a_column() -> None:
    display = display_of(radiograph(np.arange(8000).reshape(4000, 2)), 1000)
    assert (display.width, display.height) == (1, 1000)
