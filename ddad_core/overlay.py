"""The picture a reader sees by default: a windowed radiograph under a thresholded map.

This is the Python twin of the browser's viewer (``app/ui/viewer``): same window formula, same
interpolation, same colours, constant opacity above the threshold and none below.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from ddad_core.imaging.geometry import map_to_image
from ddad_core.types import Radiograph, Window

OPACITY = 0.45
"""Default opacity of the overlay, here and in the viewer."""


COLOR_MAPS = {
    "Plasma": cv2.COLORMAP_PLASMA,
    "Viridis": cv2.COLORMAP_VIRIDIS,
    "Cividis": cv2.COLORMAP_CIVIDIS,
    "Magma": cv2.COLORMAP_MAGMA,
}
"""Perceptually uniform, rising in lightness, told apart by colour-blind readers; the default first.
Cividis is made to look the same with and without a red-green deficiency."""


@dataclass(frozen=True)
class MapRegion:
    """A connected part of a map above a threshold.

    Attributes:
        peak: Its highest value.
        peak_cell: (row, column) of the first cell with that value, in rows from the top.
        cells: How many map cells it has.
        top: First row of its outline; likewise ``left``, the first column.
        left: See ``top``.
        bottom: Last row; likewise ``right``, the last column.
        right: See ``bottom``.
    """

    peak: float
    peak_cell: tuple[int, int]
    cells: int
    top: int
    left: int
    bottom: int
    right: int


_SAMPLED_SIDE = 256


def color_table(name: str = "Plasma") -> np.ndarray:
    """One of ``COLOR_MAPS``, uint8 (256, 3), RGB, low to high."""
    ramp = np.arange(256, dtype=np.uint8).reshape(256, 1)
    return cv2.applyColorMap(ramp, COLOR_MAPS[name])[:, 0, ::-1].copy()


def map_regions(values: np.ndarray, threshold: float) -> list[MapRegion]:
    """The connected parts (8 neighbours) of the cells with values >= threshold.

    Args:
        values: float32 (S, S), the map.
        threshold: In its units.

    Returns:
        The highest peak first; of equal peaks, the one whose peak comes first in rows.
    """
    parts, n = ndimage.label(values >= threshold, structure=np.ones((3, 3), dtype=bool))
    regions = []
    for i in range(1, n + 1):
        rows, columns = np.nonzero(parts == i)  # in rows from the top
        at = int(values[rows, columns].argmax())
        regions.append(
            MapRegion(
                peak=float(values[rows[at], columns[at]]),
                peak_cell=(int(rows[at]), int(columns[at])),
                cells=len(rows),
                top=int(rows.min()),
                left=int(columns.min()),
                bottom=int(rows.max()),
                right=int(columns.max()),
            )
        )
    return sorted(regions, key=lambda region: (-region.peak, region.peak_cell))


def default_window(radiograph: Radiograph) -> Window:
    """The file's first window, else one from the 0.5th to the 99.5th percentile of the pixels.

    A file's window that would leave the image all black or all white is passed over.
    """
    pixels = radiograph.pixels
    for window in radiograph.windows:
        shown = apply_window(pixels[::4, ::4], window)
        if float(shown.max()) - float(shown.min()) > 0.1:
            return window
    if radiograph.facts.bits == 8:
        return Window(127.5, 255.0)
    step = max(min(pixels.shape) // _SAMPLED_SIDE, 1)  # percentiles of all pixels cost too much
    low, high = np.percentile(pixels[::step, ::step], [0.5, 99.5])
    return Window(float(low + high) / 2, max(float(high - low), 1.0))


def apply_window(pixels: np.ndarray, window: Window) -> np.ndarray:
    """Compute displayed grey as :class:`Window` says (DICOM PS3.3 section C.11.2.1).

    Args:
        pixels: float32, any shape.
        window: In the same units.

    Returns:
        float32 in [0, 1], the same shape.
    """
    if window.function == "lut":
        table = np.frombuffer(window.table, "<u2").astype(np.float32) / window.table_max
        index = np.floor(pixels - (window.center - window.width / 2) + 0.5)
        return table[np.clip(index, 0, len(table) - 1).astype(np.int32)].astype(np.float32)
    steps = (pixels - window.center) / window.width
    if window.function == "sigmoid":
        # Beyond +-20 the curve is flat in float32; exp would overflow far out.
        return (1.0 / (1.0 + np.exp(-4.0 * np.clip(steps, -20.0, 20.0)))).astype(np.float32)
    return np.clip(steps + 0.5, 0.0, 1.0).astype(np.float32)


def render_overlay(
    radiograph: Radiograph,
    values: np.ndarray,
    *,
    threshold: float,
    maximum: float,
    opacity: float = OPACITY,
) -> np.ndarray:
    """Paint a map over a radiograph.

    Args:
        radiograph: What to show, under its default window.
        values: float32 (S, S), the map.
        threshold: Map values below it are not painted.
        maximum: Map value of the last colour.
        opacity: 0 to 1, of all that is painted.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    grey = apply_window(radiograph.pixels, default_window(radiograph))  # (H, W)
    image = np.repeat(np.rint(grey * 255.0)[:, :, None], 3, axis=2)
    stretched = map_to_image(values, height=radiograph.height, width=radiograph.width)
    index = np.clip(stretched / maximum * 255.0, 0, 255).astype(np.uint8)
    painted = stretched >= threshold
    colors = color_table()[index[painted]].astype(np.float32)
    image[painted] = (1 - opacity) * image[painted] + opacity * colors
    return np.rint(image).astype(np.uint8)
