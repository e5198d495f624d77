"""The worklist: what there is to read, and where to begin."""

from __future__ import annotations

import math

import streamlit as st

from app.services.people import Action
from app.services.worklist import BY_SCORE, SEEDS, Show, Sort, Wish, Worklist
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
    "Disagreement": "disagreement",
    "Audit sample": "sample",
    "Uploads": "uploads",
    "Gallery": "gallery",
}
SORT: dict[str, Sort] = {
    "Highest score": "score",
    "Nearest to threshold": "uncertainty",
    "Newest": "newest",
    "Oldest": "oldest",
    "Name": "label",
    "Random sample": "random",
}


def show(context: Context) -> None:
    """Draw the screen."""
    state = session()
    chosen_case = opened(state.listed)
    if chosen_case is not None:  # before the list is drawn once more
        _open(context, chosen_case)
    if notice := state.take_notice():
        st.toast(notice)
    controls = st.columns([5.2, 1.7, 2.0, 1.4], vertical_alignment="bottom")
    state.unaided = _unaided(context, state.unaided)
    hidden = "-unaided" if state.unaided else ""
    shows = [name for name in SHOW if not (state.unaided and SHOW[name] == "flagged")]
    sorts = [name for name in SORT if not (state.unaided and SORT[name] in BY_SCORE)]
    with controls[0]:
        chosen = st.segmented_control(
            "Show", shows, default="All", required=True, key=f"worklist-show{hidden}"
        )
    with controls[1]:
        sort = st.selectbox("Sort", sorts, key=f"worklist-sort{hidden}")
    with controls[2]:
        search = st.text_input("Search", placeholder="Name, view, verdict", key="worklist-search")
    wish = Wish(
        show=SHOW[chosen],
        sort=SORT[sort],
        search=search,
        seed=_seed(SORT[sort]),
        unaided=state.unaided,
    )
    if wish != state.wish:
        state.wish, state.page = wish, 0
    found = context.services.worklist.list(
        context.reader, wish, offset=state.page * PAGE_ROWS, limit=PAGE_ROWS
    )
    with controls[3]:
        start = st.button(
            "Start reading",
            type="primary",
            width="stretch",
            disabled=found.first_unread is None,
            shortcut="S",
            help="Opens the first unread case of this list",
        )
    _counts(found)
    if start and found.first_unread is not None:
        _open(context, found.first_unread)
    if not found.rows:
        _empty(found)
        return
    thumbnails = context.services.worklist.thumbnails(context.reader, found.rows)
    state.listed = tuple(row.image_id for row in found.rows)
    caselist(found.rows, thumbnails, state.image_id)
    _pages(found)


def _unaided(context: Context, chosen: bool) -> bool:
    """Whether verdicts come before the AI, by setting or by the reader's own wish."""
    if Action.READ not in context.allowed:
        return False
    fixed = context.services.worklist.unaided_first
    return fixed or st.toggle(
        "Unaided first",
        value=chosen,
        key="worklist-unaided",
        help="Your verdict comes first; what the AI says of a case is shown after it",
    )


def _seed(sort: Sort) -> int:
    """Of the random order: drawn once a session, and told, so that it can be drawn again."""
    if sort != "random":
        return 0
    return int(
        st.number_input(
            "Sample",
            min_value=0,
            max_value=SEEDS - 1,
            value=session().seed,
            key="worklist-seed",
            help="The same number draws the same order for everybody",
        )
    )


def _counts(found: Worklist) -> None:
    flagged = (
        "what the AI says of a case is shown after your verdict"
        if found.flagged is None
        else f"{found.flagged} at or above their model's operating point"
    )
    st.html(
        f'<div class="ddad-facts">{found.matching} shown of {found.total} · '
        f"{found.unread} unread · {flagged}</div>"
    )


def _pages(found: Worklist) -> None:
    state, pages = session(), math.ceil(found.matching / PAGE_ROWS)
    if pages < 2:
        return
    back, where, on, _ = st.columns([1, 1.4, 1, 6], vertical_alignment="center")
    if back.button("Previous", disabled=state.page == 0, width="stretch"):
        state.page -= 1
        st.rerun()
    where.html(f'<div class="ddad-facts">Page {state.page + 1} of {pages}</div>')
    if on.button("Next", disabled=state.page + 1 >= pages, width="stretch"):
        state.page += 1
        st.rerun()


def _empty(found: Worklist) -> None:
    if found.total:
        st.info("No case matches. Choose “All” or clear the search.")
    else:
        st.info("There is no case yet. Add radiographs on the Upload screen.")


def _open(context: Context, image_id: int) -> None:
    state = session()
    state.open(image_id, context.services.worklist.order(context.reader, state.wish))
    context.open_screen("review")
