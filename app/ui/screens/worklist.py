"""The worklist: what there is to read, and where to begin."""

from __future__ import annotations

import html
import math

import streamlit as st

from app.services.people import Action
from app.services.worklist import Wish, Worklist
from app.ui.assigning import assign_dialog
from app.ui.caselist import caselist, marked, opened
from app.ui.context import Context
from app.ui.days import start_of, today
from app.ui.session import Session, session
from app.ui.worklist_filters import filters, narrowed_by

PAGE_ROWS = 100


def show(context: Context) -> None:
    """Draw the screen."""
    state = session()
    chosen_case = opened(state.listed)
    if chosen_case is not None:  # before the list is drawn once more
        _open(context, chosen_case)
    if notice := state.take_notice():
        st.toast(notice)
    _come_back(state)
    above = st.container()
    under = st.columns([5.2, 3.2, 1.9, 1.2], vertical_alignment="center")
    with under[2]:
        state.unaided = _unaided(context, state.unaided)
    with above:
        asked = filters(context, unaided=state.unaided)
    wish = asked.wish
    if wish != state.wish:
        state.wish, state.page = wish, 0
    found = context.services.worklist.list(
        context.reader, wish, offset=state.page * PAGE_ROWS, limit=PAGE_ROWS
    )
    with asked.start:
        start = st.button(
            "Start reading",
            type="primary",
            width="stretch",
            disabled=found.first_unread is None,
            shortcut="S",
            help="Opens the first case of this list that waits for you and nobody has open",
        )
    with under[0]:
        _counts(found, wish)
    with under[1]:
        _day(context)
    with under[3]:
        _assign(context, wish, state)
    if start and found.first_unread is not None:
        _open(context, found.first_unread)
    if not found.rows:
        state.listed = ()
        _empty(found, wish)
        return
    thumbnails = context.services.worklist.thumbnails(context.reader, found.rows)
    state.listed = tuple(row.image_id for row in found.rows)
    may_mark = Action.ASSIGN in context.allowed
    caselist(found.rows, thumbnails, state.image_id, may_mark=may_mark, marking=state.markings)
    _pages(found)


def _come_back(state: Session) -> None:
    """Show what was shown before, when another screen was there meanwhile."""
    if not state.listing and state.wish != state.preset:
        state.preset = state.wish
        state.views += 1
    state.listing = True


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


def _counts(found: Worklist, wish: Wish) -> None:
    flagged = (
        "what the AI says of a case is shown after your verdict"
        if found.flagged is None
        else f"{found.flagged} at or above their model's operating point"
    )
    narrowed = narrowed_by(wish)
    by = f" (by {', '.join(narrowed)})" if narrowed else ""
    st.html(
        f'<div class="ddad-facts">{found.matching} shown of {found.total}{by} · '
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


def _day(context: Context) -> None:
    """How far the reader has come today."""
    if Action.READ not in context.allowed:
        return
    day = context.services.progress.day(context.reader, start_of(today()))
    parts = [f"Today <b>{day.read}</b> read"]
    if day.left:
        parts.append(f"<b>{day.left}</b> left of mine")
    if day.median_seconds is not None:
        parts.append(f"median <b>{day.median_seconds:.0f}</b> s")
    st.html(f'<div class="ddad-facts ddad-day">{" · ".join(parts)}</div>')


def _assign(context: Context, wish: Wish, state: Session) -> None:
    if Action.ASSIGN not in context.allowed:
        return
    chosen = marked(state.listed)
    if st.button(
        f"Assign {len(chosen)}" if chosen else "Assign", width="stretch", key="assign-chosen"
    ):
        assign_dialog(context, wish, chosen)


NOTHING = {
    "unread": "No case waits for a read of yours here.",
    "mine": "No case is assigned to you here. “Unread” has what is offered to everybody.",
    "read": "You have read no case here yet. “Start reading” opens the first one.",
    "flagged": "No case here reaches its model’s operating point.",
    "warned": "No case here has a warning.",
    "disagreement": "No case here is called normal by one reader and abnormal by another.",
    "arbitration": "No disagreement waits to be settled.",
}


def _empty(found: Worklist, wish: Wish) -> None:
    if not found.total:
        st.info("There is no case yet. Add radiographs on the Upload screen.")
        return
    narrowed = bool(wish.search or narrowed_by(wish))
    step = " Clear the search or the filters." if narrowed else " Choose “All” for every case."
    if wish.show == "all":
        st.info("No case matches." + step)
    else:
        st.info(html.escape(NOTHING.get(wish.show, "No case matches.")) + step)


def _open(context: Context, image_id: int) -> None:
    state = session()
    state.open(image_id, context.services.worklist.order(context.reader, state.wish))
    context.open_screen("review")
