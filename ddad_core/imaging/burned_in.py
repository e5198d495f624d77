"""Is there text in the picture? A search for lines of several characters, pure."""

from __future__ import annotations

import cv2
import numpy as np

WARNING = "There seems to be text in the picture; make sure that it names no patient."

LONGEST_SIDE = 1024
"""Pixels; larger pictures are made smaller before the search."""
LEAST_GLYPHS = 6
"""In one line. A side marker or a short label has fewer."""
STROKE = 13
"""Pixels; strokes are narrower, whatever is wider is no text."""
CONTRAST = 30
"""Grey levels of 255 by which a stroke differs from what is around it."""
HEIGHTS = (6, 64)
"""Pixels of a character, at ``LONGEST_SIDE``."""
LEAST_AREA = 0.8
"""Pixels of a character's strokes, for each pixel of its height."""
EVEN = 14.0
"""Grey levels by which the strongest of a line's characters may vary, as standard deviation."""

_LEAST_INK = int(LEAST_GLYPHS * LEAST_AREA * HEIGHTS[0])
"""Pixels; a line has more."""


def text_warning(pixels: np.ndarray) -> str | None:
    """Warn of text in a picture.

    Lines of six or more characters of even height and brightness are found, dark on bright or
    bright on dark; single markers such as L, R or "AP" are none.

    Args:
        pixels: (H, W), finite, any range.

    Returns:
        A sentence, or None.
    """
    return text_warning_of(search_size(pixels))


def text_warning_of(small: np.ndarray) -> str | None:
    """As :func:`text_warning`, for a picture that :func:`search_size` has made."""
    grey = _to_grey(small)
    kernel = np.ones((STROKE, STROKE), np.uint8)
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        strokes = cv2.morphologyEx(grey, operation, kernel)
        mask = (strokes > CONTRAST).astype(np.uint8)
        if cv2.countNonZero(mask) < _LEAST_INK:  # most pictures; to number regions is slow
            continue
        ink = grey if operation == cv2.MORPH_TOPHAT else 255 - grey
        if _has_line(ink, mask):
            return WARNING
    return None


def search_size(pixels: np.ndarray) -> np.ndarray:
    """Make a picture small enough for the search: float32, no side above ``LONGEST_SIDE``."""
    values = np.ascontiguousarray(pixels, dtype=np.float32)
    whole = max(values.shape) // LONGEST_SIDE
    if whole > 1 and min(values.shape) >= whole:  # by whole numbers first: much faster
        height, width = (side // whole for side in values.shape)
        values = values[: height * whole, : width * whole]
        values = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    scale = LONGEST_SIDE / max(values.shape)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in values.shape)
        values = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    return values


def _to_grey(values: np.ndarray) -> np.ndarray:
    """uint8, the darkest pixel 0 and the brightest 255."""
    low, high = float(values.min()), float(values.max())
    factor = 255 / (high - low) if high > low else 0.0
    return cv2.convertScaleAbs(values, alpha=factor, beta=-low * factor)


def _has_line(ink: np.ndarray, mask: np.ndarray) -> bool:
    n, labels, stats, centres = cv2.connectedComponentsWithStats(
        mask, connectivity=8, ltype=cv2.CV_32S
    )
    left, _, width, height, area = stats.T
    shape = (height >= HEIGHTS[0]) & (height <= HEIGHTS[1]) & (width <= 1.7 * height)
    fill = area / np.maximum(width * height, 1)
    shape &= (fill > 0.12) & (area > LEAST_AREA * height)
    shape[0] = False
    if shape.sum() < LEAST_GLYPHS:
        return False
    inside = np.flatnonzero(mask)
    strongest = np.zeros(n, np.uint8)
    np.maximum.at(strongest, labels.ravel()[inside], ink.ravel()[inside])
    chosen = np.flatnonzero(shape)
    chosen = chosen[np.argsort(left[chosen])]
    glyphs = np.stack([left, left + width, centres[:, 1], height, strongest], axis=1)[
        chosen
    ].astype(np.float64)
    return _longest_line(glyphs) >= LEAST_GLYPHS


def _longest_line(glyphs: np.ndarray) -> int:
    """Characters of the longest even line.

    Args:
        glyphs: (N, 5) left, right, middle row, height and strongest grey, by left edge.
    """
    longest = 0
    used = np.zeros(len(glyphs), bool)
    for first in range(len(glyphs)):
        if used[first]:
            continue
        line = [first]
        while True:
            here = glyphs[line[-1]]
            later = glyphs[line[-1] + 1 :]
            follows = (later[:, 0] - here[1] < 2.0 * here[3]) & (later[:, 0] > here[0] + 1)
            follows &= np.abs(later[:, 2] - here[2]) < 0.35 * here[3]
            follows &= np.abs(np.log(later[:, 3] / here[3])) < 0.5
            follows &= np.abs(later[:, 4] - here[4]) < 2 * EVEN
            if not follows.any():
                break
            line.append(line[-1] + 1 + int(np.argmax(follows)))
        used[line] = True
        if len(line) >= LEAST_GLYPHS and np.std(glyphs[line, 4]) < EVEN:
            longest = max(longest, len(line))
    return longest
