from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from app.gateways.anchor import AnchorFile
from app.store.account_records import AuditFilter, NewAuditEvent
from app.store.audit_chain import EMPTY, Head, Verification, verify
from app.store.engine import create_store_engine
from app.store.unit_of_work import UnitOfWork
from tests.databases import Databases

EVENTS = 40


def event(number: int, **values: object) -> NewAuditEvent:
    common = {"actor": f"reader{number % 3}", "actor_id": number % 3, "action": "view"}
    return NewAuditEvent(**common | {"subject": f"image {number}", "after": {"n": number}} | values)  # type: ignore[arg-type]


class Chain:
    """A database with events, and its anchor."""

    def __init__(self, databases: Databases, folder: Path) -> None:
        self.databases = databases
        self.folder = folder
        self.anchor = AnchorFile(folder / "audit.anchor")
        engine = create_store_engine(databases.url(folder))
        self.store = UnitOfWork(engine, anchor=self.anchor)

    def append(self, *events: NewAuditEvent) -> None:
        for one in events:
            with self.store.writing() as repositories:
                repositories.audit.append(one)

    def verify(self) -> Verification:
        noted = self.anchor.read()
        with self.store.reading() as repositories:
            return verify(
                repositories.audit.iter_all(), [Head(*noted)] if noted is not None else []
            )

    def tamper(self, *statements: str) -> None:
        unguard = {
            "sqlite": [f"DROP TRIGGER IF EXISTS audit_events_no_{c}" for c in ("update", "delete")],
            "postgresql": ["ALTER TABLE audit_events DISABLE TRIGGER USER"],
        }
        for statement in (*unguard[self.databases.kind], *statements):
            self.databases.query(self.folder, statement)


@pytest.fixture
def chain(databases: Databases, tmp_path: Path) -> Chain:
    found = Chain(databases, tmp_path)
    found.append(*(event(number) for number in range(1, EVENTS + 1)))
    return found


def test_an_untouched_chain_is_intact(chain: Chain) -> None:
    found = chain.verify()
    assert found.intact and found.events == EVENTS
    assert chain.anchor.read() == (found.head.id, found.head.hash)
    assert found.head.id == EVENTS


TAMPERINGS = {
    **{
        f"edit of {column}": f"UPDATE audit_events SET {column} = {value} WHERE id = {{n}}"
        for column, value in {
            "at": "(SELECT at FROM audit_events WHERE id = 1 + {n} % 40)",
            "actor": "'someone'",
            "actor_id": "77",
            "action": "'verdict'",
            "subject": "'image 0'",
            "address": "'198.51.100.9'",
            "before": "'{\"a\": 1}'",
            "after": "'{}'",
            "reason": "'because'",
            "hash": "replace(hash, substr(hash, 1, 1), 'x')",
            "previous": "replace(previous, substr(previous, 1, 1), 'x')",
        }.items()
    },
    "deletion": "DELETE FROM audit_events WHERE id = {n}",
    "truncation": "DELETE FROM audit_events WHERE id >= {n}",
    "truncation of the start": "DELETE FROM audit_events WHERE id <= {n}",
    "emptying": "DELETE FROM audit_events",
    "renumbering": "UPDATE audit_events SET id = id + 1000 WHERE id = {n}",
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_every_tampering_is_found(chain: Chain, name: str) -> None:
    chain.tamper(TAMPERINGS[name].replace("{n}", str(random.Random(name).randint(1, EVENTS))))
    assert not chain.verify().intact
    chain.append(event(99))  # and life that goes on does not cover it up
    assert not chain.verify().intact


def test_a_swap_and_an_insertion_are_found(chain: Chain) -> None:
    chain.tamper(
        "UPDATE audit_events SET id = 1000 WHERE id = 5",
        "UPDATE audit_events SET id = 5 WHERE id = 6",
        "UPDATE audit_events SET id = 6 WHERE id = 1000",
    )
    assert not chain.verify().intact


def test_a_chain_that_was_computed_anew_is_found_by_its_anchor(
    chain: Chain, tmp_path: Path
) -> None:
    forged = Chain(chain.databases, tmp_path / "forged")
    forged.append(*(event(number) for number in range(1, EVENTS)), event(EVENTS, actor="else"))
    noted = chain.anchor.read()
    assert noted
    with forged.store.reading() as repositories:
        assert verify(repositories.audit.iter_all()).intact
        assert not verify(repositories.audit.iter_all(), [Head(*noted)]).intact


def test_a_lost_anchor_is_not_made_anew_by_the_next_event(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "audit.anchor").unlink()
    chain.append(event(1))
    assert chain.anchor.read() is None


def test_an_act_that_is_undone_leaves_no_event(chain: Chain) -> None:
    with pytest.raises(RuntimeError), chain.store.writing() as repositories:
        repositories.audit.append(event(1))
        raise RuntimeError
    found = chain.verify()
    assert found.intact and found.events == EVENTS


def test_events_of_one_unit_are_linked_and_the_last_one_is_noted(
    databases: Databases, tmp_path: Path
) -> None:
    chain = Chain(databases, tmp_path)
    with chain.store.writing() as repositories:
        first = repositories.audit.append(event(1))
        second = repositories.audit.append(event(2))
    assert (first.id, first.previous) == (EMPTY.id + 1, EMPTY.hash)
    assert (second.id, second.previous) == (2, first.hash)
    assert chain.anchor.read() == (2, second.hash)


def test_text_that_a_database_would_not_give_back_is_stored_as_it_does(chain: Chain) -> None:
    odd = "a\x00b\ud800c \U0001f600 é"
    chain.append(event(1, subject=odd, reason=odd, after={odd: [odd, 1.5, {"x": odd}], "n": None}))
    found = chain.verify()
    assert found.intact, found.faults
    with chain.store.reading() as repositories:
        (newest, *_) = repositories.audit.find()
    assert newest.subject == "a\ufffdb\ufffdc \U0001f600 é"
    assert json.dumps(newest.after, sort_keys=True).count("\\ufffd") == 6


def test_events_are_found_by_what_is_asked(chain: Chain) -> None:
    chain.append(event(1, action="export", subject="all tables", actor="zoe"))
    with chain.store.reading() as repositories:
        audit = repositories.audit
        assert audit.actors() == ["reader0", "reader1", "reader2", "zoe"]
        assert [e.subject for e in audit.find(AuditFilter(actor="zoe"))] == ["all tables"]
        assert audit.count(AuditFilter(actions=("view",))) == EVENTS
        page = audit.find(limit=7)
        rest = audit.find(before_id=page[-1].id, limit=1000)
        assert [e.id for e in (*page, *rest)] == list(range(EVENTS + 1, 0, -1))
        middle = rest[10].at
        earlier = audit.count(AuditFilter(until=middle))
        assert earlier + audit.count(AuditFilter(since=middle)) == EVENTS + 1
        assert [e.id for e in audit.iter_all(AuditFilter(subject="image 7"))] == [7]


def test_an_anchor_that_cannot_be_written_does_not_undo_the_act(
    databases: Databases, tmp_path: Path
) -> None:
    (tmp_path / "audit.anchor").mkdir()
    chain = Chain(databases, tmp_path)
    chain.append(event(1))
    with chain.store.reading() as repositories:
        assert repositories.audit.count() == 1
