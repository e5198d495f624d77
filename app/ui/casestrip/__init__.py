"""A strip of thumbnails, each of which opens its case."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from app.services.tuning import SideCase

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "ddad_casestrip",
    html='<div class="strip" role="list" aria-label="Cases that change side"></div>',
    css=(_FOLDER / "casestrip.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "casestrip.js").read_text(encoding="utf-8"),
)


def casestrip(cases: Sequence[SideCase], key: str) -> int | None:
    """Show cases; the one that was just clicked, or None."""
    data = {
        "cases": [
            {
                "id": one.case.image_id,
                "label": one.label,
                "kind": one.case.kind,
                "score": f"{one.case.score:.3g}",
                "thumb": base64.b64encode(one.thumbnail).decode(),
            }
            for one in cases
        ]
    }
    found = _component(key=key, data=data, on_open_change=lambda: None)
    chosen = getattr(found, "open", None)
    shown = {one.case.image_id for one in cases}
    return chosen if isinstance(chosen, int) and chosen in shown else None
