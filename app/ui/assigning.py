"""Assigning cases from the worklist: those marked, or the next ones without readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from app.services.assigning import (
    MOST_CASES,
    MOST_READERS_PER_CASE,
    AssignmentOutcome,
    ReaderLoad,
)
from app.services.worklist import Wish
from app.ui.context import Context
from app.ui.error_text import errors_shown
from app.ui.session import session

MARKED, NEXT = "The marked cases", "The next ones of this list without readers"
FIRST_COUNT = 20


@st.dialog("Assign cases", width="medium")
def assign_dialog(context: Context, wish: Wish, marked: Sequence[int]) -> None:
    """Deal cases to readers, or take them back.

    Args:
        context: Of the page run.
        wish: What the worklist shows.
        marked: Cases marked in it.
    """
    readers = context.services.assigning.readers(context.reader)
    give, take = st.tabs(["Assign", "Take back"])
    with give:
        _give(context, wish, marked, readers)
    with take:
        _take(context, marked, readers)


def _give(
    context: Context, wish: Wish, marked: Sequence[int], readers: Sequence[ReaderLoad]
) -> None:
    names = {one.name: f"{one.full_name} · {one.left} left" for one in readers if one.active}
    which = NEXT
    if marked:
        which = st.radio("Which", [MARKED, NEXT], key="assign-which", horizontal=True)
    else:
        st.caption("The next cases of the list, in its order. Or mark cases in the list first.")
    service = context.services.assigning
    per_case = st.segmented_control(
        "Readers a case",
        list(range(1, MOST_READERS_PER_CASE + 1)),
        default=service.readers_per_case,
        required=True,
        key="assign-per-case",
    )
    chosen = st.multiselect(
        "Readers",
        list(names),
        format_func=names.__getitem__,
        placeholder="Choose readers",
        key="assign-readers",
    )
    if which == MARKED:
        ids: Sequence[int] = marked
    else:
        count = st.number_input(
            "How many cases",
            min_value=1,
            max_value=MOST_CASES,
            value=FIRST_COUNT,
            key="assign-count",
        )
        ids = context.services.worklist.without_readers(
            context.reader, wish, readers_per_case=per_case, limit=int(count)
        )
    _says(len(ids), len(chosen), per_case)
    if st.button(
        f"Assign {_cases(len(ids))}",
        type="primary",
        key="assign-now",
        disabled=not ids or len(chosen) < per_case,
    ):
        with errors_shown():
            outcome = service.assign(context.reader, ids, chosen, readers_per_case=per_case)
            session().markings += 1
            session().notice = told(outcome, {one.name: one.full_name for one in readers})
            st.rerun()


def _says(cases: int, chosen: int, per_case: int) -> None:
    if not cases:
        st.caption("No case of this list is without readers.")
    elif chosen < per_case:
        need = "a reader" if per_case == 1 else f"at least {per_case} readers"
        st.caption(f"Choose {need}.")
    else:
        each = "one reader each" if per_case == 1 else f"{per_case} readers each"
        st.caption(f"{_cases(cases)}, {each}, dealt evenly among {chosen}.")


def _take(context: Context, marked: Sequence[int], readers: Sequence[ReaderLoad]) -> None:
    busy = {one.name: f"{one.full_name} · {one.left} left" for one in readers if one.left}
    if not busy:
        st.caption("Nobody has an assigned case left to read.")
        return
    name = st.selectbox("From", list(busy), format_func=busy.__getitem__, key="take-from")
    which = "all"
    if marked:
        which = st.radio("Which", ["marked", "all"], key="take-which", horizontal=True)
    st.caption("Only what they have not read. Their reads stay.")
    sure = st.checkbox("Yes, take them back", key="take-sure")
    if st.button("Take back", key="take-now", disabled=not sure):
        with errors_shown():
            service = context.services.assigning
            if which == "all":
                count = service.take_all_back(context.reader, name)
            else:
                count = service.take_back(context.reader, marked, name).get(name, 0)
            session().markings += 1
            session().notice = f"{_cases(count)} taken back from {busy[name].split(' · ')[0]}."
            st.rerun()


def told(outcome: AssignmentOutcome, called: Mapping[str, str]) -> str:
    """What happened, in a sentence or two."""
    given = ", ".join(f"{called.get(name, name)} {n}" for name, n in outcome.given.items())
    parts = [f"{_cases(outcome.cases)} assigned{f': {given}' if given else ''}."]
    if outcome.enough:
        parts.append(f"{_cases(outcome.enough)} had enough readers.")
    if outcome.nobody_left:
        parts.append(f"{_cases(outcome.nobody_left)} left out: the chosen have read them.")
    return " ".join(parts)


def _cases(count: int) -> str:
    return f"{count} case" if count == 1 else f"{count} cases"
