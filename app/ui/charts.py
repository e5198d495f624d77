"""Plotly figures of the threshold screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

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


DARK = Colors(
    text="#d5dbe1",
    grid="#1f262d",
    raised="#14181d",
    page="#0b0d10",
    normal="#7bb7c4",
    abnormal="#e0a458",
    other="#6b7682",
    cut="#eef2f6",
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
)


def colors() -> Colors:
    """Those of the theme that the browser shows."""
    return LIGHT if st.context.theme.type == "light" else DARK


WHOLE_TICKS = 6
"""Below so many cases in a bar, every whole number has its tick."""


def _layout(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_layout(
        height=380,
        margin={"l": 56, "r": 16, "t": 12, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": colors().text},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"bgcolor": colors().raised},
    )
    figure.update_xaxes(title=x, gridcolor=colors().grid, zeroline=False)
    figure.update_yaxes(title=y, gridcolor=colors().grid, zeroline=False)
    return figure


def roc_figure(curve: RocCurve, *, sensitivity: float, specificity: float) -> go.Figure:
    """ROC curve with the point of the slider's threshold."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": colors().other, "dash": "dot", "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=1 - curve.specificity,
        y=curve.sensitivity,
        customdata=curve.thresholds,
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
    _layout(figure, "1 − specificity", "Sensitivity")
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(range=[-0.02, 1.02])
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
    _layout(figure, score_title, "Cases")
    # No fractions of a case on the axis.
    highest = np.histogram(everything, edges)[0].max()
    figure.update_yaxes(dtick=1 if highest < WHOLE_TICKS else None, rangemode="tozero")
    return figure
