"""The page: the gate's last check, who is reading, and the way to each screen."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path

import streamlit as st

from app.bootstrap import build_services
from app.gate import ensure_guarded
from app.services.container import Services
from app.services.people import Person
from app.settings import load_settings
from app.ui.chrome import apply_style, welcome
from app.ui.context import Context
from app.ui.error_text import errors_shown
from app.ui.screens import export, review, thresholds, upload, worklist
from app.ui.session import session

ICON = Path(__file__).parent / "ui" / "icon.png"
SCREENS = {
    "worklist": ("Worklist", worklist.show),
    "review": ("Review", review.show),
    "upload": ("Upload", upload.show),
    "thresholds": ("Thresholds", thresholds.show),
    "export": ("Export", export.show),
}


@st.cache_resource(show_spinner="Opening the reading room …")
def _services() -> Services:
    services = build_services(load_settings(os.environ))
    # Torch takes seconds to load; the first reader should not wait for it at the first case.
    threading.Thread(target=services.warm_up, name="warm-up", daemon=True).start()
    return services


def _ask_reader() -> None:
    _, middle, _ = st.columns([3, 3, 3])
    with middle, st.form("reader", border=False):
        welcome()
        name = st.text_input(
            "Your name, under which your reads are stored", max_chars=80, autocomplete="name"
        )
        if st.form_submit_button("Start", type="primary"):
            with errors_shown():
                session().reader = Person.named(name)
                st.rerun()
        st.caption(
            "Decision support for research. Not a medical device: not for diagnosis, triage or "
            "any decision about a patient."
        )


def _run_screen(name: str, context: Context) -> None:
    with errors_shown():
        SCREENS[name][1](context)


def main() -> None:
    """Run one page."""
    st.set_page_config("DDAD Review", page_icon=str(ICON), layout="wide")
    apply_style()
    with errors_shown():
        ensure_guarded(st.get_option("server.address"))
        services = _services()
    reader = session().reader
    if reader is None:
        st.navigation([st.Page(_ask_reader, title="DDAD Review")], position="hidden").run()
        return
    pages: dict[str, st.Page] = {}
    context = Context(services, reader, lambda name: st.switch_page(pages[name]))
    for name, (title, _) in SCREENS.items():
        pages[name] = st.Page(
            partial(_run_screen, name, context),
            title=title,
            url_path=name,
            default=name == "worklist",
        )
    st.navigation(list(pages.values()), position="top").run()


main()
