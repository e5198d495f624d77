"""Radiograph pixels <-> the 16-bit arrays that are kept and shown."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from ddad_core.overlay import apply_window, default_window
from ddad_core.types import Radiograph

MAX_STORED = 65535
THUMBNAIL_SIDE = 112


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """Pixels as kept: value = values * slope + intercept.

    Attributes:
        values: uint16 (H, W).
        slope: 1 where the file's values are whole numbers, so that nothing is lost.
        intercept: The lowest pixel value.
    """

    values: np.ndarray
    slope: float
    intercept: float


def to_stored(pixels: np.ndarray) -> StoredPixels:
    """Turn float32 (H, W) into 16-bit values; exact for whole numbers spanning 16 bits."""
    low, high = float(pixels.min()), float(pixels.max())
    if high - low <= MAX_STORED:
        values = (pixels - np.float32(low)).astype(np.uint16)
        stored = StoredPixels(values, 1.0, low)
        if np.array_equal(from_stored(stored), pixels):
            return stored
    slope = (high - low) / MAX_STORED
    values = np.rint((pixels.astype(np.float64) - low) / slope).astype(np.uint16)
    return StoredPixels(values, slope, low)


def from_stored(stored: StoredPixels) -> np.ndarray:
    """Restore float32 (H, W)."""
    if stored.slope == 1.0 and stored.intercept == np.rint(stored.intercept):
        # Whole numbers of these sizes are exact in float32, and half the work.
        return stored.values.astype(np.float32) + np.float32(stored.intercept)
    return (stored.values * stored.slope + stored.intercept).astype(np.float32)


def pack(values: np.ndarray) -> bytes:
    """Put an array into zlib for the browser: little-endian values, row by row.

    Pixels are compressed. Floats are only wrapped: they would shrink by a tenth, and eight maps
    cost more time to compress than to send.
    """
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    level = 0 if values.dtype.kind == "f" else 1
    return zlib.compress(np.ascontiguousarray(little).tobytes(), level=level)


def thumbnail(radiograph: Radiograph, smaller: np.ndarray | None = None) -> bytes:
    """Make a small square JPEG of the image under its default window, black around it.

    Args:
        radiograph: The image.
        smaller: The same picture made smaller, float32, if there is one: faster to start from.
    """
    rows, columns = radiograph.pixels.shape
    scale = THUMBNAIL_SIDE / max(rows, columns)
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    # First small, then windowed: the other way round costs ten times as much.
    source = radiograph.pixels if smaller is None else smaller
    small = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
    grey = apply_window(small, default_window(radiograph))
    square = np.zeros((THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=np.uint8)
    top, left = (THUMBNAIL_SIDE - height) // 2, (THUMBNAIL_SIDE - width) // 2
    square[top : top + height, left : left + width] = np.rint(grey * 255)
    done, data = cv2.imencode(".jpg", square, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert done
    return data.tobytes()
