"""The image viewer: one canvas component, blended in the browser.

Window, zoom, threshold and opacity change without a round trip; the browser reports boxes,
the map in view and its threshold when a gesture ends.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

MAX_BOXES = 100
LABEL_LIMIT = 80
_FOLDER = Path(__file__).parent
_SCRIPTS = ("codec.js", "layers.js", "gestures.js", "viewer.js", "controls.js")


def _source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


_component = st.components.v2.component(
    "ddad_viewer",
    html=_source("viewer.html"),
    css=_source("viewer.css"),
    js="\n".join(_source(name) for name in _SCRIPTS),
)


@dataclass(frozen=True)
class MapLayer:
    """One map.

    Attributes:
        name: For instance "inter".
        title: Shown in the map choice, for instance "A_inter".
        unit: Shown on the colour bar.
        values: zlib of little-endian float32, size x size, row by row.
        size: S.
        threshold: Default pixel threshold.
        maximum: Top of the colour scale and of the threshold's slider.
    """

    name: str
    title: str
    unit: str
    values: bytes
    size: int
    threshold: float
    maximum: float


@dataclass(frozen=True)
class ViewerBox:
    """A box in image pixels, from the top left corner; edges at pixel edges."""

    x: float
    y: float
    width: float
    height: float
    label: str = ""


@dataclass(frozen=True)
class ViewerData:
    """What the viewer shows.

    Attributes:
        image_id: Ties what comes back to this image.
        width: Columns.
        height: Rows.
        pixels: zlib of little-endian uint16, height x width, row by row.
        slope: Pixel value = stored * slope + intercept.
        intercept: See ``slope``.
        window: Default (centre, width); displayed grey = clip((v - centre) / width + 0.5).
        presets: Further windows: (name, centre, width).
        spacing_mm: (row, column), or None if unknown.
        maps: In the order of the map choice.
        initial_map: Name of the map shown first.
        ai_visible: Whether the overlay is on at first.
        boxes: From the database.
        colors: 256 RGB triples, low to high.
        description: For screen readers.
    """

    image_id: int
    width: int
    height: int
    pixels: bytes
    slope: float
    intercept: float
    window: tuple[float, float]
    presets: tuple[tuple[str, float, float], ...]
    spacing_mm: tuple[float, float] | None
    maps: tuple[MapLayer, ...]
    initial_map: str
    ai_visible: bool
    boxes: tuple[ViewerBox, ...]
    colors: bytes
    description: str


@dataclass(frozen=True)
class ViewerState:
    """What the reader has done with the viewer."""

    boxes: tuple[ViewerBox, ...]
    map_name: str
    pixel_threshold: float
    opacity: float
    ai_visible: bool


def viewer(data: ViewerData) -> ViewerState:
    """Show an image and return the state the browser last reported for it."""
    # A key of its own for each image: with one key, one image's boxes come back for the next.
    result = _component(
        key=f"viewer-{data.image_id}", data=_payload(data), on_view_change=lambda: None
    )
    return parse_state(result.view, data)


def _payload(data: ViewerData) -> bytes:
    """One bytes object: header length, JSON header, blobs (see ``codec.js``)."""
    header = {
        name: value
        for name, value in asdict(data).items()
        if name not in ("pixels", "colors", "maps")
    }
    header["maps"] = [
        {name: value for name, value in asdict(layer).items() if name != "values"}
        for layer in data.maps
    ]
    blobs = [data.colors, data.pixels, *(layer.values for layer in data.maps)]
    header["blobs"] = [len(blob) for blob in blobs]
    # Reruns send the same bytes again; by this the browser knows that nothing is new.
    header["digest"] = hashlib.sha256(b"".join(blobs)).hexdigest()
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + b"".join(blobs)


def parse_state(reported: Any, data: ViewerData) -> ViewerState:
    """Check what came from the browser; what is missing or malformed takes its default."""
    layers = {layer.name: layer for layer in data.maps}
    report = reported if isinstance(reported, Mapping) else {}
    if report.get("image_id") != data.image_id:
        report = {}
    name = report.get("map")
    layer = layers.get(name if isinstance(name, str) else "", layers[data.initial_map])
    boxes = data.boxes
    if isinstance(report.get("boxes"), list):
        parsed = (_box(box, data) for box in report["boxes"][:MAX_BOXES])
        boxes = tuple(box for box in parsed if box is not None)
    visible = report.get("ai_visible")
    return ViewerState(
        boxes=boxes,
        map_name=layer.name,
        pixel_threshold=_number(report.get("threshold"), 0.0, layer.maximum, layer.threshold),
        opacity=_number(report.get("opacity"), 0.0, 1.0, 0.45),
        ai_visible=visible if isinstance(visible, bool) else data.ai_visible,
    )


def _box(reported: Any, data: ViewerData) -> ViewerBox | None:
    if not isinstance(reported, Mapping):
        return None
    values = [reported.get(name) for name in ("x", "y", "width", "height")]
    if not all(_is_number(value) for value in values):
        return None
    x, y, width, height = (float(value) for value in values)  # type: ignore[arg-type]
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, float(data.width)), min(y + height, float(data.height))
    if right - left <= 0 or bottom - top <= 0:
        return None
    label = str(reported.get("label") or "")[:LABEL_LIMIT]
    return ViewerBox(left, top, right - left, bottom - top, label)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: Any, low: float, high: float, default: float) -> float:
    return min(max(float(value), low), high) if _is_number(value) else default
