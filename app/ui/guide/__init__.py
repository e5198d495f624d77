"""The guided first case: what to do next, in one line above the case, until it was done.

The steps are watched in the browser (guide.js). The read that is saved in the last one is an
ordinary read of the case; whoever leaves before has stored none.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.services.people import Action
from app.services.preferences import Preferences
from app.services.worklist import Wish
from app.ui.context import Context
from app.ui.session import session

KEY = "guide"
OFFERED_ON = ("worklist", "review")
_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "ddad_guide",
    html=(_FOLDER / "guide.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "guide.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "guide.js").read_text(encoding="utf-8"),
)


def guide(context: Context, screen: str) -> None:
    """Offer the guide, or show its present step; nothing for who is through with it.

    Args:
        context: Of the page run.
        screen: The name of the screen that is drawn.
    """
    if screen not in OFFERED_ON or Action.READ not in context.allowed:
        return
    now = context.services.preferences.of(context.reader)
    if now.guide == "done" or (now.guide == "new" and screen != "worklist"):
        return
    _take(context, _show(now, screen), screen)


def _show(now: Preferences, screen: str) -> tuple[str, int]:
    """What the reader just did about the guide: an act, empty for none, and the step."""
    data = {"state": now.guide, "step": now.guide_step, "screen": screen}
    found = _component(key=KEY, data=data, on_act_change=lambda: None)
    act = getattr(found, "act", None)
    if not isinstance(act, dict):
        return "", 0
    step = act.get("step")
    return str(act.get("name")), step if isinstance(step, int) and 0 <= step < 100 else 0


def _take(context: Context, act: tuple[str, int], screen: str) -> None:
    name, step = act
    if name == "step":
        context.services.preferences.note_guide(context.reader, "open", step)
    elif name == "end":
        context.services.preferences.note_guide(context.reader, "done")
        st.rerun()
    elif name == "start":
        context.services.preferences.note_guide(context.reader, "open", 0)
        if screen == "worklist" and (cases := _cases(context)):
            session().open(cases[0], cases)
            context.open_screen("review")
        st.rerun()


def _cases(context: Context) -> tuple[int, ...]:
    """Cases of the gallery that comes with the program; those listed where it is not loaded."""
    listed = context.services.worklist.list(context.reader, Wish(show="gallery"))
    return tuple(row.image_id for row in listed.rows) or session().listed
