"""Several readers on one worklist: who is to read what, who settles, who has what open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.services.accounts import NewAccount
from app.services.container import Services
from app.services.intake import UPLOAD
from app.services.people import ForbiddenError, Person
from app.services.presence import ALIVE
from app.services.read_draft import ReadDraft
from app.services.worklist import NOBODY, Wish
from app.store.account_records import NewSession
from ddad_core.errors import RequestError
from ddad_core.imaging.sources import BytesSource
from tests.accounts import PASSWORD
from tests.databases import Databases

Draft = Callable[..., ReadDraft]
MODEL = "nih-ae-u"
ADMIN = Person.named("setting up")
LEAD = Person.named("lea", "lead")
ARBITER = Person.named("ari", "arbiter")
AUDITOR = Person.named("ira", "auditor")
ANA, BEN, CEM = (Person.named(name, "reader") for name in ("ana", "ben", "cem"))


@pytest.fixture
def team(loaded: Services) -> Services:
    """Three cases and four accounts."""
    for name in ("ana", "ben", "cem"):
        loaded.accounts.create(ADMIN, NewAccount(name, name.title(), ("reader",), PASSWORD))
    loaded.accounts.create(ADMIN, NewAccount("ada", "", ("administrator",), PASSWORD))
    return loaded


def two_readers(services: Services) -> None:
    """As DDAD_READERS_PER_CASE=2."""
    services.worklist.readers_per_case = services.assigning.readers_per_case = 2


def cases(services: Services, person: Person, show: str = "all", **wishes: object) -> list[int]:
    wish = Wish(show=show, sort="label", **wishes)  # type: ignore[arg-type]
    return [row.image_id for row in services.worklist.list(person, wish).rows]


def read(services: Services, person: Person, image_id: int, draft: ReadDraft) -> None:
    services.reading.save(person, image_id, MODEL, draft)


def test_cases_are_dealt_evenly_and_found_by_their_readers(team: Services) -> None:
    first, second, third = cases(team, LEAD)
    outcome = team.assigning.assign(LEAD, [first, second, third], ["ana", "ben"])
    assert (outcome.cases, dict(outcome.given)) == (3, {"ana": 2, "ben": 1})
    assert cases(team, ANA, "mine") == [first, third]
    assert cases(team, BEN, "mine") == [second]
    assert cases(team, CEM, "mine") == []
    assert cases(team, LEAD, assigned_to="ben") == [second]
    assert cases(team, LEAD, assigned_to=NOBODY) == []
    rows = {row.image_id: row for row in team.worklist.list(ANA).rows}
    assert [rows[one].assigned for one in (first, second)] == [("ana",), ("ben",)]
    assert [rows[one].offered for one in (first, second)] == [True, False]
    loads = {one.name: one.left for one in team.assigning.readers(LEAD)}
    assert loads == {"ana": 2, "ben": 1, "cem": 0, "lea": 0}  # not the administrator


def test_what_is_assigned_to_others_is_not_offered(team: Services) -> None:
    first, second, _ = cases(team, LEAD)
    team.assigning.assign(LEAD, [first], ["ben"])
    assert first not in cases(team, ANA, "unread") and second in cases(team, ANA, "unread")
    assert first in cases(team, BEN, "unread")
    assert team.worklist.list(ANA, Wish(sort="label")).first_unread == second
    assert team.worklist.list(ANA).unread == 2


def test_a_case_is_offered_to_two_readers_and_then_done(team: Services, draft: Draft) -> None:
    two_readers(team)
    first = cases(team, LEAD)[0]
    read(team, ANA, first, draft())
    assert first in cases(team, BEN, "unread")
    read(team, BEN, first, draft())
    assert first not in cases(team, CEM, "unread")
    assert first in cases(team, CEM)  # nobody is kept from looking
    assert team.worklist.without_readers(
        LEAD, Wish(sort="label"), readers_per_case=2, limit=9
    ) == tuple(cases(team, LEAD)[1:])


def test_who_has_read_a_case_counts_and_gets_it_not_again(team: Services, draft: Draft) -> None:
    two_readers(team)
    first, second, third = cases(team, LEAD)
    read(team, ANA, first, draft())
    read(team, ANA, second, draft())
    read(team, BEN, second, draft())
    outcome = team.assigning.assign(LEAD, [first, second, third], ["ana", "ben"])
    assert dict(outcome.given) == {"ben": 2, "ana": 1}
    assert (outcome.cases, outcome.enough, outcome.nobody_left) == (2, 1, 0)
    again = team.assigning.assign(LEAD, [first, third], ["ana", "ben"])
    assert (again.cases, again.enough) == (0, 2)
    alone = team.assigning.assign(LEAD, [first], ["ana"], readers_per_case=1)
    assert (alone.cases, alone.enough) == (0, 1)


def test_assignments_are_taken_back_but_not_what_is_read(team: Services, draft: Draft) -> None:
    first, second, third = cases(team, LEAD)
    team.assigning.assign(LEAD, [first, second, third], ["ana"])
    read(team, ANA, first, draft())
    assert team.assigning.take_back(LEAD, [first, second]) == {"ana": 1}
    assert cases(team, ANA, "mine") == [first, third]
    assert team.assigning.take_all_back(LEAD, "ana") == 1
    assert cases(team, ANA, "mine") == [first]
    events = team.audit.page(ADMIN, limit=20).events
    told = [(e.action, e.subject, e.before, e.after) for e in events if "assign" in e.action]
    assert told == [
        ("assignment taken back", "user ana", {"images": [third]}, None),
        ("assignment taken back", "user ana", {"images": [second]}, None),
        ("assignment", "user ana", None, {"images": [first, second, third]}),
    ]


@pytest.mark.parametrize(
    ("ids", "readers", "per_case", "told"),
    [
        ([], ["ana"], 1, "No case"),
        ([999], ["ana"], 1, "no case number 999"),
        ([1], ["ada"], 1, "ada cannot"),
        ([1], ["nobody"], 1, "nobody cannot"),
        ([1], ["ana"], 2, "2 must be chosen"),
        ([1], ["ana", "ben", "cem"], 3, "3 readers"),
    ],
)
def test_impossible_assignments_are_refused_and_leave_nothing(
    team: Services, ids: list[int], readers: list[str], per_case: int, told: str
) -> None:
    with pytest.raises(RequestError, match=told):
        team.assigning.assign(LEAD, ids, readers, readers_per_case=per_case)
    assert cases(team, LEAD, assigned_to=NOBODY) == cases(team, LEAD)


def test_an_arbiter_settles_what_readers_disagree_on(team: Services, draft: Draft) -> None:
    first, second, third = cases(team, LEAD)
    for image_id, verdict in ((first, "abnormal"), (second, "normal"), (third, "uncertain")):
        read(team, ANA, image_id, draft("normal"))
        read(team, BEN, image_id, draft(verdict))
    for person in (ARBITER, LEAD, AUDITOR):
        assert cases(team, person, "arbitration") == [first], person
    read(team, CEM, first, draft("normal"))  # no arbiter settles nothing
    assert cases(team, ARBITER, "arbitration") == [first]
    read(team, ARBITER, first, draft("abnormal"))
    assert cases(team, ARBITER, "arbitration") == []
    newest = team.audit.page(ADMIN, limit=1).events[0]
    assert (newest.action, newest.actor, newest.subject) == ("arbitration", "ari", f"image {first}")
    with team.access._store.reading() as repositories:
        (mine,) = repositories.reads.history(first, "ari")
        assert repositories.assignments.settled_by(first) == mine.id
    read(team, ARBITER, first, draft("normal"))  # an amendment settles nothing anew
    assert cases(team, LEAD, "arbitration") == []
    assert cases(team, LEAD, "disagreement") == [first]


def test_nobody_settles_a_disagreement_of_their_own(team: Services, draft: Draft) -> None:
    first = cases(team, LEAD)[0]
    read(team, ANA, first, draft("normal"))
    read(team, ARBITER, first, draft("abnormal"))
    assert cases(team, ARBITER, "arbitration") == []
    assert cases(team, LEAD, "arbitration") == [first]
    read(team, ARBITER, first, draft("abnormal", comment="sure"))
    assert cases(team, LEAD, "arbitration") == [first]
    read(team, Person.named("second", "arbiter"), first, draft("abnormal"))
    assert cases(team, LEAD, "arbitration") == []


def test_where_others_disagree_is_kept_from_who_has_not_read(team: Services, draft: Draft) -> None:
    first = cases(team, LEAD)[0]
    read(team, ANA, first, draft("normal"))
    read(team, BEN, first, draft("abnormal"))
    assert cases(team, CEM, "disagreement") == []
    with pytest.raises(ForbiddenError):
        cases(team, CEM, "arbitration")
    for person in (ANA, BEN, ARBITER, LEAD, AUDITOR):
        assert cases(team, person, "disagreement") == [first]
    read(team, CEM, first, draft("normal"))
    assert cases(team, CEM, "disagreement") == [first]


def test_batches_filter_what_came_in_together(
    team: Services, small_png: Callable[[int], bytes]
) -> None:
    def bring(name: str, *seeds: int) -> list[int | None]:
        pairs = [(BytesSource(f"{n}.png", small_png(n)), UPLOAD) for n in seeds]
        return [one.image_id for one in team.intake.take_many(ANA, pairs, name)]

    night = bring("  Night   shift ", 1, 2)
    day = bring("Day", 3)
    more = bring("Night shift", 2, 4)  # one of them is here already
    bring("Nothing new", 3)
    assert more[0] == night[1]
    batches = team.saved_views.batches(BEN)
    assert [(one.name, one.cases, one.added_by) for one in batches] == [
        ("Day", 1, "ana"),
        ("Night shift", 3, "ana"),
    ]
    assert sorted(cases(team, BEN, batch=batches[1].id)) == sorted({*night, more[1]})
    assert cases(team, BEN, batch=batches[0].id) == day
    assert len(cases(team, BEN, origin="gallery")) == 3
    assert len(cases(team, BEN, origin="upload")) == 4
    with pytest.raises(RequestError, match="80"):
        bring("x" * 81, 9)


def test_days_filter_by_when_cases_came(
    team: Services, databases: Databases, loaded_home: Path
) -> None:
    first = cases(team, ANA)[0]
    old = datetime.now(UTC) - timedelta(days=6)
    at = f"{old:%Y-%m-%d %H:%M:%S}"
    databases.query(loaded_home, f"UPDATE images SET added_at = '{at}' WHERE id = {first}")
    assert first not in cases(team, ANA, within_days=1)
    assert first in cases(team, ANA, within_days=7)


def test_the_day_counts_what_was_read_and_what_is_left(team: Services, draft: Draft) -> None:
    first, second, third = cases(team, LEAD)
    morning = datetime.now(UTC) - timedelta(minutes=1)
    assert vars(team.progress.day(ANA, morning)) == {"read": 0, "left": 0, "median_seconds": None}
    team.assigning.assign(LEAD, [first, third], ["ana"])
    read(team, ANA, first, draft(seconds=10.0))
    read(team, ANA, second, draft(seconds=30.0))
    read(team, ANA, second, draft("abnormal", seconds=500.0))  # the same case, amended
    read(team, BEN, third, draft(seconds=1.0))
    assert vars(team.progress.day(ANA, morning)) == {"read": 2, "left": 1, "median_seconds": 20.0}
    later = team.progress.day(ANA, datetime.now(UTC) + timedelta(minutes=1))
    assert (later.read, later.left, later.median_seconds) == (0, 1, None)


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.at = datetime(2030, 1, 1, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, **time: float) -> None:
        self.at += timedelta(**time)


@pytest.fixture
def clock(team: Services) -> Clock:
    """The clock of the store that the services share."""
    found = Clock()
    team.access._store._now = found
    return found


def test_who_opens_a_case_second_is_told(team: Services, clock: Clock) -> None:
    first, second, _ = cases(team, LEAD)
    assert team.presence.open(ANA, "a", first) == ()
    clock.pass_(seconds=50)
    team.presence.open(ANA, "a", first)
    clock.pass_(seconds=80)
    (told,) = team.presence.open(BEN, "b", first)
    assert (told.name, told.minutes) == ("Ana", 2)
    assert team.presence.open(ANA, "a", first) == ()  # who was first is left in peace
    assert team.presence.taken(BEN) == team.presence.taken(CEM) == {first}
    rows = {row.image_id: row.open_by for row in team.worklist.list(CEM).rows}
    assert rows[first] == ("Ana", "Ben") and rows[second] == ()
    team.presence.leave(ANA, "a")
    assert team.presence.open(BEN, "b", first) == ()
    team.presence.open(BEN, "b", second)  # a tab has one case open
    assert team.presence.taken(CEM) == {second}


def test_the_first_case_to_read_is_one_that_nobody_has_open(team: Services) -> None:
    first, second, _ = cases(team, LEAD)
    team.presence.open(ANA, "a", first)
    for limit in (3, 1):
        found = team.worklist.list(BEN, Wish(sort="label"), limit=limit)
        assert found.first_unread == second
    assert team.worklist.list(ANA, Wish(sort="label")).first_unread == first


def test_a_tab_without_a_sign_of_life_is_forgotten(team: Services, clock: Clock) -> None:
    first = cases(team, LEAD)[0]
    team.presence.open(ANA, "a", first)
    clock.pass_(seconds=ALIVE.total_seconds() - 1)
    assert team.presence.taken(BEN) == {first}
    clock.pass_(seconds=2)
    assert team.presence.taken(BEN) == frozenset() and team.presence.open(BEN, "b", first) == ()
    (told,) = team.presence.open(ANA, "a", first)  # back at a laptop that slept
    assert told.name == "Ben"


def test_a_session_that_ended_has_nothing_open(team: Services, clock: Clock) -> None:
    first = cases(team, LEAD)[0]
    with team.access._store.writing() as repositories:
        user = repositories.users.by_name("ana")
        assert user
        new = NewSession(token_sha256="c" * 64, user_id=user.id, address="", method="password")
        opened = repositories.sessions.open(new)
    ana = replace(ANA, session_id=opened.id)
    team.presence.open(ana, "a", first)
    assert team.presence.taken(BEN) == {first}
    with team.access._store.writing() as repositories:
        repositories.sessions.end(opened.id, "sign-out")
    assert team.presence.taken(BEN) == frozenset()


def test_an_auditor_takes_no_case_from_a_reader(team: Services) -> None:
    first = cases(team, LEAD)[0]
    assert team.presence.open(AUDITOR, "x", first) == ()
    assert team.presence.taken(BEN) == frozenset()
    with pytest.raises(RequestError, match="no case number 99"):
        team.presence.open(ANA, "a", 99)


def test_a_saved_view_gives_the_wish_back(team: Services) -> None:
    since = datetime(2030, 1, 1, tzinfo=UTC)
    wish = Wish(
        show="unread", sort="random", seed=7, search="pa", model=MODEL, since=since, batch=3,
        origin="upload", assigned_to=NOBODY,
    )  # fmt: skip
    assert team.saved_views.save(ANA, " My   view ", replace(wish, unaided=True)) is False
    (view,) = team.saved_views.offered(ANA)
    assert (view.name, view.wish, view.owner, view.shared, view.mine) == (
        "My view", wish, "ana", False, True,
    )  # fmt: skip
    assert team.saved_views.offered(BEN) == ()
    assert team.saved_views.save(ANA, "My view", Wish(within_days=7)) is True
    assert [one.wish for one in team.saved_views.offered(ANA)] == [Wish(within_days=7)]


def test_a_lead_shares_views_that_only_leads_change(team: Services) -> None:
    team.saved_views.save(LEAD, "Everybody's", Wish(show="flagged"), shared=True)
    with pytest.raises(ForbiddenError):
        team.saved_views.save(ANA, "Mine", Wish(), shared=True)
    (view,) = team.saved_views.offered(ANA)
    assert (view.name, view.owner, view.mine) == ("Everybody's", "lea", False)
    for act in (
        lambda: team.saved_views.rename(ANA, view.id, "x"),
        lambda: team.saved_views.delete(ANA, view.id),
    ):
        with pytest.raises(RequestError, match="no such view"):
            act()
    team.saved_views.rename(Person.named("second lead", "lead"), view.id, "Ours")
    assert [one.name for one in team.saved_views.offered(ANA)] == ["Ours"]
    team.saved_views.delete(LEAD, view.id)
    assert team.saved_views.offered(ANA) == ()


def test_names_of_views_are_checked_and_one_of_a_kind(team: Services) -> None:
    for wrong in ("", "  ", "x" * 61, "a\x00b"):
        with pytest.raises(RequestError, match="name of a view"):
            team.saved_views.save(ANA, wrong, Wish())
    team.saved_views.save(ANA, "one", Wish())
    team.saved_views.save(ANA, "two", Wish())
    two = next(one for one in team.saved_views.offered(ANA) if one.name == "two")
    with pytest.raises(RequestError, match="already"):
        team.saved_views.rename(ANA, two.id, "one")
    team.saved_views.rename(ANA, two.id, "two")


def test_a_view_of_another_version_shows_what_is_understood(team: Services) -> None:
    with team.access._store.writing() as repositories:
        kept = {"show": "by moonlight", "sort": "newest", "moon": 3}
        repositories.saved_views.add("ana", "old", kept, shared=False)
    (view,) = team.saved_views.offered(ANA)
    assert view.wish == Wish(sort="newest")
