"""The switch between the dark and the light theme, in the header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st
from streamlit import config

from app.services.preferences import THEMES

KEY = "themeswitch"
_FOLDER = Path(__file__).parent
_BASES = {"light": 0, "dark": 1}  # as Streamlit's messages number them
_component = st.components.v2.component(
    "ddad_themeswitch",
    html=(_FOLDER / "themeswitch.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "themeswitch.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "themeswitch.js").read_text(encoding="utf-8"),
)


def themes() -> dict[str, dict[str, Any]]:
    """Both themes of Streamlit's configuration, as its page takes them."""
    return {name: _theme(name) for name in THEMES}


def themeswitch() -> str | None:
    """Show the switch; the theme that was just chosen by it, or None."""
    found = _component(key=KEY, data=themes(), on_chosen_change=lambda: None)
    chosen = getattr(found, "chosen", None)
    return chosen if chosen in THEMES else None


def _theme(name: str) -> dict[str, Any]:
    options = {
        **config.get_options_for_section("theme"),
        **{
            option: value
            for option, value in config.get_options_for_section(f"theme.{name}").items()
            if value is not None
        },
    }
    font = options.pop("font")
    known = {option: value for option, value in options.items() if value is not None}
    return {**known, "bodyFont": font, "base": _BASES[name]}
