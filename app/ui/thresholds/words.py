"""Figures of the threshold screen as text and small tables."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

import streamlit as st

from app.ui.chrome import figure
from ddad_core.evaluation.metrics import Estimate


def estimate(label: str, found: Estimate | None, note: str = "") -> None:
    """A share with its interval below, or a dash."""
    if found is None:
        figure(label, "–", note)
    else:
        interval = f"95 % CI {found.low:.2f} to {found.high:.2f}"
        figure(label, f"{found.value:.2f}", f"{interval}{f', {note}' if note else ''}")


def with_interval(found: Estimate | None, digits: int = 3) -> str:
    """A figure with its interval in one line."""
    if found is None:
        return "–"
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    label: str = "",
    words: Collection[str] = (),
) -> None:
    """A small table; numbers stand to the right.

    Args:
        heads: Of its columns.
        rows: Texts, as many as heads.
        label: What it is called where it cannot be seen.
        words: Heads of those columns that hold words, not numbers.
    """
    sides = [' class="words"' if text in words else "" for text in heads]

    def cells(kind: str, texts: Sequence[str]) -> str:
        return "".join(
            f"<{kind}{side}>{html.escape(text)}</{kind}>"
            for side, text in zip(sides, texts, strict=True)
        )

    head = cells("th", heads)
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    name = f' aria-label="{html.escape(label)}"' if label else ""
    st.html(f'<table class="ddad-table"{name}><tr>{head}</tr>{body}</table>')


def said(text: str) -> None:
    """A sentence in small type."""
    st.html(f'<div class="ddad-facts">{html.escape(text)}</div>')
