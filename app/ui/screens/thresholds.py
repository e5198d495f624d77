"""Thresholds: what a cut-off would do on stored evidence, and changing it on record."""

from __future__ import annotations

import html
import math

import pandas as pd
import streamlit as st

from app.services.people import Action
from app.services.tuning import SOURCE_TITLES, Policy, Source, ThresholdEffect, TuningEvidence
from app.ui.charts import histogram_figure, roc_figure
from app.ui.chrome import figure, section, warnings
from app.ui.context import Context
from app.ui.error_text import errors_shown
from app.ui.session import session
from app.ui.times import local
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.policies import OperatingChoice

SLIDER_STEPS = 400
SLIDER_MARGIN = 0.02
CHART_CONFIG = {"displayModeBar": False}
POLICIES: dict[str, tuple[Policy, str, float, float, float]] = {
    "By hand": ("hand", "", 0.0, 0.0, 0.0),
    "At most some normals flagged": ("normals", "Normals, %", 0.5, 50.0, 10.0),
    "At least a sensitivity": ("sensitivity", "Sensitivity, %", 50.0, 99.0, 90.0),
    "Youden": ("youden", "", 0.0, 0.0, 0.0),
    "Cost of a miss": ("cost", "False alarms a miss is worth", 0.1, 1000.0, 10.0),
    "Workload": ("workload", "Flagged of 100 cases", 1.0, 99.0, 20.0),
}
"""Title: policy, what its number is, lowest, highest and first value of it."""


def show(context: Context) -> None:
    """Draw the screen."""
    if notice := session().take_notice():
        st.toast(notice)
    models = {model.name: model for model in context.services.models.summaries()}
    default = context.services.models.choose(None).name
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        name = st.selectbox(
            "Model",
            list(models),
            index=list(models).index(default),
            format_func=lambda n: models[n].title,
            key="thresholds-model",
        )
    with right:
        titles: dict[str, Source] = {SOURCE_TITLES[s]: s for s in ("reads", "reference")}
        title = st.segmented_control(
            "Measured against", list(titles), default=next(iter(titles)), required=True
        )
    evidence = context.services.tuning.evidence(context.reader, name, titles[title])
    point = evidence.in_force
    origin = (
        f"version {point.version}, set by {point.set_by} on {local(point.set_at)}: {point.reason}"
        if point.set_at
        else f"the model's own: {point.policy.lower()}"
    )
    st.caption(
        f"Made for {models[name].population}. In force: {evidence.score_title} ≥ "
        f"{point.threshold:.4g}, {origin}."
    )
    if not len(evidence.scores) and not len(evidence.unlabelled):
        st.info("This model has scored no case yet. Open one with it on the Review screen.")
        return
    choice = _policy(context, evidence)
    threshold = _slider(evidence, choice)
    effect = context.services.tuning.effect(evidence, threshold)
    _figures(evidence, effect)
    _predictive(context, effect)
    _charts(evidence, effect, threshold)
    if Action.SET_OPERATING_POINT in context.allowed:
        _save(context, evidence, threshold, choice)
    _history(evidence)


def _policy(context: Context, evidence: TuningEvidence) -> OperatingChoice | None:
    """What a policy chooses; None by hand, or where it cannot choose."""
    left, middle, right = st.columns([2, 1.2, 5], vertical_alignment="bottom")
    with left:
        title = st.selectbox("Choose by", list(POLICIES), key="policy")
    policy, label, low, high, default = POLICIES[title]
    value = 0.0
    if label:
        with middle:
            value = st.number_input(label, low, high, default, key=f"policy-{policy}")
    if policy == "hand":
        return None
    with right, errors_shown():
        choice = context.services.tuning.choose(evidence, policy, value)
        if choice.threshold is None:
            st.html(f'<div class="ddad-warning">{html.escape(choice.why_not)}</div>')
            return None
        st.html(f'<div class="ddad-facts">{html.escape(_expected(evidence, choice))}</div>')
    return choice


def _expected(evidence: TuningEvidence, choice: OperatingChoice) -> str:
    """What to expect of a choice, in words."""
    parts = [f"{evidence.score_title} ≥ {choice.threshold:.4g}"]
    if choice.sensitivity:
        parts.append(f"sensitivity {choice.sensitivity}, n = {choice.n_abnormal}")
    if choice.specificity:
        parts.append(f"specificity {choice.specificity}, n = {choice.n_normal}")
    sentences = ["; ".join(parts) + "."]
    if len(parts) > 1:
        sentences.append(choice.measured)
    return " ".join([*sentences, choice.guarantee]).strip()


def _slider(evidence: TuningEvidence, choice: OperatingChoice | None) -> float:
    start = evidence.in_force.threshold
    if choice is not None and choice.threshold is not None:
        start = choice.threshold
    low, high = evidence.span
    low, high = min(low, start), max(high, start)
    margin = SLIDER_MARGIN * ((high - low) or 1.0)
    # Below zero only where scores are: a threshold there would say nothing.
    low, high = max(low - margin, min(low, 0.0)), high + margin
    step = (high - low) / SLIDER_STEPS
    return st.slider(
        f"A case is flagged when {evidence.score_title} is at least",
        min_value=low,
        max_value=high,
        value=min(max(start, low), high),
        step=step,
        # As many decimals as tell one step from the next.
        format=f"%.{max(0, math.ceil(-math.log10(step)))}f",
        # A new version in force, or another choice, starts the slider there.
        key=f"threshold-{evidence.model}-{evidence.in_force.version}-{start:.6g}",
    )


def _figures(evidence: TuningEvidence, effect: ThresholdEffect) -> None:
    counts = effect.counts
    normals = counts.false_positive + counts.true_negative
    abnormals = counts.true_positive + counts.false_negative
    columns = st.columns(5)
    with columns[0]:
        _estimate("Sensitivity", counts.sensitivity, f"{counts.true_positive} of {abnormals}")
    with columns[1]:
        _estimate("Specificity", counts.specificity, f"{counts.true_negative} of {normals}")
    with columns[2]:
        share = f"{effect.flagged / effect.scored:.0%} of all scored cases"
        figure("Flagged", f"{effect.flagged} of {effect.scored}", share)
    with columns[3]:
        figure(
            "Calibration normals flagged",
            f"{effect.normal_rate:.0%}",
            f"of {len(evidence.normals)}",
        )
    with columns[4]:
        if evidence.auc:
            auc = evidence.auc
            note = f"95 % CI {auc.low:.3f} to {auc.high:.3f}"
            figure("AUC", f"{auc.value:.3f}", f"{note}, n = {normals} + {abnormals}")
        else:
            figure("AUC", "–", "needs both labels")
    if evidence.roc is None:
        source = SOURCE_TITLES[evidence.source].lower()
        warnings(
            [
                f"Among {source} there are {normals} normal and {abnormals} abnormal cases; "
                "sensitivity, specificity and AUC need both."
            ]
        )
    elif min(normals, abnormals) < 20:
        warnings(["Few cases: read the intervals, not the figures alone."])
    if evidence.left_out:
        st.caption(
            f"{evidence.left_out} read cases have no usable label "
            "(uncertain, unreadable, or readers disagree evenly)."
        )


def _predictive(context: Context, effect: ThresholdEffect) -> None:
    """What a flag is worth where the threshold will be used."""
    left, ppv, npv, rest = st.columns([1.2, 1.4, 1.4, 2], vertical_alignment="bottom")
    with left:
        percent = st.number_input(
            "Prevalence, %",
            0.1,
            99.9,
            5.0,
            0.5,
            key="prevalence",
            help="Share of abnormal cases where the threshold will be used",
        )
    found, why = context.services.tuning.predictive(effect, percent / 100)
    if found is None:
        with rest:
            st.caption(why)
        return
    with ppv:
        _estimate("PPV at that prevalence", found.ppv, "of the flagged, abnormal")
    with npv:
        _estimate("NPV at that prevalence", found.npv, "of the others, normal")


def _estimate(label: str, estimate: Estimate | None, count: str) -> None:
    if estimate is None:
        figure(label, "–", count)
    else:
        interval = f"{estimate.low:.2f} to {estimate.high:.2f}"
        figure(label, f"{estimate.value:.2f}", f"95 % CI {interval}, {count}")


def _charts(evidence: TuningEvidence, effect: ThresholdEffect, threshold: float) -> None:
    measured = evidence.roc and effect.counts.sensitivity and effect.counts.specificity
    left, right = st.columns([3, 2]) if measured else (st.container(), st.container())
    with left:
        st.plotly_chart(
            histogram_figure(
                normal=evidence.scores[evidence.labels == 0],
                abnormal=evidence.scores[evidence.labels == 1],
                unlabelled=evidence.unlabelled,
                threshold=threshold,
                score_title=evidence.score_title,
            ),
            config=CHART_CONFIG,
            key="histogram",
        )
    with right:
        counts = effect.counts
        if evidence.roc and counts.sensitivity and counts.specificity:
            chart = roc_figure(
                evidence.roc,
                sensitivity=counts.sensitivity.value,
                specificity=counts.specificity.value,
            )
            st.plotly_chart(chart, config=CHART_CONFIG, key="roc")


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
        [(p.version, p.threshold, p.set_by, local(p.set_at), p.reason) for p in evidence.history],
        columns=["Version", "Threshold", "Set by", "When", "Reason"],
    )
    st.dataframe(table, hide_index=True)
