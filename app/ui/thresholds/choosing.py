"""Choosing which labels a threshold is measured against."""

from __future__ import annotations

from datetime import date

import streamlit as st

from app.services.evidence import SOURCE_TITLES, EvidenceChoice, Source, Stages
from app.ui.context import Context
from ddad_core.evaluation.consensus import Rule

STAGES: dict[str, Stages] = {
    "Last word": "latest",
    "Unaided": "unaided",
    "Aided": "aided",
}
RULES: dict[str, Rule] = {
    "Majority": "majority",
    "Single reader": "single",
    "Arbiter settles": "arbiter",
}
ANY = "Any model, or none"
SETTLED = "Whoever settled the case"


def choose(context: Context) -> EvidenceChoice:
    """The choice as it stands on the screen."""
    left, right = st.columns([3, 1.3], vertical_alignment="bottom")
    with left:
        titles: dict[str, Source] = {SOURCE_TITLES[s]: s for s in ("reads", "reference")}
        title = st.segmented_control(
            "Measured against", list(titles), default=next(iter(titles)), required=True,
            key="evidence-source",
        )  # fmt: skip
    with right, st.popover("Which reads count", width="stretch", icon=":material/tune:"):
        return _which(context, titles[title])


def _which(context: Context, source: Source) -> EvidenceChoice:
    readers, models = context.services.tuning.who(context.reader)
    if not readers:
        st.caption("Nobody has read a case yet. Start on the Worklist.")
        return EvidenceChoice(source=source)
    st.caption("A case has one label: reads are brought together first.")
    whose = st.multiselect(
        "Readers", readers, placeholder="Everybody", key="evidence-readers", width=420
    )
    rule = st.segmented_control(
        "Several readers of a case", list(RULES), default="Majority", required=True,
        key="evidence-rule",
        help="Uncertain and unreadable are no vote; a tie gives no label",
    )  # fmt: skip
    word = ""
    if RULES[rule] != "majority":
        label = "Whose reads count" if RULES[rule] == "single" else "Who settles"
        offered = [*(() if RULES[rule] == "single" else (SETTLED,)), *(whose or readers)]
        word = st.selectbox(label, offered, key="evidence-word")
    stage = st.segmented_control(
        "Read", list(STAGES), default="Last word", required=True, key="evidence-stage",
        help="Last word: a reader's latest read of a case, unaided or aided. Otherwise the "
        "latest of those made before, or after, the AI was shown",
    )  # fmt: skip
    first, last = st.columns(2)
    since = first.date_input("Saved from", value=None, key="evidence-since")
    until = last.date_input("to", value=None, key="evidence-until")
    model = st.selectbox("Read with", [ANY, *models], key="evidence-model")
    return EvidenceChoice(
        source=source,
        readers=tuple(whose),
        since=since if isinstance(since, date) else None,
        until=until if isinstance(until, date) else None,
        read_with=None if model == ANY else model,
        stage=STAGES[stage],
        rule=RULES[rule],
        word="" if word == SETTLED else word or "",
    )
