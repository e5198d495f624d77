"""A level of a map put in force, and gone back from, like any operating point."""

from __future__ import annotations

import html
from dataclasses import replace

import streamlit as st

from app.services.levels import LevelEvidence, PixelChoice, effect_of
from app.services.models import OperatingPointInForce
from app.services.operating_change import change_of_level
from app.services.people import Action
from app.services.tuning_evidence import TuningEvidence
from app.store.records import OperatingPointRecord
from app.ui.comparison import estimate_text, number
from app.ui.context import Context
from app.ui.session import session
from app.ui.thresholds.words import said, table
from app.ui.times import local
from ddad_core.evaluation.pixel_policies import LevelChoice
from ddad_core.vocabulary import MAP_TITLES


def in_words(point: OperatingPointInForce) -> str:
    """Whose level it is."""
    return f"version {point.version}" if point.version else "the model's own"


def change_bar(
    context: Context,
    evidence: TuningEvidence,
    found: LevelEvidence,
    chosen: PixelChoice,
    boxes: str,
) -> None:
    """Ask for a change to the level chosen.

    Args:
        context: Of the page.
        evidence: Of the model; its labels say which images are normal.
        found: The map that was looked through.
        chosen: A level of it, one that there is.
        boxes: Where the boxes come from, in words.
    """
    level = chosen.choice.level
    assert level is not None
    second = context.services.governance.rules.second_approval
    pressed = st.button(
        "Propose level …" if second else "Put level in force …",
        type="primary",
        key="change-level",
        help="Shows what it would change and asks for the reason first",
    )
    said(
        f"{found.title} is drawn from {number(level)} on when {found.model} is shown, until a "
        "reader moves it on the screen."
    )
    if pressed:
        point = context.services.models.levels(found.model)[found.map_name]
        session().change = change_of_level(
            found.model,
            found.map_name,
            point,
            present=effect_of(found, point.threshold),
            proposed=chosen.choice,
            source=boxes,
            filters={"evidence": evidence.facts.described},
        )
        st.rerun()  # the bar is drawn in a fragment, the dialog by the whole page


def versions(
    context: Context,
    evidence: TuningEvidence,
    map_name: str,
    found: LevelEvidence | None,
    boxes: str,
) -> None:
    """Levels of one map that the site has set, the newest first, and the way back to one.

    Args:
        context: Of the page.
        evidence: Of the model.
        map_name: The map.
        found: The same map, if it was looked through.
        boxes: Where the boxes come from, in words.
    """
    history = context.services.governance.history(context.reader, evidence.model)
    own = [one for one in history.versions if one.map_name == map_name]
    shipped, title = history.card.maps[map_name].threshold, MAP_TITLES[map_name]
    if not own:
        said(f"In force for {title}: {number(shipped)}, the model's own.")
        return
    st.html(f'<div class="ddad-strong">Levels of {html.escape(title)}, the first in force</div>')
    table(
        ("Version", "Level", "Findings hit", "False regions an image", "Set by", "When", "Reason"),
        [_row(one) for one in own],
        label=f"Levels of {title}",
        words=("Set by", "When", "Reason"),
    )
    if Action.SET_OPERATING_POINT not in context.allowed:
        return
    offered = {
        f"Version {one.version}: {number(one.threshold)}": (one.version, one.threshold)
        for one in own[1:]
    } | {f"The model's own: {number(shipped)}": (0, shipped)}
    left, middle, _ = st.columns([2.2, 1.8, 4.6], vertical_alignment="bottom")
    with left:
        to = st.selectbox("Go back to the level", list(offered), key=f"level-back-to-{map_name}")
    with middle:
        pressed = st.button("Go back to level …", width="stretch", key="level-back")
    if pressed:
        _go_back(context, evidence, map_name, found, boxes, *offered[to])


def _go_back(
    context: Context,
    evidence: TuningEvidence,
    map_name: str,
    found: LevelEvidence | None,
    boxes: str,
    version: int,
    level: float,
) -> None:
    """Ask for an earlier level; with its figures where the map was looked through."""
    policy = f"Back to version {version}" if version else "Back to the model's own"
    point = context.services.models.levels(evidence.model)[map_name]
    effect = effect_of(found, level) if found else None
    session().change = change_of_level(
        evidence.model,
        map_name,
        point,
        present=effect_of(found, point.threshold) if found and effect else None,
        proposed=replace(effect, policy=policy)
        if effect
        else LevelChoice(policy, level, None, None, 0, 0, 0, ""),
        source=boxes if effect else "nothing, it was in force before",
        restores=version,
    )
    st.rerun()


def _row(one: OperatingPointRecord) -> tuple[str, ...]:
    new = one.evidence.get("proposed", {})
    return (
        str(one.version),
        number(one.threshold),
        estimate_text(new.get("sensitivity")),
        estimate_text(new.get("false_regions")),
        one.set_by,
        local(one.set_at),
        one.reason,
    )
