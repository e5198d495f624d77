"""The look around every screen: both themes, spacing, type scale and small repeated pieces."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from app.services.people import Person
from app.ui.themeswitch import themeswitch

SIGN_OUT = "/gate/sign-out"

_STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


def apply_style() -> None:
    """Put the app's style on the page."""
    st.html(f"<style>{_STYLE}</style>")


def who_is_here(person: Person, account: StreamlitPage | None) -> str | None:
    """The switch of the theme, who is signed in, and the way to their account and out.

    Args:
        person: Who is signed in.
        account: Their page; None in the demonstration, which knows no accounts.

    Returns:
        The theme that was just chosen, or None.
    """
    with st.container(key="ddad-who"):
        chosen = themeswitch()
        if account is not None:
            st.page_link(account, label=person.full_name or person.name, icon=":material/person:")
            st.html(f'<a class="ddad-out" href="{SIGN_OUT}" target="_self">Sign out</a>')
    return chosen


def demonstration() -> None:
    """What every page of the demonstration says."""
    st.html(
        '<div class="ddad-demo" role="note">Demonstration without accounts: anybody at this '
        "machine sees and changes everything here. Do not bring in images of patients.</div>"
    )


def disclaimer() -> None:
    """What this is not."""
    st.caption(
        "Decision support for research. Not a medical device: not for diagnosis, triage or "
        "any decision about a patient."
    )


def section(title: str) -> None:
    """The heading of a part of a screen."""
    st.html(f'<h2 class="ddad-section">{html.escape(title)}</h2>')


def facts_line(title: str, facts: str) -> None:
    """A case's name with its facts below; the line breaks between facts, never inside one."""
    parts = " · ".join(f"<span>{html.escape(part)}</span>" for part in facts.split(" · "))
    st.html(
        f'<div class="ddad-title">{html.escape(title)}</div><div class="ddad-facts">{parts}</div>'
    )


def warnings(sentences: Iterable[str]) -> None:
    """Sentences that a reader must see."""
    body = "".join(f'<div class="ddad-warning">{html.escape(s)}</div>' for s in sentences)
    if body:
        st.html(body)


def figure(label: str, value: str, note: str = "") -> None:
    """A number with its name above and its interval below."""
    st.html(
        f'<div class="ddad-figure"><small>{html.escape(label)}</small>'
        f"<b>{html.escape(value)}</b><small>{html.escape(note)}&nbsp;</small></div>"
    )
