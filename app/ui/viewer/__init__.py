"""The image viewer: one browser component that draws, windows, overlays and takes boxes.

Everything a reader does with the mouse is drawn in the browser without a word to the server;
the server hears of a change when the reader lets go. What it hears is untrusted input and is
read by `parse_state` and `parse_wants`, which never raise. A radiograph in full and what the
modules reconstruct are sent only when the browser asks for them.

The browser's part is plain JavaScript with no build step: the files of `_SCRIPTS` are joined,
in that order, into one ES module whose default export is in the last of them.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st

from app.services.read_draft import MAX_BOXES, MAX_REJECTED
from app.ui.viewer.data import (
    BesideImage,
    OthersBoxes,
    Palette,
    ViewerData,
    ViewerState,
    ViewerWants,
    lay_out,
)
from app.ui.viewer.reports import parse_boxes, parse_state, parse_wants
from ddad_core.overlay import OPACITY
from ddad_core.types import Window

__all__ = [
    "BesideImage",
    "OthersBoxes",
    "Palette",
    "ViewerData",
    "ViewerState",
    "ViewerWants",
    "pack",
    "parse_boxes",
    "parse_state",
    "parse_wants",
    "reported_state",
    "reported_wants",
    "viewer",
    "viewer_key",
]

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
    "beside.js",
    "painter.js",
    "readout.js",
    "gestures.js",
    "keytable.js",
    "keys.js",
    "panelkeys.js",
    "cheatsheet.js",
    "mapchoice.js",
    "sidepanel.js",
    "fullscreen.js",
    "toolbar.js",
    "loader.js",
    "viewer.js",
    "mount.js",
)
_STYLES = ("viewer.css", "side.css")


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
    """Lay everything out in one run of bytes, as `lay_out` does.

    With ``fill`` the viewer takes the height of its container. Pixels whose key is ``has`` are left
    out.
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
        "rejected": [
            {"map": r.map_name, "threshold": r.pixel_threshold, "cell": data.cell_of(r)}
            for r in data.rejected
        ],
        "description": data.description,
        "fill": fill,
        "ai_visible": data.ai_visible,
        "opacity": OPACITY,
        "max_boxes": MAX_BOXES,
        "max_rejected": MAX_REJECTED,
        "findings": data.findings,
        "others": [
            {"who": one.who, "boxes": [asdict(box) for box in one.boxes]} for one in data.others
        ],
        "comparable": [{"id": key, "title": words} for key, words in data.comparable],
        "beside": data.beside
        and {
            "id": data.beside.image_id,
            "title": data.beside.title,
            "width": data.beside.width,
            "height": data.beside.height,
            "pixels": part(data.beside.pixels),
            "pixels_size": data.beside.pixels_size,
            "slope": data.beside.slope,
            "intercept": data.beside.intercept,
            "window": window(data.beside.window),
        },
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
    return lay_out(header, bytes(body))


def _no_callback() -> None:
    """Streamlit keeps a component's state only if the state has a callback."""


_component = st.components.v2.component(
    "ddad_viewer",
    html=(_HERE / "viewer.html").read_text(encoding="utf-8"),
    css="\n".join((_HERE / name).read_text(encoding="utf-8") for name in _STYLES),
    js="\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
)
