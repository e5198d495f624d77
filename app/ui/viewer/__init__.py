"""The image viewer: one browser component that draws, windows, overlays and takes boxes.

Everything a reader does with the mouse is drawn in the browser without a word to the server;
the server hears of a change when the reader lets go. What it hears is untrusted input and is
read by `parse_state` and `parse_wants`, which never raise. A radiograph in full and what the
modules reconstruct are sent only when the browser asks for them.

The browser's part is plain JavaScript with no build step: the files of `_SCRIPTS` are joined,
in that order, into one ES module whose default export is in the last of them.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from app.services.reading import FINDINGS, MAX_BOXES, MapLayer
from app.services.viewing import Explanation
from app.store.records import Box
from ddad_core.overlay import OPACITY
from ddad_core.types import Window

COLOR_BYTES = 256 * 3
MAX_LABEL = 80

_HERE = Path(__file__).parent
_SCRIPTS = (
    "payload.js",
    "transform.js",
    "layers.js",
    "contours.js",
    "regions.js",
    "colorbar.js",
    "boxes.js",
    "ruler.js",
    "history.js",
    "boxeditor.js",
    "panes.js",
    "painter.js",
    "readout.js",
    "gestures.js",
    "keytable.js",
    "keys.js",
    "cheatsheet.js",
    "mapchoice.js",
    "sidepanel.js",
    "toolbar.js",
    "loader.js",
    "viewer.js",
    "mount.js",
)
_STYLES = ("viewer.css", "side.css")


@dataclass(frozen=True)
class Palette:
    """Colours of a map: a name, and 256 RGB triples, low to high."""

    name: str
    colors: bytes = field(repr=False)


@dataclass(frozen=True)
class ViewerData:
    """All that the browser needs to show one image.

    Attributes:
        image_id: Key of the image; a new one starts a fresh view.
        width: Columns, W.
        height: Rows, H.
        pixels: zlib of little-endian uint16, row-major: the image, or a smaller picture of it.
        slope: Value of one stored step; value = stored * slope + intercept.
        intercept: Value of a stored zero. Values are in MONOCHROME2 sense: larger is brighter.
        window: The default window.
        presets: Further windows, each with a name.
        spacing_mm: (row, column) pixel spacing in millimetres, or None.
        maps: The discrepancy maps, in the order of the map choice; empty for an unaided view.
        initial_map: Name of the map to show first; ignored without maps.
        ai_visible: Whether the overlay is shown at first.
        boxes: Boxes to start with.
        palettes: Colours to choose from, the default first.
        description: Text alternative of the image.
        pixels_size: (width, height) of ``pixels``; None: the image's own.
        explanation: What modules A and B reconstruct, once it was asked for.
    """

    image_id: int
    width: int
    height: int
    pixels: bytes
    slope: float
    intercept: float
    window: Window
    presets: tuple[Window, ...]
    spacing_mm: tuple[float, float] | None
    maps: tuple[MapLayer, ...]
    initial_map: str
    ai_visible: bool
    boxes: tuple[Box, ...]
    palettes: tuple[Palette, ...]
    description: str
    pixels_size: tuple[int, int] | None = None
    explanation: Explanation | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            msg = f"The image is {self.width} x {self.height} pixels; both must be at least 1."
            raise ValueError(msg)
        if not all(window.width > 0 for window in (self.window, *self.presets)):
            msg = "A display window has a width of zero or less; pass windows wider than zero."
            raise ValueError(msg)
        if not self.palettes or any(len(one.colors) != COLOR_BYTES for one in self.palettes):
            msg = f"Each palette must be 256 RGB triples, {COLOR_BYTES} bytes; pass at least one."
            raise ValueError(msg)
        if self.maps and self.initial_map not in {layer.name for layer in self.maps}:
            names = ", ".join(layer.name for layer in self.maps)
            msg = f"initial_map is {self.initial_map!r}; pass one of: {names}."
            raise ValueError(msg)

    def map_named(self, name: object) -> MapLayer | None:
        """The map of that name; without one, the initial map; None if there are no maps."""
        by_name = {layer.name: layer for layer in self.maps}
        chosen = by_name.get(name) if isinstance(name, str) else None
        return chosen or by_name.get(self.initial_map)

    @functools.cached_property
    def pixels_key(self) -> str:
        """Digest that changes when the picture does, and only then."""
        return _digest(self.pixels, self.width, self.height, self.slope, self.intercept)

    @property
    def is_full(self) -> bool:
        """Whether ``pixels`` are the image's own."""
        return self.pixels_size in (None, (self.width, self.height))

    @functools.cached_property
    def maps_key(self) -> str:
        """Digest that changes when a map, a scale or a default threshold does.

        The initial map is none of these: a map once chosen stays when the page is laid out anew.
        """
        facts = [
            (m.name, m.unit, m.size, m.threshold, m.maximum, hashlib.sha256(m.values).hexdigest())
            for m in self.maps
        ]
        return _digest(b"", *facts)


@dataclass(frozen=True)
class ViewerState:
    """What the reader has done, as far as the server must know.

    Attributes:
        image_id: The image this belongs to.
        boxes: Boxes now on the image, in image pixels.
        map_name: Map shown, or an empty string without maps.
        pixel_threshold: Threshold of that map, in its units.
        opacity: Opacity of the overlay, 0 to 1.
        ai_visible: Whether the overlay is shown; False without maps.
    """

    image_id: int
    boxes: tuple[Box, ...]
    map_name: str
    pixel_threshold: float
    opacity: float
    ai_visible: bool


@dataclass(frozen=True)
class ViewerWants:
    """What the browser asks for beyond what it was sent.

    Attributes:
        full: The image in full.
        explanation: What modules A and B reconstruct, under the maps now shown.
        has: The ``pixels_key`` of the picture it has and need not be sent again.
    """

    full: bool = False
    explanation: bool = False
    has: str = ""


def viewer(data: ViewerData, *, height: int | str = "content", has: str = "") -> ViewerState:
    """Show one image and return what the reader has done with it so far.

    Args:
        data: The image, its maps and the boxes to start with.
        height: CSS pixels, or "stretch" for the container's; "content" follows the window.
        has: As in `ViewerWants`.
    """
    result = _component(
        key=viewer_key(data.image_id),
        data=pack(data, fill=height != "content", has=has),
        width="stretch",
        height=height,
        on_view_change=_no_callback,
        on_wants_change=_no_callback,
    )
    return parse_state(result.get("view"), data)


def viewer_key(image_id: int) -> str:
    """The key under which Streamlit keeps the state of an image's viewer."""
    return f"viewer-{image_id}"


def reported_state(kept: object, data: ViewerData) -> ViewerState:
    """What Streamlit keeps for a viewer now, for callbacks that run before the page."""
    return parse_state(getattr(kept, "view", None), data)


def reported_wants(kept: object, data: ViewerData) -> ViewerWants:
    """What the browser asked for, by what Streamlit keeps for a viewer before it is drawn."""
    return parse_wants(getattr(kept, "wants", None), data)


def pack(data: ViewerData, *, fill: bool = False, has: str = "") -> bytes:
    """Lay everything out in one run of bytes.

    Components take bytes only as the whole of their data, never inside a mapping. The layout is
    the header's length (little-endian uint32), the header (JSON, UTF-8), then the parts that the
    header names by [offset, length], counted from the header's end. With ``fill`` the viewer takes
    the height of its container. Pixels whose key is ``has`` are left out.
    """
    body = bytearray()

    def part(content: bytes) -> list[int]:
        body.extend(content)
        return [len(body) - len(content), len(content)]

    def window(shown: Window) -> dict[str, Any]:
        """A lookup table travels as zlib of little-endian uint16, as the pixels do."""
        table = {"table": part(zlib.compress(shown.table)), "table_max": shown.table_max}
        return {
            "name": shown.name,
            "function": shown.function,
            "center": shown.center,
            "width": shown.width,
            **(table if shown.function == "lut" else {}),
        }

    header = {
        "image_id": data.image_id,
        "pixels_key": data.pixels_key,
        "maps_key": data.maps_key,
        "width": data.width,
        "height": data.height,
        "slope": data.slope,
        "intercept": data.intercept,
        "window": window(data.window),
        "presets": [window(preset) for preset in data.presets],
        "spacing_mm": data.spacing_mm,
        "initial_map": data.initial_map,
        "boxes": [asdict(box) for box in data.boxes],
        "description": data.description,
        "fill": fill,
        "ai_visible": data.ai_visible,
        "opacity": OPACITY,
        "max_boxes": MAX_BOXES,
        "findings": FINDINGS,
        "pixels": None if data.pixels_key == has else part(data.pixels),
        "pixels_size": data.pixels_size or (data.width, data.height),
        "palettes": [{"name": one.name, "colors": part(one.colors)} for one in data.palettes],
        "reconstructions": data.explanation
        and {
            "size": data.explanation.size,
            "slope": data.explanation.slope,
            "intercept": data.explanation.intercept,
            "a": part(data.explanation.a),
            "b": part(data.explanation.b),
        },
        "maps": [
            {
                "name": layer.name,
                "title": layer.title,
                "hint": layer.hint,
                "unit": layer.unit,
                "size": layer.size,
                "threshold": layer.threshold,
                "maximum": layer.maximum,
                "values": part(layer.values),
            }
            for layer in data.maps
        ],
    }
    encoded = json.dumps(header, allow_nan=False).encode()
    return struct.pack("<I", len(encoded)) + encoded + bytes(body)


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
        boxes=_parse_boxes(report.get("boxes"), data),
        map_name=layer.name if layer else "",
        pixel_threshold=threshold,
        opacity=_number_within(report.get("opacity"), 0.0, 1.0, OPACITY),
        ai_visible=layer is not None
        and (visible if isinstance(visible, bool) else data.ai_visible),
    )


def parse_wants(raw: object, data: ViewerData) -> ViewerWants:
    """Read what the browser asks for; what is malformed or for another image asks for nothing."""
    if not isinstance(raw, Mapping) or isinstance(raw.get("image_id"), bool):
        return ViewerWants()
    if raw.get("image_id") != data.image_id:
        return ViewerWants()
    has = raw.get("has")
    return ViewerWants(
        full=raw.get("full") is True,
        explanation=bool(data.maps) and raw.get("reconstructions") == data.maps_key,
        has=has if isinstance(has, str) else "",
    )


def _parse_boxes(raw: object, data: ViewerData) -> tuple[Box, ...]:
    if not isinstance(raw, list):
        return data.boxes
    boxes = (_parse_box(item, data) for item in raw[:MAX_BOXES])
    return tuple(box for box in boxes if box is not None)


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


def _digest(content: bytes, *facts: object) -> str:
    return hashlib.sha256(content + repr(facts).encode()).hexdigest()[:16]


def _no_callback() -> None:
    """Streamlit keeps a component's state only if the state has a callback."""


_component = st.components.v2.component(
    "ddad_viewer",
    html=(_HERE / "viewer.html").read_text(encoding="utf-8"),
    css="\n".join((_HERE / name).read_text(encoding="utf-8") for name in _STYLES),
    js="\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
)
