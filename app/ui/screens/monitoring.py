"""Monitoring: month by month, is the model still what it was?"""

from __future__ import annotations

import html

import pandas as pd
import streamlit as st

from app.services.evidence import SOURCE_TITLES, EvidenceChoice, Source
from app.services.monitoring import BASELINE_CASES, Overview
from app.services.people import Action
from app.ui.chrome import figure, section
from app.ui.context import Context
from app.ui.evidence import in_force_text
from app.ui.monitoring_charts import Point, months_figure
from app.ui.performance import document
from ddad_core.evaluation.alerts import LEAST_AGREEMENT, MOST_REFUSED, RULES, Alert, Share
from ddad_core.evaluation.drift import LEAST, Drift
from ddad_core.evaluation.intervals import share_of
from ddad_core.evaluation.metrics import Estimate

CHART_CONFIG = {"displayModeBar": False}
VERDICTS = {
    "steady": "steady",
    "drifted": "drifted",
    "unclear": "unclear",
    "too few": f"fewer than {LEAST}",
}


def show(context: Context) -> None:
    """Draw the screen."""
    models = {model.name: model for model in context.services.models.summaries()}
    calibrated = [name for name, model in models.items() if model.score_title]
    section("Monitoring")
    if not calibrated:
        st.info("No installed model is calibrated, so there is nothing to watch.")
        return
    first = context.services.models.choose(None).name
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        name = st.selectbox(
            "Model",
            calibrated,
            index=calibrated.index(first) if first in calibrated else 0,
            format_func=lambda n: models[n].title,
            key="monitored-model",
        )
    overview = context.services.monitoring.overview(context.reader, name)
    with right:
        st.html(
            f'<div class="ddad-facts">Made for {html.escape(models[name].population)}. '
            f"{html.escape(in_force_text(overview.score_title, overview.in_force))} "
            "Months are of UTC; cases count when they came in, reads when they were saved.</div>"
        )
    _alerts(overview.alerts)
    _newest(overview)
    if {Action.EXPORT, Action.VIEW_CASES} <= context.allowed:
        _report(context, name)
    scores, reading, places = st.tabs(["Scores and flags", "Reads and files", "Scanners and views"])
    with scores:
        _scores(overview)
    with reading:
        _reads(overview)
    with places:
        _groups(overview)


def _report(context: Context, model: str) -> None:
    """What a department shows its physicist or board, made when it is asked for."""
    with st.expander("Performance report"):
        st.html(
            '<div class="ddad-facts">One file with all figures of this model on the site’s own '
            "cases, at the operating point in force: to keep, or to print as PDF from the browser. "
            "The Thresholds screen shows the same figures for other choices of evidence.</div>"
        )
        columns = st.columns([2, 1, 1, 2], vertical_alignment="bottom")
        with columns[0]:
            source: Source = st.selectbox(
                "Measured on", list(SOURCE_TITLES), format_func=SOURCE_TITLES.__getitem__,
                key="report-source",
            )  # fmt: skip
        with columns[1]:
            percent = st.number_input(
                "Prevalence, %", 0.1, 99.9, 10.0, 0.5, key="report-prevalence",
                help="Of abnormal cases where the model is used; for predictive values",
            )  # fmt: skip
        with columns[2]:
            asked = st.button("Make the report", width="stretch", key="report-make")
        if asked:
            with st.spinner("Gathering figures …"):
                found = context.services.reporting.performance(
                    context.reader, model, EvidenceChoice(source=source), percent / 100
                )
                page = document(found)
            with columns[3]:
                st.download_button(
                    "Download the report", page,
                    f"ddad-performance-{model}-{found.made_at:%Y%m%d}.html", "text/html",
                    on_click="ignore", type="primary", width="stretch", key="report-download",
                )  # fmt: skip


def _alerts(alerts: tuple[Alert, ...]) -> None:
    for alert in alerts:
        st.html(
            f'<div class="ddad-warning" role="alert"><b>{alert.rule.capitalize()}, '
            f"{html.escape(alert.month)}.</b> {html.escape(alert.sentence)} "
            f"{html.escape(alert.step)}</div>"
        )
    if not alerts:
        st.html('<div class="ddad-facts">No rule speaks.</div>')
    with st.expander("The rules"):
        st.html(
            "<ul>"
            + "".join(
                f"<li><b>{name.capitalize()}</b>: {html.escape(rule)}</li>"
                for name, rule in RULES.items()
            )
            + f"</ul><p>“Surely” means that the 95 % interval lies wholly beyond the limit. Months "
            f"with fewer than {LEAST} are not judged. What speaks is also in the server’s log.</p>"
        )


def _newest(overview: Overview) -> None:
    """The newest month in four figures."""
    columns = st.columns(4)
    with columns[0]:
        _share("Flagged", overview.flagged, "cases")
    with columns[1]:
        months = [m for m in overview.reads if m.agreement]
        last = months[-1] if months else None
        if last and last.agreement:
            figure(
                f"Reads that agree with the flag, {last.month}",
                f"{last.agreement.value:.0%}",
                f"95 % CI {_interval(last.agreement)}, n = {last.compared}",
            )
        else:
            figure("Reads that agree with the flag", "–", "none with this model in view")
    with columns[2]:
        timed = [m for m in overview.reads if m.median_seconds is not None]
        if timed:
            figure(
                f"Median time to a verdict, {timed[-1].month}",
                f"{timed[-1].median_seconds:.0f} s",
                f"n = {timed[-1].timed}",
            )
        else:
            figure("Median time to a verdict", "–", "no read yet")
    with columns[3]:
        _share("Files refused", overview.files, "files")


def _share(title: str, months: tuple[Share, ...], unit: str) -> None:
    if not months:
        figure(title, "–", f"no {unit} yet")
        return
    last = months[-1]
    share = share_of(last.count, last.n)
    figure(
        f"{title}, {last.month}",
        f"{share.value:.0%}",
        f"95 % CI {_interval(share)}, {last.count} of {last.n} {unit}",
    )


def _interval(share: Estimate) -> str:
    return f"{share.low:.0%} to {share.high:.0%}"


def _scores(overview: Overview) -> None:
    _drift(
        "Cases read as normal, against the calibration normals",
        overview.normals,
        "No case is read as normal yet. Reads of scored cases fill this in.",
        "drift-normals",
    )
    _drift(
        f"All cases, against those of {overview.baseline}"
        if overview.cases
        else "All cases, against the first months",
        overview.cases,
        f"There is nothing to compare before {BASELINE_CASES} cases and a month after them.",
        "drift-cases",
    )
    if overview.flagged:
        section("Share flagged, at the operating point in force")
        st.plotly_chart(
            months_figure(_points(overview.flagged), "Flagged"),
            config=CHART_CONFIG,
            key="flag-rate",
        )


def _drift(title: str, found: Drift | None, empty: str, key: str) -> None:
    section(title)
    if found is None:
        st.info(empty)
        return
    points = [
        Point(
            m.month,
            m.higher.value if m.higher else None,
            m.higher.low if m.higher else None,
            m.higher.high if m.higher else None,
            m.n,
        )
        for m in found.months
    ]
    left, right = st.columns([3, 2])
    with left:
        chart = months_figure(
            points, "Chance of a higher score", band=(0.5 - found.limit, 0.5 + found.limit)
        )
        st.plotly_chart(chart, config=CHART_CONFIG, key=key)
    with right:
        table = pd.DataFrame(
            [
                (
                    m.month,
                    m.n,
                    m.median,
                    "–"
                    if m.higher is None
                    else f"{m.higher.value:.2f} ({m.higher.low:.2f} to {m.higher.high:.2f})",
                    m.distance,
                    VERDICTS[m.verdict],
                )
                for m in found.months[::-1]
            ],
            columns=["Month", "n", "Median score", "Chance (CI)", "KS distance", "Verdict"],
        )
        st.dataframe(
            table,
            hide_index=True,
            height="auto" if len(table) < 7 else 245,
            column_config={
                "Median score": st.column_config.NumberColumn(format="%.3g"),
                "KS distance": st.column_config.NumberColumn(format="%.2f"),
            },
        )
        st.caption(
            f"Chance that a score is above one of the {found.n_reference} compared with (0.5: "
            "nothing changed); intervals hold for all months together. Drifted: wholly outside "
            f"{0.5 - found.limit:g} to {0.5 + found.limit:g}; steady: wholly inside."
        )


def _points(months: tuple[Share, ...]) -> list[Point]:
    found = []
    for month in months:
        share = share_of(month.count, month.n)
        found.append(Point(month.month, share.value, share.low, share.high, month.n))
    return found


def _reads(overview: Overview) -> None:
    if not overview.reads and not overview.files:
        st.info("Nothing was read or brought yet.")
        return
    left, middle, right = st.columns(3)
    agreeing = [
        Point(m.month, m.agreement.value, m.agreement.low, m.agreement.high, m.compared)
        for m in overview.reads
        if m.agreement
    ]
    timed = [Point(m.month, m.median_seconds, None, None, m.timed) for m in overview.reads]
    with left:
        section("Reads that agree with the flag")
        if agreeing:
            chart = months_figure(agreeing, "Agree", band=(LEAST_AGREEMENT, 1.0))
            st.plotly_chart(chart, config=CHART_CONFIG, key="agreement")
        else:
            st.info("No read with this model in view yet.")
    with middle:
        section("Median seconds to a verdict")
        if any(point.value is not None for point in timed):
            chart = months_figure(timed, "Seconds", span=None, form=".0f")
            st.plotly_chart(chart, config=CHART_CONFIG, key="times")
        else:
            st.info("No read was timed yet.")
    with right:
        section("Files refused")
        if overview.files:
            chart = months_figure(_points(overview.files), "Refused", band=(0.0, MOST_REFUSED))
            st.plotly_chart(chart, config=CHART_CONFIG, key="refusals")
        else:
            st.info("No file was brought yet.")
    if overview.reads:
        table = pd.DataFrame(
            [(m.month, m.reads, m.compared, m.timed) for m in overview.reads[::-1]],
            columns=["Month", "Reads", "Compared with the flag", "Timed"],
        )
        st.dataframe(table, hide_index=True)
    st.caption(
        "Agreement: decided verdicts against the flag as it was in view when they were saved. "
        "Times: first reads only, pauses left out. Shaded: where a figure should stay."
    )


def _groups(overview: Overview) -> None:
    if not overview.groups:
        st.info("No case has a score by this model yet.")
        return
    table = pd.DataFrame(
        [
            (g.kind, g.name, g.n, g.median, 100 * g.flagged.value, _interval(g.flagged))
            for g in overview.groups
        ],
        columns=["Of", "Which", "Cases", "Median score", "Flagged", "95 % CI"],
    )
    form = {
        "Median score": st.column_config.NumberColumn(format="%.3g"),
        "Flagged": st.column_config.NumberColumn(format="%.0f%%"),
    }
    st.dataframe(table, hide_index=True, column_config=form)
    st.caption(
        "Scanners are named by keyed pseudonyms; images taken in by older versions, and files "
        "that do not say, are “not known”."
    )
