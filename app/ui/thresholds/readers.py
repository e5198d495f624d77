"""Readers with each other, with the AI, and unaided against aided."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.services.measures import Measures, Outcome, aided_reading
from app.ui.chrome import figure, section
from app.ui.context import Context
from app.ui.session import session
from app.ui.thresholds.words import said, table, with_interval
from ddad_core.evaluation.agreement import Agreement, PairAgreement
from ddad_core.evaluation.multireader import AidedReading, Measure

MEASURES: dict[str, Measure] = {
    "Sensitivity": "sensitivity",
    "Specificity": "specificity",
    "AUC of confidence": "auc",
}


def show(context: Context, measures: Measures, threshold: float) -> None:
    """Draw the part."""
    left, right = st.columns(2, gap="medium")
    with left:
        _between(measures)
    with right:
        section("Readers and the AI")
        pairs = measures.with_ai(threshold)
        if pairs:
            _pairs(pairs)
            said("The AI calls abnormal what the slider flags. Cohen's kappa.")
        else:
            said("No case that was read with certainty has a score.")
        _aided(context, measures)


def _between(measures: Measures) -> None:
    section("Readers with each other")
    found = measures.agreement
    one, other = st.columns(2)
    with one:
        _agreement(found.kappa_name, found.kappa)
    with other:
        _agreement("Krippendorff's alpha", found.alpha)
    if found.pairs:
        _pairs(found.pairs)
    said(
        "Normal against abnormal; uncertain and unreadable reads stand aside. Both figures fall "
        "when one answer is rare, so the share of equal answers stands beside them."
    )


def _agreement(name: str, found: Outcome[Agreement]) -> None:
    if found.found is None:
        figure(name, "–", found.why_not)
        return
    value = found.found
    figure(
        name,
        f"{value.value.value:.2f}",
        f"95 % CI {value.value.low:.2f} to {value.value.high:.2f}, n = {value.n_cases:,} cases, "
        f"{value.observed:.0%} equal",
    )


def _pairs(pairs: tuple[PairAgreement, ...]) -> None:
    table(
        ("", "Kappa", "Equal answers", "Cases"),
        [
            (
                f"{pair.first} and {pair.second}",
                with_interval(pair.kappa.value, 2) if pair.kappa else "undefined",
                with_interval(pair.same, 2),
                f"{pair.kappa.n_cases:,}" if pair.kappa else "",
            )
            for pair in pairs
        ],
        label="Agreement of pairs",
    )


def _aided(context: Context, measures: Measures) -> None:
    section("Unaided against aided")
    columns = st.columns([2, 1], vertical_alignment="bottom")
    with columns[0]:
        name = st.selectbox("Figure", list(MEASURES), key="aided-measure")
    evidence = measures.evidence
    key = ("aided", evidence.model, evidence.facts.sentence, evidence.choice, name)
    with columns[1]:
        asked = st.button("Compare", width="stretch", key="aided-compare")
    kept = session().worked_out
    if asked:
        with st.spinner("Drawing cases and readers anew, 1000 times …"):
            unaided, aided = context.services.tuning.both_ways(context.reader, evidence)
            labels = dict(zip(evidence.ids.tolist(), evidence.labels.tolist(), strict=True))
            kept[key] = aided_reading(labels, unaided, aided, MEASURES[name])
    found: Any = kept.get(key)
    if found is None:
        said("Paired bootstrap over cases and readers, where both reads of a case are there.")
        return
    if found.found is None:
        said(found.why_not)
        return
    _compared(found.found)
    if evidence.source == "reads":
        said(
            "The labels come from these same readers, which favours the read they were taken "
            "from; labels from elsewhere say more."
        )


def _compared(found: AidedReading) -> None:
    one, two, three = st.columns(3)
    with one:
        figure("Unaided", f"{found.unaided.value:.3f}", _ci(found.unaided))
    with two:
        figure("Aided", f"{found.aided.value:.3f}", _ci(found.aided))
    with three:
        figure(
            "Aided less unaided",
            f"{found.difference.value:+.3f}",
            f"{_ci(found.difference)}, p = {found.p_value:.2g}",
        )
    said(
        f"{found.n_readers} readers, {found.n_normal:,} normal and {found.n_abnormal:,} abnormal "
        f"cases; {found.left_out:,} reads without their other half play no part."
    )


def _ci(found: Any) -> str:
    return f"95 % CI {found.low:.3f} to {found.high:.3f}"
