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
    html='<div class="list"></div>',
    css=(_FOLDER / "caselist.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "caselist.js").read_text(encoding="utf-8"),
)


KEY = "caselist"


def opened(listed: Sequence[int]) -> int | None:
    """The case of the list as last shown that was just opened, or None."""
    reported = getattr(widget_value(KEY, None), "open", None)
    return reported if isinstance(reported, int) and reported in listed else None


def marked(listed: Sequence[int]) -> tuple[int, ...]:
    """Cases of the list as last shown that are marked."""
    reported = getattr(widget_value(KEY, None), "marked", None)
    chosen = set(reported) if isinstance(reported, list) else set()
    return tuple(one for one in listed if one in chosen)


def caselist(
    rows: Sequence[WorklistRow],
    thumbnails: Mapping[int, bytes],
    last_opened: int | None,
    *,
    may_mark: bool = False,
    marking: int = 0,
) -> None:
    """Show cases; :func:`opened` tells in the next page run which one was chosen.

    Args:
        rows: The cases.
        thumbnails: Small JPEGs by case.
        last_opened: The case opened last.
        may_mark: Whether cases can be marked; :func:`marked` tells which are.
        marking: With another number marking begins anew.
    """
    data = {
        "last": last_opened,
        "may_mark": may_mark,
        "marking": marking,
        "team": any(row.assigned for row in rows),
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
                "offered": row.offered,
                "assigned": list(row.assigned),
                "open_by": list(row.open_by),
                "added": row.added_at.isoformat(),
                "thumb": base64.b64encode(thumbnails.get(row.image_id, b"")).decode(),
            }
            for row in rows
        ],
    }
    _component(key=KEY, data=data, on_open_change=lambda: None, on_marked_change=lambda: None)
