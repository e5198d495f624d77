"""Review: one case, its evidence, and the read."""

from __future__ import annotations

import html
import time
from dataclasses import replace

import streamlit as st

from app.services.reading import FINDINGS, CaseView, ReadDraft
from app.store.records import Box
from app.ui import chrome
from app.ui.context import Context
from app.ui.evidence import operating_point_text, score_html
from app.ui.related import related_images
from app.ui.session import Draft, OpenCase, Session, session, widget_value
from app.ui.viewer import (
    Palette,
    ViewerData,
    ViewerState,
    reported_state,
    reported_wants,
    viewer,
    viewer_key,
)
from ddad_core.errors import DdadError
from ddad_core.overlay import COLOR_MAPS, color_table

VERDICT_KEYS = {"normal": "N", "abnormal": "A", "uncertain": "U", "unreadable": "X"}
CONFIDENCES = (1, 2, 3, 4, 5)
PALETTES = tuple(Palette(name, color_table(name).tobytes()) for name in COLOR_MAPS)


def show(context: Context) -> None:
    """Draw the screen."""
    state = session()
    if state.finished:
        state.finished = False
        context.open_screen("worklist")
    if notice := state.take_notice():
        st.toast(notice)
    if state.image_id is None:
        st.info("No case is open. Choose one on the worklist.")
        if st.button("Go to the worklist", type="primary"):
            context.open_screen("worklist")
        return
    case = _gather(context, state, state.image_id)
    left, right = st.columns([7, 3], gap="medium")
    with left:
        has = _bring_wanted(context, case)
        shown = viewer(case.data, has=has)
        state.saw_map(shown.map_name)
    with right:
        _head(context, state, case.view)
        related_images(case.related, _step)
        _evidence(context, state, case.view)
        _read(context, state, case, shown)


def _gather(context: Context, state: Session, image_id: int) -> OpenCase:
    """The open case; fetched again only when the case or the model changes."""
    model = state.models.get(image_id)
    kept = state.case if state.case and state.case.view.image.id == image_id else None
    if kept is None or (model and kept.view.model.name != model):
        view = context.services.reading.open_case(context.reader, image_id, model)
        data = _viewer_data(view, state.map_name)
        if kept is not None:  # another model looks at the picture that is here already
            data = replace(data, pixels=kept.data.pixels, pixels_size=kept.data.pixels_size)
        related = context.services.patients.others_of(context.reader, view.image)
        opened_at = kept.opened_at if kept else time.monotonic()
        state.case = OpenCase(view, data, opened_at, related=related)
        return state.case
    return kept


def _viewer_data(view: CaseView, chosen_map: str) -> ViewerData:
    """What the viewer shows, with the map chosen in an earlier case if the model has it."""
    image, judgement = view.image, view.judgement
    maps = judgement.maps if judgement else ()
    default = judgement.default_map if judgement else ""
    boxes = view.read.boxes if view.read else ()
    return ViewerData(
        image_id=image.id,
        width=image.width,
        height=image.height,
        pixels=view.display.pixels,
        slope=view.display.slope,
        intercept=view.display.intercept,
        window=view.display.window,
        presets=tuple(
            replace(window, name=window.name or f"Window {i}")
            for i, window in enumerate(view.presets, 1)
            if window != view.display.window
        ),
        spacing_mm=image.spacing_mm,
        maps=maps,
        initial_map=chosen_map if chosen_map in {layer.name for layer in maps} else default,
        ai_visible=True,
        boxes=tuple(Box(b.x, b.y, b.width, b.height, b.label) for b in boxes),
        palettes=PALETTES,
        description=f"Chest radiograph {image.label}, {view.facts}",
        pixels_size=(view.display.width, view.display.height),
    )


def _bring_wanted(context: Context, case: OpenCase) -> str:
    """Fetch what the viewer asks for and does not have; the key of the pixels it does have."""
    view, viewing = case.view, context.services.viewing
    wants = reported_wants(widget_value(viewer_key(view.image.id), None), case.data)
    try:
        if wants.full and not case.data.is_full:
            full = viewing.full_display(context.reader, view)
            case.data = replace(case.data, pixels=full.pixels, pixels_size=None)
        if wants.explanation and case.data.explanation is None:
            found = viewing.explain(context.reader, view)
            case.data = replace(case.data, explanation=found)
    except DdadError as error:
        st.toast(str(error), icon=":material/error:")
    return wants.has


def _head(context: Context, state: Session, view: CaseView) -> None:
    columns = st.columns([6, 1, 1], vertical_alignment="center")
    with columns[0]:
        position = ""
        if view.image.id in state.order:
            position = f"{state.order.index(view.image.id) + 1} of {len(state.order)} · "
        patient = f" · {view.image.patient}" if view.image.patient else ""
        chrome.facts_line(view.image.label, f"{position}{view.facts}{patient}")
    for column, step, icon, key, word in (
        (columns[1], -1, ":material/chevron_left:", "previous", "Previous case"),
        (columns[2], 1, ":material/chevron_right:", "next", "Next case"),
    ):
        neighbour = state.neighbour(step)
        with column:
            # As a callback the change comes before the page run, which then runs once, not twice.
            st.button(
                "",
                icon=icon,
                key=f"step-{key}",
                help=word,
                disabled=neighbour is None,
                width="stretch",
                on_click=_step,
                args=(neighbour,),
            )


def _step(image_id: int | None) -> None:
    """Open a neighbour, keeping what was typed a moment ago in the draft."""
    state = session()
    if state.image_id is not None:
        _latest(state, state.image_id)
    if state.case is not None:
        _shown(state.case)
    if image_id is not None:
        state.open(image_id)


def _shown(case: OpenCase) -> ViewerState:
    """What the viewer reported last, which the page has not taken yet in a callback."""
    shown = reported_state(widget_value(viewer_key(case.view.image.id), None), case.data)
    session().saw_map(shown.map_name)
    return shown


def _latest(state: Session, image_id: int) -> Draft:
    """The draft with what the widgets hold now; callbacks run before the page takes it."""
    draft = state.drafts.setdefault(image_id, Draft())
    draft.comment = widget_value(f"comment-{image_id}", draft.comment)
    draft.findings = widget_value(f"findings-{image_id}", draft.findings)
    draft.confidence = widget_value(f"confidence-{image_id}", draft.confidence)
    return draft


def _evidence(context: Context, state: Session, view: CaseView) -> None:
    chrome.warnings(view.warnings)
    if view.judgement:
        st.html(score_html(view.judgement))
    else:
        st.info(view.refusal)
    models = {model.name: model for model in context.services.models.summaries()}
    by_age = view.suggested_model if view.suggested_for_age else ""
    # Streamlit keeps what is passed here for as long as the session lives: not the view, which
    # holds the pixels.
    chosen = st.selectbox(
        "Model",
        list(models),
        index=list(models).index(view.model.name),
        format_func=lambda name: (
            # In front, for the end of a long title may be cut off.
            ("By age: " if name == by_age else "") + models[name].title
        ),
        key=f"model-{view.image.id}",
    )
    if chosen != view.model.name:
        state.models[view.image.id] = chosen
        st.rerun()
    st.caption(
        f"Made for {view.model.population}. {view.model.figures}. "
        + operating_point_text(view.judgement),
        help=view.model.statement or None,
    )


def _read(context: Context, state: Session, case: OpenCase, shown: ViewerState) -> None:
    view = case.view
    image_id = view.image.id
    draft = state.drafts.setdefault(image_id, _saved_draft(view))
    chrome.section("Your read")
    _verdicts(draft, image_id)
    draft.confidence = st.segmented_control(
        "Confidence, 1 a guess to 5 certain",
        CONFIDENCES,
        default=draft.confidence,
        key=f"confidence-{image_id}",
    )
    draft.findings = st.multiselect(
        "Findings",
        FINDINGS,
        default=draft.findings,
        placeholder="Choose findings",
        key=f"findings-{image_id}",
    )
    draft.comment = st.text_area(
        "Comment", value=draft.comment, height=68, max_chars=4000, key=f"comment-{image_id}"
    )
    count = len(shown.boxes)
    st.caption(
        f"{count} {'box' if count == 1 else 'boxes'} drawn. "
        + ("Draw with the Box tool (B)." if not count else "Saved with the read.")
    )
    if state.problem:
        st.error(state.problem, icon=":material/error:")
    _save_buttons(context, state, case)
    _history(view)
    if view.image.attribution:
        st.caption(f"Image: {view.image.attribution}")


def _saved_draft(view: CaseView) -> Draft:
    if view.read is None:
        return Draft()
    read = view.read
    return Draft(read.verdict, read.confidence, list(read.findings), read.comment)


def _verdicts(draft: Draft, image_id: int) -> None:
    columns = st.columns(2)
    for i, (verdict, key) in enumerate(VERDICT_KEYS.items()):
        with columns[i % 2]:
            pressed = st.button(
                verdict.capitalize(),
                type="primary" if draft.verdict == verdict else "secondary",
                shortcut=key,
                key=f"verdict-{verdict}-{image_id}",
                width="stretch",
            )
        if pressed and draft.verdict != verdict:
            draft.verdict = verdict
            st.rerun()


def _save_buttons(context: Context, state: Session, case: OpenCase) -> None:
    draft = state.drafts[case.view.image.id]
    following = state.neighbour(1)
    columns = st.columns([2, 1])
    # Callbacks, as for the steps: the page then runs once, for the next case.
    with columns[0]:
        st.button(
            "Save and next" if following is not None else "Save and finish",
            type="primary",
            disabled=draft.verdict is None,
            shortcut="Ctrl+Enter",
            width="stretch",
            help="Choose a verdict first" if draft.verdict is None else None,
            on_click=_save,
            args=(context, following, True),
        )
    with columns[1]:
        st.button(
            "Save",
            disabled=draft.verdict is None,
            width="stretch",
            on_click=_save,
            args=(context, None, False),
        )


def _save(context: Context, following: int | None, onward: bool) -> None:
    """Store the read on the screen; what goes wrong is told there and nothing is lost."""
    state = session()
    case = state.case
    if case is None:
        return
    view = case.view
    image_id = view.image.id
    draft = _latest(state, image_id)
    shown = _shown(case)
    seconds = time.monotonic() - case.opened_at
    try:
        saved = context.services.reading.save(
            context.reader, image_id, view.model.name, _submission(draft, shown, seconds=seconds)
        )
    except DdadError as error:
        state.problem = str(error)
        return
    del state.drafts[image_id]
    state.case, state.problem = None, ""
    revision = f", revision {saved.revision}" if saved.revision > 1 else ""
    state.notice = f"{view.image.label}: {saved.verdict} saved{revision}."
    state.finished = onward and following is None
    if following is not None:
        state.open(following)


def _submission(draft: Draft, shown: ViewerState, *, seconds: float) -> ReadDraft:
    return ReadDraft(
        verdict=draft.verdict or "",
        confidence=draft.confidence,
        findings=tuple(draft.findings),
        comment=draft.comment,
        boxes=shown.boxes,
        map_name=shown.map_name,
        pixel_threshold=shown.pixel_threshold,
        opacity=shown.opacity,
        ai_visible=shown.ai_visible,
        seconds=round(seconds, 2),
    )


def _history(view: CaseView) -> None:
    if not view.history:
        return
    latest = view.history[-1]
    st.caption(
        f"Saved as {latest.verdict} on {latest.saved_at:%Y-%m-%d %H:%M} UTC, revision "
        f"{latest.revision}. Saving again adds a revision and keeps this one."
    )
    if len(view.history) > 1:
        with st.expander(f"{len(view.history)} revisions"):
            st.html(
                "".join(
                    f'<div class="ddad-facts">{r.revision}. {r.saved_at:%Y-%m-%d %H:%M} UTC: '
                    f"{html.escape(r.verdict)}, {len(r.boxes)} boxes"
                    + (f", {html.escape(r.comment)}" if r.comment else "")
                    + "</div>"
                    for r in view.history
                )
            )
