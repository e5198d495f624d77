"""Audit: who did what, when and from where; nothing here can be changed."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.store.account_records import AuditAction, AuditEvent, AuditFilter
from app.ui.chrome import section, warnings
from app.ui.context import Context
from app.ui.session import session
from app.ui.times import local

PAGE_EVENTS = 100


def show(context: Context) -> None:
    """Draw the screen."""
    audit, person = context.services.audit, context.reader
    section("Audit trail")
    wanted = _filter(context)
    state = session()
    if state.audit_filter != wanted:
        state.audit_filter, state.audit_before = wanted, []
    before = state.audit_before[-1] if state.audit_before else None
    page = audit.page(person, wanted, before_id=before, limit=PAGE_EVENTS)
    _check(context)
    st.html(f'<div class="ddad-facts">{page.total} events, the newest first</div>')
    if not page.events:
        st.info("No event matches. Widen the dates, or clear a filter.")
        return
    st.dataframe(
        [_row(event) for event in page.events],
        hide_index=True,
        width="stretch",
        height=520,
        column_config={"Before": st.column_config.TextColumn(width="medium")},
    )
    newer, older, _, left, right = st.columns([1.2, 1.2, 5, 1.6, 1.6])
    _turn(page.events, page.total, newer, older)
    _downloads(context, wanted, left, right)


def _filter(context: Context) -> AuditFilter:
    actors = context.services.audit.actors(context.reader)
    columns = st.columns([2, 3, 2, 2])
    with columns[0]:
        actor = st.selectbox("Who", [None, *actors], format_func=_named, key="audit-actor")
    with columns[1]:
        actions = st.multiselect("What", get_args(AuditAction), key="audit-actions")
    with columns[2]:
        subject = st.text_input(
            "To what", placeholder="image 12, user ana", key="audit-subject"
        ).strip()
    with columns[3]:
        days = st.date_input("From and to", value=(), key="audit-days")
    since, until = _instants(days)
    return AuditFilter(
        actor=actor, actions=tuple(actions), subject=subject or None, since=since, until=until
    )


def _named(actor: str | None) -> str:
    if actor is None:
        return "Everybody"
    return actor or "Nobody (failed sign-ins)"


def _instants(days: object) -> tuple[datetime | None, datetime | None]:
    """The first instant of the first day and the last of the last, by the browser's clock."""
    if not isinstance(days, tuple) or not days:
        return None, None
    try:
        zone = ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")

    def start(day: date) -> datetime:
        return datetime.combine(day, time(), zone).astimezone(UTC)

    return start(days[0]), start(days[1] + timedelta(days=1)) if len(days) > 1 else None


def _row(event: AuditEvent) -> dict[str, object]:
    return {
        "No.": event.id,
        "When": local(event.at),
        "Who": event.actor or "–",
        "What": event.action,
        "To what": event.subject,
        "From": event.address or "–",
        "Before": _text(event.before),
        "After": _text(event.after),
        "Reason": event.reason,
    }


def _text(values: object) -> str:
    if not isinstance(values, dict):
        return ""
    return ", ".join(
        f"{name.replace('_', ' ')}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in values.items()
        if value is not None
    )


def _check(context: Context) -> None:
    if not st.button("Check the chain", help="Finds any edit, deletion or cut end"):
        return
    with st.spinner("Checking every event …"):
        found = context.services.audit.verify(context.reader)
    if found.intact:
        st.success(
            f"Intact: {found.events} events. The newest is {found.head.id}:{found.head.hash}; "
            "keep that somewhere else to check against later."
        )
    else:
        warnings(found.faults)


def _turn(
    events: tuple[AuditEvent, ...], total: int, newer: DeltaGenerator, older: DeltaGenerator
) -> None:
    state = session()
    if newer.button("Newer", disabled=not state.audit_before, width="stretch"):
        state.audit_before.pop()
        st.rerun()
    more = len(events) == PAGE_EVENTS and total > PAGE_EVENTS * (len(state.audit_before) + 1)
    if older.button("Older", disabled=not more, width="stretch"):
        state.audit_before.append(events[-1].id)
        st.rerun()


def _downloads(
    context: Context, wanted: AuditFilter, left: DeltaGenerator, right: DeltaGenerator
) -> None:
    audit, person = context.services.audit, context.reader
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with left:
        st.download_button(
            "These as CSV",
            lambda: audit.export_csv(person, wanted),
            f"ddad-audit-{stamp}.csv",
            "text/csv",
            on_click="ignore",
            width="stretch",
        )
    with right:
        st.download_button(
            "These as JSON Lines",
            lambda: audit.export_json_lines(person, wanted),
            f"ddad-audit-{stamp}.jsonl",
            "application/jsonl",
            on_click="ignore",
            width="stretch",
        )
