"""Keys and gestures of the viewer on a page, from the same table as the viewer's own list."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_VIEWER = _HERE.parent / "viewer"
_component = st.components.v2.component(
    "ddad_keylist",
    html='<div class="keys"></div>',
    css=(_HERE / "keylist.css").read_text(encoding="utf-8"),
    js="\n".join(
        path.read_text(encoding="utf-8")
        for path in (_VIEWER / "keytable.js", _VIEWER / "cheatsheet.js", _HERE / "keylist.js")
    ),
)


def keylist(reading: dict[str, str]) -> None:
    """Show the list.

    Args:
        reading: What the keys of the read beside the image do, by what is shown of them.
    """
    _component(key="keylist", data={"reading": list(reading.items())})
