"""Below the decision: one part of the evidence at a time."""

from __future__ import annotations

import streamlit as st

from app.services.measures import Measures
from app.services.tuning import ThresholdEffect
from app.ui.charts import (
    histogram_figure,
    precision_figure,
    reliability_figure,
    roc_figure,
)
from app.ui.chrome import figure
from app.ui.context import Context
from app.ui.thresholds import levels, missed, readers
from app.ui.thresholds.words import said, table, with_interval

CHART_CONFIG = {"displayModeBar": False}
PARTS = ("Scores", "Curves", "Calibration", "Readers", "Missed cases", "Levels of maps")


def show(
    context: Context,
    measures: Measures,
    effect: ThresholdEffect,
    threshold: float,
    prevalence: float,
) -> None:
    """Draw the part that is chosen; the others cost nothing."""
    part = st.segmented_control(
        "Evidence", PARTS, default=PARTS[0], required=True, key="threshold-part",
        label_visibility="collapsed",
    )  # fmt: skip
    if part == "Curves":
        _curves(measures, effect, prevalence)
    elif part == "Calibration":
        _calibration(measures)
    elif part == "Readers":
        readers.show(context, measures, threshold)
    elif part == "Missed cases":
        missed.show(context, measures, threshold)
    elif part == "Levels of maps":
        levels.show(context, measures.evidence)
    else:
        _scores(measures, threshold)


def _scores(measures: Measures, threshold: float) -> None:
    evidence = measures.evidence
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


def _curves(measures: Measures, effect: ThresholdEffect, prevalence: float) -> None:
    evidence, counts = measures.evidence, effect.counts
    if evidence.roc is None or counts.sensitivity is None or counts.specificity is None:
        said("Curves need normal and abnormal cases.")
        return
    found = measures.roc
    left, right = st.columns(2)
    with left:
        st.plotly_chart(
            roc_figure(
                evidence.roc,
                sensitivity=counts.sensitivity.value,
                specificity=counts.specificity.value,
                band=found.found.band if found.found else None,
            ),
            config=CHART_CONFIG,
            key="roc",
        )
        said(found.why_not or f"AUC {with_interval(evidence.auc)}, DeLong's interval.")
    with right:
        drawn = st.container()  # level with the curve beside it
        own = st.toggle(
            "At the prevalence of the labelled cases",
            value=False,
            key="precision-own",
            help="Otherwise at the prevalence stated above",
        )
        curve = measures.precision_recall(None if own else prevalence)
        if curve.found is None:
            said(curve.why_not)
            return
        with drawn:
            st.plotly_chart(
                precision_figure(curve.found, recall=counts.sensitivity.value),
                config=CHART_CONFIG,
                key="precision-recall",
            )
            said(
                f"Average precision {with_interval(curve.found.average_precision)} at a prevalence "
                f"of {curve.found.prevalence:.1%}."
            )
    said("Bands hold 95 % at each point (bootstrap), not the whole curve at once.")


def _calibration(measures: Measures) -> None:
    left, right = st.columns([3, 2], gap="medium")
    found, rates = measures.reliability, measures.normal_rates
    with left:
        if found.found is None:
            said(f"No calibration plot: {found.why_not}")
        else:
            st.plotly_chart(reliability_figure(found.found), config=CHART_CONFIG, key="reliability")
            said(
                "Scores are turned into probabilities by a curve fitted on the other nine tenths "
                "of the cases. At the prevalence of these cases, not of the department."
            )
    with right:
        if found.found is not None:
            plot = found.found
            one, other = st.columns(2)
            with one:
                figure("Slope", with_interval(plot.slope, 2), "below 1: too extreme")
            with other:
                figure("Intercept", with_interval(plot.intercept, 2), "above 0: too low")
            figure("Brier score", f"{plot.brier:.3f}", f"mean distance {plot.expected_error:.3f}")
        if rates.found is None:
            said(f"No check of the p-values: {rates.why_not}")
        else:
            said("Cases labelled normal against what the p-values promise:")
            table(
                ("p at most", "Share of normals", "Promise"),
                [
                    (
                        f"{rate.promised:.2f}",
                        with_interval(rate.observed),
                        "kept" if rate.kept else "broken",
                    )
                    for rate in rates.found
                ],
                label="What the p-values promise",
            )
