"""Changing an operating point: shown first, confirmed, approved, taken back, and all on record."""

from __future__ import annotations

import html
import math
from datetime import UTC, datetime

import streamlit as st

from app.services.governed import History, Outcome
from app.services.operating_change import Change, change_of_threshold
from app.services.people import Action
from app.services.tuning import TuningEvidence
from app.store.proposal_records import ProposalRecord
from app.store.records import NewOperatingPoint
from app.ui.change_record import document
from app.ui.chrome import section, warnings
from app.ui.comparison import comparison, kept_comparison, number
from app.ui.context import Context
from app.ui.error_text import errors_shown
from app.ui.session import session
from app.ui.times import local
from app.ui.versions import versions_table
from ddad_core.evaluation.policies import OperatingChoice
from ddad_core.vocabulary import MAP_TITLES, SCORE_TITLES

REASON_LIMIT = 500


def on_record(context: Context, evidence: TuningEvidence) -> None:
    """What waits for a second person, and the versions; the dialog of a change asked for."""
    found = context.services.governance.history(context.reader, evidence.model)
    _waiting(context, found)
    _versions(context, evidence, found)
    offer_change(context)


def offer_change(context: Context) -> None:
    """The dialog of the change that was asked for, until it is made or put away."""
    state = session()
    if state.change is not None:
        _confirm(context, state.change)
    elif state.deciding is not None:
        _decide(context, state.deciding)


def _put_away() -> None:
    session().change = session().deciding = None


def change_bar(
    context: Context,
    evidence: TuningEvidence,
    threshold: float,
    choice: OperatingChoice | None,
    *,
    step: float = 0.0,
    filters: dict[str, object] | None = None,
) -> None:
    """Ask for a change, where the person may.

    Args:
        context: Of the page.
        evidence: What the figures were measured on.
        threshold: As it stands on the slider.
        choice: The policy's, or None.
        step: Of the slider: so near the policy's own threshold it is that which is meant.
        filters: Which reads or labels the evidence was chosen from.
    """
    if Action.SET_OPERATING_POINT not in context.allowed:
        return
    # The slider has steps: next to the policy's own threshold it is that which is put in force.
    if (
        choice
        and choice.threshold is not None
        and math.isclose(threshold, choice.threshold, rel_tol=0.0, abs_tol=step)
    ):
        threshold = choice.threshold
    left, right = st.columns([1.6, 6], vertical_alignment="center")
    with left:
        pressed = st.button(
            "Propose …" if context.services.governance.rules.second_approval else "Put in force …",
            type="primary",
            width="stretch",
            key="change",
            help="Shows what it would change and asks for the reason first",
        )
    with right:
        st.html(
            f'<div class="ddad-facts">{html.escape(evidence.score_title)} ≥ '
            f"{number(threshold)} for {html.escape(evidence.model)}, in place of "
            f"{number(evidence.in_force.threshold)}</div>"
        )
    if pressed:
        session().change = change_of_threshold(evidence, threshold, choice, filters=filters)


@st.dialog("Change the operating point", width="large", on_dismiss=_put_away)
def _confirm(context: Context, change: Change) -> None:
    service = context.services.governance
    few = service.too_few(change)
    comparison(change)
    if few:
        warnings([few])
    reason = st.text_input(
        "Reason",
        placeholder="Why it changes, in a sentence",
        max_chars=REASON_LIMIT,
        key="change-reason",
    )
    override = ""
    if few:
        override = st.text_input(
            "Reason to change it on so few cases",
            placeholder="Why it cannot wait for more",
            max_chars=REASON_LIMIT,
            key="change-override",
        )
    left, right, _ = st.columns([2, 1.2, 3])
    propose = service.rules.second_approval
    label = "Propose to a second person" if propose else "Put in force"
    with left:
        confirmed = st.button(label, type="primary", width="stretch", key="change-confirmed")
    with right:
        if st.button("Cancel", width="stretch", key="change-cancelled"):
            _put_away()
            st.rerun()
    if confirmed:
        with errors_shown():
            outcome = service.change(context.reader, change, reason, override)
        session().notice = _told(outcome, change)
        _put_away()
        st.rerun()


def _told(outcome: Outcome, change: Change) -> str:
    if outcome.proposal is not None:
        return (
            f"Proposal {outcome.proposal.id} waits for a second person. {change.title} ≥ "
            f"{number(change.present.threshold)} stays in force until then."
        )
    assert outcome.in_force is not None
    return (
        f"Version {outcome.in_force.version} is in force for {change.model_name}: "
        f"{change.title} ≥ {number(change.proposed.threshold)}."
    )


def _waiting(context: Context, found: History) -> None:
    if not found.waiting:
        return
    section("Waiting for a second person")
    for one in found.waiting:
        left, right = st.columns([6, 1.6], vertical_alignment="center")
        with left:
            st.html(
                f"<div><b>Proposal {one.id}: {html.escape(name_of(one))} ≥ "
                f"{number(one.threshold)}</b> "
                f'<span class="ddad-muted">by {html.escape(one.set_by)}, '
                f"{local(one.proposed_at)} · {html.escape(one.reason)}</span></div>"
            )
        with right:
            own = one.set_by == context.reader.name
            may = Action.APPROVE_OPERATING_POINT in context.allowed
            if own or may:
                label = "Withdraw …" if own else "Decide …"
                if st.button(label, width="stretch", key=f"decide-{one.id}"):
                    session().deciding = one


def name_of(point: NewOperatingPoint) -> str:
    """What people call the score or map of an operating point."""
    if point.map_name:
        return f"map {MAP_TITLES.get(point.map_name, point.map_name)}"
    return SCORE_TITLES.get(point.score_name, point.score_name)


@st.dialog("Proposed operating point", width="large", on_dismiss=_put_away)
def _decide(context: Context, proposal: ProposalRecord) -> None:
    service, person = context.services.governance, context.reader
    kept_comparison(proposal, name_of(proposal))
    own = proposal.set_by == person.name
    reason = st.text_input(
        "Reason" if own else "Reason (needed to refuse)",
        max_chars=REASON_LIMIT,
        key="decision-reason",
    )
    buttons = st.columns([1.5, 1.5, 1.2, 2])
    if own:
        with buttons[0]:
            if st.button("Withdraw", type="primary", width="stretch", key="withdraw"):
                with errors_shown():
                    service.withdraw(person, proposal.id, reason)
                _done(f"Proposal {proposal.id} is withdrawn.")
    else:
        with buttons[0]:
            approved = st.button("Approve", type="primary", width="stretch", key="approve")
        with buttons[1]:
            refused = st.button("Refuse", width="stretch", key="refuse")
        if approved:
            with errors_shown():
                made = service.approve(person, proposal.id, reason)
            _done(f"Version {made.version} is in force for {made.model_name}.")
        if refused:
            with errors_shown():
                service.refuse(person, proposal.id, reason)
            _done(f"Proposal {proposal.id} is refused.")
    with buttons[2]:
        if st.button("Cancel", width="stretch", key="decision-cancelled"):
            _put_away()
            st.rerun()


def _done(notice: str) -> None:
    session().notice = notice
    _put_away()
    st.rerun()


def _versions(context: Context, evidence: TuningEvidence, found: History) -> None:
    section("Versions")
    if not found.versions and not found.proposals:
        st.caption("The model's own operating point is in force; the site has set none.")
    else:
        versions_table(found, name_of)
    if found.elsewhere:
        st.caption(
            f"{len(found.elsewhere)} versions for earlier weights, another score, population or "
            "site do not count here; the change record lists them."
        )
    left, middle, right, _ = st.columns([2.2, 1.6, 1.8, 3], vertical_alignment="bottom")
    back = [one for one in found.versions if one.kind == "image" and one.id != evidence.in_force.id]
    if Action.SET_OPERATING_POINT in context.allowed and evidence.in_force.version > 0:
        own = found.card.operating_point
        offered = {
            f"Version {one.version}: {number(one.threshold)}": (one.version, one.threshold)
            for one in back
        } | {f"The model's own: {number(own.threshold)}": (0, own.threshold)}
        with left:
            to = st.selectbox("Go back to", list(offered), key="go-back-to")
        with middle:
            if st.button("Go back …", width="stretch", key="go-back"):
                version, threshold = offered[to]
                session().change = change_of_threshold(
                    evidence,
                    threshold,
                    restores=version,
                    policy=f"Back to version {version}" if version else "Back to the model's own",
                )
    with right:
        _download(context, evidence.model)


def _download(context: Context, model: str) -> None:
    def made() -> bytes:
        record = context.services.governance.record(context.reader, model)
        return document(record, name_of, made_by=context.reader.name, made_at=datetime.now(UTC))

    st.download_button(
        "Change record",
        made,  # and put on record, when it is asked for
        f"ddad-change-record-{model}-{datetime.now(UTC):%Y%m%d}.html",
        "text/html",
        on_click="ignore",
        width="stretch",
        help="All versions and proposals with what they rest on, to print or keep",
    )
