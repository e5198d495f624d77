"""Thresholds: what a cut-off would do on stored evidence, and changing it on record."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from app.services.measures import Measures
from app.services.people import Action
from app.services.tuning_evidence import TuningEvidence
from app.ui.chrome import section
from app.ui.context import Context
from app.ui.error_text import errors_shown
from app.ui.session import session
from app.ui.thresholds import choosing, decision, details
from app.ui.thresholds.decision import SLIDER_STEPS
from ddad_core.evaluation.policies import OperatingChoice


def show(context: Context) -> None:
    """Draw the screen."""
    if notice := session().take_notice():
        st.toast(notice)
    models = {model.name: model for model in context.services.models.summaries()}
    default = context.services.models.choose(None).name
    left, right = st.columns([2, 4.3], vertical_alignment="bottom")
    with left:
        name = st.selectbox(
            "Model",
            list(models),
            index=list(models).index(default),
            format_func=lambda n: models[n].title,
            key="thresholds-model",
        )
    with right:
        choice = choosing.choose(context)
    evidence = context.services.tuning.evidence(context.reader, name, choice)
    point = evidence.in_force
    origin = (
        f"version {point.version}, set by {point.set_by} on {point.set_at:%Y-%m-%d %H:%M} UTC: "
        f"{point.reason}"
        if point.set_at
        else f"the model's own: {point.policy.lower()}"
    )
    st.html(f'<div class="ddad-facts">{decision.labelled(evidence)}</div>')
    st.caption(
        f"Made for {models[name].population}. In force: {evidence.score_title} ≥ "
        f"{point.threshold:.4g}, {origin}."
    )
    if not len(evidence.scores) and not len(evidence.unlabelled):
        st.info("This model has scored no case yet. Open one with it on the Review screen.")
        return
    samples = context.services.sampling.drawn(context.reader, name)
    _decide(context, evidence, Measures(evidence, samples))
    _history(evidence)


@st.fragment
def _decide(context: Context, evidence: TuningEvidence, measures: Measures) -> None:
    """What follows the slider; moving it runs this part alone, on evidence gathered before."""
    with errors_shown():
        choice, threshold, prevalence, stated = decision.policy_and_slider(context, evidence)
        effect = context.services.tuning.effect(evidence, threshold)
        decision.numbers(context, evidence, effect, prevalence, stated)
        decision.changed_cases(context, evidence, threshold)
        if Action.SET_OPERATING_POINT in context.allowed:
            _save(context, evidence, threshold, choice)
        details.show(context, measures, effect, threshold, prevalence)


def _save(
    context: Context, evidence: TuningEvidence, threshold: float, choice: OperatingChoice | None
) -> None:
    policy = ""
    # The slider has steps: next to the policy's own threshold it is that which is put in force.
    step = 1.1 * (evidence.span[1] - evidence.span[0]) / SLIDER_STEPS
    if (
        choice
        and choice.threshold is not None
        and math.isclose(threshold, choice.threshold, rel_tol=0.0, abs_tol=step)
    ):
        threshold, policy = choice.threshold, choice.policy
    with st.form("operating-point", border=True):
        columns = st.columns([5, 1.6], vertical_alignment="bottom")
        with columns[0]:
            reason = st.text_input(
                f"Reason for putting {threshold:.4g} in force for {evidence.model}",
                placeholder="Why it changes, in a sentence",
                max_chars=500,
            )
        with columns[1]:
            submitted = st.form_submit_button("Put in force", type="primary", width="stretch")
    if submitted:
        saved = context.services.tuning.save(
            context.reader, evidence.model, threshold, reason, policy
        )
        session().notice = (
            f"Version {saved.version} is in force for {saved.model_name}: "
            f"{evidence.score_title} ≥ {saved.threshold:.4g}."
        )
        st.rerun()


def _history(evidence: TuningEvidence) -> None:
    if not evidence.history:
        return
    section("Versions")
    table = pd.DataFrame(
        [
            (p.version, p.threshold, p.set_by, f"{p.set_at:%Y-%m-%d %H:%M} UTC", p.reason)
            for p in evidence.history
        ],
        columns=["Version", "Threshold", "Set by", "When", "Reason"],
    )
    st.dataframe(table, hide_index=True)
