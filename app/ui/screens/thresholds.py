"""Thresholds: what a cut-off would do on stored evidence, and changing it on record."""

from __future__ import annotations

import html

import streamlit as st

from app.services.measures import Measures
from app.services.tuning_evidence import TuningEvidence
from app.ui.context import Context
from app.ui.error_text import errors_shown
from app.ui.governance import change_bar, on_record
from app.ui.session import session
from app.ui.thresholds import choosing, decision, details
from app.ui.thresholds.decision import SLIDER_STEPS
from app.ui.times import local


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
    second = f", approved by {point.approved_by}" if point.approved_by else ""
    origin = (
        f"version {point.version}, set by {point.set_by}{second}, {local(point.set_at)}: "
        f"{point.reason}"
        if point.set_at
        else f"the model's own: {point.policy.lower()}"
    )
    st.html(
        f'<div class="ddad-facts">{decision.labelled(evidence)}</div>'
        f'<div class="ddad-facts">Made for {html.escape(models[name].population)}. In force: '
        f"{evidence.score_title} ≥ {point.threshold:.4g}, {html.escape(origin, quote=False)}.</div>"
    )
    if not len(evidence.scores) and not len(evidence.unlabelled):
        st.info("This model has scored no case yet. Open one with it on the Review screen.")
        return
    samples = context.services.sampling.drawn(context.reader, name)
    _decide(context, evidence, Measures(evidence, samples))


@st.fragment
def _decide(context: Context, evidence: TuningEvidence, measures: Measures) -> None:
    """What follows the slider; moving it runs this part alone, on evidence gathered before."""
    with errors_shown():
        choice, threshold, prevalence, stated = decision.policy_and_slider(context, evidence)
        effect = context.services.tuning.effect(evidence, threshold)
        decision.numbers(context, evidence, effect, prevalence, stated)
        decision.changed_cases(context, evidence, threshold)
        step = 1.1 * (evidence.span[1] - evidence.span[0]) / SLIDER_STEPS
        filters = evidence.choice.on_record()
        change_bar(context, evidence, threshold, choice, step=step, filters=filters)
        details.show(context, measures, effect, threshold, prevalence)
        on_record(context, evidence)
