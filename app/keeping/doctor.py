"""Looking at an installation from all sides. It changes nothing unless it is told to sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.gateways.anchor import AnchorFile
from app.keeping.check import Check
from app.keeping.checks_database import check_schema, check_sqlite
from app.keeping.checks_disk import check_file_system, check_home, check_room, check_secrecy
from app.keeping.checks_images import (
    Progress,
    check_files,
    check_leftovers,
    check_weights,
)
from app.keeping.checks_people import (
    check_accounts,
    check_audit,
    check_backups,
    check_retention,
)
from app.keeping.key_check import key_fault
from app.store.snapshot import sqlite_file
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import DdadError


@dataclass(frozen=True)
class Patient:
    """The installation that is looked at.

    Attributes:
        home: Its folder.
        database_url: Its database.
        key_file: Of its pseudonyms.
        weights: Folder of its models.
        retention_days: How long images are kept; None for ever.
        store: Opens the database.
    """

    home: Path
    database_url: str
    key_file: Path
    weights: Path
    retention_days: int | None
    store: Callable[[], UnitOfWork]


def examine(
    patient: Patient,
    *,
    deep: bool = False,
    sweep: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Iterator[Check]:
    """Every check, one after the other; what cannot be looked at is a fault.

    Args:
        patient: The installation.
        deep: Read every image file.
        sweep: Remove files that belong to no image.
        progress: Told how many image files are looked at.
    """
    home, url = patient.home, patient.database_url
    yield from _guarded("models", lambda: check_weights(patient.weights))
    homes = list(_guarded("home", lambda: check_home(home)))
    yield from homes
    if any(one.state == "fault" for one in homes):
        return
    yield from _guarded("disk", lambda: [check_room(home)])
    sqlite = sqlite_file(url)
    yield from _guarded("file system", lambda: [check_file_system(home, sqlite=sqlite is not None)])
    yield from _guarded("permissions", lambda: check_secrecy(home, patient.key_file))
    if sqlite is not None and not sqlite.is_file():
        mend = "Run `ddad-admin migrate` for a new one, or `ddad-admin restore FILE`."
        yield Check("database", "fault", f"{sqlite} is not there.", mend)
        return
    yield from _guarded("database", lambda: check_sqlite(url))
    schema = list(_guarded("schema", lambda: [check_schema(url)]))
    yield from schema
    if any(one.state == "fault" for one in schema):
        return
    store = patient.store()
    looks: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("key", lambda: [_key(store, patient.key_file)]),
        ("image files", lambda: [check_files(store, home, deep=deep, progress=progress)]),
        ("leftovers", lambda: [check_leftovers(store, home, sweep=sweep)]),
        ("audit trail", lambda: [check_audit(store, AnchorFile(home / "audit.anchor"))]),
        ("accounts", lambda: check_accounts(store)),
        ("backup", lambda: [check_backups(store)]),
        ("retention", lambda: [check_retention(store, patient.retention_days)]),
    )
    for name, look in looks:
        yield from _guarded(name, look)


def _guarded(name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    try:
        yield from look()
    except DdadError as error:
        yield Check(name, "fault", error.problem, error.next_step)
    except OSError as error:
        mend = "Check permissions and the disk."
        yield Check(name, "fault", f"cannot be looked at ({error.strerror or error}).", mend)


def _key(store: UnitOfWork, path: Path) -> Check:
    if fault := key_fault(store, path):
        mend = "Restore it from the last backup; never let a new one be made."
        return Check("key", "fault", f"{fault}.", mend)
    return Check("key", "ok", f"{path.name} goes with the database.")
