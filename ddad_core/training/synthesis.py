"""Synthetic anomalies: patches of other normal images blended into normal images.

Source: Cai et al., Medical Image Analysis 86, 2023, 102794, and the authors' published code, from
which the whole pixels follow: what the paper leaves open is done as there, and said below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddad_core.imaging.geometry import normalise

PROBABILITY = 0.5
"""That an image gets a patch."""

HALF_WIDTH = (0.05, 0.20)
"""Of a patch, as shares of the image's width."""


@dataclass(frozen=True, eq=False)
class SyntheticAnomalies:
    """Normal images, about half of them with a patch.

    Attributes:
        images: float32 (B, S, S) in [-1, 1].
        masks: bool (B, S, S), true inside the patch.
    """

    images: np.ndarray
    masks: np.ndarray


def half_widths(size: int) -> tuple[int, int]:
    """Smallest and largest half-width of a patch in pixels, for instance 3 and 12 of 64.

    Both bounds are rounded and the upper one is left out, as published.
    """
    smallest, past = (round(share * size) for share in HALF_WIDTH)
    return smallest, past - 1


def centres(size: int) -> tuple[int, int]:
    """First and last row (and column) a patch may be centred on, for instance 6 and 56 of 64."""
    return size // 10, 9 * size // 10 - 1


def synthesise(
    grey: np.ndarray, generator: np.random.Generator, chosen: np.ndarray | None = None
) -> SyntheticAnomalies:
    """Put patches into images with probability one half.

    Inside a patch a pixel becomes (1 - alpha) times itself plus alpha times the same pixel of
    another image, alpha uniform in (0, 1) and one number a patch. A patch of half-width w covers
    the rows and columns from centre - w up to, not including, centre + w. Where it reaches over
    the border it is clipped, as published: centres keep a tenth of the width away from it and
    half-widths go up to a fifth.

    Args:
        grey: All normal images, uint8 (N, S, S), at least two.
        generator: Every draw is its; the same state gives the same anomalies.
        chosen: Which images to take, (B,) indices; all in order if None. The other image is
            drawn from all N and is never the image itself.
    """
    assert grey.dtype == np.uint8 and len(grey) >= 2 and grey.shape[1] == grey.shape[2]
    chosen = np.arange(len(grey)) if chosen is None else chosen
    count, size = len(chosen), grey.shape[1]
    changed = generator.random(count) < PROBABILITY
    other = (chosen + generator.integers(1, len(grey), count)) % len(grey)
    half_width = generator.integers(*half_widths(size), count, endpoint=True)
    centre = generator.integers(*centres(size), (2, count), endpoint=True)
    alpha = generator.uniform(np.finfo(np.float32).eps, 1.0, count)  # never zero: nothing to find

    line = np.arange(size)
    start, end = (centre - half_width)[..., None], (centre + half_width)[..., None]
    rows, columns = (line >= start) & (line < end)  # (B, S) each
    masks = rows[:, :, None] & columns[:, None, :] & changed[:, None, None]
    weight = masks * alpha.astype(np.float32)[:, None, None]
    images = (1 - weight) * normalise(grey[chosen]) + weight * normalise(grey[other])
    return SyntheticAnomalies(images.astype(np.float32, copy=False), masks)
