"""The report as one HTML file that needs nothing else: no server, no network."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from ddad_core.experiments import charts, markdown
from ddad_core.experiments.markdown import NETWORK_TITLES, Report
from ddad_core.experiments.run import Outcome, duration, sample_places
from ddad_core.experiments.store import Finished
from ddad_core.overlay import color_table
from ddad_core.vocabulary import MAP_TITLES

STYLE = Path(__file__).with_name("report.css")


def render(report: Report, outcome: Outcome) -> str:
    """The whole page."""
    first = report["figures"]["first_seed"]
    cells = {
        network: outcome.cells[outcome.plan.grid[network, first]]
        for network in report["settings"]["networks"]
    }
    sections = [
        _table_section(report),
        _tests_section(report),
        _curves_section(cells, first),
        *_sweep_sections(report),
        _samples_section(cells, outcome, first),
        _section(
            "Training",
            f"Mean loss of each epoch, one line a network of a module; seed {first}.",
            _figure(charts.losses(cells)),
        ),
        _published_section(report),
        _provenance_section(report),
    ]
    return _document(report, [one for one in sections if one])


def _document(report: Report, sections: Sequence[tuple[str, str]]) -> str:
    title = html.escape(report["title"])
    links = "".join(
        f'<li><a href="#s{i}">{html.escape(name)}</a></li>'
        for i, (name, _) in enumerate(sections, start=1)
    )
    body = "".join(
        f'<section id="s{i}"><h2><span>{i}</span>{html.escape(name)}</h2>{content}</section>'
        for i, (name, content) in enumerate(sections, start=1)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>"
        f'<header><h1>{title}</h1><p class="statement">{html.escape(report["statement"])}</p>'
        f"{_facts(markdown.population_facts(report))}</header>"
        f'<nav aria-label="Contents"><ol>{links}</ol></nav>{body}</main></body></html>\n'
    )


def _section(name: str, caption: str, *content: str) -> tuple[str, str]:
    return name, f'<p class="caption">{_words(caption)}</p>' + "".join(content)


def _table_section(report: Report) -> tuple[str, str]:
    return _section(
        "Networks and scores",
        markdown.table_caption(report),
        _table(*markdown.grid_rows(report), merged=1),
        f'<p class="note">{_words(report["figures"]["intervals"])}</p>',
        _figure(charts.forest(report)),
        '<p class="note">Filled: the first seed with its interval. Open: the other seeds.</p>'
        if len(report["settings"]["seeds"]) > 1
        else "",
    )


def _tests_section(report: Report) -> tuple[str, str]:
    return _section(
        "A_inter and R_dual against reconstruction error",
        markdown.tests_caption(),
        _table(*markdown.tests_rows(report), merged=1),
    )


def _curves_section(cells: Mapping[str, Finished], seed: int) -> tuple[str, str]:
    return _section(
        "ROC curves and score histograms",
        f"Test part, seed {seed}. Dashed: the threshold from the calibration normals. The last "
        "bar of a histogram holds the highest 1 % of the scores, too.",
        _figure(charts.roc(cells)),
        _figure(charts.histograms(cells)),
    )


def _sweep_sections(report: Report) -> Iterable[tuple[str, str]]:
    published = report["published"]
    for sweep in report["figures"]["sweeps"]:
        said = published["rates"].get(published["beside"], {}).get(sweep["network"])
        caption = markdown.sweep_caption(sweep)
        if len(sweep["seeds"]) > 1:
            caption += " Curves: mean over seeds."
        yield _section(
            markdown.sweep_title(sweep),
            f"{caption} Shaded: the interval of A_inter (and R_dual).",
            _figure(charts.sweep(sweep, said if sweep["name"] == "anomaly_rate" else None)),
            _table(*markdown.sweep_rows(report, sweep)),
        )


def _samples_section(
    cells: Mapping[str, Finished], outcome: Outcome, seed: int
) -> tuple[str, str] | None:
    if not outcome.config.samples:
        return None
    labels = outcome.inputs.labels
    wanted = set(sample_places(labels, outcome.config.samples))
    tables = "".join(_samples(network, cell, wanted) for network, cell in cells.items())
    return _section(
        "Sample maps",
        f"What the networks see, and their maps; seed {seed}. The images were taken at even "
        "distances in the test part, whatever their scores. Colours run from 0 to the 99.9th "
        "percentile of the map's values in the calibration normals.",
        tables,
    )


def _samples(network: str, cell: Finished, wanted: set[int]) -> str:
    places = [int(place) for place in cell.samples["places"]]
    # A report may show fewer than a cell keeps: the nearest ones that it has.
    keep = sorted({min(range(len(places)), key=lambda i: abs(places[i] - w)) for w in wanted})
    heads = "".join(
        f"<th>{'abnormal' if cell.labels[places[i]] else 'normal'}</th>" for i in keep
    )  # fmt: skip
    rows = [_picture_row("Input", [_png(cell.samples["images"][i]) for i in keep])]
    colours = color_table()
    for name, title in MAP_TITLES.items():
        if f"map_{name}" in cell.samples:
            top = max(float(cell.samples[f"top_{name}"]), 1e-12)
            painted = [_painted(cell.samples[f"map_{name}"][i], top, colours) for i in keep]
            rows.append(_picture_row(f"{title}<br><small>0 to {top:.3g}</small>", painted))
    return (
        f'<table class="samples"><caption>{NETWORK_TITLES[network]}</caption>'
        f"<thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _picture_row(title: str, pictures: Sequence[str]) -> str:
    name = re.sub("<.*", "", title)
    cells = "".join(f'<td><img src="{src}" alt="{name}"></td>' for src in pictures)
    return f"<tr><th>{title}</th>{cells}</tr>"


def _painted(values: np.ndarray, top: float, colours: np.ndarray) -> str:
    index = np.clip(np.asarray(values, np.float32) / top * 255.0, 0, 255).astype(np.uint8)
    return _png(np.ascontiguousarray(colours[index][:, :, ::-1]))


def _png(pixels: np.ndarray) -> str:
    done, data = cv2.imencode(".png", pixels)
    assert done
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _published_section(report: Report) -> tuple[str, str]:
    beside = report["published"]["beside"]
    return _section(
        "Published figures" if beside else "Published figures, other data",
        markdown.published_caption(report),
        _table(*markdown.published_rows(report)),
    )


def _provenance_section(report: Report) -> tuple[str, str]:
    cells = len(report["cells"])
    return _section(
        "How it was made",
        f"Cells: {cells}, trained in {duration(report['provenance']['seconds'])} together. All "
        "weights, images and scores have their SHA-256 in report.json.",
        _facts(markdown.provenance_facts(report)),
        _table(*markdown.cell_rows(report), merged=1),
    )


def _figure(figure: go.Figure) -> str:
    made = figure.to_html(
        full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True}
    )
    return f'<div class="figure">{made}</div>'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{_words(name)}</dt><dd>{_words(value)}</dd>" for name, value in facts)
    return f"<dl>{rows}</dl>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, merged: int = 0) -> str:
    """A table whose first columns (``merged``) show a value once for the rows that repeat it."""
    heads = "".join(f"<th>{_words(name)}</th>" for name in header)
    lines, before = [], None
    for row in rows:
        new = merged and list(row[:merged]) != before
        before = list(row[:merged])
        shown = row if new or not merged else ["", *row[1:]]
        cells = "".join(f"<td>{_words(cell)}</td>" for cell in shown)
        kind = ' class="first"' if new else ""
        lines.append(f"<tr{kind}>{cells}</tr>")
    return (
        f'<div class="wide"><table class="figures"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _words(text: str) -> str:
    """Escaped text, with `code` as code and an interval kept on one line of its own."""
    text = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text)).replace(
        " ± ", "\u00a0±\u00a0"
    )
    return re.sub(r"^(\S+) (\([^()]* to [^()]*\))$", r"\1 <small>\2</small>", text)
