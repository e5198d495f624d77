"""Settings on record: what differs from the last start, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.opening import open_store
from app.services.people import Person
from app.services.settings_record import record_settings
from app.settings import load_settings
from app.store.unit_of_work import UnitOfWork

SERVER = Person("app.serve")


@pytest.fixture
def store(tmp_path: Path) -> UnitOfWork:
    return open_store(load_settings({"DDAD_HOME": str(tmp_path / "home")}))


def events(store: UnitOfWork) -> list:
    with store.reading() as repositories:
        return list(repositories.audit.find())


def test_the_first_start_records_all_and_a_second_one_nothing(store: UnitOfWork) -> None:
    assert record_settings(store, SERVER, {"A": "1", "B": ""})
    assert not record_settings(store, SERVER, {"B": "", "A": "1"})
    (event,) = events(store)
    assert (event.actor, event.action, event.subject) == (
        "app.serve",
        "settings changed",
        "settings",
    )
    assert (event.before, event.after) == (None, {"A": "1", "B": ""})


def test_a_change_records_before_and_after_of_what_changed(store: UnitOfWork) -> None:
    record_settings(store, SERVER, {"A": "1", "B": "x", "OLD": "y"})
    assert record_settings(store, SERVER, {"A": "2", "B": "x", "NEW": "z"})
    newest = events(store)[0]
    assert newest.before == {"A": "1", "OLD": "y"}
    assert newest.after == {"A": "2", "NEW": "z"}


def test_no_secret_is_recorded() -> None:
    secret = "kettle-moss-41-violet"
    given = {"DDAD_DATABASE_URL": f"postgresql://a:{secret}@db/ddad"}
    assert secret not in repr(dict(load_settings(given).in_force))
