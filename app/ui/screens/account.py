"""Account: who is signed in, what they may do, their password and their sessions."""

from __future__ import annotations

import streamlit as st

from app.services.people import ROLE_HELP
from app.store.account_records import SessionRecord, UserRecord
from app.ui.chrome import facts_line, section, warnings
from app.ui.context import Context
from app.ui.session import session
from app.ui.times import local

MUST_CHANGE = "This password was set by someone else. Choose one of your own to go on."


def show(context: Context) -> None:
    """Draw the screen."""
    if notice := session().take_notice():
        st.toast(notice)
    user, sessions = context.services.accounts.own(context.reader)
    middle, _ = st.columns([3, 2])
    with middle:
        facts_line(user.full_name, f"signs in as {user.name}")
        if user.must_change_password:
            warnings([MUST_CHANGE])
        else:
            _roles(user)
        _password(context, user)
        if not user.must_change_password:
            _sessions(context, sessions)


def _roles(user: UserRecord) -> None:
    section("Roles")
    st.markdown("\n".join(f"* **{role}**: {ROLE_HELP[role]}" for role in user.roles))


def _password(context: Context, user: UserRecord) -> None:
    section("Password")
    if user.password_hash is None:
        st.caption(f"You sign in at {user.issuer}; your password is kept there.")
        return
    with st.form("password", border=True, clear_on_submit=True):
        old = st.text_input(
            "Present password", type="password", autocomplete="current-password", max_chars=256
        )
        new = st.text_input(
            "New password", type="password", autocomplete="new-password", max_chars=256
        )
        again = st.text_input(
            "New password once more", type="password", autocomplete="new-password", max_chars=256
        )
        st.caption("12 characters or more; a few unrelated words do well.")
        submitted = st.form_submit_button("Change password", type="primary")
    if submitted and new != again:
        st.error("The new password was typed in two ways. Nothing was changed; type it again.")
    elif submitted:
        context.services.accounts.change_password(context.reader, old, new)
        session().notice = "Your password is changed; your other sessions have ended."
        st.rerun()


def _sessions(context: Context, sessions: list[SessionRecord]) -> None:
    section("Open sessions")
    rows = [
        {
            "From": one.address or "–",
            "Signed in": local(one.opened_at),
            "Last seen": local(one.seen_at),
            "": "this one" if one.id == context.reader.session_id else "",
        }
        for one in sessions
    ]
    st.dataframe(rows, hide_index=True, width="stretch")
    if len(sessions) > 1 and st.button("End the others"):
        ended = context.services.accounts.end_other_sessions(context.reader)
        session().notice = f"{ended} other session{' has' if ended == 1 else 's have'} ended."
        st.rerun()
