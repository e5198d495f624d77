"""Figures of the performance report: dark ink on white, to be printed."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from app.services.measures import Measures
from app.services.monitoring import Overview
from ddad_core.evaluation.calibration_curve import Reliability
from ddad_core.evaluation.curves import Band, PrecisionRecall
from ddad_core.evaluation.intervals import share_of
from ddad_core.evaluation.verified_roc import VerifiedRoc

INK, GREY, BLUE, ORANGE = "#22303c", "#9aa5b1", "#1f6f8b", "#b5651d"
SHADE = "rgba(31,111,139,0.15)"


def roc(measures: Measures, sensitivity: float, specificity: float) -> go.Figure:
    """ROC curve with its band and the operating point in force."""
    figure = go.Figure()
    if measures.roc.found:
        _band(figure, measures.roc.found.band)
    curve = measures.evidence.roc
    assert curve is not None
    _diagonal(figure)
    figure.add_scatter(
        x=1 - curve.specificity, y=curve.sensitivity, mode="lines",
        line={"color": BLUE, "width": 2, "shape": "hv"}, showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=[1 - specificity], y=[sensitivity], mode="markers", showlegend=False,
        marker={"color": ORANGE, "size": 10},
    )  # fmt: skip
    return _laid_out(figure, "1 − specificity", "Sensitivity", unit=True)


def precision(curve: PrecisionRecall) -> go.Figure:
    """Precision against recall with its band."""
    figure = go.Figure()
    _band(figure, curve.band)
    figure.add_scatter(
        x=curve.recall, y=curve.precision, mode="lines", line={"color": BLUE, "width": 2},
        showlegend=False,
    )  # fmt: skip
    figure.add_hline(y=curve.prevalence, line={"color": GREY, "width": 1, "dash": "dot"})
    return _laid_out(figure, "Recall (sensitivity)", "Precision (PPV)", unit=True)


def histogram(measures: Measures, threshold: float) -> go.Figure:
    """Scores by label with the operating point in force."""
    own = measures.evidence
    figure = go.Figure()
    low, high = own.span
    edges = np.linspace(low, high + 0.02 * ((high - low) or 1.0), 31)
    middles, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    for name, values, color in (
        ("Normal", own.scores[own.labels == 0], BLUE),
        ("Abnormal", own.scores[own.labels == 1], ORANGE),
        ("No label", own.unlabelled, GREY),
    ):
        if len(values):
            counts, _ = np.histogram(values, edges)
            figure.add_bar(x=middles, y=counts, width=0.92 * width, name=name, marker_color=color)
    figure.update_layout(barmode="stack")
    figure.add_vline(x=threshold, line={"color": INK, "width": 1.5, "dash": "dash"})
    return _laid_out(figure, own.score_title, "Cases")


def reliability(found: Reliability) -> go.Figure:
    """Predicted against observed shares."""
    figure = go.Figure()
    _diagonal(figure)
    observed = [one.observed for one in found.bins]
    figure.add_scatter(
        x=[one.predicted for one in found.bins],
        y=[one.value for one in observed],
        error_y={
            "type": "data", "symmetric": False, "color": BLUE, "thickness": 1,
            "array": [one.high - one.value for one in observed],
            "arrayminus": [one.value - one.low for one in observed],
        },
        mode="markers", marker={"color": BLUE, "size": 7}, showlegend=False,
    )  # fmt: skip
    return _laid_out(figure, "Predicted share abnormal", "Share found abnormal", unit=True)


def corrected(found: VerifiedRoc) -> go.Figure:
    """ROC curve of the reads as they come and put right."""
    figure = go.Figure()
    _diagonal(figure)
    for name, curve, color in (
        ("As they come", found.naive, GREY),
        ("Put right", found.corrected, BLUE),
    ):
        figure.add_scatter(
            x=1 - curve.specificity, y=curve.sensitivity, mode="lines", name=name,
            line={"color": color, "width": 2, "shape": "hv"},
        )  # fmt: skip
    return _laid_out(figure, "1 − specificity", "Sensitivity", unit=True)


def flagged(overview: Overview) -> go.Figure:
    """Share flagged by month."""
    shares = [share_of(month.count, month.n) for month in overview.flagged]
    figure = go.Figure()
    figure.add_scatter(
        x=[month.month for month in overview.flagged],
        y=[share.value for share in shares],
        error_y={
            "type": "data", "symmetric": False, "color": BLUE, "thickness": 1,
            "array": [share.high - share.value for share in shares],
            "arrayminus": [share.value - share.low for share in shares],
        },
        mode="markers+lines", line={"color": GREY, "width": 1, "dash": "dot"},
        marker={"color": BLUE, "size": 7}, showlegend=False,
    )  # fmt: skip
    _laid_out(figure, "", "Share flagged")
    figure.update_xaxes(type="category")
    figure.update_yaxes(range=[-0.02, 1.02])
    return figure


def _diagonal(figure: go.Figure) -> None:
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot", "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _band(figure: go.Figure, band: Band) -> None:
    figure.add_scatter(
        x=np.concatenate([band.axis, band.axis[::-1]]),
        y=np.concatenate([band.high, band.low[::-1]]),
        fill="toself", fillcolor=SHADE, line={"width": 0}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _laid_out(figure: go.Figure, x: str, y: str, *, unit: bool = False) -> go.Figure:
    figure.update_layout(
        width=460,
        height=360,
        margin={"l": 56, "r": 16, "t": 24, "b": 48},
        template="simple_white",
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    if unit:
        figure.update_xaxes(range=[-0.02, 1.02])
        figure.update_yaxes(range=[-0.02, 1.02])
    return figure
