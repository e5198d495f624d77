"""Where the findings are: boxes and masks as cells of a map.

A map of S x S cells covers the whole image; cell (i, j) has its centre at ((i + 0.5) H / S,
(j + 0.5) W / S) of an image of H x W pixels, as in ``ddad_core.imaging.geometry``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from ddad_core.errors import MetricError, RequestError
from ddad_core.imaging.geometry import image_to_map

COLUMNS = ("image", "finding", "x", "y", "width", "height")
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)
ROUNDING = 1.0
"""Pixels by which a box may leave its frame: coordinates were rounded when images were resized."""


@dataclass(frozen=True)
class Box:
    """A reader's box around a finding, in pixels of a stated frame.

    Attributes:
        x: Left edge.
        y: Upper edge.
        width: Greater than zero.
        height: Greater than zero.
        finding: Its name, or an empty string.
    """

    x: float
    y: float
    width: float
    height: float
    finding: str = ""


def read_boxes(path: Path, *, frame: tuple[int, int]) -> dict[str, tuple[Box, ...]]:
    """Read a CSV file with the columns image, finding, x, y, width and height.

    Args:
        path: The file.
        frame: (H, W) of the images the boxes were drawn on, in pixels.

    Returns:
        Boxes by image name, both in the order of the file.

    Raises:
        RequestError: The file cannot be read, lacks a column, has no rows, or a line has a box
            that is no number, has no area or lies outside the frame.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                problem = f"{path}, line 1: there is no column {', '.join(missing)}."
                raise RequestError(problem, f"The columns are {', '.join(COLUMNS)}.")
            found: dict[str, list[Box]] = {}
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if not row["image"]:
                    problem = f"{where}: the image has no name."
                    raise RequestError(problem, "Name its file in the column image.")
                found.setdefault(row["image"], []).append(_box(row, where, frame))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problem = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}."
        raise RequestError(problem, "Give a CSV file of boxes.") from error
    if not found:
        problem = f"{path} has no boxes."
        raise RequestError(problem, "Give a CSV file with one row a box.")
    return {image: tuple(boxes) for image, boxes in found.items()}


def _box(row: dict[str, str | None], where: str, frame: tuple[int, int]) -> Box:
    values = {}
    for name in ("x", "y", "width", "height"):
        try:
            values[name] = float(row[name] or "")
        except ValueError:
            values[name] = math.nan
        if not math.isfinite(values[name]):
            problem = f"{where}: {name} is {row[name]!r}, not a number."
            raise RequestError(problem, "Mend the line or take it out.")
    box = Box(**values, finding=row["finding"] or "")
    height, width = frame
    if box.width <= 0 or box.height <= 0:
        problem = f"{where}: the box is {box.width:g} x {box.height:g} pixels; it has no area."
        raise RequestError(problem, "Mend the line or take it out.")
    ends = (box.x + box.width - width, box.y + box.height - height)
    if min(box.x, box.y) < -ROUNDING or max(ends) > ROUNDING:
        problem = (
            f"{where}: the box from ({box.x:g}, {box.y:g}) to ({box.x + box.width:g}, "
            f"{box.y + box.height:g}) leaves the frame of {width} x {height} pixels."
        )
        raise RequestError(problem, "Say the frame the boxes were drawn on, or mend the line.")
    return box


def box_cells(box: Box, *, frame: tuple[int, int], size: int) -> np.ndarray:
    """Cells whose centres lie in a box; the cell under the box's centre if there is none.

    Args:
        box: In pixels of the frame.
        frame: (H, W).
        size: S.

    Returns:
        bool (S, S), at least one cell set.
    """
    height, width = frame
    rows = (np.arange(size) + 0.5) * height / size
    columns = (np.arange(size) + 0.5) * width / size
    inside_rows = (rows >= box.y) & (rows <= box.y + box.height)
    inside_columns = (columns >= box.x) & (columns <= box.x + box.width)
    cells = inside_rows[:, None] & inside_columns[None, :]  # (S, S)
    if not cells.any():
        centre = (box.x + box.width / 2, box.y + box.height / 2)
        cells[image_to_map(*centre, height=height, width=width, size=size)] = True
    return cells


def regions_of_boxes(boxes: Sequence[Box], *, frame: tuple[int, int], size: int) -> np.ndarray:
    """The boxes of one image as cells, one region a box even where boxes overlap.

    Returns:
        bool (R, S, S).

    Raises:
        MetricError: There is no box.
    """
    if not boxes:
        problem = "An image without a box was given."
        raise MetricError(problem, "Give images without findings as normal maps.")
    return np.stack([box_cells(box, frame=frame, size=size) for box in boxes])


def regions_of_mask(mask: np.ndarray, *, size: int) -> np.ndarray:
    """The connected parts of a mask (8 neighbours) as cells.

    A cell belongs to a part that covers at least half of it; a part that covers half of no cell
    has the one it covers most.

    Args:
        mask: (H, W), non-zero on the finding; H and W at least S.
        size: S.

    Returns:
        bool (R, S, S), R at least 1.

    Raises:
        MetricError: The mask is empty or smaller than the map.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or min(mask.shape) < size:
        problem = f"A mask of shape {mask.shape} is coarser than a map of {size} x {size} cells."
        raise MetricError(problem, "Give masks at the images' own resolution.")
    parts, n = ndimage.label(mask != 0, structure=EIGHT_NEIGHBOURS)
    if not n:
        problem = "An empty mask was given."
        raise MetricError(problem, "Give images without findings as normal maps.")
    regions = np.zeros((n, size, size), dtype=bool)
    for part in range(n):
        share = cv2.resize(
            (parts == part + 1).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA
        )
        regions[part] = share >= min(0.5, float(share.max()))
    return regions
