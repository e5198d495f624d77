"""The decision: where the threshold lies, and what that does. Only this part follows the slider."""

from __future__ import annotations

import html
import math

import streamlit as st

from app.services.deciding import FlagsADay, flags_a_day, sides
from app.services.tuning import Policy, ThresholdEffect
from app.services.tuning_evidence import TuningEvidence
from app.ui.casestrip import casestrip
from app.ui.chrome import figure, section, warnings
from app.ui.context import Context
from app.ui.error_text import errors_shown
from app.ui.session import session
from app.ui.thresholds.words import estimate, said
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.policies import OperatingChoice

SLIDER_STEPS = 400
SLIDER_MARGIN = 0.02
SHOWN = 12
FEW = 20
POLICIES: dict[str, tuple[Policy, str, float, float, float]] = {
    "By hand": ("hand", "", 0.0, 0.0, 0.0),
    "At most some normals flagged": ("normals", "Normals, %", 0.5, 50.0, 10.0),
    "At least a sensitivity": ("sensitivity", "Sensitivity, %", 50.0, 99.0, 90.0),
    "Youden": ("youden", "", 0.0, 0.0, 0.0),
    "Cost of a miss": ("cost", "False alarms a miss is worth", 0.1, 1000.0, 10.0),
    "Workload": ("workload", "Flagged a day", 0.1, 10000.0, 20.0),
}
"""Title: policy, what its number is, lowest, highest and first value of it."""


def policy_and_slider(
    context: Context, evidence: TuningEvidence
) -> tuple[OperatingChoice | None, float, float, float | None]:
    """The choice of a policy, the slider's threshold, a prevalence, and cases a day if stated."""
    columns = st.columns([2.2, 1.2, 1.2, 1.5, 2.4], vertical_alignment="bottom")
    with columns[0]:
        title = st.selectbox("Choose by", list(POLICIES), key="policy")
    policy, label, low, high, default = POLICIES[title]
    value = 0.0
    if label:
        with columns[3]:
            value = st.number_input(label, low, high, default, key=f"policy-{policy}")
    with columns[1]:
        percent = st.number_input(
            "Prevalence, %", 0.1, 99.9, 5.0, 0.5, key="prevalence",
            help="Share of abnormal cases where the threshold will be used",
        )  # fmt: skip
    with columns[2]:
        known = evidence.cases_a_day
        stated = st.number_input(
            "Cases a day", 0.1, 100_000.0, None, 1.0, key="cases-a-day",
            placeholder="unknown" if known is None else f"{known:.3g}",
            help="Empty: counted from the days on which the stored cases came",
        )  # fmt: skip
    choice = None
    if policy != "hand":
        a_day = stated or known
        if policy == "workload" and a_day is None:
            warnings(["Say how many cases come a day: the stored cases came on one day, or none."])
        else:
            choice = context.services.tuning.choose(
                evidence, policy, value, **({} if a_day is None else {"cases_a_day": a_day})
            )
            if choice.threshold is None:
                warnings([choice.why_not])
                choice = None
            else:
                said(_expected(evidence, choice))
    return choice, _slider(evidence, choice), percent / 100, stated


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


def numbers(
    context: Context,
    evidence: TuningEvidence,
    effect: ThresholdEffect,
    prevalence: float,
    stated: float | None,
) -> None:
    """Confusion matrix and figures at the threshold."""
    counts = effect.counts
    normals = counts.false_positive + counts.true_negative
    abnormals = counts.true_positive + counts.false_negative
    left, right = st.columns([1.15, 2.6], gap="medium")
    with left:
        _matrix(context, effect)
    with right:
        _tiles(context, evidence, effect, prevalence, stated)
    if evidence.roc is None:
        warnings(
            [
                f"The labels chosen give {normals} normal and {abnormals} abnormal cases; "
                "sensitivity, specificity and AUC need both."
            ]
        )
    elif min(normals, abnormals) < FEW:
        warnings(["Few cases: read the intervals, not the figures alone."])


def _matrix(context: Context, effect: ThresholdEffect) -> None:
    """Counts by label and flag, with what a flag is worth among these very cases."""
    counts = effect.counts
    own, _ = context.services.tuning.predictive(effect, None)
    rows = (
        ("Flagged", counts.true_positive, counts.false_positive, own and own.ppv, "abnormal", 1),
        ("Not flagged", counts.false_negative, counts.true_negative, own and own.npv, "normal", 0),
    )
    body = "".join(
        f'<tr><td>{name}</td><td class="{"" if right else "wrong"}"><b>{ill:,}</b></td>'
        f'<td class="{"wrong" if right else ""}"><b>{well:,}</b></td>'
        f"<td>{_share(worth)}<small>{what}, in these cases</small></td></tr>"
        for name, ill, well, worth, what, right in rows
    )
    st.html(
        '<table class="ddad-table ddad-matrix" aria-label="Confusion matrix"><tr><th></th>'
        f"<th>Abnormal</th><th>Normal</th><th>Of the row</th></tr>{body}</table>"
    )


def _share(found: Estimate | None) -> str:
    if found is None:
        return "–"
    return f"{found.value:.2f} <small>95 % CI {found.low:.2f} to {found.high:.2f}</small>"


def _tiles(
    context: Context,
    evidence: TuningEvidence,
    effect: ThresholdEffect,
    prevalence: float,
    stated: float | None,
) -> None:
    counts = effect.counts
    normals = counts.false_positive + counts.true_negative
    abnormals = counts.true_positive + counts.false_negative
    worth, why = context.services.tuning.predictive(effect, prevalence)
    at = f"at {100 * prevalence:.3g} % prevalence"
    first, second = st.columns(4), st.columns(4)
    with first[0]:
        estimate("Sensitivity", counts.sensitivity, f"{counts.true_positive:,} of {abnormals:,}")
    with first[1]:
        estimate("Specificity", counts.specificity, f"{counts.true_negative:,} of {normals:,}")
    with first[2]:
        estimate(f"PPV {at}", worth and worth.ppv, "" if worth else why)
    with first[3]:
        estimate(f"NPV {at}", worth and worth.npv)
    with second[0]:
        _a_day(flags_a_day(evidence, effect.flagged, effect.scored, stated))
    with second[1]:
        share = f"{effect.flagged / effect.scored:.0%} of all scored cases"
        figure("Flagged", f"{effect.flagged:,} of {effect.scored:,}", share)
    with second[2]:
        figure(
            "Calibration normals flagged",
            f"{effect.normal_rate:.0%}",
            f"of {len(evidence.normals)}",
        )
    with second[3]:
        auc = evidence.auc
        if auc:
            note = f"95 % CI {auc.low:.3f} to {auc.high:.3f}"
            figure("AUC", f"{auc.value:.3f}", f"{note}, n = {normals:,} + {abnormals:,}")
        else:
            figure("AUC", "–", "needs both labels")


def _a_day(found: FlagsADay | None) -> None:
    if found is None:
        figure("Flags a day", "–", "say how many cases come a day")
        return
    source = "as stated" if found.stated else "as cases came"
    figure(
        "Flags a day",
        f"{found.mean.value:.3g}",
        f"{found.least} to {found.most} most days; {found.cases_a_day:.3g} cases a day, {source}",
    )


def changed_cases(context: Context, evidence: TuningEvidence, threshold: float) -> None:
    """Cases on the other side of the threshold in force, to look at."""
    found = sides(evidence, threshold)
    count = len(found.image_ids)
    section("Cases that change side")
    if not count:
        said("None: every scored case lies where the threshold in force puts it.")
        return
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in found.counts().items() if n)
    what = "newly flagged" if found.flagged_on else "flagged no more"
    subject = "case" if count == 1 else "cases"
    unaided = session().unaided
    cases = context.services.tuning.look(context.reader, found, SHOWN, unaided=unaided)
    shown = f" The first {len(cases)}, those that matter most first." if len(cases) < count else ""
    if not cases:
        shown = " Cases you have not read yet stay hidden until your verdict."
    said(
        f"{count:,} {subject} {what} against the threshold in force, "
        f"{evidence.in_force.threshold:.4g}: {kinds}.{shown}"
    )
    if not cases:
        return
    chosen = casestrip(cases, key="changed-cases")
    if chosen is not None:
        with errors_shown():
            session().open(chosen, tuple(int(one) for one in found.image_ids))
            context.open_screen("review")


def labelled(evidence: TuningEvidence) -> str:
    """The sentences that say what everything below rests on."""
    facts = evidence.facts
    return html.escape(" ".join(part for part in (facts.sentence, facts.ages.sentence) if part))
