"""Upload: many files in, each with its outcome and reason."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app.services.batch_names import BATCH_NAME_LIMIT
from app.services.batches import Batch, Progress, start_batch
from app.services.intake import IntakeOutcome
from app.ui.chrome import section
from app.ui.context import Context
from app.ui.session import Session, session, widget_value
from ddad_core.spreadsheet import formula_safe

READ_KEY = "upload-read"
REFRESH_SECONDS = 0.25
WIDTHS = {"File": 220, "Outcome": 190, "Case": 130, "Reason": 840}
"""Pixels of the columns at 1440; they share what is wider in proportion."""

OUTCOME_TITLES = {
    "scored": "Scored",
    "warned": "Scored, with a warning",
    "unscored": "Kept, not scored",
    "conflict": "Kept, in conflict with another image",
    "known": "Already here",
    "refused": "Refused",
}


def show(context: Context) -> None:
    """Draw the screen."""
    state = session()
    if widget_value(READ_KEY, False):  # before the table is drawn once more
        _read(context, state)
    section("Upload radiographs")
    st.html(
        '<div class="ddad-facts">DICOM (CR, DX), PNG or JPEG, or ZIP archives of them, told by '
        "content, not by name. Kept is the picture, freed of identity: names, ids, birth dates "
        "and file names are not stored.</div>"
    )
    if state.intake_note:
        st.warning(state.intake_note, icon=":material/warning:")
    if state.batch is None:
        _ask(context, state)
    else:
        _under_way(state)
    if state.outcomes:
        _outcomes(context, state)


def _ask(context: Context, state: Session) -> None:
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    folder = left.toggle("A whole folder", key="upload-folder")
    name = right.text_input(
        "Batch",
        max_chars=BATCH_NAME_LIMIT,
        placeholder="Name of this batch, for the worklist’s filter; the time if empty",
        key=f"upload-batch-{state.uploads}",
        label_visibility="collapsed",
    )
    files = st.file_uploader(
        "A folder" if folder else "Files",
        accept_multiple_files="directory" if folder else True,
        key=f"upload-{state.uploads}-{'folder' if folder else 'files'}",
        label_visibility="collapsed",
    )
    if files:
        given = [(file.name, file.getvalue()) for file in files]
        # What was handed over is taken in though the session ends meanwhile; if the account is
        # removed, nothing more is.
        sender = replace(context.reader, session_id=None)
        state.batch = start_batch(context.services.intake, sender, given, name)
        state.intake_note = ""
        state.uploads += 1  # an empty uploader; these files are on their way
        _let_go(files)
        st.rerun()


def _let_go(files: Iterable[UploadedFile]) -> None:
    """Take files out of Streamlit's memory, which else holds them until the session ends."""
    run = get_script_run_ctx()
    remove = getattr(run.uploaded_file_mgr, "remove_file", None) if run else None
    if run and remove:  # not part of its protocol: another manager may lack it
        for file in files:
            remove(session_id=run.session_id, file_id=file.file_id)


@st.fragment(run_every=REFRESH_SECONDS)
def _under_way(state: Session) -> None:
    """How far the files have come; drawn again and again until they are through."""
    batch = state.batch
    if batch is None:
        return
    progress = batch.progress()
    if progress.finished:
        _take_over(state, batch, progress)
        st.rerun()
    left, right = st.columns([6, 1], vertical_alignment="center")
    with left:
        share = progress.done / progress.total if progress.total else 1.0
        st.progress(share, text=_progress_text(progress))
        if batch.outcomes:
            st.caption(_counts(batch.outcomes))
    with right:
        if st.button("Stop", width="stretch", disabled=progress.stopped):
            batch.stop()


def _progress_text(progress: Progress) -> str:
    if progress.stopped:
        return f"{progress.done} of {progress.total}, stopping after the files at hand"
    words = f"{progress.done} of {progress.total}"
    if progress.seconds_left is None:
        return words
    return f"{words}, {progress.rate:.1f} a second, {_time(progress.seconds_left)} left"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _take_over(state: Session, batch: Batch, progress: Progress) -> None:
    state.outcomes.extend(batch.outcomes)
    rest = progress.total - progress.done
    if rest and (progress.problem or progress.stopped):
        why = progress.problem or "Stopped."
        state.intake_note = f"{why} {rest} of {progress.total} files were not taken in."
    state.batch = None


def _outcomes(context: Context, state: Session) -> None:
    outcomes = state.outcomes
    section("Outcome of each file")
    st.html(f'<div class="ddad-facts">{html.escape(_counts(outcomes))}</div>')
    table = pd.DataFrame(
        [(o.file_name, OUTCOME_TITLES[o.status], o.label, o.reason) for o in outcomes],
        columns=["File", "Outcome", "Case", "Reason"],
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            name: st.column_config.TextColumn(width=width) for name, width in WIDTHS.items()
        },
    )
    taken = _cases(outcomes)
    left, middle, right, _ = st.columns([1.4, 1.2, 1, 3])
    with left:
        label = f"Read {len(taken)} {'case' if len(taken) == 1 else 'cases'}"
        st.button(label, key=READ_KEY, type="primary", disabled=not taken, width="stretch")
    with middle:
        st.download_button(
            "Outcomes as CSV",
            table.map(formula_safe).to_csv(index=False).encode("utf-8-sig"),
            "ddad-upload-outcomes.csv",
            "text/csv",
            on_click="ignore",
            width="stretch",
        )
    with right:
        if st.button("Clear list", width="stretch"):
            state.outcomes.clear()
            st.rerun()


def _counts(outcomes: Sequence[IntakeOutcome]) -> str:
    counts = {title: sum(o.status == s for o in outcomes) for s, title in OUTCOME_TITLES.items()}
    return " · ".join(f"{n} {title.lower()}" for title, n in counts.items() if n)


def _read(context: Context, state: Session) -> None:
    taken = _cases(state.outcomes)
    if taken:
        state.open(taken[0], taken)
        context.open_screen("review")


def _cases(outcomes: list[IntakeOutcome]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(o.image_id for o in outcomes if o.image_id is not None))
