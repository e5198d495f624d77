"""The performance report: one HTML file that needs no server and no network, to keep or print."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from app.services.measures import AI, Outcome
from app.services.reporting import Performance
from app.ui import performance_charts as charts
from ddad_core.evaluation.agreement import Agreement, PairAgreement
from ddad_core.evaluation.drift import LEAST
from ddad_core.evaluation.intervals import share_of
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.verification import Corrected

STATEMENT = "Decision support for research. Not a medical device."
_STYLE = """
@page { size: A4; margin: 15mm; }
* { box-sizing: border-box; }
body { margin: 0; color: #22303c; background: #fff; font: 14.5px/1.5 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 28px 60px; }
h1 { font-size: 25px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 30px 0 6px; padding-top: 10px; border-top: 1px solid #cfd6dc; }
p { max-width: 95ch; margin: 4px 0 10px; }
.note { color: #5b6873; font-size: 13px; }
.alert { border-left: 3px solid #b5651d; padding-left: 10px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 6px 0 12px; }
th, td { text-align: left; padding: 3px 18px 3px 0; border-bottom: 1px solid #e3e8ec;
  vertical-align: top; }
thead th { border-bottom: 1px solid #22303c; }
code { font: 12px ui-monospace, monospace; overflow-wrap: anywhere; }
.side { display: flex; flex-wrap: wrap; gap: 8px 20px; }
section { break-inside: avoid-page; }
@media print { main { padding: 0; max-width: none; } body { font-size: 10.5pt; } }
"""


def document(found: Performance) -> bytes:
    """The whole page, UTF-8."""
    sections = [
        _summary(found),
        _curves(found),
        _calibration(found),
        _verification(found),
        _readers(found),
        _months(found),
        _versions(found),
        _method(),
    ]
    title = html.escape(f"Performance of {found.card.title}")
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}'
        f"</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body><main>"
        f"<h1>{title}</h1><p><b>{STATEMENT}</b></p>{_facts(found)}{''.join(sections)}"
        "</main></body></html>\n"
    )
    return page.encode()


def _facts(found: Performance) -> str:
    evidence, point = found.measures.evidence, found.measures.evidence.in_force
    origin = f"version {point.version}" if point.version else "the model's own"
    when = f", set by {point.set_by} on {point.set_at:%Y-%m-%d %H:%M} UTC" if point.set_at else ""
    return _table(
        (),
        [
            ("Site", found.site or "not named"),
            ("Model", f"{found.card.name}, weights {found.card.model_hash}"),
            ("Made for", found.card.population.description),
            (
                "Operating point in force",
                f"{evidence.score_title} ≥ {point.threshold:.4g}, {origin}{when}: {point.policy}",
            ),
            ("Measured on", evidence.facts.sentence),
            ("Their ages", evidence.facts.ages.sentence or "–"),
            ("Report made", f"{found.made_at:%Y-%m-%d %H:%M} UTC by {found.made_by}"),
        ],
    )


def _summary(found: Performance) -> str:
    counts, evidence = found.effect.counts, found.measures.evidence
    own, stated = found.own[0], found.stated[0]
    normal, abnormal = (
        counts.false_positive + counts.true_negative,
        counts.true_positive + counts.false_negative,
    )
    rows = [
        ("AUC (DeLong)", _with(evidence.auc), f"{normal} normal, {abnormal} abnormal"),
        (
            "Sensitivity",
            _with(counts.sensitivity),
            f"{counts.true_positive} of {abnormal} abnormal flagged",
        ),
        (
            "Specificity",
            _with(counts.specificity),
            f"{counts.true_negative} of {normal} normal not flagged",
        ),
        (
            "PPV, at these cases' prevalence",
            _with(own.ppv if own else None),
            f"prevalence {own.prevalence:.1%}" if own else found.own[1],
        ),
        ("NPV, at these cases' prevalence", _with(own.npv if own else None), ""),
        (
            f"PPV at a prevalence of {found.prevalence:.1%}",
            _with(stated.ppv if stated else None),
            "" if stated else found.stated[1],
        ),
        (
            f"NPV at a prevalence of {found.prevalence:.1%}",
            _with(stated.npv if stated else None),
            "",
        ),
        (
            "Flagged among all scored",
            _with(share_of(found.effect.flagged, found.effect.scored))
            if found.effect.scored
            else "–",
            f"{found.effect.flagged} of {found.effect.scored}",
        ),
        (
            "Calibration normals flagged",
            f"{found.effect.normal_rate:.3f}",
            f"n = {len(evidence.normals)}",
        ),
    ]
    matrix = _table(
        ("", "Flagged", "Not flagged"),
        [
            ("Abnormal", str(counts.true_positive), str(counts.false_negative)),
            ("Normal", str(counts.false_positive), str(counts.true_negative)),
        ],
    )
    return _section(
        "At the operating point in force",
        _table(("Figure", "Value (95 % CI)", "Of"), rows),
        matrix,
    )


def _curves(found: Performance) -> str:
    measures, counts = found.measures, found.effect.counts
    if not (measures.evidence.roc and counts.sensitivity and counts.specificity):
        return _section("Curves", "<p>Curves need normal and abnormal cases.</p>")
    figures = [charts.roc(measures, counts.sensitivity.value, counts.specificity.value)]
    curve = measures.precision_recall(None)
    said = "" if curve.found else f" No precision-recall curve: {curve.why_not}"
    if curve.found:
        figures.append(charts.precision(curve.found))
        said = (
            f" Average precision {_with(curve.found.average_precision)} at a prevalence of "
            f"{curve.found.prevalence:.1%}."
        )
    figures.append(charts.histogram(measures, measures.evidence.in_force.threshold))
    return _section(
        "Curves",
        _figures(figures),
        f'<p class="note">Bands hold 95 % at each point, not the whole curve at once.'
        f"{html.escape(said)}</p>",
    )


def _calibration(found: Performance) -> str:
    plot, rates = found.measures.reliability, found.measures.normal_rates
    parts = []
    if plot.found:
        parts.append(_figures([charts.reliability(plot.found)]))
        parts.append(
            f'<p class="note">Scores turned into probabilities by a curve fitted on the other nine '
            f"tenths of the cases. Slope {_with(plot.found.slope)}, intercept "
            f"{_with(plot.found.intercept)}, Brier score {plot.found.brier:.3f}.</p>"
        )
    else:
        parts.append(f"<p>No calibration plot: {html.escape(plot.why_not)}</p>")
    if rates.found:
        rows = [
            (f"{r.promised:.2f}", _with(r.observed), "kept" if r.kept else "broken")
            for r in rates.found
        ]
        parts.append(_table(("p at most", "Share of normals (95 % CI)", "Promise"), rows))
    else:
        parts.append(f"<p>No check of the p-values: {html.escape(rates.why_not)}</p>")
    return _section("Calibration", *parts)


def _verification(found: Performance) -> str:
    measures = found.measures
    figures = measures.verified(measures.evidence.in_force.threshold)
    if figures.found is None:
        return _section("Cases that were not read", f"<p>{html.escape(figures.why_not)}</p>")
    own, curve = figures.found, measures.verified_roc
    rows = [
        (name, *_three(one))
        for name, one in (
            ("Sensitivity", own.sensitivity),
            ("Specificity", own.specificity),
            ("PPV", own.ppv),
            ("NPV", own.npv),
            ("Prevalence", own.prevalence),
        )
    ]
    parts = [f"<p>{html.escape(measures.design.sentence)}</p>"]
    doubts = [own.too_few, curve.found.too_few if curve.found else ""]
    parts += [f'<p class="alert">{html.escape(doubt)}</p>' for doubt in doubts if doubt]
    if curve.found:
        rows.append(("AUC", *_three(curve.found.auc)))
        parts.append(_figures([charts.corrected(curve.found)]))
    heads = ("Figure", "As they come", "Inverse probability", "Begg and Greenes")
    return _section("Cases that were not read", _table(heads, rows), *parts)


def _readers(found: Performance) -> str:
    between = found.measures.agreement
    rows = [
        (between.kappa_name, *_agreed(between.kappa)),
        ("Krippendorff's alpha", *_agreed(between.alpha)),
        *(_pair(pair) for pair in between.pairs),
        *(_pair(pair) for pair in found.measures.with_ai(found.overview.in_force.threshold)),
    ]
    parts = [_table(("", "Value (95 % CI)", "Cases"), rows)]
    for measure, outcome in found.aided:
        if outcome.found is None:
            parts.append(f"<p>Unaided against aided, {measure}: {html.escape(outcome.why_not)}</p>")
            continue
        one = outcome.found
        parts.append(
            f"<p>Unaided against aided, {measure}: {_with(one.unaided)} and {_with(one.aided)}; "
            f"difference {one.difference.value:+.3f} ({one.difference.low:+.3f} to "
            f"{one.difference.high:+.3f}), p = {one.p_value:.2g}; {one.n_readers} readers, "
            f"{one.n_normal} normal and {one.n_abnormal} abnormal cases.</p>"
        )
    return _section("Readers", *parts, f'<p class="note">{AI}: what is flagged in force.</p>')


def _months(found: Performance) -> str:
    overview = found.overview
    parts = [
        f'<p class="alert"><b>{alert.rule.capitalize()}, {alert.month}.</b> '
        f"{html.escape(alert.sentence)} {html.escape(alert.step)}</p>"
        for alert in overview.alerts
    ] or ["<p>No rule speaks.</p>"]
    if overview.flagged:
        parts.append(_figures([charts.flagged(overview)]))
    for title, drift in (
        ("Cases read as normal, against the calibration normals", overview.normals),
        (f"All cases, against those of {overview.baseline}", overview.cases),
    ):
        if drift is None:
            continue
        rows = [
            (
                month.month,
                str(month.n),
                f"{month.median:.3g}",
                _with(month.higher),
                f"fewer than {LEAST}" if month.verdict == "too few" else month.verdict,
            )
            for month in drift.months
        ]
        heads = ("Month", "n", "Median score", "Chance of a higher score (CI)", "Verdict")
        parts.append(f"<p><b>{html.escape(title)}</b></p>{_table(heads, rows)}")
    reads = [
        (
            month.month,
            str(month.reads),
            _with(month.agreement),
            "–" if month.median_seconds is None else f"{month.median_seconds:.0f} s",
        )
        for month in overview.reads
    ]
    if reads:
        heads = ("Month", "Reads", "Agree with the flag (95 % CI)", "Median time to a verdict")
        parts.append(_table(heads, reads))
    return _section("Month by month", *parts)


def _versions(found: Performance) -> str:
    rows = [
        (
            str(point.version),
            f"{point.threshold:.4g}",
            f"{point.set_at:%Y-%m-%d %H:%M} UTC",
            point.set_by,
            point.reason,
        )
        for point in found.measures.evidence.history
    ]
    if not rows:
        return _section(
            "Operating points", "<p>The site has set none; the model's own is in force.</p>"
        )
    heads = ("Version", "Threshold", "Set", "By", "Reason")
    return _section("Operating points", _table(heads, rows))


def _method() -> str:
    return _section(
        "How to read this",
        "<p>Cases, not reads, are the unit. Intervals hold 95 %: DeLong's for the AUC, mid-P for "
        "shares, bootstrap over cases for curves and over cases and readers for unaided against "
        "aided reading. Reads made with the AI in view lean towards it, and cases that were read "
        "may differ from those that were not; the part on cases that were not read says what that "
        "changes. A figure of one site and population says little of another.</p>",
    )


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{''.join(parts)}</section>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return (
        f"<table>{f'<thead><tr>{head}</tr></thead>' if heads else ''}<tbody>{body}</tbody></table>"
    )


def _figures(figures: Iterable[go.Figure]) -> str:
    drawn = "".join(
        f"<div>{one.to_html(full_html=False, include_plotlyjs=False, config={'staticPlot': True})}"
        "</div>"
        for one in figures
    )
    return f'<div class="side">{drawn}</div>'


def _with(found: Estimate | None) -> str:
    if found is None:
        return "–"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _three(one: Corrected) -> tuple[str, str, str]:
    return _with(one.naive), _with(one.weighted), _with(one.begg_greenes)


def _agreed(outcome: Outcome[Agreement]) -> tuple[str, str]:
    if outcome.found is None:
        return "–", outcome.why_not
    return _with(outcome.found.value), str(outcome.found.n_cases)


def _pair(pair: PairAgreement) -> tuple[str, str, str]:
    if pair.kappa is None:
        return f"Cohen's kappa, {pair.first} and {pair.second}", "–", pair.why_not
    name = f"Cohen's kappa, {pair.first} and {pair.second}"
    return name, _with(pair.kappa.value), str(pair.kappa.n_cases)
