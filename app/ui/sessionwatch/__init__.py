"""Watches the session in the browser: warns before it ends, leaves the page once it has."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

POLL_SECONDS = 20
WARN_SECONDS = 60

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "ddad_sessionwatch",
    html='<div class="watch" hidden></div>',
    js=(_FOLDER / "sessionwatch.js").read_text(encoding="utf-8"),
)


def sessionwatch() -> None:
    """Put the watch on the page; it shows nothing until the session is about to end."""
    _component(key="sessionwatch", data={"poll": POLL_SECONDS, "warn": WARN_SECONDS})
