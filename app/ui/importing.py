"""Import: another site's reads or labels from outside, seen in full before anything is stored."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app.services.importing_reads import ImportReport
from app.services.people import Action
from app.ui.chrome import section
from app.ui.context import Context
from app.ui.session import PlannedImport, session

ENDINGS = ("zip", "csv", "jsonl", "parquet", "json")
COLUMNS = ("In the file", "{new}", "Here already", "No such image here", "In conflict")
_STYLE = """
<style>
.ddad-merge { border-collapse: collapse; margin: .2rem 0 .9rem; }
.ddad-merge th, .ddad-merge td { padding: .28rem 1.3rem .28rem 0; font-size: .95rem;
  white-space: nowrap; border-bottom: 1px solid var(--ddad-line); text-align: left;
  font-variant-numeric: tabular-nums; font-weight: 400; }
.ddad-merge th { color: var(--ddad-muted); font-size: .85rem; }
.ddad-merge .n { text-align: right; }
.ddad-merge td.some { font-weight: 600; }
.ddad-against { max-height: 13.5rem; overflow-y: auto; margin: 0; padding: 0 0 0 1.1rem;
  font-size: .9rem; }
.ddad-against li { padding: .1rem 0; }
</style>
"""


def show(context: Context) -> None:
    """Draw the part for who may import."""
    state = session()
    st.html(_STYLE)
    st.html(
        '<div class="ddad-facts">An export of another site (ZIP), its tables alone, or labels '
        "from outside (a table with sha256 and label). Images are matched by the SHA-256 of their "
        "original file. You see first what would become of every row; nothing is stored before "
        "you confirm, nothing here is overwritten, and the same file twice adds nothing.</div>"
    )
    left, right = st.columns([5, 6], gap="large")
    with left:
        files = st.file_uploader(
            "Files to import",
            type=list(ENDINGS),
            accept_multiple_files=True,
            key=f"import-files-{state.imports}",
        )
        site = st.text_input(
            "Site of the reads, where the file does not say it",
            max_chars=80,
            placeholder="For instance St. Anna",
            key=f"import-site-{state.imports}",
            help="An export has its site and installation in its manifest. Readers of another "
            "site are called name@site here.",
        )
    if files:
        state.imported = None
        with right:
            report = _planned(context, files, site)
            _report(report, "What would be done", "New")
        with left:
            _confirm(context, files, site, report)
        return
    state.planned_import = None
    with right:
        if state.imported is not None:
            st.success(f"{_words(state.imported)} stored. It is on record.")
            _report(state.imported, "What was done", "Added")
        else:
            st.info(
                "Choose files to see what is in them. Files over 100 MB: "
                "ddad-admin import-reads on the server."
            )


def offered(context: Context) -> bool:
    """Whether the person may import."""
    return Action.IMPORT in context.allowed


def _planned(context: Context, files: Sequence[UploadedFile], site: str) -> ImportReport:
    """The preview, made once for these files and this site."""
    state = session()
    key = (*(file.file_id for file in files), site.strip())
    planned = state.planned_import
    if planned is None or planned.key != key:
        state.planned_import = None
        with st.spinner("Comparing with what is here …"), _as_paths(files) as paths:
            report = context.services.importing.plan(context.reader, paths, site)
        planned = state.planned_import = PlannedImport(key, report)
    return planned.report


@contextmanager
def _as_paths(files: Sequence[UploadedFile]) -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory(prefix="ddad-import-") as folder:
        paths = []
        for number, file in enumerate(files):
            path = Path(folder) / str(number) / (Path(file.name).name or "file")
            path.parent.mkdir()
            path.write_bytes(file.getbuffer())
            paths.append(path)
        yield paths


def _confirm(
    context: Context, files: Sequence[UploadedFile], site: str, report: ImportReport
) -> None:
    state = session()
    if report.own and not report.adds:
        st.info("This was exported here, and all of it is here already.")
    elif not report.adds:
        st.info("There is nothing new in it.")
    go, leave, _ = st.columns([3, 2, 2])
    words = f"Import {_words(report)}" if report.adds else "Import"
    if go.button(words, type="primary", disabled=not report.adds, width="stretch", key="import-go"):
        bar = st.progress(0.0, text="Importing …")

        def progress(done: int, total: int) -> None:
            bar.progress(done / max(total, 1), text=f"{done:,} of {total:,} rows")

        with _as_paths(files) as paths:
            state.imported = context.services.importing.carry_out(
                context.reader, paths, site, progress
            )
        _put_away()
    if leave.button("Discard", width="stretch", key="import-leave"):
        _put_away()


def _put_away() -> None:
    """An empty uploader."""
    state = session()
    state.planned_import = None
    state.imports += 1
    st.rerun()


def _words(report: ImportReport) -> str:
    said = [
        f"{count:,} {word if count != 1 else word[:-1]}"
        for word, count in (("reads", report.reads.added), ("labels", report.labels.added))
        if count
    ]
    return " and ".join(said) or "Nothing"


def _report(report: ImportReport, title: str, new: str) -> None:
    section(title)
    st.html(_facts(report))
    rows = "".join(
        f"<tr><td>{word}</td>"
        + "".join(
            f'<td class="n{" some" if number else ""}">{number:,}</td>'
            for number in vars(tally).values()
        )
        + "</tr>"
        for word, tally in (("Reads", report.reads), ("Labels", report.labels))
        if tally.found
    )
    heads = "".join(f'<th class="n">{name.format(new=new)}</th>' for name in COLUMNS)
    st.html(f'<table class="ddad-merge"><tr><th></th>{heads}</tr>{rows}</table>')
    if report.readers:
        lines = "".join(
            f"<tr><td>{html.escape(one.there)}</td><td>{html.escape(one.here)}</td>"
            f'<td class="n">{one.reads:,}</td>'
            f"<td>{'the name was taken here' if one.renamed else ''}</td></tr>"
            for one in report.readers
        )
        st.html(
            '<table class="ddad-merge"><tr><th>Reader there</th><th>Reader here</th>'
            f'<th class="n">{new} reads</th><th></th></tr>{lines}</table>'
        )
    left_out = [f"{n:,} {name.replace('_', ' ')}" for name, n in report.passed_over.items() if n]
    if left_out:
        st.caption(f"Never imported: {', '.join(left_out)}.")
    _conflicts(report)


def _facts(report: ImportReport) -> str:
    parts = []
    if report.site:
        parts.append(f"from {report.site}" + (" (this installation)" if report.own else ""))
    if report.installation:
        parts.append(f"installation {report.installation[:8]}")
    if report.made_at:
        parts.append(f"exported {report.made_at[:16].replace('T', ' ')} UTC by {report.program}")
    if report.boxes:
        parts.append(f"{report.boxes:,} boxes with the new reads")
    parts.append(f"SHA-256 {report.sha256[:16]}…")
    line = " · ".join(f"<span>{html.escape(part)}</span>" for part in parts)
    return f'<div class="ddad-facts" title="{report.sha256}">{line}</div>'


def _conflicts(report: ImportReport) -> None:
    count = report.reads.conflicts + report.labels.conflicts
    if not count:
        return
    st.warning(f"{count:,} in conflict: what is here stays as it is.", icon=":material/warning:")
    lines = "".join(f"<li>{html.escape(one)}</li>" for one in report.conflicts)
    st.html(f'<ul class="ddad-against" tabindex="0" aria-label="Conflicts">{lines}</ul>')
