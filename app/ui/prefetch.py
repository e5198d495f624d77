"""The next case, prepared while one is on the screen: one a session, dropped when it is not used.

The server makes its picture in the background; once the page has come to rest, the browser asks
for the pixels and unpacks them. They are the radiograph alone: what the AI says, earlier reads
and permission are asked anew when the case is opened, which alone goes on record.
"""

from __future__ import annotations

import time
from concurrent.futures import Future

import streamlit as st

from app.services.images import Picture
from app.services.people import Action
from app.services.preparing import PreparedCase
from app.ui.ahead import KEY, ahead, asked_for
from app.ui.context import Context
from app.ui.session import Ahead, OpenCase, Session, session, widget_value
from ddad_core.errors import DdadError

POLL_SECONDS = 0.02


def prepare_next(context: Context, state: Session) -> None:
    """Begin with the case after the one on the screen, unless it has begun; to be drawn last."""
    following = state.neighbour(1)
    if state.ahead is not None and state.ahead.image_id != following:
        let_go(state)
    if following is not None and state.ahead is None:
        model = state.models.get(following)
        work = context.services.preparing.begin(context.reader, following, model)
        state.ahead = Ahead(following, work)
    if state.ahead is not None:
        state.ahead.in_page = True
    _hand_over(context)


def take(state: Session, image_id: int) -> tuple[PreparedCase | None, str]:
    """The case if it was prepared, and the digest of the pixels that the browser has of it."""
    found = state.ahead
    if found is None or found.image_id != image_id:
        return None, ""
    state.ahead = None
    # One that has not begun is made sooner here; for one that has, waiting is the shorter way.
    if found.work.cancel():
        return None, ""
    try:
        return found.work.result(), found.key
    except DdadError:
        return None, ""  # opening it tells


def of_open(case: OpenCase) -> tuple[PreparedCase, str]:
    """The case on the screen as one that was prepared: its picture need not be made again."""
    view = case.view
    return PreparedCase(view.image, Picture(view.display, view.presets)), case.handed


def let_go(state: Session) -> None:
    """Drop what was prepared, if anything was."""
    if state.ahead is not None:
        state.ahead.work.cancel()
        state.ahead = None


@st.fragment
def _hand_over(context: Context) -> None:
    """Give the browser the pixels when it asks for them; then this alone runs again."""
    found = session().ahead
    if found is None:
        ahead(0)
        return
    in_page, found.in_page = found.in_page, False
    asked = asked_for(widget_value(KEY, None), found.image_id)
    if asked == found.answered or (in_page and not found.work.done()):
        ahead(found.image_id)
        return
    _wait_for(found.work)
    found.answered = asked
    ready = _ready(context, found.work)
    if ready is None:
        ahead(0)
        return
    found.key = ahead(found.image_id, ready)


def _wait_for(work: Future[PreparedCase]) -> None:
    """Until it is done, or the reader has done something: asking for the session ends the run."""
    while not work.done():
        time.sleep(POLL_SECONDS)
        session()


def _ready(context: Context, work: Future[PreparedCase]) -> PreparedCase | None:
    """What was prepared; None if it failed, or the reader may look at cases no more."""
    try:
        if context.services.access.may(context.reader, Action.VIEW_CASES):
            return work.result()
    except DdadError:
        pass  # opening the case tells
    return None
