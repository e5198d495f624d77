"""Who else has the open case: said on the review screen, and skipped when stepping on."""

from __future__ import annotations

import html
from collections.abc import Sequence
from contextlib import suppress

import streamlit as st

from app.services.people import Action
from app.services.presence import SIGN_OF_LIFE_SECONDS, OpenElsewhere
from app.ui.context import Context
from app.ui.session import Session, session
from ddad_core.errors import DdadError


def arrive(context: Context, image_id: int) -> None:
    """Say that the case is open here, again and again while it is; tell who has it open, too."""
    state = session()
    if Action.READ not in context.allowed:
        return
    _look(context, state, image_id)
    with st.container(key="presence"):
        _banner(context, state, image_id)


@st.fragment(run_every=SIGN_OF_LIFE_SECONDS)
def _banner(context: Context, state: Session, image_id: int) -> None:
    """A sign of life, and the banner drawn anew; nothing of the page around it runs."""
    if state.image_id != image_id:  # left a moment ago
        return
    if state.present_drawn:  # not the run of the page, which has asked already
        with suppress(DdadError):  # the page itself will tell
            _look(context, state, image_id)
    state.present_drawn = True
    if not state.open_elsewhere:
        return
    words, button = st.columns([6, 1], vertical_alignment="center")
    words.html(f'<div class="ddad-presence" role="status">{_sentence(state.open_elsewhere)}</div>')
    following = state.neighbour(1)
    if button.button(
        "Next free case",
        key=f"presence-next-{image_id}",
        width="stretch",
        disabled=following is None,
        help="Leaves this one to them" if following is not None else "No case after this is free",
    ):
        target = free(context, following, 1)
        if target is not None:
            state.open(target)
        st.rerun()


def _look(context: Context, state: Session, image_id: int) -> None:
    services = context.services
    state.open_elsewhere = services.presence.open(context.reader, state.tab, image_id)
    state.present, state.present_drawn = image_id, False
    state.taken = services.presence.taken(context.reader)


def leave(context: Context) -> None:
    """Say that no case is open here any more."""
    state = session()
    if state.present is None:
        return
    state.present, state.open_elsewhere = None, ()
    context.services.presence.leave(context.reader, state.tab)


def free(context: Context, image_id: int | None, way: int) -> int | None:
    """The case to step to: the one given, or the next in that direction that nobody has open.

    Asked at the click: between drawing a button and pressing it others go on, too.

    Args:
        context: Of the page run.
        image_id: The neighbour that the button was drawn for.
        way: 1 for onward, -1 for back; 0 for a case that was asked for by name, which stays.
    """
    state = session()
    if image_id is None or way == 0:
        return image_id
    with suppress(DdadError):  # then the case's own banner tells
        state.taken = context.services.presence.taken(context.reader)
    return image_id if image_id not in state.taken else state.neighbour(way)


def _sentence(others: Sequence[OpenElsewhere]) -> str:
    first = others[0]
    if first.minutes < 1:
        since = "just opened this case"
    else:
        unit = "minute" if first.minutes == 1 else "minutes"
        since = f"has had this case open for {first.minutes} {unit}"
    more = f", and {len(others) - 1} more" if len(others) > 1 else ""
    return (
        f"<b>{html.escape(first.name)}</b> {since}{more}. Go on to the next free case, or read it "
        "too: both reads are kept, each under its reader’s name."
    )
