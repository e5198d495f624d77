"""Plotly figures of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ddad_core.evaluation.metrics import roc_curve
from ddad_core.experiments.markdown import NETWORK_TITLES, Report
from ddad_core.experiments.store import Finished

INK, GRID, MUTED = "#22303c", "#e4e8ec", "#8a97a3"
NORMAL, ABNORMAL = "#3f8795", "#c8742c"
SCORE_COLOURS = {
    "a_rec_single": "#b3bcc4", "a_rec": "#7c8894", "a_intra": "#7a9fd1", "a_inter": "#1f6f8b",
    "r_intra": "#e3a857", "r_dual": "#b8431f",
    "c_rec": "#7c8894", "c_intra": "#7a9fd1", "c_inter": "#1f6f8b",
}  # fmt: skip
SHORT_TITLES = {
    "a_rec_single": "A_rec single", "a_rec": "A_rec", "a_intra": "A_intra", "a_inter": "A_inter",
    "r_intra": "R_intra", "r_dual": "R_dual",
    "c_rec": "A_rec by place", "c_intra": "A_intra by place", "c_inter": "A_inter by place",
}  # fmt: skip
SHOWN_AS_HISTOGRAM = ("a_rec", "a_inter", "r_dual")
BINS = 32
TAIL_PERCENT = 99.0


def _dash(score: str) -> str:
    return "dot" if score.startswith("c_") else "solid"


def _finish(figure: go.Figure, height: int, *, legend: bool = True) -> go.Figure:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 58, "r": 16, "t": 64 if legend else 34, "b": 56},
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"family": "system-ui, 'Segoe UI', Roboto, Arial, sans-serif", "size": 12,
              "color": INK},
        showlegend=legend,
        legend={"orientation": "h", "y": 1.0, "yref": "container", "yanchor": "top", "x": 0},
        bargap=0,
    )  # fmt: skip
    figure.update_xaxes(gridcolor=GRID, zeroline=False, linecolor=MUTED, ticks="outside")
    figure.update_yaxes(gridcolor=GRID, zeroline=False, linecolor=MUTED, ticks="outside")
    figure.update_annotations(font={"size": 13, "color": INK})
    return figure


def forest(report: Report) -> go.Figure:
    """AUC of every score with the first seed's interval, one panel a network; seeds as dots."""
    found = report["figures"]
    networks = report["settings"]["networks"]
    figure = make_subplots(
        1, len(networks), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[NETWORK_TITLES[n] for n in networks],
    )  # fmt: skip
    for column, network in enumerate(networks, start=1):
        rows = [row for row in found["table"] if row["network"] == network]
        names = [SHORT_TITLES[row["score"]] for row in rows]
        first = [row["seeds"][str(found["first_seed"])]["auc"] for row in rows]
        figure.add_scatter(
            x=[f["value"] for f in first], y=names, mode="markers",
            marker={"size": 9, "color": [SCORE_COLOURS[row["score"]] for row in rows]},
            error_x=_bars(first), showlegend=False, row=1, col=column,
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )  # fmt: skip
        others = [
            (e["auc"]["value"], SHORT_TITLES[row["score"]], seed)
            for row in rows for seed, e in row["seeds"].items() if seed != str(found["first_seed"])
        ]  # fmt: skip
        if others:
            figure.add_scatter(
                x=[o[0] for o in others], y=[o[1] for o in others], mode="markers",
                customdata=[o[2] for o in others], showlegend=False, row=1, col=column,
                marker={"size": 6, "color": "white", "line": {"color": INK, "width": 1}},
                hovertemplate="%{y}, seed %{customdata}: %{x:.3f}<extra></extra>",
            )  # fmt: skip
    figure.add_vline(x=0.5, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="AUC")
    most = max((len(rows) for rows in _rows_by_network(report).values()), default=4)
    _finish(figure, 120 + 30 * most, legend=False)
    figure.update_layout(margin={"l": 120})
    return figure.update_yaxes(autorange="reversed")


def _rows_by_network(report: Report) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {}
    for row in report["figures"]["table"]:
        rows.setdefault(row["network"], []).append(row)
    return rows


def _bars(estimates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [e["ci95"][1] - e["value"] for e in estimates],
        "arrayminus": [e["value"] - e["ci95"][0] for e in estimates],
        "thickness": 1.2,
        "width": 4,
        "color": MUTED,
    }


def roc(cells: Mapping[str, Finished]) -> go.Figure:
    """ROC curves of all scores, one panel a network."""
    figure = make_subplots(
        1, len(cells), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[NETWORK_TITLES[n] for n in cells],
    )  # fmt: skip
    shown: set[str] = set()
    for column, cell in enumerate(cells.values(), start=1):
        figure.add_scatter(
            x=[0, 1], y=[0, 1], mode="lines", row=1, col=column, showlegend=False,
            line={"color": MUTED, "width": 1, "dash": "dot"}, hoverinfo="skip",
        )  # fmt: skip
        for name in (n for n in SHORT_TITLES if n in cell.test):
            curve = roc_curve(cell.labels, cell.test[name])
            figure.add_scatter(
                x=np.round(1 - curve.specificity, 4), y=np.round(curve.sensitivity, 4),
                mode="lines", name=SHORT_TITLES[name], legendgroup=name, row=1, col=column,
                showlegend=name not in shown,
                line={"color": SCORE_COLOURS[name], "width": 2, "shape": "hv",
                      "dash": _dash(name)},
                hovertemplate="1 − specificity %{x:.3f}<br>sensitivity %{y:.3f}",
            )  # fmt: skip
            shown.add(name)
    figure.update_xaxes(title="1 − specificity", range=[0, 1])
    figure.update_yaxes(range=[0, 1.005])
    figure.update_yaxes(title="Sensitivity", col=1)
    if len(cells) == 1:
        figure.update_layout(width=480)  # as square as where there are three
    return _finish(figure, 430)


def histograms(cells: Mapping[str, Finished]) -> go.Figure:
    """Normal against abnormal test images, with the threshold from the calibration normals."""
    names = [n for n in SHOWN_AS_HISTOGRAM if any(n in cell.test for cell in cells.values())]
    figure = make_subplots(
        len(cells), len(names), horizontal_spacing=0.05, vertical_spacing=0.26 / len(cells),
        subplot_titles=[
            f"{NETWORK_TITLES[network]}, {SHORT_TITLES[name]}"
            for network in cells
            for name in names
        ],
    )  # fmt: skip
    for row, cell in enumerate(cells.values(), start=1):
        for column, name in enumerate(names, start=1):
            if name in cell.test:
                _histogram(figure, cell, name, row, column)
    figure.update_yaxes(title="share of images", col=1)
    figure.update_yaxes(tickformat=".0%")
    figure.update_xaxes(nticks=5, tickangle=0)
    figure.update_layout(barmode="overlay")
    return _finish(figure, 90 + 220 * len(cells))


def _histogram(figure: go.Figure, cell: Finished, name: str, row: int, column: int) -> None:
    values = cell.test[name]
    low, high = float(values.min()), float(np.percentile(values, TAIL_PERCENT))
    edges = np.linspace(low, max(high, low + 1e-12), BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    for label, colour, words in ((0, NORMAL, "normal"), (1, ABNORMAL, "abnormal")):
        # The last bar holds all that lies beyond it, too.
        inside = np.clip(values[cell.labels == label], edges[0], edges[-1])
        counts, _ = np.histogram(inside, edges)
        figure.add_bar(
            x=middles, y=counts / len(inside), width=edges[1] - edges[0], name=words,
            marker={"color": colour, "opacity": 0.6}, legendgroup=words,
            showlegend=row == column == 1, row=row, col=column, customdata=counts,
            hovertemplate=f"{words}: %{{customdata}} images<br>%{{x:.4g}}<extra></extra>",
        )  # fmt: skip
    threshold = cell.evaluation["scores"][name]["at_threshold"]["threshold"]
    # The threshold is a line of the picture; nothing is compared with it here.
    shown = float(np.clip(threshold, edges[0], edges[-1]))
    figure.add_vline(
        x=shown, line={"color": INK, "width": 1.2, "dash": "dash"}, row=row, col=column
    )


def sweep(found: Mapping[str, Any], said: Mapping[str, float] | None) -> go.Figure:
    """AUC of every score along a sweep, with the first seed's interval and the other seeds."""
    by_rate = found["name"] == "anomaly_rate"
    points, seeds = found["points"], [str(seed) for seed in found["seeds"]]
    xs = [p["anomaly_rate"] if by_rate else p["size"] for p in points]
    figure = go.Figure()
    for name in (row["score"] for row in points[0]["scores"]):
        rows = [next(r for r in p["scores"] if r["score"] == name) for p in points]
        first = [row["seeds"][seeds[0]]["auc"] for row in rows]
        _band(figure, xs, first, name)
        figure.add_scatter(
            x=xs, y=[row["spread"]["auc"]["mean"] for row in rows], mode="lines+markers",
            name=SHORT_TITLES[name], legendgroup=name,
            line={"color": SCORE_COLOURS[name], "width": 2, "dash": _dash(name)},
            hovertemplate="%{x}: %{y:.3f}",
        )  # fmt: skip
        if len(seeds) > 1:
            figure.add_scatter(
                x=[x for x in xs for _ in seeds], legendgroup=name, showlegend=False,
                y=[row["seeds"][seed]["auc"]["value"] for row in rows for seed in seeds],
                mode="markers", hoverinfo="skip",
                marker={"size": 5, "color": "white",
                        "line": {"color": SCORE_COLOURS[name], "width": 1}},
            )  # fmt: skip
    if said:
        figure.add_scatter(
            x=[float(x) for x in said], y=list(said.values()), mode="lines+markers",
            name="A_inter, published (4000 images)",
            line={"color": INK, "dash": "dash", "width": 1.5},
        )  # fmt: skip
    figure.update_xaxes(title="Anomaly rate of D_u" if by_rate else "Images in D_u")
    figure.update_xaxes(tickformat=".0%" if by_rate else None)
    figure.update_yaxes(title="AUC")
    return _finish(figure, 430)


def _band(
    figure: go.Figure, xs: Sequence[float], estimates: Sequence[Mapping[str, Any]], name: str
) -> None:
    """Shade the interval of A_inter and R_dual; of all, the picture would be unreadable."""
    if name not in ("a_inter", "r_dual"):
        return
    order = list(np.argsort(xs))
    ends = [(xs[i], *estimates[i]["ci95"]) for i in order]
    figure.add_scatter(
        x=[e[0] for e in ends] + [e[0] for e in reversed(ends)],
        y=[e[2] for e in ends] + [e[1] for e in reversed(ends)],
        fill="toself", fillcolor=SCORE_COLOURS[name], opacity=0.13, line={"width": 0},
        legendgroup=name, showlegend=False, hoverinfo="skip", mode="lines",
    )  # fmt: skip


def losses(cells: Mapping[str, Finished]) -> go.Figure:
    """Training loss by epoch; one panel for the modules of a network, one for its refinement."""
    refined = any(_refiners(cell) for cell in cells.values())
    rows = 2 if refined else 1
    figure = make_subplots(
        rows, len(cells), horizontal_spacing=0.06, vertical_spacing=0.2,
        subplot_titles=[NETWORK_TITLES[n] for n in cells]
        + ([f"{NETWORK_TITLES[n]}, refinement" for n in cells] if refined else []),
    )  # fmt: skip
    groups: dict[str, str] = {"a": "module A", "b": "module B"}
    colours = {"a": ABNORMAL, "b": NORMAL, **SCORE_COLOURS}
    shown: set[str] = set()
    for column, cell in enumerate(cells.values(), start=1):
        for name, values in cell.result["losses"].items():
            group = name if name in _refiners(cell) else name.split("-")[0]
            figure.add_scatter(
                x=list(range(1, len(values) + 1)), y=[round(v, 6) for v in values],
                mode="lines" if len(values) > 1 else "markers",
                name=groups.get(group) or SHORT_TITLES.get(group, group), legendgroup=group,
                showlegend=group not in shown,
                line={"color": colours.get(group, INK), "width": 1.3},
                row=2 if name in _refiners(cell) else 1, col=column,
                hovertemplate=f"{name}, epoch %{{x}}: %{{y:.4f}}<extra></extra>",
            )  # fmt: skip
            shown.add(group)
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title="mean loss", col=1)
    return _finish(figure, 60 + 280 * rows)


def _refiners(cell: Finished) -> Iterable[str]:
    return {name for name in cell.result["losses"] if name.startswith("r_")}
