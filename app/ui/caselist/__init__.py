"""The list of cases: one component, so that thumbnails travel in the page's own data."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from app.services.worklist import WorklistRow

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "ddad_caselist",
    html='<div class="list" role="list" aria-label="Cases"></div>',
    css=(_FOLDER / "caselist.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "caselist.js").read_text(encoding="utf-8"),
)


def caselist(
    rows: Sequence[WorklistRow], thumbnails: Mapping[int, bytes], last_opened: int | None
) -> int | None:
    """Show cases; return the one that was just opened, or None."""
    data = {
        "last": last_opened,
        "rows": [
            {
                "id": row.image_id,
                "label": row.label,
                "facts": row.facts,
                "model": row.model,
                "percentile": row.percentile,
                "score": row.score,
                "flagged": row.flagged,
                "warnings": list(row.warnings),
                "verdict": row.verdict,
                "others": row.other_readers,
                "added": row.added_at.isoformat(),
                "thumb": base64.b64encode(thumbnails.get(row.image_id, b"")).decode(),
            }
            for row in rows
        ],
    }
    result = _component(key="caselist", data=data, on_open_change=lambda: None)
    known = {row.image_id for row in rows}
    return result.open if result.open in known else None
