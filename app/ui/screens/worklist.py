"""The worklist: what there is to read, and where to begin."""

from __future__ import annotations

import streamlit as st

from app.services.worklist import Show, Sort, Worklist
from app.ui.caselist import caselist, opened
from app.ui.context import Context
from app.ui.session import session

PAGE_ROWS = 100
SHOW: dict[str, Show] = {
    "All": "all",
    "Unread": "unread",
    "Read": "read",
    "Flagged": "flagged",
    "Warnings": "warned",
    "Uploads": "uploads",
    "Gallery": "gallery",
}
SORT: dict[str, Sort] = {
    "Highest score": "score",
    "Newest": "newest",
    "Oldest": "oldest",
    "Name": "label",
}


def show(context: Context) -> None:
    """Draw the screen."""
    state = session()
    chosen_case = opened(state.listed)
    if chosen_case is not None:  # before the list is drawn once more
        _open(context, chosen_case, state.listed)
    if notice := state.take_notice():
        st.toast(notice)
    controls = st.columns([4.4, 1.5, 2.2, 1.4], vertical_alignment="bottom")
    with controls[0]:
        chosen = st.segmented_control(
            "Show", list(SHOW), default="All", required=True, key="worklist-show"
        )
    with controls[1]:
        sort = st.selectbox("Sort", list(SORT), key="worklist-sort")
    with controls[2]:
        search = st.text_input("Search", placeholder="Name, view, verdict", key="worklist-search")
    found = context.services.worklist.list(
        context.reader, show=SHOW[chosen], sort=SORT[sort], search=search
    )
    order = tuple(row.image_id for row in found.rows)
    unread = next((row.image_id for row in found.rows if row.verdict is None), None)
    with controls[3]:
        start = st.button(
            "Start reading",
            type="primary",
            width="stretch",
            disabled=unread is None,
            shortcut="S",
            help="Opens the first unread case of this list",
        )
    _counts(found)
    if start and unread is not None:
        _open(context, unread, order)
    if not found.rows:
        _empty(found)
        return
    state.shown = max(state.shown, PAGE_ROWS)
    rows = found.rows[: state.shown]
    thumbnails = context.services.worklist.thumbnails(context.reader, rows)
    state.listed = order
    caselist(rows, thumbnails, state.image_id)
    if len(found.rows) > len(rows):
        if st.button(f"Show {min(PAGE_ROWS, len(found.rows) - len(rows))} more"):
            state.shown += PAGE_ROWS
            st.rerun()


def _counts(found: Worklist) -> None:
    st.html(
        f'<div class="ddad-facts">{len(found.rows)} shown of {found.total} · '
        f"{found.unread} unread · {found.flagged} at or above their model's operating point</div>"
    )


def _empty(found: Worklist) -> None:
    if found.total:
        st.info("No case matches. Choose “All” or clear the search.")
    else:
        st.info("There is no case yet. Add radiographs on the Upload screen.")


def _open(context: Context, image_id: int, order: tuple[int, ...]) -> None:
    session().open(image_id, order)
    context.open_screen("review")
