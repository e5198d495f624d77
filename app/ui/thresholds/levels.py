"""Levels of a map tuned from boxes."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from app.services.evidence import Source
from app.services.levels import LevelEvidence, LevelPolicy, PixelChoice
from app.services.models import OperatingPointInForce
from app.services.people import Action
from app.services.tuning_evidence import TuningEvidence
from app.ui.charts import froc_figure
from app.ui.chrome import figure, warnings
from app.ui.context import Context
from app.ui.session import session
from app.ui.thresholds.level_change import change_bar, in_words, versions
from app.ui.thresholds.words import said

CHART_CONFIG = {"displayModeBar": False}
BOXES: dict[str, Source] = {"Readers' boxes": "reads", "Boxes that came along": "reference"}
POLICIES: dict[str, LevelPolicy] = {
    "At most false regions an image": "falses",
    "At least findings hit, %": "findings",
    "By hand": "hand",
}


def show(context: Context, evidence: TuningEvidence) -> None:
    """Draw the part: a map looked through, a level chosen, and put in force."""
    maps = context.services.levels.maps(evidence.model)
    if not maps:
        said("This model has no maps.")
        return
    columns = st.columns([1.4, 1.8, 1.4, 3], vertical_alignment="bottom")
    with columns[0]:
        name = st.selectbox("Map", list(maps), format_func=lambda n: maps[n], key="level-map")
    with columns[1]:
        boxes = st.selectbox("Findings", list(BOXES), key="level-boxes")
    key = ("levels", name, boxes, evidence.model, evidence.choice, evidence.facts.sentence)
    kept = session().worked_out
    with columns[2]:
        asked = st.button("Look through", width="stretch", key="level-trace")
    if asked:
        bar = st.progress(0.0, "Looking through maps")
        try:
            kept[key] = context.services.levels.evidence(
                context.reader,
                evidence,
                name,
                BOXES[boxes],
                lambda done, total: bar.progress(done / total, f"Map {done + 1} of {total}"),
            )
        finally:
            bar.empty()
    found: Any = kept.get(key)
    if found is None:
        said(
            "A region of the map at or above its level hits a finding if its highest point lies "
            "in the box. “Look through” takes some seconds."
        )
    else:
        _chosen(context, evidence, found, boxes)
    versions(context, evidence, name, found, boxes)


def _chosen(context: Context, evidence: TuningEvidence, found: LevelEvidence, boxes: str) -> None:
    in_force = context.services.models.levels(found.model)[found.map_name]
    left, right = st.columns([2, 3], gap="medium")
    with left:
        said(found.sentence)
        policy = POLICIES[st.selectbox("Choose by", list(POLICIES), key="level-policy")]
        chosen = context.services.levels.choose(found, policy, _value(found, in_force, policy))
        _expected(found, in_force, chosen)
        if chosen.choice.level is not None and Action.SET_OPERATING_POINT in context.allowed:
            change_bar(context, evidence, found, chosen, boxes)
    with right:
        level = chosen.choice.level
        st.plotly_chart(
            froc_figure(found.traced, level=level), config=CHART_CONFIG, key="level-froc"
        )


def _value(found: LevelEvidence, in_force: OperatingPointInForce, policy: LevelPolicy) -> float:
    if policy == "falses":
        return st.number_input("False regions an image", 0.01, 20.0, 0.5, 0.1, key="level-falses")
    if policy == "findings":
        return st.number_input("Findings hit, %", 5.0, 99.0, 50.0, 5.0, key="level-findings")
    low, high = float(found.traced.levels[-1]), float(found.traced.levels[0])
    start = min(max(in_force.threshold, low), high)
    if low == high:
        return low
    step = (high - low) / 200
    return st.slider(
        "Level", low, high, start, step,
        # As many decimals as tell one step from the next.
        format=f"%.{max(0, math.ceil(-math.log10(step)))}f",
        # A new version in force starts the slider there.
        key=f"level-{found.map_name}-{in_force.version}",
    )  # fmt: skip


def _expected(found: LevelEvidence, in_force: OperatingPointInForce, chosen: PixelChoice) -> None:
    choice = chosen.choice
    if choice.level is None:
        warnings([choice.why_not])
        return
    unit = f" {found.unit}" if found.unit else ""
    one, two, three = st.columns(3)
    with one:
        figure(
            f"Level of {found.title}",
            f"{choice.level:.3g}",
            f"in force: {in_force.threshold:.3g}{unit}, {in_words(in_force)}",
        )
    with two:
        _tile("Findings hit", choice.lesion_sensitivity, f"n = {choice.n_findings}")
    with three:
        _tile("False regions an image", choice.false_regions, f"n = {choice.n_counted} images")
    said(
        "Intervals are of the bootstrap over images. The level is chosen on the images it is "
        "measured on, so what it promises looks a little better than it will be."
    )


def _tile(label: str, found: Any, note: str) -> None:
    if found is None:
        figure(label, "–", note)
        return
    figure(label, f"{found.value:.2f}", f"95 % CI {found.low:.2f} to {found.high:.2f}, {note}")
