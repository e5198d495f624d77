"""The display windows of a DICOM header (PS3.3 section C.11.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import header
from ddad_core.imaging.lookup import read_lookup_table
from ddad_core.imaging.terms import known_window_name
from ddad_core.types import Window


def read_windows(
    tags: Dataset, *, low: float, high: float, mirror: float | None
) -> tuple[Window, ...]:
    """Read the windows and VOI LUTs, turned into the sense of the pixels.

    A LINEAR window (c, w) is (c - 0.5, w - 1) in the form of :class:`Window`; LINEAR_EXACT and
    SIGMOID are themselves (sections C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2). A VOI LUT keeps
    its table; MONOCHROME1 inverts what comes out of it, so the table is turned end for end and
    its entries are inverted.

    Args:
        tags: The header.
        low: Smallest pixel of the image.
        high: Largest.
        mirror: Sum that a value and its inverted value have; None if not inverted.

    Returns:
        The windows in the file's order, LUTs last. Left out are broken ones, those of no positive
        width and those that would show the whole image in one grey.
    """
    signed = (low if mirror is None else mirror - high) < 0
    found = [*_functions(tags), *_tables(tags, signed=signed)]
    turned = (window if mirror is None else _mirrored(window, mirror) for window in found)
    return tuple(window for window in turned if _shows_something(window, low, high))


def _functions(tags: Dataset) -> Iterator[Window]:
    function = header.code(tags, "VOILUTFunction")
    names = header.text_of(tags, "WindowCenterWidthExplanation").split("\\")
    pairs = zip(
        header.numbers(tags, "WindowCenter"), header.numbers(tags, "WindowWidth"), strict=False
    )
    for i, (center, width) in enumerate(pairs):
        name = known_window_name(names[i]) if i < len(names) else ""
        if function == "SIGMOID":
            yield Window(center, width, name, function="sigmoid")
        elif function == "LINEAR_EXACT":
            yield Window(center, width, name)
        else:
            yield Window(center - 0.5, width - 1, name)


def _tables(tags: Dataset, *, signed: bool) -> Iterator[Window]:
    for item in tags.get("VOILUTSequence") or ():
        try:
            lut = read_lookup_table(tags, item, signed=signed)
        except (RefusedImageError, AttributeError, TypeError, ValueError, struct.error):
            continue  # the picture can be shown without it
        span = len(lut.entries) - 1
        yield Window(
            center=lut.first + span / 2,
            width=float(span),
            name=known_window_name(header.text_of(item, "LUTExplanation")),
            function="lut",
            table=lut.entries.astype("<u2").tobytes(),
            table_max=2**lut.depth - 1,
        )


def _mirrored(window: Window, mirror: float) -> Window:
    turned = replace(window, center=mirror - window.center)
    if window.function != "lut":
        return turned
    entries = window.table_max - np.frombuffer(window.table, "<u2")[::-1].astype(np.int64)
    return replace(turned, table=entries.astype("<u2").tobytes())


def _shows_something(window: Window, low: float, high: float) -> bool:
    if window.width <= 0:
        return False
    if window.function == "lut":
        ends = np.array([low, high]) - (window.center - window.width / 2)
        first, last = np.clip(np.floor(ends + 0.5), 0, window.width).astype(int)
        entries = np.frombuffer(window.table, "<u2")[first : last + 1]
        return bool(entries.max() > entries.min())
    # A sigmoid still rises where a line has ended: over twice the width from 0.02 to 0.98.
    reach = window.width if window.function == "sigmoid" else window.width / 2
    return window.center - reach < high and window.center + reach > low
