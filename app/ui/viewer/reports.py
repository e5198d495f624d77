"""What the browser reports: untrusted input, read without ever raising."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from app.services.read_draft import MAX_BOXES, MAX_REJECTED
from app.store.records import Box, RejectedRegion
from app.ui.viewer.data import ViewerData, ViewerState, ViewerWants
from ddad_core.overlay import OPACITY

MAX_LABEL = 80


def parse_state(raw: object, data: ViewerData) -> ViewerState:
    """Read what the browser reported; whatever is malformed falls back to the defaults.

    A report for another image is ignored. Map and threshold count only if they were chosen on
    the maps now shown: a threshold set under one model says nothing under the next.
    """
    report: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    image_id = report.get("image_id")
    if isinstance(image_id, bool) or image_id != data.image_id:
        report = {}
    same_maps = report.get("maps_key") == data.maps_key
    layer = data.map_named(report.get("map") if same_maps else None)
    threshold = layer.threshold if layer else 0.0
    if same_maps and layer is not None and report.get("map") == layer.name:
        threshold = _number_within(report.get("threshold"), 0.0, layer.maximum, threshold)
    visible = report.get("ai_visible")
    return ViewerState(
        image_id=data.image_id,
        boxes=parse_boxes(report.get("boxes"), data),
        map_name=layer.name if layer else "",
        pixel_threshold=threshold,
        opacity=_number_within(report.get("opacity"), 0.0, 1.0, OPACITY),
        ai_visible=layer is not None
        and (visible if isinstance(visible, bool) else data.ai_visible),
        rejected=parse_rejected(report.get("rejected"), data),
    )


def parse_wants(raw: object, data: ViewerData) -> ViewerWants:
    """Read what the browser asks for; what is malformed or for another image asks for nothing."""
    if not isinstance(raw, Mapping) or isinstance(raw.get("image_id"), bool):
        return ViewerWants()
    if raw.get("image_id") != data.image_id:
        return ViewerWants()
    has, beside = raw.get("has"), raw.get("beside")
    known = isinstance(beside, int) and beside in (key for key, _ in data.comparable)
    return ViewerWants(
        full=raw.get("full") is True,
        explanation=bool(data.maps) and raw.get("reconstructions") == data.maps_key,
        beside=int(beside) if known else 0,
        has=has if isinstance(has, str) else "",
    )


def parse_boxes(raw: object, data: ViewerData) -> tuple[Box, ...]:
    """The parts of boxes that lie on the image; the ones to start with if it is no list."""
    if not isinstance(raw, list):
        return data.boxes
    boxes = (_parse_box(item, data) for item in raw[:MAX_BOXES])
    return tuple(box for box in boxes if box is not None)


def parse_rejected(raw: object, data: ViewerData) -> tuple[RejectedRegion, ...]:
    """The regions of these maps that were rejected; the ones to start with if it is no list."""
    if not isinstance(raw, list):
        return data.rejected
    found = {region: None for item in raw[:MAX_REJECTED] if (region := _parse_region(item, data))}
    return tuple(found)


def _parse_region(raw: object, data: ViewerData) -> RejectedRegion | None:
    if not isinstance(raw, Mapping) or raw.get("maps_key") != data.maps_key:
        return None
    name, cell = raw.get("map"), raw.get("cell")
    threshold = _finite(raw.get("threshold"))
    if not isinstance(name, str) or threshold is None:
        return None
    if isinstance(cell, bool) or not isinstance(cell, int):
        return None
    return data.region_at(name, threshold, cell)


def _parse_box(raw: object, data: ViewerData) -> Box | None:
    """The part of a box that lies on the image; None if there is none."""
    if not isinstance(raw, Mapping):
        return None
    numbers = [_finite(raw.get(name)) for name in ("x", "y", "width", "height")]
    if any(number is None for number in numbers):
        return None
    x, y, width, height = (float(number) for number in numbers if number is not None)
    left, right = max(x, 0.0), min(x + width, float(data.width))
    top, bottom = max(y, 0.0), min(y + height, float(data.height))
    # The browser rounds to a tenth of a pixel; subtracting must not bring back 0.30000000000000004.
    shown_width, shown_height = round(right - left, 3), round(bottom - top, 3)
    if shown_width <= 0 or shown_height <= 0:
        return None
    label = raw.get("label")
    words = label.strip()[:MAX_LABEL] if isinstance(label, str) and label.isprintable() else ""
    return Box(left, top, shown_width, shown_height, words)


def _number_within(raw: object, low: float, high: float, fallback: float) -> float:
    number = _finite(raw)
    return fallback if number is None else min(max(number, low), high)


def _finite(raw: object) -> float | None:
    """A finite number as float; None for anything else, truth values included."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    try:
        number = float(raw)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
