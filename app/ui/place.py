"""The case on the screen, in the page's address: there again after a reload or a restart."""

from __future__ import annotations

import streamlit as st

from app.ui.context import Context
from app.ui.session import Session

CASE = "case"
UNAIDED = "unaided"


def come_back(context: Context, state: Session) -> None:
    """Open the case that the address names, if this session has none yet."""
    named = st.query_params.get(CASE, "")
    if state.image_id is not None or not (named.isascii() and named.isdecimal()):
        return
    # Whoever asked for their own verdict first must not see the AI because the page was reloaded.
    state.unaided = state.unaided or UNAIDED in st.query_params
    image_id = int(named[:15])
    order = context.services.worklist.order(context.reader, state.wish)
    state.open(image_id, order if image_id in order else (image_id,))


def note_place(state: Session) -> None:
    """Have the address name the case on the screen."""
    wanted = {CASE: str(state.image_id)} | ({UNAIDED: "1"} if state.unaided else {})
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
