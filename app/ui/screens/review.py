"""Review: one case, its evidence, and the read."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from app.services.case_details import CaseDetails
from app.services.patients import RelatedImages
from app.services.people import Action
from app.services.reading import CaseView
from app.ui import chrome, prefetch, presence
from app.ui.casedetails import case_details
from app.ui.context import Context
from app.ui.drafts import boxes_of, kept_draft, plain_boxes
from app.ui.evidence import operating_point_text, score_html
from app.ui.place import come_back, note_place
from app.ui.readpanel import read_panel, step
from app.ui.related import related_images
from app.ui.session import OpenCase, ReadingClock, Session, session, widget_value
from app.ui.times import local
from app.ui.unsaved import tell_while_typing
from app.ui.viewer import (
    BesideImage,
    OthersBoxes,
    Palette,
    ViewerData,
    reported_wants,
    viewer,
    viewer_key,
)
from ddad_core.errors import DdadError
from ddad_core.overlay import COLOR_MAPS, color_table

PALETTES = tuple(Palette(name, color_table(name).tobytes()) for name in COLOR_MAPS)


def show(context: Context) -> None:
    """Draw the screen."""
    state = session()
    if state.finished:
        state.finished = False
        context.open_screen("worklist")
    come_back(context, state)
    if notice := state.take_notice():
        st.toast(notice)
    if state.image_id is None:
        st.info("No case is open. Choose one on the worklist.")
        if st.button("Go to the worklist", type="primary"):
            context.open_screen("worklist")
        return
    case = _gather(context, state, state.image_id)
    presence.arrive(context, state.image_id)
    note_place(state)
    left, right = st.columns([7, 3], gap="medium")
    with left, st.container(key="viewer-pane"):
        has = _bring_wanted(context, case)
        shown = viewer(case.data, has=has)
        state.saw_map(shown.map_name)
    with right:
        _head(context, state, case.view)
        related_images(case.related, partial(step, context))
        _evidence(context, state, case.view)
        if Action.READ in context.allowed:
            read_panel(context, state, case, shown)
            tell_while_typing()
        titles = {model.name: model.title for model in context.services.models.summaries()}
        case_details(case.view, case.details, titles)
        if case.view.image.attribution:
            st.caption(f"Image: {case.view.image.attribution}")
        prefetch.prepare_next(context, state)


def _gather(context: Context, state: Session, image_id: int) -> OpenCase:
    """The open case; fetched again only when the case or the model changes."""
    model = state.models.get(image_id)
    kept = state.case if state.case and state.case.view.image.id == image_id else None
    if kept is None or kept.saved or (model and kept.view.model.name != model):
        prepared, handed = prefetch.of_open(kept) if kept else prefetch.take(state, image_id)
        view = context.services.reading.open_case(
            context.reader, image_id, model, unaided=state.unaided, prepared=prepared
        )
        if image_id not in state.drafts and (left := kept_draft(context, view)):
            state.drafts[image_id] = left
        details = context.services.details.of_case(
            context.reader, image_id, view.model.name, unaided=state.unaided
        )
        related = context.services.patients.others_of(context.reader, view.image)
        data = _viewer_data(view, state.map_name, context.services.reading.findings)
        data = replace(data, others=_boxes_of(details), comparable=_comparable(related))
        if kept is not None:  # the picture is here already, and only what the AI says is new
            data = replace(data, pixels=kept.data.pixels, pixels_size=kept.data.pixels_size)
        if image_id in state.drafts:
            draft = state.drafts[image_id]
            data = replace(data, boxes=boxes_of(draft, data), rejected=data.known(draft.rejected))
        clock = kept.clock if kept and not kept.saved else ReadingClock()
        state.case = OpenCase(view, data, details, clock, related=related, handed=handed)
        return state.case
    kept.clock.tick()
    return kept


def _viewer_data(view: CaseView, chosen_map: str, findings: tuple[str, ...]) -> ViewerData:
    """What the viewer shows, with the map chosen in an earlier case if the model has it."""
    image, judgement = view.image, view.judgement
    maps = judgement.maps if judgement else ()
    default = judgement.default_map if judgement else ""
    data = ViewerData(
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
        ai_visible=not view.unaided,
        boxes=plain_boxes(view.read.boxes if view.read else ()),
        palettes=PALETTES,
        description=f"Chest radiograph {image.label}, {view.facts}",
        pixels_size=(view.display.width, view.display.height),
        findings=findings,
    )
    return replace(data, rejected=data.known(view.read.rejected if view.read else ()))


def _boxes_of(details: CaseDetails) -> tuple[OthersBoxes, ...]:
    return tuple(
        OthersBoxes(one.who, plain_boxes(one.read.boxes))
        for one in details.others
        if one.read.boxes
    )


def _comparable(related: RelatedImages) -> tuple[tuple[int, str], ...]:
    """The patient's other images in words, the one taken in last first."""
    ordered = sorted(related.of_patient, key=lambda one: one.taken_in, reverse=True)
    return tuple(
        (one.image_id, " · ".join(filter(None, (one.label, one.facts, local(one.taken_in)))))
        for one in ordered
    )


def _bring_wanted(context: Context, case: OpenCase) -> str:
    """Fetch what the viewer asks for and does not have; the key of the pixels it does have."""
    view, viewing = case.view, context.services.viewing
    told = widget_value(viewer_key(view.image.id), None)
    wants = reported_wants(told, case.data)
    if getattr(told, "wants", None) is not None:
        case.handed = ""  # since then the browser itself says what it has
    try:
        if wants.full and not case.data.is_full:
            full = viewing.full_display(context.reader, view)
            case.data = replace(case.data, pixels=full.pixels, pixels_size=None)
        if wants.explanation and case.data.explanation is None:
            found = viewing.explain(context.reader, view)
            case.data = replace(case.data, explanation=found)
        if wants.beside != (case.data.beside.image_id if case.data.beside else 0):
            # Let go of as soon as it is looked at no more: a session holds one picture, or two.
            case.data = replace(case.data, beside=_beside(context, case, wants.beside))
    except DdadError as error:
        st.toast(str(error), icon=":material/error:")
    return case.handed or wants.has


def _beside(context: Context, case: OpenCase, image_id: int) -> BesideImage | None:
    if not image_id:
        return None
    found = context.services.viewing.beside(context.reader, case.view, image_id)
    display = found.picture.display
    return BesideImage(
        image_id=image_id,
        title=dict(case.data.comparable)[image_id],
        width=found.image.width,
        height=found.image.height,
        pixels=display.pixels,
        pixels_size=(display.width, display.height),
        slope=display.slope,
        intercept=display.intercept,
        window=display.window,
    )


def _head(context: Context, state: Session, view: CaseView) -> None:
    columns = st.columns([6, 1, 1], vertical_alignment="center")
    with columns[0]:
        position = ""
        if view.image.id in state.order:
            position = f"{state.order.index(view.image.id) + 1} of {len(state.order)} · "
        patient = f" · {view.image.patient}" if view.image.patient else ""
        chrome.facts_line(view.image.label, f"{position}{view.facts}{patient}")
    for column, way, icon, key, word in (
        (columns[1], -1, ":material/chevron_left:", "previous", "Previous case (K)"),
        (columns[2], 1, ":material/chevron_right:", "next", "Next case (J)"),
    ):
        neighbour = state.neighbour(way)
        with column:
            # As a callback the change comes before the page run, which then runs once, not twice.
            st.button(
                "",
                icon=icon,
                key=f"step-{key}",
                help=word,
                disabled=neighbour is None,
                width="stretch",
                on_click=step,
                args=(context, neighbour, way),
            )


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
