"""Export: what is stored as one ZIP file, chosen by filters and formats; import beside it."""

from __future__ import annotations

import html
import tempfile
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from app.services.exporting import FORMATS, ExportFilter, ExportFormat, ExportWish
from app.store.records import Origin, Verdict
from app.ui import importing
from app.ui.chrome import section
from app.ui.context import Context
from app.ui.session import MadeExport, session

FORMAT_TITLES: dict[ExportFormat, str] = {
    "csv": "CSV",
    "jsonl": "JSON Lines",
    "parquet": "Parquet",
    "coco": "COCO (boxes)",
}
LARGEST_BYTES = 200_000_000
"""Of a download: the browser's copy lies in the server's memory while the page is open."""


def show(context: Context) -> None:
    """Draw the screen."""
    if not importing.offered(context):
        section("Export")
        _export(context)
        return
    section("Export and import")
    out, into = st.tabs(["Export", "Import"])
    with out:
        _export(context)
    with into:
        importing.show(context)


def _export(context: Context) -> None:
    st.html(
        '<div class="ddad-facts">No name, id or birth date of a patient is stored, so none is '
        "exported. CSV cells that a spreadsheet could take for formulas get an apostrophe in "
        "front; JSON Lines and Parquet have the values unchanged. Every file comes with a data "
        "dictionary and a manifest with its rows and SHA-256.</div>"
    )
    left, right = st.columns([5, 6], gap="large")
    with left:
        wish = _wish(context)
    with right:
        counts = _counts(context, wish)
    with left:
        _make(context, wish, counts)


def _wish(context: Context) -> ExportWish:
    choices = context.services.exporting.choices(context.reader)
    formats = st.pills(
        "Formats",
        FORMATS,
        default=["csv", "jsonl"],
        selection_mode="multi",
        format_func=lambda name: FORMAT_TITLES[name],
        key="export-formats",
    )
    one, two = st.columns(2)
    with one:
        readers = st.multiselect("Readers", choices.readers, placeholder="All", key="export-who")
        model = st.selectbox(
            "Model", [None, *choices.models], format_func=lambda n: n or "All", key="export-model"
        )
        days = st.date_input("Reads from and to", value=(), key="export-days")
    with two:
        verdicts = st.multiselect(
            "Verdicts", get_args(Verdict), placeholder="All", key="export-verdicts"
        )
        origin = st.selectbox(
            "Images",
            [None, *get_args(Origin)],
            format_func=lambda n: {None: "All", "gallery": "Gallery", "upload": "Taken in"}[n],
            key="export-origin",
        )
        taken = st.date_input("Images taken in from and to", value=(), key="export-taken")
    latest = st.toggle("Only the last revision of each read", key="export-latest")
    comments = st.toggle(
        "Readers' comments",
        key="export-comments",
        help="Free text: somebody may have written a patient's name in it",
    )
    own = st.toggle(
        "This site's pseudonyms of patients",
        key="export-pseudonyms",
        help="To find a patient's images here. Else patients get new pseudonyms in every export",
    )
    since, until = _instants(days)
    taken_since, taken_until = _instants(taken)
    rows = ExportFilter(
        readers=tuple(readers),
        verdicts=tuple(verdicts),
        model=model,
        since=since,
        until=until,
        latest_only=latest,
        origin=origin,
        taken_in_since=taken_since,
        taken_in_until=taken_until,
    )
    chosen = tuple(name for name in FORMATS if name in (formats or ()))
    return ExportWish(rows=rows, formats=chosen, comments=comments, site_pseudonyms=own)


def _instants(days: object) -> tuple[datetime | None, datetime | None]:
    """The first instant of the first day and the last of the last, by the browser's clock."""
    if not isinstance(days, tuple) or not days:
        return None, None
    try:
        zone = ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")

    def start(day: date) -> datetime:
        return datetime.combine(day, time(), zone).astimezone(UTC)

    return start(days[0]), start(days[1] + timedelta(days=1)) if len(days) > 1 else None


def _counts(context: Context, wish: ExportWish) -> dict[str, int]:
    exporting, person = context.services.exporting, context.reader
    counts = exporting.counts(person, wish.rows)
    lines = "".join(
        f"<tr><td>{html.escape(table.name.replace('_', ' ').capitalize())}</td>"
        f'<td class="ddad-figure">{counts[table.name]:,} rows</td>'
        f'<td class="words ddad-muted">{html.escape(table.title)}</td></tr>'
        for table in exporting.tables(person)
    )
    st.html(f'<table class="ddad-table" aria-label="Rows of each table">{lines}</table>')
    if not counts["reads"]:
        st.info(
            "There is no read yet; reads and boxes are empty."
            if not exporting.choices(person).readers
            else "No read matches. Clear a filter, or widen the dates."
        )
    return {str(name): rows for name, rows in counts.items()}


def _make(context: Context, wish: ExportWish, counts: dict[str, int]) -> None:
    state = session()
    made = state.made_export
    if made is not None and made.wish != wish:
        made = state.made_export = None
    if st.button("Make the export", type="primary", disabled=not wish.formats, key="export-make"):
        made = state.made_export = _made(context, wish, sum(counts.values()))
    if not wish.formats:
        st.caption("Choose at least one format.")
    if made is None:
        return
    st.download_button(
        f"Download {made.name} ({len(made.content) / 1e6:.1f} MB)",
        made.content,
        made.name,
        "application/zip",
        on_click="ignore",
        key="export-download",
    )


def _made(context: Context, wish: ExportWish, rows: int) -> MadeExport | None:
    """The ZIP file, made once and held until another is wished for."""
    bar = st.progress(0.0, text="Making the export …")
    name = f"ddad-export-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"

    def show(done: int, total: int) -> None:
        bar.progress(min(done / max(total, 1), 1.0), text=f"{done:,} of {total:,} rows")

    with tempfile.TemporaryDirectory(prefix="ddad-export-") as folder:
        path = Path(folder) / name
        context.services.exporting.archive(context.reader, wish, path, show)
        bar.empty()
        if path.stat().st_size > LARGEST_BYTES:
            st.warning(
                f"{rows:,} rows make more than a browser should be sent. Narrow the filters, or "
                "run ddad-admin export on the server."
            )
            return None
        return MadeExport(wish, name, path.read_bytes())
