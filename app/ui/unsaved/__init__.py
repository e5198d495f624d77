"""Tells the server of a text while it is typed, not only when its field is left."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_component = st.components.v2.component(
    "ddad_unsaved",
    html="<div hidden></div>",
    js=(Path(__file__).parent / "unsaved.js").read_text(encoding="utf-8"),
)


def tell_while_typing() -> None:
    """Put it on the page; it shows nothing."""
    _component(key="unsaved")
