"""Radiograph <-> network input, and the only way back from map to image pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from ddad_core.errors import RefusedImageError
from ddad_core.types import Radiograph

PUBLISHED_PIXELS = (
    "min-max of the whole image to 8 bits (rounded), PIL antialiased bilinear to 512 x 512 "
    "(8 bits), PIL antialiased bilinear to S x S (8 bits), (v / 255 - 0.5) / 0.5; aspect ratio "
    "not kept, no display window applied"
)
"""What a card's field ``pixels`` says of models fed by :func:`to_network_grey`."""

INTERMEDIATE_SIZE = 512
"""The published data sets are stored as 512 x 512 PNG files before training."""

_CACHED_PIXELS = 2**16
"""Worked on at a time, so that steps in between stay in the processor's cache."""

_BANDS = "CMYK"
"""A PIL mode of independent bands; RGBA would weigh the others with the last."""


def to_network_grey(radiograph: Radiograph, size: int) -> np.ndarray:
    """Resize a radiograph the way the published images were made.

    Args:
        radiograph: The image; its display windows play no part.
        size: S, the side of the network's input.

    Returns:
        uint8 (S, S).

    Raises:
        RefusedImageError: All pixels have one value, so min-max is undefined.
    """
    return to_network_greys(radiograph, (size,))[size]


def to_network_greys(radiograph: Radiograph, sizes: Sequence[int]) -> dict[int, np.ndarray]:
    """As :func:`to_network_grey`, for several sides S at little more than the cost of one."""
    if not sizes:
        return {}
    pixels = radiograph.pixels
    low, high = radiograph.extremes
    if not high > low:
        problem = f"Every pixel of the image has the value {low:g}; there is nothing to judge."
        raise RefusedImageError(problem, "Send the original radiograph.")
    scale = 255.0 / (high - low)
    grey = np.empty(pixels.shape, np.uint8)  # (H, W)
    rows = max(_CACHED_PIXELS // pixels.shape[1], 1)
    buffer = np.empty((rows, pixels.shape[1]), np.float32)
    for top in range(0, pixels.shape[0], rows):
        wanted = grey[top : top + rows]
        block = pixels[top : top + rows]
        if low:
            block = np.subtract(block, low, out=buffer[: len(wanted)])
        # Multiplies in float32 and rounds halves to even; its absolute value changes nothing.
        cv2.convertScaleAbs(block, dst=wanted, alpha=scale)
    between = _shrunk(grey, INTERMEDIATE_SIZE)
    return {size: np.asarray(_resized(between, size)) for size in sizes}


def _shrunk(grey: np.ndarray, side: int) -> Image.Image:
    """Resize a large picture to a square as PIL does, to the last bit.

    PIL does rows first, then columns. It takes less time if four rows, and then four columns, are
    the bands of one picture. A picture that shrinks much more in height it does columns first.

    Args:
        grey: uint8 (H, W).
        side: Of the square, a multiple of four.
    """
    rows, columns = grey.shape
    if columns <= side or rows < len(_BANDS) or rows - side > 2 * (columns - side):
        return _resized(Image.fromarray(grey), side)
    height = -(-rows // len(_BANDS))
    tops = [min(i * height, rows - height) for i in range(len(_BANDS))]  # the last may overlap
    narrow = _resized_bands(cv2.merge([grey[top : top + height] for top in tops]), height, side)
    whole = np.empty((rows, side), np.uint8)
    for i, top in enumerate(tops):
        cv2.extractChannel(narrow, i, whole[top : top + height])
    quarter = side // len(_BANDS)
    fours = whole.reshape(rows, quarter, len(_BANDS))
    return Image.fromarray(_resized_bands(fours, side, quarter).reshape(side, side))


def _resized_bands(bands: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize four pictures at once, uint8 (H, W, 4)."""
    rows, columns, _ = bands.shape
    image = Image.frombuffer(_BANDS, (columns, rows), bands, "raw", _BANDS, 0, 1)
    return np.asarray(_to_size(image, height, width))


def _resized(image: Image.Image, side: int) -> Image.Image:
    return _to_size(image, side, side)


def _to_size(image: Image.Image, height: int, width: int) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR)


def normalise(grey: np.ndarray) -> np.ndarray:
    """Map 8-bit grey values to the network's range.

    Args:
        grey: uint8, any shape.

    Returns:
        float32 of the same shape in [-1, 1].
    """
    return (grey.astype(np.float32) / 255.0 - 0.5) / 0.5


def map_to_image(values: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Stretch a map over the image it was made from.

    The network saw the whole image squeezed into a square, so the map covers the whole image:
    map cell centres lie at ((i + 0.5) H / S, (j + 0.5) W / S), bilinear in between, edge cells
    extended to the border. The browser's viewer does the same.

    Args:
        values: float32 (S, S).
        height: H, rows of the image.
        width: W, columns of the image.

    Returns:
        float32 (H, W).
    """
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)


def image_to_map(x: float, y: float, *, height: int, width: int, size: int) -> tuple[int, int]:
    """Find the map cell under an image position.

    Args:
        x: Column in image pixels, 0 to W.
        y: Row in image pixels, 0 to H.
        height: H.
        width: W.
        size: S.

    Returns:
        (row, column) of the cell, each 0 to S - 1.
    """
    row = min(max(int(y * size / height), 0), size - 1)
    column = min(max(int(x * size / width), 0), size - 1)
    return row, column
