"""Users: the accounts, for administrators."""

from __future__ import annotations

import streamlit as st

from app.services.accounts import AccountState, NewAccount
from app.services.passwords import generated_password
from app.services.people import ROLE_HELP, ROLES
from app.ui.chrome import facts_line, section
from app.ui.context import Context
from app.ui.session import session
from app.ui.times import local


def show(context: Context) -> None:
    """Draw the screen."""
    state = session()
    if notice := state.take_notice():
        st.toast(notice)
    if state.new_password:
        name, password = state.new_password
        st.info(
            f"Password for {name}, shown this once; it must be changed at the first sign-in: "
            f"`{password}`",
            icon=":material/key:",
        )
        state.new_password = None
    states = context.services.accounts.list_users(context.reader)
    left, right = st.columns([3, 2], gap="large")
    with left:
        section("Accounts")
        chosen = _table(states)
    with right:
        if chosen is None:
            _new(context)
        else:
            _change(context, chosen)


def _table(states: list[AccountState]) -> AccountState | None:
    rows = [
        {
            "Name": one.user.name,
            "Called": one.user.full_name,
            "Roles": ", ".join(one.user.roles),
            "State": _state(one),
            "Sessions": one.sessions,
            "Last seen": local(one.last_seen),
            "Since": local(one.user.created_at),
        }
        for one in states
    ]
    found = st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key="users-table",
    )
    st.caption("Choose a row to change an account. Removed accounts stay: their reads name them.")
    selected = found["selection"]["rows"]
    return states[selected[0]] if selected and selected[0] < len(states) else None


def _state(one: AccountState) -> str:
    if not one.user.active:
        return "removed"
    if one.locked:
        return "locked"
    if one.user.must_change_password:
        return "new password due"
    return "single sign-on" if one.user.issuer else "active"


def _new(context: Context) -> None:
    section("New account")
    with st.form("new-user", border=True):
        name = st.text_input(
            "Name", max_chars=80, help="To sign in with; reads are stored under it, for good."
        )
        full_name = st.text_input("Called", max_chars=80, placeholder="As people know them")
        roles = st.multiselect("Roles", ROLES, default=["reader"])
        st.caption("  \n".join(f"**{role}**: {ROLE_HELP[role]}" for role in ROLES))
        submitted = st.form_submit_button("Make account", type="primary")
    if submitted:
        password = generated_password()
        new = NewAccount(name, full_name, tuple(roles), password)
        user = context.services.accounts.create(context.reader, new)
        session().new_password = (user.name, password)
        st.rerun()


def _change(context: Context, chosen: AccountState) -> None:
    user, accounts = chosen.user, context.services.accounts
    facts_line(user.full_name, f"signs in as {user.name} · made by {user.created_by}")
    called = st.text_input(
        "Called", value=user.full_name, max_chars=80, key=f"user-called-{user.id}"
    )
    if called != user.full_name and st.button("Change what they are called"):
        accounts.rename(context.reader, user.id, called)
        _done(f"{user.name} is called {called} now.")
    reason = st.text_input(
        "Reason", max_chars=500, placeholder="Goes on record", key=f"user-reason-{user.id}"
    )
    if user.active and user.issuer is None:
        roles = st.multiselect(
            "Roles", ROLES, default=list(user.roles), key=f"user-roles-{user.id}"
        )
        if st.button("Change roles", disabled=set(roles) == set(user.roles)):
            accounts.change_roles(context.reader, user.id, roles, reason)
            _done(f"{user.name} has other roles now.")
    if not user.active:
        if st.button("Give access back", type="primary"):
            accounts.bring_back(context.reader, user.id, reason)
            _done(f"{user.name} can sign in again.")
        return
    if chosen.locked and st.button("Unlock"):
        accounts.unlock(context.reader, user.id)
        _done(f"{user.name} can try again.")
    if user.password_hash is not None and st.button("Set a new password"):
        password = generated_password()
        accounts.reset_password(context.reader, user.id, password)
        session().new_password = (user.name, password)
        st.rerun()
    sure = st.checkbox(
        "Remove: access ends at once, in every open tab", key=f"user-remove-{user.id}"
    )
    if st.button("Remove account", disabled=not sure):
        accounts.remove(context.reader, user.id, reason)
        _done(f"{user.name} has no access any more.")


def _done(sentence: str) -> None:
    session().notice = sentence
    st.rerun()
