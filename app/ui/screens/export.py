"""Export: everything stored, as CSV and JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import streamlit as st

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
    exporting, person = context.services.exporting, context.reader
    counts = exporting.counts(person)
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    for table, description in TABLES.items():
        columns = st.columns([2, 1, 4], vertical_alignment="center")
        with columns[0]:
            st.download_button(
                f"{table.replace('_', ' ').capitalize()} as CSV",
                # Made, and put on record, when it is asked for.
                partial(exporting.csv, person, table),
                f"ddad-{table}-{stamp}.csv",
                "text/csv",
                on_click="ignore",
                width="stretch",
            )
        with columns[1]:
            st.html(f'<span class="ddad-figure">{counts[table]} rows</span>')
        with columns[2]:
            st.html(f'<span class="ddad-muted">{description}</span>')
    left, _ = st.columns([2, 5])
    with left:
        st.download_button(
            "All tables as JSON",
            partial(exporting.json, person),
            f"ddad-all-{stamp}.json",
            "application/json",
            on_click="ignore",
            type="primary",
            width="stretch",
        )
    if not counts["reads"]:
        st.info("There is no read yet; reads and boxes are empty.")
