"""The page: who is signed in, and the way to each screen that they may see."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import streamlit as st

from app import gate
from app.bootstrap import build_services
from app.services.container import Services
from app.services.people import Action, Person, SignedOutError, permitted
from app.settings import load_settings
from app.ui import presence
from app.ui.chrome import apply_style, demonstration, disclaimer, who_is_here
from app.ui.context import Context
from app.ui.error_text import errors_shown
from app.ui.guide import guide
from app.ui.screens import (
    account,
    audit,
    export,
    help,
    monitoring,
    review,
    thresholds,
    upload,
    users,
    worklist,
)
from app.ui.session import session, session_of
from app.ui.sessionwatch import sessionwatch

ICON = Path(__file__).parent / "ui" / "icon.png"


@dataclass(frozen=True)
class Screen:
    """One page.

    Attributes:
        title: In the navigation.
        show: Draws it.
        needs: What its reader must be allowed to do; None for everybody.
        changes_accounts: Whether sessions may be over after it was drawn.
    """

    title: str
    show: Callable[[Context], None]
    needs: Action | None
    changes_accounts: bool = False


SCREENS = {
    "worklist": Screen("Worklist", worklist.show, Action.VIEW_CASES),
    "review": Screen("Review", review.show, Action.VIEW_CASES),
    "upload": Screen("Upload", upload.show, Action.TAKE_IN),
    "thresholds": Screen("Thresholds", thresholds.show, Action.VIEW_CASES),
    "monitoring": Screen("Monitoring", monitoring.show, Action.MONITOR),
    "export": Screen("Export", export.show, Action.EXPORT),
    "users": Screen("Users", users.show, Action.MANAGE_USERS, changes_accounts=True),
    "audit": Screen("Audit", audit.show, Action.VIEW_AUDIT),
    "help": Screen("Help", help.show, None),
    "account": Screen("Account", account.show, None, changes_accounts=True),
}
BEGIN_WITH = ("worklist", "users", "audit", "account")
"""The first of these that a person may see is where they begin."""


@st.cache_resource(show_spinner="Opening the reading room …")
def _services() -> Services:
    services = build_services(load_settings(os.environ))
    # Torch takes seconds to load; the first reader should not wait for it at the first case.
    threading.Thread(target=services.warm_up, name="warm-up", daemon=True).start()
    threading.Thread(target=services.monitoring.watch, name="monitoring", daemon=True).start()
    return services


def _run_screen(name: str, context: Context) -> None:
    screen = SCREENS[name]
    try:
        with errors_shown():
            if screen.show is not review.show:
                presence.leave(context)
            session().listing = session().listing and screen.show is worklist.show
            guide(context, name)
            screen.show(context)
    finally:
        if screen.changes_accounts:
            gate.refresh()  # a session that was ended here is closed at once
    if gate.is_demonstration() and screen.show is not help.show:
        disclaimer()  # nobody signs in there, where it stands otherwise


def _pages(context: Context) -> dict[str, st.Page]:
    """The pages that the person may see, by name."""
    offered = [
        name for name, one in SCREENS.items() if not one.needs or one.needs in context.allowed
    ]
    if gate.is_demonstration():
        offered.remove("account")
    elif gate.must_change_password(st.context.cookies):
        offered = ["account"]
    first = next(name for name in BEGIN_WITH if name in offered)
    return {
        name: st.Page(
            partial(_run_screen, name, context),
            title=SCREENS[name].title,
            url_path=name,
            default=name == first,
            # The header leads there.
            visibility="hidden" if name == "account" != first else "visible",
        )
        for name in offered
    }


def _signed_in() -> Person:
    person = gate.who_acts(st.context.cookies)
    if person is None:
        problem = "You are signed out."
        raise SignedOutError(problem, "Reload the page and sign in; unsaved reads are kept.")
    return person


def main() -> None:
    """Run one page."""
    st.set_page_config("DDAD Review", page_icon=str(ICON), layout="wide")
    apply_style()
    with errors_shown():
        gate.ensure_guarded(st.get_option("server.address"))
        person = _signed_in()
        session_of(person)
        services = _services()
        allowed = permitted(services.access.roles(person))
    pages: dict[str, st.Page] = {}

    def open_screen(name: str) -> None:
        st.switch_page(pages[name])

    pages.update(_pages(Context(services, person, open_screen, allowed)))
    page = st.navigation(list(pages.values()), position="top")
    if gate.is_demonstration():
        demonstration()
    else:
        sessionwatch()
    if chosen := who_is_here(person, pages.get("account")):
        services.preferences.choose_theme(person, chosen)
    page.run()


main()
