from __future__ import annotations

import csv
import io
import random
import sqlite3
from pathlib import Path

import pytest

from app.gateways.anchor import AnchorFile
from app.services.access import Access
from app.services.audit import AuditService
from app.services.people import ForbiddenError, Person
from app.store.account_records import AuditFilter
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError

EVENTS = 30
AUDITOR = Person("olga", frozenset({"auditor"}))
COLUMNS = "id at actor actor_id action subject address before after reason previous hash".split()


class Trail:
    """A trail of events on SQLite, with its service."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "trail.sqlite"
        url = f"sqlite:///{self.path}"
        migrate(url)
        self.anchor = AnchorFile(folder / "audit.anchor")
        self.store = UnitOfWork(create_store_engine(url), anchor=self.anchor)
        self.service = AuditService(self.store, Access(self.store), self.anchor)
        for number in range(EVENTS):
            person = Person(f"reader{number % 3}", address=f"192.0.2.{number}")
            with self.store.writing() as repositories:
                repositories.audit.append(
                    person.did("view", f"image {number}", after={"n": number}, reason="x")
                )

    def tamper(self, statement: str, *values: object) -> int:
        connection = sqlite3.connect(self.path)
        for change in ("update", "delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS audit_events_no_{change}")
        try:
            changed = connection.execute(statement, values).rowcount
            connection.commit()
        except sqlite3.IntegrityError:
            changed = 0
        connection.close()
        return changed


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail(tmp_path)


def garbage(source: random.Random) -> object:
    return source.choice(
        [source.randint(-9, 10**6), source.random(), "", "x" * source.randint(1, 70),
         "2026-01-01 00:00:00.000000", '{"n": 1}', "[1]", source.randbytes(8), "0" * 64]
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_random_tampering_is_found(trail: Trail, seed: int) -> None:
    source = random.Random(seed)
    changed = 0
    while not changed:
        number = source.randint(1, EVENTS)
        kind = source.choice(["edit", "edit", "edit", "delete", "cut", "copy"])
        if kind == "edit":
            column = source.choice(COLUMNS)
            statement = f"UPDATE audit_events SET {column} = ? WHERE id = {number}"
            statement += f" AND {column} IS NOT ?"
            value = garbage(source)
            changed = trail.tamper(statement, value, value)
        elif kind == "delete":
            changed = trail.tamper(f"DELETE FROM audit_events WHERE id = {number}")
        elif kind == "cut":
            changed = trail.tamper(f"DELETE FROM audit_events WHERE id >= {number}")
        else:
            names = ", ".join(COLUMNS[1:])
            changed = trail.tamper(
                f"INSERT INTO audit_events (id, {names}) SELECT {EVENTS + 1}, {names} "
                f"FROM audit_events WHERE id = {number}"
            )
    assert not trail.service.verify(AUDITOR).intact


def test_an_untouched_trail_is_intact(trail: Trail) -> None:
    found = trail.service.verify(AUDITOR)
    assert found.intact and found.events == EVENTS


def test_pages_follow_each_other(trail: Trail) -> None:
    first = trail.service.page(AUDITOR, limit=12)
    second = trail.service.page(AUDITOR, before_id=first.events[-1].id, limit=100)
    assert [event.id for event in (*first.events, *second.events)] == list(range(EVENTS, 0, -1))
    assert first.total == EVENTS
    assert trail.service.actors(AUDITOR) == ("reader0", "reader1", "reader2")
    mine = trail.service.page(AUDITOR, AuditFilter(actor="reader1"))
    assert mine.total == 10 and {event.actor for event in mine.events} == {"reader1"}


def test_looking_leaves_no_event_but_taking_out_does(trail: Trail) -> None:
    trail.service.page(AUDITOR)
    trail.service.verify(AUDITOR)
    data = trail.service.export_csv(AUDITOR, AuditFilter(actor="reader2"))
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert len(rows) == 10 and {row["actor"] for row in rows} == {"reader2"}
    assert rows[0]["after"] == '{"n": 2}'
    newest = trail.service.page(AUDITOR, limit=1).events[0]
    assert (newest.id, newest.actor, newest.action) == (EVENTS + 1, "olga", "export")
    assert newest.after == {"rows": 10}


def test_a_formula_in_the_trail_is_no_formula_in_a_spreadsheet(trail: Trail) -> None:
    with trail.store.writing() as repositories:
        repositories.audit.append(Person("=cmd()").did("view", "@x", reason="-1"))
    text = trail.service.export_csv(AUDITOR).decode("utf-8-sig")
    assert "'=cmd()" in text and "'@x" in text and ",=cmd()" not in text


def test_accepting_needs_an_administrator_and_a_reason(trail: Trail) -> None:
    trail.tamper(f"DELETE FROM audit_events WHERE id = {EVENTS}")
    administrator = Person("adam", frozenset({"administrator"}))
    with pytest.raises(ForbiddenError):
        trail.service.accept(AUDITOR, "because")
    with pytest.raises(RequestError):
        trail.service.accept(administrator, "  ")
    assert not trail.service.verify(AUDITOR).intact
    trail.service.accept(administrator, "restored from Monday's backup")
    assert trail.service.verify(AUDITOR).intact
    newest = trail.service.page(AUDITOR, limit=1).events[0]
    assert newest.reason == "restored from Monday's backup"
    assert newest.before and "noted outside" in newest.before["faults"][0]
