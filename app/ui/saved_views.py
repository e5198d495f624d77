"""The menu of saved views: choose, save, rename, delete."""

from __future__ import annotations

import streamlit as st

from app.services.people import Action
from app.services.saved_views import NAME_LIMIT, SavedView
from app.services.worklist import Wish
from app.ui.context import Context
from app.ui.error_text import errors_shown
from app.ui.session import session


def views_menu(context: Context, wish: Wish) -> None:
    """Draw the menu; ``wish`` is what would be saved."""
    state = session()
    offered = context.services.saved_views.offered(context.reader)
    with st.popover("Views", width="stretch"):
        if not offered:
            st.caption("No saved view yet. Set filters and order, then save them here.")
        for view in offered:
            _line(context, view)
        st.divider()
        name = st.text_input(
            "Save what is shown now as",
            max_chars=NAME_LIMIT,
            key=f"view-name-{state.views_saved}",
            placeholder="Name of the view",
        )
        shared = Action.ASSIGN in context.allowed and st.checkbox(
            "For everybody", key=f"view-shared-{state.views_saved}"
        )
        own = {view.name for view in offered if view.owner == context.reader.name}
        replaces = " ".join(name.split()) in own
        if st.button(
            "Replace the view" if replaces else "Save view",
            key="view-save",
            disabled=not name.strip(),
        ):
            with errors_shown():
                context.services.saved_views.save(context.reader, name, wish, shared=shared)
                state.views_saved += 1
                state.notice = f"View “{' '.join(name.split())}” saved."
                st.rerun()


def _line(context: Context, view: SavedView) -> None:
    where, change = st.columns([5, 1], vertical_alignment="center", gap="small")
    title = view.name if view.owner == context.reader.name else f"{view.name} · {view.owner}"
    where.button(
        title,
        key=f"view-{view.id}",
        width="stretch",
        icon=":material/group:" if view.shared else None,
        help="Shared with everybody" if view.shared else None,
        on_click=_choose,
        args=(view.wish,),
    )
    if view.mine and change.button(
        "", key=f"view-change-{view.id}", icon=":material/edit:", help="Rename or delete"
    ):
        _change(context, view)


def _choose(wish: Wish) -> None:
    state = session()
    state.preset = wish
    state.views += 1


@st.dialog("Saved view")
def _change(context: Context, view: SavedView) -> None:
    name = st.text_input("Name", value=view.name, max_chars=NAME_LIMIT, key=f"rename-{view.id}")
    rename, delete = st.columns(2)
    if rename.button(
        "Rename", type="primary", width="stretch", disabled=name.strip() in ("", view.name)
    ):
        with errors_shown():
            context.services.saved_views.rename(context.reader, view.id, name)
            session().notice = f"The view is called “{' '.join(name.split())}” now."
            st.rerun()
    sure = st.checkbox(
        "Delete it for everybody" if view.shared else "Delete it", key=f"sure-{view.id}"
    )
    if delete.button("Delete", width="stretch", disabled=not sure):
        with errors_shown():
            context.services.saved_views.delete(context.reader, view.id)
            session().notice = f"View “{view.name}” deleted."
            st.rerun()
