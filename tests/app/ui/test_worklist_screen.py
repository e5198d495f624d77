"""The worklist's controls: what each role is offered, and what stays after another screen."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from app.services.assigning import AssignmentOutcome
from app.services.people import PERMISSIONS, Action
from app.services.presence import OpenElsewhere
from app.services.worklist import Wish
from app.ui import presence
from app.ui.assigning import told
from app.ui.session import Session
from app.ui.worklist_filters import _shows, narrowed_by


@dataclass
class Offered:
    allowed: frozenset[Action]


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        ("reader", "All Unread Mine Read Flagged Warnings Disagreement"),
        ("arbiter", "All Unread Mine Read Flagged Warnings Disagreement Arbitration"),
        ("lead", "All Unread Mine Read Flagged Warnings Disagreement Arbitration"),
        ("auditor", "All Flagged Warnings Disagreement Arbitration"),
    ],
)
def test_each_role_is_offered_what_it_may_see(role, offered):
    context = Offered(PERMISSIONS[role])
    assert _shows(context, unaided=False) == [*offered.split(), "Audit sample"]
    assert "Flagged" not in _shows(context, unaided=True)


def test_stepping_on_passes_over_what_others_have_open():
    state = Session(order=(1, 2, 3, 4), image_id=2)
    assert (state.neighbour(1), state.neighbour(-1)) == (3, 1)
    state.taken = frozenset({3, 1})
    assert (state.neighbour(1), state.neighbour(-1)) == (4, None)
    state.taken = frozenset({3, 4})
    assert state.neighbour(1) is None


def test_a_case_taken_since_the_button_was_drawn_is_passed_over(monkeypatch):
    state = Session(order=(1, 2, 3), image_id=1)
    monkeypatch.setattr(presence, "session", lambda: state)
    service = SimpleNamespace(taken=lambda reader: frozenset({2}))
    context = SimpleNamespace(services=SimpleNamespace(presence=service), reader=None)
    assert presence.free(context, 2, 1) == 3
    assert presence.free(context, 2, 0) == 2  # asked for by name
    assert presence.free(context, None, 1) is None


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ([OpenElsewhere("Dr X", 0)], "<b>Dr X</b> just opened this case."),
        ([OpenElsewhere("Dr X", 1)], "has had this case open for 1 minute."),
        ([OpenElsewhere("Dr X", 3), OpenElsewhere("Y", 1)], "open for 3 minutes, and 1 more."),
        ([OpenElsewhere("<i>", 3)], "<b>&lt;i&gt;</b>"),
    ],
)
def test_the_banner_says_who_and_for_how_long(others, sentence):
    assert sentence in presence._sentence(others)


def test_an_assignment_is_told_with_all_that_happened():
    outcome = AssignmentOutcome(12, {"ana": 6, "ben": 6}, enough=1, nobody_left=2)
    assert told(outcome, {"ana": "Ana Ruiz"}) == (
        "12 cases assigned: Ana Ruiz 6, ben 6. 1 case had enough readers. "
        "2 cases left out: the chosen have read them."
    )
    assert told(AssignmentOutcome(0), {}) == "0 cases assigned."


def test_what_narrows_the_list_is_named():
    assert narrowed_by(Wish(search="pa", show="read")) == []
    wish = Wish(batch=1, within_days=7, assigned_to="", model="m")
    assert narrowed_by(wish) == ["batch", "model", "date", "reader"]
