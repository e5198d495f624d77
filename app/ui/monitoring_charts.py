"""Plotly figures of the monitoring screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.ui.charts import chart_layout, colors


@dataclass(frozen=True)
class Point:
    """A month's figure with its interval.

    Attributes:
        month: Such as "2026-11".
        value: The figure; None for none.
        low: Of its interval; None without one.
        high: Likewise.
        n: What it rests on.
    """

    month: str
    value: float | None
    low: float | None
    high: float | None
    n: int


def months_figure(
    points: Sequence[Point],
    title: str,
    *,
    band: tuple[float, float] | None = None,
    span: tuple[float, float] | None = (0.0, 1.0),
    form: str = ".2f",
) -> go.Figure:
    """Figures by month with intervals, and a band that they should stay in.

    Args:
        points: In order of time.
        title: Of the vertical axis.
        band: Shaded.
        span: Of the vertical axis; None to let the values decide.
        form: How a value is written, as in format().
    """
    figure = go.Figure()
    if band:
        figure.add_hrect(
            y0=band[0], y1=band[1], fillcolor=colors().grid, line_width=0, layer="below"
        )
    shown = [point for point in points if point.value is not None]
    bounded = all(point.low is not None and point.high is not None for point in shown)
    figure.add_scatter(
        x=[point.month for point in shown],
        y=[point.value for point in shown],
        customdata=[_bounds(point, form) for point in shown],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [(p.high or 0) - (p.value or 0) for p in shown],
            "arrayminus": [(p.value or 0) - (p.low or 0) for p in shown],
            "color": colors().normal,
            "thickness": 1.2,
            "width": 4,
        }
        if bounded
        else None,
        mode="lines+markers",
        line={"color": colors().other, "width": 1, "dash": "dot"},
        marker={"color": colors().normal, "size": 8},
        showlegend=False,
        hovertemplate=f"%{{x}}: %{{y:{form}}}%{{customdata}}<extra></extra>",
    )
    chart_layout(figure, "", title)
    # Every month its tick, in the order given: not a time axis that leaves gaps for empty months.
    figure.update_xaxes(type="category", nticks=6, tickangle=0)
    if span:
        figure.update_yaxes(range=[span[0] - 0.02, span[1] + 0.02])
    else:
        figure.update_yaxes(rangemode="tozero")
    figure.update_layout(height=280)
    return figure


def _bounds(point: Point, form: str) -> str:
    if point.low is None or point.high is None:
        return f", n = {point.n}"
    return f" ({point.low:{form}} to {point.high:{form}}), n = {point.n}"
