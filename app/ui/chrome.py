"""The look around every screen: spacing, type scale and small repeated pieces."""

from __future__ import annotations

import html
from collections.abc import Iterable

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from app.services.people import Person

SIGN_OUT = "/gate/sign-out"

_STYLE = """
<style>
[data-testid="stMainBlockContainer"] { padding: 4.1rem 1.2rem 0.5rem; max-width: none; }
[data-testid="stHeader"] { background: #0b0d10; border-bottom: 1px solid #1b2027; height: 3rem; }
[data-testid="stHeader"] a { font-size: 0.95rem; }
[data-testid="stVerticalBlock"] { gap: 0.55rem; }
[data-testid="stElementContainer"]:has(style) { display: none; }
[data-testid="stLayoutWrapper"]:has(> .st-key-save-bar) { position: sticky; bottom: 0;
  z-index: 5; }
.st-key-save-bar { background: #0b0d10; padding: 0.5rem 0 0.7rem; }
h1, h2, h3 { letter-spacing: 0; }
h1 { font-size: 1.35rem !important; font-weight: 600 !important; padding: 0.2rem 0 !important; }
h2 { font-size: 1.08rem !important; font-weight: 600 !important; padding: 0.2rem 0 !important; }
[role="dialog"] h1, [role="dialog"] h2 { padding: 1rem 1.25rem 0.2rem !important; }
.st-key-ddad-who { position: fixed; top: 0.8rem; right: 4.2rem; z-index: 999991; width: auto;
  display: flex; flex-direction: row; align-items: center; gap: 0.7rem; }
.st-key-ddad-who > div { width: auto; }
.st-key-ddad-who p, .ddad-out { font-size: 0.92rem; white-space: nowrap; }
.ddad-out { color: #7cc7d0; }
.ddad-demo { background: #2a2113; color: #f0c48a; border: 1px solid #6b4f22; border-radius: 4px;
  padding: 0.35rem 0.7rem; font-size: 0.92rem; }
[data-testid="stAlertContainer"] { background: #14181d; color: #c9d1d9;
  border: 1px solid #2c343d; }
.ddad-section { font-size: 1.08rem; font-weight: 600; color: #eef2f6; margin: 0.3rem 0 0;
  padding: 0; }
.ddad-muted { color: #9aa5b1; }
.ddad-facts { color: #9aa5b1; font-size: 0.92rem; }
.ddad-facts span { white-space: nowrap; }
.ddad-day { text-align: right; } .ddad-day b { color: #eef2f6; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.ddad-title { font-size: 1.2rem; font-weight: 600; color: #eef2f6; }
.ddad-warning { color: #f0b27a; border-left: 2px solid #c9803f; padding: 0.1rem 0 0.1rem 0.6rem;
  margin: 0.35rem 0; font-size: 0.92rem; }
.ddad-presence { color: #f0c48a; background: #2a2113; border: 1px solid #6b4f22;
  border-radius: 4px; padding: 0.4rem 0.7rem; font-size: 0.92rem; }
.ddad-score { display: flex; align-items: baseline; gap: 0.9rem; margin-top: 0.2rem; }
.ddad-score b { font-size: 2rem; font-weight: 600; color: #eef2f6;
  font-variant-numeric: tabular-nums; line-height: 1.1; }
[data-testid="stSelectbox"] input { text-overflow: ellipsis; }
.ddad-flag { color: #f0b27a; font-weight: 600; }
.ddad-clear { color: #86c99a; font-weight: 600; }
.ddad-strip { position: relative; height: 30px; margin: 0.6rem 0 0.2rem; }
.ddad-strip .axis { position: absolute; left: 0; right: 0; top: 14px; height: 1px;
  background: #39424d; }
.ddad-strip .normal { position: absolute; top: 9px; width: 1px; height: 11px;
  background: #8b97a3; opacity: .65; }
.ddad-strip .cut { position: absolute; top: 1px; width: 0; height: 27px;
  border-left: 1px dashed #f0b27a; }
.ddad-strip .here { position: absolute; top: 7px; width: 15px; height: 15px; margin-left: -7px;
  border-radius: 50%; background: #4fb3bf; border: 2px solid #0b0d10; box-sizing: border-box; }
.ddad-legend { display: flex; gap: 1rem; color: #9aa5b1; font-size: 0.85rem; flex-wrap: wrap; }
[role="dialog"] > h2, [role="dialog"] > div > h2, [data-testid="stDialog"] h2 {
  padding: 1rem 1.4rem 0.2rem !important; }
.ddad-compare { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.ddad-compare th, .ddad-compare td { text-align: left; font-weight: 400; color: #c9d1d9;
  padding: 0.28rem 0.9rem 0.28rem 0; border: 0; border-bottom: 1px solid #232a32; }
.ddad-compare thead th, .ddad-compare tbody th { color: #9aa5b1; font-size: 0.92rem; }
.ddad-compare b { color: #eef2f6; font-weight: 600; }
.ddad-figure { font-variant-numeric: tabular-nums; }
.ddad-figure small { color: #9aa5b1; display: block; font-size: 0.85rem; }
.ddad-table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
.ddad-table th { color: #9aa5b1; font-weight: 400; font-size: 0.85rem; }
.ddad-table th, .ddad-table td { padding: 0.22rem 0.9rem 0.22rem 0; text-align: right;
  border-bottom: 1px solid #1b2027; }
.ddad-table th:first-child, .ddad-table td:first-child { text-align: left; }
.ddad-matrix td b { font-size: 1.35rem; font-weight: 600; color: #eef2f6; }
.ddad-matrix td.wrong b { color: #f0b27a; }
.ddad-matrix small { display: block; color: #9aa5b1; }
.ddad-figure b { font-size: 1.35rem; font-weight: 600; color: #eef2f6; }
</style>
"""


def apply_style() -> None:
    """Put the app's style on the page."""
    st.html(_STYLE)


def who_is_here(person: Person, account: StreamlitPage) -> None:
    """Who is signed in, in the header, with the way to their account and out."""
    with st.container(key="ddad-who"):
        st.page_link(account, label=person.full_name or person.name, icon=":material/person:")
        st.html(f'<a class="ddad-out" href="{SIGN_OUT}" target="_self">Sign out</a>')


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
