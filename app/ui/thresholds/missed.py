"""What was not flagged and not read: audit samples, and figures put right by them."""

from __future__ import annotations

import streamlit as st

from app.services.measures import Measures
from app.services.people import Action
from app.services.sampling import HIGHEST_SEED
from app.ui.charts import corrected_figure
from app.ui.chrome import section, warnings
from app.ui.context import Context
from app.ui.session import session
from app.ui.thresholds.words import said, table, with_interval
from ddad_core.evaluation.verification import Corrected, VerifiedFigures

CHART_CONFIG = {"displayModeBar": False}


def show(context: Context, measures: Measures, threshold: float) -> None:
    """Draw the part."""
    left, right = st.columns([1.2, 2], gap="medium")
    with left:
        _samples(context, measures)
    with right:
        _corrected(context, measures, threshold)


def _samples(context: Context, measures: Measures) -> None:
    section("Audit samples")
    said(
        "Flagged cases are read more often than others, so misses stay unseen. A sample drawn by "
        "chance from all scored cases, read whatever the AI says, puts the figures right."
    )
    unread = set(measures.evidence.unlabelled_ids.tolist())
    rows = []
    for sample in measures.samples:
        left = sum(one in unread for one in sample.image_ids)
        record = sample.record
        rows.append(
            (
                f"{record.drawn_at:%Y-%m-%d}",
                record.drawn_by,
                f"{record.size:,} of {record.eligible:,}",
                str(record.seed),
                f"{left:,}",
            )
        )
    if rows:
        table(("Drawn", "By", "Cases", "Seed", "No label yet"), rows, label="Audit samples")
        waiting = tuple(
            one for sample in measures.samples for one in sample.image_ids if one in unread
        )
        if waiting and st.button("Read the sample", key="sample-read"):
            session().open(waiting[0], tuple(dict.fromkeys(waiting)))
            context.open_screen("review")
        said("The Worklist shows its cases, too: Show “Audit sample”.")
    if Action.SET_OPERATING_POINT in context.allowed:
        _draw(context, measures)
    elif not rows:
        said("Nobody has drawn one yet; a lead reader can.")


def _draw(context: Context, measures: Measures) -> None:
    scored = len(measures.evidence.score_ids)
    with st.form("draw-sample", border=True):
        columns = st.columns([1, 1.3, 1], vertical_alignment="bottom")
        with columns[0]:
            size = st.number_input("Cases", 1, scored, min(200, scored), key="sample-size")
        with columns[1]:
            seed = st.number_input(
                "Seed", 0, HIGHEST_SEED, None, key="sample-seed", placeholder="new",
                help="The same seed draws the same cases; empty for a new one",
            )  # fmt: skip
        with columns[2]:
            asked = st.form_submit_button("Draw", width="stretch")
    if asked:
        drawn = context.services.sampling.draw(
            context.reader, measures.evidence.model, int(size), None if seed is None else int(seed)
        )
        session().notice = f"{drawn.record.size} cases drawn; they wait on the Worklist."
        st.rerun()


def _corrected(context: Context, measures: Measures, threshold: float) -> None:
    section("As they come, and put right")
    design = measures.design
    found, curve = measures.verified(threshold), measures.verified_roc
    if found.found is None:
        said(found.why_not)
        return
    said(design.sentence)
    figures = found.found
    warnings(_doubts(figures, curve.found.too_few if curve.found else ""))
    effect = context.services.tuning.effect(measures.evidence, threshold)
    counts = effect.counts
    own, _ = context.services.tuning.predictive(effect, None)
    evidence = measures.evidence
    rows = [
        (name, with_interval(naive, 2), *_row(one))
        for name, naive, one in (
            ("Sensitivity", counts.sensitivity, figures.sensitivity),
            ("Specificity", counts.specificity, figures.specificity),
            ("PPV", own and own.ppv, figures.ppv),
            ("NPV", own and own.npv, figures.npv),
        )
    ]
    rows.append(("Abnormal", f"{evidence.prevalence:.2f}", *_row(figures.prevalence)))
    if curve.found is not None:
        rows.append(("AUC", with_interval(evidence.auc, 2), *_row(curve.found.auc)))
    heads = ("At the slider", "As they come", "Inverse probability", "Begg and Greenes")
    table(heads, rows, label="Figures as they come and put right")
    said("“As they come” counts all labels, as the figures above do.")
    if curve.found is None or evidence.roc is None:
        said(curve.why_not)
        return
    st.plotly_chart(
        corrected_figure(evidence.roc, curve.found.corrected),
        config=CHART_CONFIG,
        key="corrected",
    )


def _row(one: Corrected) -> tuple[str, str]:
    return with_interval(one.weighted, 2), with_interval(one.begg_greenes, 2)


def _doubts(figures: VerifiedFigures, of_curve: str) -> list[str]:
    doubts = []
    if figures.too_few:
        needed = (
            f" It takes about {figures.reads_needed:,} reads of unflagged cases."
            if (figures.reads_needed or 0) > figures.unflagged_read
            else ""
        )
        doubts.append(figures.too_few + needed)
    return [*doubts, of_curve] if of_curve else doubts
