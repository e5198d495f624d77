"""What the worklist is asked for: the controls above the list, as one wish."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import streamlit as st

from app.services.people import Action
from app.services.worklist import BY_SCORE, NOBODY, SEEDS, Show, Sort, Wish
from app.ui.context import Context
from app.ui.days import start_of, today, zone
from app.ui.saved_views import views_menu
from app.ui.session import Session, session

SHOW: dict[str, Show] = {
    "All": "all",
    "Unread": "unread",
    "Mine": "mine",
    "Read": "read",
    "Flagged": "flagged",
    "Warnings": "warned",
    "Disagreement": "disagreement",
    "Arbitration": "arbitration",
    "Audit sample": "sample",
}
SHOW_HELP = (
    "Unread: waiting for a read of yours. Mine: assigned to you. Disagreement: called normal by "
    "one reader, abnormal by another; for readers once they have read it. Arbitration: "
    "disagreements that wait to be settled. Audit sample: drawn by chance, to be read whatever "
    "the AI says."
)
SORT: dict[str, Sort] = {
    "Highest score": "score",
    "Nearest to threshold": "uncertainty",
    "Newest": "newest",
    "Oldest": "oldest",
    "Name": "label",
    "Random sample": "random",
}
DAYS = {1: "Last 24 hours", 7: "Last 7 days", 30: "Last 30 days"}
BETWEEN = "Between two days"


@dataclass(frozen=True)
class Asked:
    """What the controls say.

    Attributes:
        wish: Which cases, in which order.
        start: Whether "Start reading" was pressed; the button waits for what there is to read.
    """

    wish: Wish
    start: Any


def filters(context: Context, *, unaided: bool) -> Asked:
    """Draw the controls, and say what they ask for."""
    state = session()
    preset = state.preset
    # A view that was chosen, and coming back, put their values into new widgets.
    suffix = f"-{state.views}" if state.views else ""
    hidden = f"-unaided{suffix}" if unaided else suffix
    shows = _shows(context, unaided=unaided)
    sorts = [name for name in SORT if not (unaided and SORT[name] in BY_SCORE)]
    with st.container(key="worklist-controls"):  # two rows where it is narrow: style.css
        row = st.columns([7.4, 1.75, 1.6, 1.1, 1.05, 1.5], vertical_alignment="bottom")
    with row[0]:
        chosen = st.segmented_control(
            "Show",
            shows,
            default=_name_of(SHOW, preset.show, shows),
            required=True,
            key=f"worklist-show{hidden}",
            help=SHOW_HELP,
        )
    with row[1]:
        first = sorts.index(_name_of(SORT, preset.sort, sorts))
        sort = SORT[st.selectbox("Sort", sorts, index=first, key=f"worklist-sort{hidden}")]
    with row[2]:
        search = st.text_input(
            "Search",
            value=preset.search,
            placeholder="Name, view, verdict",
            key=f"worklist-search{suffix}",
        )
    with row[3]:
        narrowed = _narrowed(context, preset, suffix)
    wish = replace(
        narrowed,
        show=SHOW[chosen],
        sort=sort,
        search=search,
        seed=_seed(state, sort, suffix),
        unaided=unaided,
    )
    with row[4]:
        views_menu(context, wish)
    return Asked(wish, row[5])


def narrowed_by(wish: Wish) -> list[str]:
    """What narrows the list beyond what it shows and searches for, in words."""
    filters_set = {
        "batch": wish.batch is not None or wish.origin is not None,
        "model": wish.model is not None,
        "date": (wish.since, wish.until, wish.within_days) != (None, None, None),
        "reader": wish.assigned_to is not None,
    }
    return [name for name, is_set in filters_set.items() if is_set]


def _shows(context: Context, *, unaided: bool) -> list[str]:
    left_out: set[Show] = set()
    if unaided:
        left_out.add("flagged")
    if Action.READ not in context.allowed:
        left_out |= {"unread", "mine", "read"}
    if Action.SEE_DISAGREEMENTS not in context.allowed:
        left_out.add("arbitration")
    return [name for name, show in SHOW.items() if show not in left_out]


def _name_of(choices: dict[str, Any], value: str, offered: list[str]) -> str:
    return next((name for name in offered if choices[name] == value), offered[0])


def _seed(state: Session, sort: Sort, suffix: str) -> int:
    """Of the random order: drawn once a session, and told, so that it can be drawn again."""
    if sort != "random":
        return 0
    kept = state.preset.seed if state.preset.sort == "random" else state.seed
    return int(
        st.number_input(
            "Sample",
            min_value=0,
            max_value=SEEDS - 1,
            value=kept,
            key=f"worklist-seed{suffix}",
            help="The same number draws the same order for everybody",
        )
    )


def _narrowed(context: Context, preset: Wish, suffix: str) -> Wish:
    """The filters in the menu."""
    with st.popover("Filters", width="stretch"):
        source = _source(context, preset, suffix)
        model = _model(context, preset, suffix)
        dates = _dates(preset, suffix)
        assigned_to = _assigned_to(context, preset, suffix)
        st.button("Clear filters", key=f"worklist-clear{suffix}", on_click=_clear)
    return replace(Wish(), model=model, assigned_to=assigned_to, **source, **dates)


def _clear() -> None:
    state = session()
    nothing = Wish()
    state.preset = replace(
        state.wish,
        model=None,
        since=None,
        until=None,
        within_days=None,
        batch=None,
        origin=nothing.origin,
        assigned_to=None,
    )
    state.views += 1


def _source(context: Context, preset: Wish, suffix: str) -> dict[str, Any]:
    options: dict[str, dict[str, Any]] = {
        "All cases": {},
        "Gallery": {"origin": "gallery"},
        "All uploads": {"origin": "upload"},
    }
    for batch in context.services.saved_views.batches(context.reader):
        name = batch.name if batch.name not in options else f"{batch.name}, the batch"
        options[name] = {"batch": batch.id}
    now = {"batch": preset.batch} if preset.batch is not None else {"origin": preset.origin}
    return options[_select("Batch", options, now, f"worklist-batch{suffix}")]


def _model(context: Context, preset: Wish, suffix: str) -> str | None:
    options: dict[str, str | None] = {"Any model": None}
    options |= {one.title: one.name for one in context.services.models.summaries()}
    return options[_select("Model", options, preset.model, f"worklist-model{suffix}")]


def _dates(preset: Wish, suffix: str) -> dict[str, Any]:
    options: dict[str, Any] = {"Any time": None}
    options |= {name: days for days, name in DAYS.items()}
    between = preset.since is not None or preset.until is not None
    options[BETWEEN] = BETWEEN
    now = BETWEEN if between else preset.within_days
    chosen = options[_select("Added", options, now, f"worklist-added{suffix}")]
    if chosen != BETWEEN:
        return {"within_days": chosen}
    first, last = st.columns(2)
    since = first.date_input(
        "From", value=_day(preset.since) or today(), key=f"worklist-from{suffix}"
    )
    until = last.date_input(
        "To", value=_day(preset.until, -1) or today(), key=f"worklist-to{suffix}"
    )
    return {"since": start_of(since), "until": start_of(until + timedelta(days=1))}


def _day(at: datetime | None, shift: int = 0) -> date | None:
    return None if at is None else at.astimezone(zone()).date() + timedelta(days=shift)


def _assigned_to(context: Context, preset: Wish, suffix: str) -> str | None:
    if Action.ASSIGN not in context.allowed:
        return None
    options: dict[str, str | None] = {"Anybody or nobody": None, "Nobody": NOBODY}
    for one in context.services.assigning.readers(context.reader):
        options[f"{one.full_name} ({one.name})"] = one.name
    key = f"worklist-assigned{suffix}"
    return options[_select("Assigned to", options, preset.assigned_to, key)]


def _select(label: str, options: dict[str, Any], now: Any, key: str) -> str:
    names = list(options)
    index = next((i for i, name in enumerate(names) if options[name] == now), 0)
    return st.selectbox(label, names, index=index, key=key)
