"""The reader's part of the review screen: the read as it stands, and saving it."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from app.services.people import Action
from app.services.read_draft import ReadDraft
from app.services.reading import CaseView
from app.ui import chrome, presence
from app.ui.context import Context
from app.ui.drafts import changed, keep, saved_draft
from app.ui.session import Draft, OpenCase, Session, session, widget_value
from app.ui.times import local
from app.ui.viewer import ViewerState, reported_state, viewer_key
from ddad_core.errors import DdadError

VERDICT_KEYS = {"normal": "N", "abnormal": "A", "uncertain": "U", "unreadable": "X"}
CONFIDENCES = (1, 2, 3, 4, 5)
AGREEMENT_TITLES = {
    "helpful": "Helpful",
    "misleading": "Misleading",
    "missed": "Missed the finding",
}


def read_panel(context: Context, state: Session, case: OpenCase, shown: ViewerState) -> None:
    """Draw the read of the open case, as it stands."""
    view = case.view
    image_id = view.image.id
    draft = state.drafts.setdefault(image_id, saved_draft(view))
    chrome.section("Your read")
    _verdicts(draft, image_id)
    draft.confidence = st.segmented_control(
        "Confidence, 1 a guess to 5 certain · Alt 1 – 5",
        CONFIDENCES,
        default=draft.confidence,
        key=f"confidence-{image_id}",
    )
    draft.findings = st.multiselect(
        "Findings · V",
        context.services.reading.findings,
        default=draft.findings,
        placeholder="Choose findings",
        key=f"findings-{image_id}",
    )
    draft.comment = st.text_area(
        "Comment · T",
        value=draft.comment,
        height=68,
        max_chars=4000,
        key=f"comment-{image_id}",
    )
    _agreement(draft, view, shown)
    count = len(shown.boxes)
    st.caption(
        f"{count} {'box' if count == 1 else 'boxes'} drawn. "
        + ("Draw with the Box tool (B)." if not count else "Saved with the read.")
    )
    keep(context, case, draft, shown)
    if state.problem:
        st.error(state.problem, icon=":material/error:")
    with st.container(key="save-bar"):
        _save_buttons(context, state, case)
    _last_saved(view)


def _agreement(draft: Draft, view: CaseView, shown: ViewerState) -> None:
    """What the reader thinks of the map in view; kept for each map."""
    titles = {layer.name: layer.title for layer in view.judgement.maps} if view.judgement else {}
    name = shown.map_name or ""
    if name not in titles:
        return
    said = st.segmented_control(
        f"The map {titles[name]} is · Alt 7 8 9",
        list(AGREEMENT_TITLES),
        default=draft.agreement.get(name),
        format_func=AGREEMENT_TITLES.__getitem__,
        key=f"agreement-{view.image.id}-{name}",
    )
    if said is None:
        draft.agreement.pop(name, None)
    else:
        draft.agreement[name] = said


def _verdicts(draft: Draft, image_id: int) -> None:
    columns = st.columns(2)
    for i, (verdict, key) in enumerate(VERDICT_KEYS.items()):
        with columns[i % 2]:
            st.button(
                verdict.capitalize(),
                type="primary" if draft.verdict == verdict else "secondary",
                shortcut=key,
                key=f"verdict-{verdict}-{image_id}",
                width="stretch",
                on_click=_take_verdict,
                args=(image_id, verdict),
            )


def _take_verdict(image_id: int, verdict: str) -> None:
    """Before the page run: one that a next key ends early would lose it."""
    draft = session().drafts.get(image_id)
    if draft is not None:
        draft.verdict = verdict
        session().problem = ""


def _save_buttons(context: Context, state: Session, case: OpenCase) -> None:
    view = case.view
    draft = state.drafts[view.image.id]
    following = state.neighbour(1)
    if view.unaided:
        _commit_button(context)
        return
    columns = st.columns([2, 1])
    # Callbacks, as for the steps: the page then runs once, for the next case.
    with columns[0]:
        st.button(
            f"{_save_word(view, draft)} and {'next' if following is not None else 'finish'}",
            type="primary",
            shortcut="Ctrl+Enter",
            key="save-onward",  # one button whatever it says: it may be pressed as that changes
            width="stretch",
            on_click=_save,
            args=(context, following, True),
        )
    with columns[1]:
        st.button(
            "Save",
            shortcut="Ctrl+S",
            key="save-stay",
            width="stretch",
            on_click=_save,
            args=(context, None, False),
        )


def _save_word(view: CaseView, draft: Draft) -> str:
    saved = view.read is not None and view.read.stage == "aided"
    return "Keep" if saved and draft.kept is None else "Save"


def _commit_button(context: Context) -> None:
    """The first verdict, after which the AI is shown."""
    st.button(
        "Save and show the AI",
        type="primary",
        shortcut="Ctrl+Enter",
        key="save-first",
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
    following = presence.free(context, following, 1)
    draft = _latest(state, view)
    if draft.verdict is None:  # the buttons wait for no page run after the verdict's key
        state.problem = "Choose a verdict first."
        return
    shown = _shown(case)
    # Who saw the AI only after the first verdict and keeps it says so by saving once more.
    seen = view.read is not None and view.read.stage == "aided"
    if view.read is not None and seen and not changed(case, draft, shown):
        state.drafts.pop(image_id, None)
        case.saved, state.problem = True, ""
        state.notice = (
            f"{view.image.label}: nothing has changed since revision {view.read.revision}."
        )
        state.finished = onward and following is None
        if following is not None:
            state.open(following)
        return
    try:
        saved = context.services.reading.save(
            context.reader,
            image_id,
            view.model.name,
            _submission(draft, shown, seconds=case.clock.tick()),
            unaided=state.unaided,
        )
    except DdadError as error:
        state.problem = str(error)
        return
    del state.drafts[image_id]
    case.saved, state.problem = True, ""
    if view.unaided:  # the same case again, with the AI
        state.notice = f"{view.image.label}: {saved.verdict} kept as your first verdict."
        return
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
        agreement=dict(draft.agreement),  # type: ignore[arg-type]  # of a control's own options
        rejected=shown.rejected,
    )


def step(context: Context, image_id: int | None, way: int = 0) -> None:
    """Open a neighbour, keeping what was typed a moment ago in the draft."""
    state = session()
    image_id = presence.free(context, image_id, way)
    if state.case is not None:
        shown = _shown(state.case)
        view = state.case.view
        if Action.READ in context.allowed:
            draft = _latest(state, view)
            with suppress(DdadError):  # what is wrong is told when the next case is opened
                keep(context, state.case, draft, shown)
    if image_id is not None:
        state.open(image_id)


def _shown(case: OpenCase) -> ViewerState:
    """What the viewer reported last, which the page has not taken yet in a callback."""
    shown = reported_state(widget_value(viewer_key(case.view.image.id), None), case.data)
    session().saw_map(shown.map_name)
    return shown


def _latest(state: Session, view: CaseView) -> Draft:
    """The draft with what the widgets hold now; callbacks run before the page takes it."""
    image_id = view.image.id
    draft = state.drafts.setdefault(image_id, saved_draft(view))
    draft.comment = widget_value(f"comment-{image_id}", draft.comment)
    draft.findings = widget_value(f"findings-{image_id}", draft.findings)
    draft.confidence = widget_value(f"confidence-{image_id}", draft.confidence)
    for verdict in VERDICT_KEYS:
        if widget_value(f"verdict-{verdict}-{image_id}", False):  # pressed a moment ago
            draft.verdict = verdict
    for layer in view.judgement.maps if view.judgement else ():
        said = draft.agreement.pop(layer.name, None)
        if said := widget_value(f"agreement-{image_id}-{layer.name}", said):
            draft.agreement[layer.name] = said
    return draft


def _last_saved(view: CaseView) -> None:
    if view.read is None:
        return
    st.caption(
        f"Saved as {view.read.verdict} on {local(view.read.saved_at)}, revision "
        f"{view.read.revision}. Saving again adds a revision and keeps this one."
    )
