"""Plotly figures of the threshold screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from ddad_core.evaluation.calibration_curve import Reliability
from ddad_core.evaluation.curves import Band, PrecisionRecall
from ddad_core.evaluation.froc import Trace
from ddad_core.evaluation.metrics import RocCurve


@dataclass(frozen=True)
class Colors:
    """What charts are drawn in."""

    text: str
    grid: str
    raised: str
    page: str
    normal: str
    abnormal: str
    other: str
    cut: str
    shade: str


DARK = Colors(
    text="#d5dbe1",
    grid="#1f262d",
    raised="#14181d",
    page="#0b0d10",
    normal="#7bb7c4",
    abnormal="#e0a458",
    other="#6b7682",
    cut="#eef2f6",
    shade="rgba(123, 183, 196, 0.18)",
)
LIGHT = Colors(
    text="#24303a",
    grid="#e1e6eb",
    raised="#f1f4f7",
    page="#ffffff",
    normal="#2f7c88",
    abnormal="#c77700",
    other="#7b8794",
    cut="#0f1a24",
    shade="rgba(47, 124, 136, 0.16)",
)


def colors() -> Colors:
    """Those of the theme that the browser shows."""
    return LIGHT if st.context.theme.type == "light" else DARK


CLEAR = "rgba(0, 0, 0, 0)"
MOST_POINTS = 2000
"""Of a curve: more would not be seen, but would have to travel."""
WHOLE_TICKS = 6
"""Below so many cases in a bar, every whole number has its tick."""


def chart_layout(figure: go.Figure, x: str, y: str) -> go.Figure:
    """Give a figure the app's look and the titles of its axes."""
    figure.update_layout(
        height=380,
        margin={"l": 56, "r": 16, "t": 12, "b": 48},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"family": "system-ui, sans-serif", "size": 13, "color": colors().text},
        legend={
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "font": {"color": colors().text},
        },
        hoverlabel={"bgcolor": colors().raised},
    )
    for update, title in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        # Said of each, for Streamlit's theme would make them paler than text may be.
        update(
            title={"text": title, "font": {"color": colors().text}},
            tickfont={"color": colors().text},
            gridcolor=colors().grid,
            zeroline=False,
        )
    return figure


def _shade(figure: go.Figure, band: Band) -> None:
    """The band of a curve."""
    figure.add_scatter(
        x=np.concatenate([band.axis, band.axis[::-1]]),
        y=np.concatenate([band.high, band.low[::-1]]),
        fill="toself", fillcolor=colors().shade, line={"width": 0}, mode="lines",
        hoverinfo="skip", showlegend=False, name="95 % band",
    )  # fmt: skip


def _unit_axes(figure: go.Figure) -> None:
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(range=[-0.02, 1.02])


def _thinned(length: int) -> np.ndarray:
    """Which points of a long curve to draw; its ends are among them."""
    return np.unique(np.linspace(0, length - 1, min(length, MOST_POINTS)).round().astype(int))


def roc_figure(
    curve: RocCurve, *, sensitivity: float, specificity: float, band: Band | None = None
) -> go.Figure:
    """ROC curve with the point of the slider's threshold, and its band if there is one."""
    figure = go.Figure()
    if band is not None:
        _shade(figure, band)
    shown = _thinned(len(curve.thresholds))
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": colors().other, "dash": "dot", "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=1 - curve.specificity[shown],
        y=curve.sensitivity[shown],
        customdata=curve.thresholds[shown],
        mode="lines",
        line={"color": colors().normal, "width": 2, "shape": "hv"},
        name="ROC",
        showlegend=False,
        hovertemplate="1 − specificity %{x:.3f}<br>sensitivity %{y:.3f}"
        "<br>threshold %{customdata:.4g}<extra></extra>",
    )
    figure.add_scatter(
        x=[1 - specificity],
        y=[sensitivity],
        mode="markers",
        marker={
            "color": colors().abnormal,
            "size": 11,
            "line": {"color": colors().page, "width": 2},
        },
        name="At the threshold",
        hovertemplate="at the threshold<extra></extra>",
        showlegend=False,
    )
    chart_layout(figure, "1 − specificity", "Sensitivity")
    _unit_axes(figure)
    return figure


def precision_figure(curve: PrecisionRecall, *, recall: float) -> go.Figure:
    """Precision against recall with its band, and where the slider's threshold lies."""
    figure = go.Figure()
    _shade(figure, curve.band)
    shown = _thinned(len(curve.thresholds))
    figure.add_scatter(
        x=curve.recall[shown], y=curve.precision[shown], customdata=curve.thresholds[shown],
        mode="lines", line={"color": colors().normal, "width": 2}, showlegend=False,
        name="Precision",
        hovertemplate="recall %{x:.3f}<br>precision %{y:.3f}<br>threshold %{customdata:.4g}"
        "<extra></extra>",
    )  # fmt: skip
    figure.add_vline(x=recall, line={"color": colors().abnormal, "width": 1.5, "dash": "dash"})
    figure.add_hline(y=curve.prevalence, line={"color": colors().other, "width": 1, "dash": "dot"})
    chart_layout(figure, "Recall (sensitivity)", "Precision (PPV)")
    _unit_axes(figure)
    return figure


def reliability_figure(found: Reliability) -> go.Figure:
    """Predicted against observed shares of abnormal cases, with their intervals."""
    predicted = [one.predicted for one in found.bins]
    observed = [one.observed.value for one in found.bins]
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": colors().other, "dash": "dot", "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=predicted, y=observed, mode="markers+lines", showlegend=False, name="Cases",
        line={"color": colors().normal, "width": 1}, marker={"color": colors().normal, "size": 8},
        customdata=[one.n for one in found.bins],
        error_y={
            "type": "data", "symmetric": False, "color": colors().other, "thickness": 1,
            "array": [one.observed.high - one.observed.value for one in found.bins],
            "arrayminus": [one.observed.value - one.observed.low for one in found.bins],
        },
        hovertemplate="predicted %{x:.2f}<br>found %{y:.2f}<br>n = %{customdata}<extra></extra>",
    )  # fmt: skip
    chart_layout(figure, "Predicted share abnormal", "Share found abnormal")
    _unit_axes(figure)
    return figure


def corrected_figure(naive: RocCurve, corrected: RocCurve) -> go.Figure:
    """ROC curve of the reads as they come, and with each standing for those not read."""
    figure = go.Figure()
    for name, curve, color, dash in (
        ("As they come", naive, colors().other, "dash"),
        ("Put right", corrected, colors().normal, "solid"),
    ):
        shown = _thinned(len(curve.thresholds))
        figure.add_scatter(
            x=1 - curve.specificity[shown], y=curve.sensitivity[shown],
            customdata=curve.thresholds[shown], mode="lines", name=name,
            line={"color": color, "width": 2, "dash": dash, "shape": "hv"},
            hovertemplate="1 − specificity %{x:.3f}<br>sensitivity %{y:.3f}"
            "<br>threshold %{customdata:.4g}<extra>" + name + "</extra>",
        )  # fmt: skip
    chart_layout(figure, "1 − specificity", "Sensitivity")
    _unit_axes(figure)
    return figure


def froc_figure(traced: Trace, *, level: float | None) -> go.Figure:
    """Share of findings hit by the false regions an image, level by level."""
    hit = traced.hits.sum(axis=0) / traced.n_regions.sum()
    false = traced.falses.mean(axis=0)
    shown = _thinned(len(traced.levels))
    figure = go.Figure()
    figure.add_scatter(
        x=false[shown], y=hit[shown], customdata=traced.levels[shown], mode="lines",
        line={"color": colors().normal, "width": 2}, showlegend=False, name="FROC",
        hovertemplate="%{x:.2f} false regions an image<br>%{y:.2f} of findings hit"
        "<br>level %{customdata:.4g}<extra></extra>",
    )  # fmt: skip
    reached = -1 if level is None else int((traced.levels >= level).sum()) - 1
    if reached >= 0:
        figure.add_scatter(
            x=[false[reached]], y=[hit[reached]], mode="markers", showlegend=False,
            marker={
                "color": colors().abnormal, "size": 11,
                "line": {"color": colors().page, "width": 2},
            },
            hovertemplate="at the level<extra></extra>", name="At the level",
        )  # fmt: skip
    chart_layout(figure, "False regions an image", "Findings hit")
    figure.update_yaxes(range=[-0.02, 1.02])
    figure.update_xaxes(rangemode="tozero")
    return figure


def histogram_figure(
    *,
    normal: np.ndarray,
    abnormal: np.ndarray,
    unlabelled: np.ndarray,
    threshold: float,
    score_title: str,
) -> go.Figure:
    """Scores by label, with the slider's threshold."""
    everything = np.concatenate([normal, abnormal, unlabelled])
    low, high = min(0.0, float(everything.min())), float(everything.max())
    edges = np.linspace(low, high + 0.02 * ((high - low) or 1.0), 31)
    middles, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    figure = go.Figure()
    for name, values, color in (
        ("Normal", normal, colors().normal),
        ("Abnormal", abnormal, colors().abnormal),
        ("No label", unlabelled, colors().other),
    ):
        if len(values):
            counts, _ = np.histogram(values, edges)
            figure.add_bar(
                x=middles, y=counts, width=width * 0.92, name=name, marker_color=color,
                hovertemplate="%{x:.3g}: %{y}<extra>" + name + "</extra>",
            )  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.add_vline(x=threshold, line={"color": colors().cut, "width": 1.5, "dash": "dash"})
    chart_layout(figure, score_title, "Cases")
    # No fractions of a case on the axis.
    highest = np.histogram(everything, edges)[0].max()
    figure.update_yaxes(dtick=1 if highest < WHOLE_TICKS else None, rangemode="tozero")
    return figure
