"""The list of cases: one component, so that thumbnails travel in the page's own data."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from app.services.worklist import WorklistRow
from app.ui.session import widget_value

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "ddad_caselist",
    html='<div class="list" role="list" aria-label="Cases"></div>',
    css=(_FOLDER / "caselist.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "caselist.js").read_text(encoding="utf-8"),
)


KEY = "caselist"


def opened(listed: Sequence[int]) -> int | None:
    """The case of the list as last shown that was just opened, or None."""
    reported = getattr(widget_value(KEY, None), "open", None)
    return reported if isinstance(reported, int) and reported in listed else None


def caselist(
    rows: Sequence[WorklistRow], thumbnails: Mapping[int, bytes], last_opened: int | None
) -> None:
    """Show cases; :func:`opened` tells in the next page run which one was chosen."""
    data = {
        "last": last_opened,
        "rows": [
            {
                "id": row.image_id,
                "label": row.label,
                "facts": row.facts,
                "model": row.model,
                "percentile": row.percentile,
                "score_title": row.score_title,
                "score": row.score,
                "flagged": row.flagged,
                "hidden": row.hidden,
                "warnings": list(row.warnings),
                "verdict": row.verdict,
                "others": row.other_readers,
                "added": row.added_at.isoformat(),
                "thumb": base64.b64encode(thumbnails.get(row.image_id, b"")).decode(),
            }
            for row in rows
        ],
    }
    _component(key=KEY, data=data, on_open_change=lambda: None)
