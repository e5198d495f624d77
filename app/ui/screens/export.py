"""Export: everything stored, as CSV and JSON."""

from __future__ import annotations

import streamlit as st

from app.services.exporting import Export
from app.ui.chrome import section
from app.ui.context import Context

TABLES = {
    "images": "Images with their facts, and patients as pseudonyms",
    "reads": "Reads with all revisions, and what was on the screen",
    "scores": "Scores of every case and model version",
    "boxes": "Boxes in image pixels, by read",
    "operating_points": "Every version of the site's operating points",
}


def show(context: Context) -> None:
    """Draw the screen."""
    section("Export")
    st.html(
        '<div class="ddad-facts">No name, id or date of a patient is stored, so none is exported; '
        "cases are named by the SHA-256 of the original file. CSV cells that a spreadsheet could "
        "take for formulas get an apostrophe in front; JSON has the values unchanged.</div>"
    )
    export = context.services.exporting.export(context.reader)
    for table, description in TABLES.items():
        _table(export, table, description)
    name, size = _name(export, "all", "json"), export.json()
    left, _ = st.columns([2, 5])
    with left:
        st.download_button(
            "All tables as JSON",
            size,
            name,
            "application/json",
            on_click="ignore",
            type="primary",
            width="stretch",
        )
    if not export.tables["reads"]:
        st.info("There is no read yet; reads and boxes are empty.")


def _table(export: Export, table: str, description: str) -> None:
    rows = export.tables[table]
    columns = st.columns([2, 1, 4], vertical_alignment="center")
    with columns[0]:
        st.download_button(
            f"{table.replace('_', ' ').capitalize()} as CSV",
            export.csv(table),
            _name(export, table, "csv"),
            "text/csv",
            on_click="ignore",
            width="stretch",
        )
    with columns[1]:
        st.html(f'<span class="ddad-figure">{len(rows)} rows</span>')
    with columns[2]:
        st.html(f'<span class="ddad-muted">{description}</span>')


def _name(export: Export, table: str, ending: str) -> str:
    return f"ddad-{table}-{export.made_at:%Y%m%d-%H%M%S}.{ending}"
