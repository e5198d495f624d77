"""The browser's end of preparing a case: it unpacks the next case's pixels, and shows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from app.services.preparing import PreparedCase
from app.ui.viewer.data import key_of_pixels, lay_out

KEY = "ahead"
_FOLDER = Path(__file__).parent
_SCRIPTS = ("../viewer/payload.js", "../viewer/layers.js", "ahead.js")


def ahead(image_id: int, ready: PreparedCase | None = None) -> str:
    """Put it on the page.

    Args:
        image_id: The case that comes next; 0 for none.
        ready: Its pixels, if they were just asked for.

    Returns:
        The digest of the pixels given, as ``ViewerData.pixels_key``; empty without any.
    """
    header: dict[str, object] = {"next": image_id, "pixels": None}
    key, pixels = "", b""
    if ready is not None:
        display = ready.picture.display
        pixels = display.pixels
        key = key_of_pixels(
            pixels, ready.image.width, ready.image.height, display.slope, display.intercept
        )
        header |= {
            "pixels": (0, len(pixels)),
            "pixels_key": key,
            "pixels_size": (display.width, display.height),
            "slope": display.slope,
            "intercept": display.intercept,
        }
    _component(key=KEY, data=lay_out(header, pixels), on_ready_change=_no_callback)
    return key


def asked_for(kept: object, image_id: int) -> float:
    """When the browser asked for an image's pixels, by what Streamlit keeps; 0 if it did not.

    What the browser says is untrusted.
    """
    ready = getattr(kept, "ready", None)
    if not isinstance(ready, Mapping) or ready.get("image") != image_id:
        return 0.0
    at = ready.get("at")
    return float(at) if isinstance(at, int | float) else 0.0


def _no_callback() -> None:
    """Streamlit keeps a component's state only if the state has a callback."""


_component = st.components.v2.component(
    "ddad_ahead",
    html="<div hidden></div>",
    js="\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _SCRIPTS),
)
