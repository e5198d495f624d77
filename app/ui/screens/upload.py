"""Upload: many files in, each with its outcome and reason."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.services.exporting import formula_safe
from app.services.intake import IntakeOutcome
from app.ui.chrome import section
from app.ui.context import Context
from app.ui.session import Session, session, widget_value

READ_KEY = "upload-read"

OUTCOME_TITLES = {
    "scored": "Scored",
    "warned": "Scored, with a warning",
    "unscored": "Kept, not scored",
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
        '<div class="ddad-facts">DICOM (CR, DX), PNG or JPEG, told by content, not by name. '
        "Pixels and a few facts (view, age, sex, spacing) are kept; names, ids, dates and file "
        "names are not.</div>"
    )
    files = st.file_uploader(
        "Files",
        accept_multiple_files=True,
        key=f"upload-{state.uploads}",
        label_visibility="collapsed",
    )
    if files:
        bar = st.progress(0.0)
        for i, file in enumerate(files):
            bar.progress(i / len(files), text=f"{i + 1} of {len(files)}: {file.name}")
            state.outcomes.append(
                context.services.intake.take(context.reader, file.name, file.getvalue())
            )
        state.uploads += 1  # an empty uploader; these files are done
        st.rerun()
    if state.outcomes:
        _outcomes(context, state)


def _outcomes(context: Context, state: Session) -> None:
    outcomes = state.outcomes
    counts = {title: sum(o.status == s for o in outcomes) for s, title in OUTCOME_TITLES.items()}
    section("Outcome of each file")
    st.html(
        '<div class="ddad-facts">'
        + " · ".join(f"{n} {title.lower()}" for title, n in counts.items() if n)
        + "</div>"
    )
    table = pd.DataFrame(
        [(o.file_name, OUTCOME_TITLES[o.status], o.label, o.reason) for o in outcomes],
        columns=["File", "Outcome", "Case", "Reason"],
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={"Reason": st.column_config.TextColumn(width="large")},
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


def _read(context: Context, state: Session) -> None:
    taken = _cases(state.outcomes)
    if taken:
        state.open(taken[0], taken)
        context.open_screen("review")


def _cases(outcomes: list[IntakeOutcome]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(o.image_id for o in outcomes if o.image_id is not None))
