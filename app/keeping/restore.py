"""Putting a backup in place: everything is checked beside the home, then becomes the home."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.gateways.anchor import AnchorFile
from app.gateways.home_lock import LOCK_FILE, HomeLock
from app.keeping.key_check import key_fault
from app.keeping.manifest import ANCHOR, DATABASE, KEY, BackupError, Label, damaged
from app.keeping.reading import Contents, Progress, go_through
from app.keeping.sealing import Unseal
from app.services.people import Person
from app.store.audit_chain import Head, Verification, verify
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.snapshot import faults_of, row_counts
from app.store.unit_of_work import UnitOfWork
from ddad_core.lasting import to_disk

_SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Restored:
    """What was put in place.

    Attributes:
        contents: Of the backup.
        home: Where.
        upgraded: Whether the database had an older schema.
        faults: Of the audit trail as it was backed up; it is restored as it is.
        aside: Where the home is that was there before; None if there was none.
    """

    contents: Contents
    home: Path
    upgraded: bool
    faults: tuple[str, ...]
    aside: Path | None


def restore(
    path: Path,
    home: Path,
    person: Person,
    *,
    unseal: Unseal | None = None,
    replace: bool = False,
    progress: Progress = lambda _: None,
) -> Restored:
    """Make a home of a backup. The server must not run on that home.

    Args:
        path: The backup.
        home: The folder; empty or not there, unless it is to be replaced.
        person: Who asked for it.
        unseal: How the backup is opened.
        replace: Move what is there aside first; nothing of it is deleted.
        progress: Told of the bytes.

    Raises:
        BackupError: The home is not empty, the disk too full, or the backup damaged, incomplete
            or closed. The home is as it was.
        StoreError: The database in it is damaged or of a newer version. The home is as it was.
        OSError: The disk does not take it. The home is as it was.
    """
    occupied = home.exists() and any(one.name != LOCK_FILE for one in home.iterdir())
    if occupied and not replace:
        problem = f"{home} is not empty."
        raise BackupError(problem, "Give another folder by --into, or move it aside by --replace.")
    # A mounted folder cannot be renamed: its new content is then made inside of it.
    inside = home.exists() and (home.is_mount() or not os.access(home.parent, os.W_OK))
    parent = home if inside else home.parent
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_room(parent, path.stat().st_size)
    with _staging(parent) as staging:
        contents = go_through(
            path,
            unseal or Unseal(),
            into=staging,
            labelled=lambda label: _check_room(parent, label.content_bytes),
            progress=progress,
        )
        _check_database(staging, contents)
        upgraded, faults = _bring_up(staging, contents.label, person)
        os.sync()
        with HomeLock(home).held() if occupied else contextlib.nullcontext():
            aside = _put_in_place(staging, home, inside=inside, occupied=occupied)
    return Restored(contents, home, upgraded, faults, aside)


def _check_room(folder: Path, size: int) -> None:
    room = shutil.disk_usage(folder).free
    if room < size + _SPARE_BYTES:
        problem = f"Restoring takes {size / 1e6:.0f} MB, and {folder} has {room / 1e6:.0f}."
        raise BackupError(problem, "Make room there, or choose another folder by --into.")


@contextlib.contextmanager
def _staging(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=".restoring-"))  # mode 0700
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_database(staging: Path, contents: Contents) -> None:
    database = staging / DATABASE
    if faults := faults_of(database):
        raise damaged(why=f"its database has faults ({faults[0]})")
    if row_counts(database) != contents.manifest.rows:
        raise damaged(why="its database does not have the rows it should")


def _bring_up(staging: Path, label: Label, person: Person) -> tuple[bool, tuple[str, ...]]:
    """Bring the database to this version, check key and audit trail, put the restore on record."""
    url = f"sqlite:///{staging / DATABASE}"
    anchor = AnchorFile(staging / ANCHOR)
    upgraded = migrate(url, anchor=anchor, copy=False)  # the backup is the copy
    engine = create_store_engine(url)
    try:
        store = UnitOfWork(engine, anchor=anchor)
        if fault := key_fault(store, staging / KEY):
            raise damaged(why=fault)
        found = _verified(store, anchor)
        with store.writing() as repositories:
            after = {
                "backup of": label.made_at,
                "by": label.program,
                "schema": label.schema,
                "newest event": found.head.id,
                "faults": list(found.faults[:10]),
            }
            repositories.audit.append(person.did("restore", "installation", after=after))
    finally:
        engine.dispose()
    return upgraded, found.faults


def _verified(store: UnitOfWork, anchor: AnchorFile) -> Verification:
    noted = anchor.read()
    with store.reading() as repositories:
        found = verify(repositories.audit.iter_all(), [Head(*noted)] if noted else [])
    if noted is None and found.events:
        lost = "The note of the newest event, audit.anchor, was not in the backup."
        return Verification(found.events, found.head, (*found.faults, lost))
    return found


def _put_in_place(staging: Path, home: Path, *, inside: bool, occupied: bool) -> Path | None:
    """Make the staged folder the home; undo that where it cannot be finished."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    if inside:
        return _move_contents(staging, home, home / f"replaced-{stamp}" if occupied else None)
    aside: Path | None = None
    if home.exists():
        if occupied:
            aside = home.with_name(f"{home.name}.replaced-{stamp}")
            home.rename(aside)
        else:
            (home / LOCK_FILE).unlink(missing_ok=True)
            home.rmdir()
    try:
        staging.rename(home)
    except OSError:
        if aside is not None:
            aside.rename(home)
        raise
    to_disk(home.parent)
    return aside


def _move_contents(staging: Path, home: Path, aside: Path | None) -> Path | None:
    """Move one by one; the database, without which there is nothing, first out and last in."""
    moved: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        source.rename(target)
        moved.append((source, target))

    try:
        if aside is not None:
            aside.mkdir(mode=0o700)
            for one in sorted(home.iterdir(), key=lambda path: path.name != DATABASE):
                if one not in (staging, aside):
                    move(one, aside / one.name)
        for one in sorted(staging.iterdir(), key=lambda path: path.name == DATABASE):
            move(one, home / one.name)
    except OSError:
        for source, target in reversed(moved):
            target.rename(source)
        raise
    to_disk(home)
    return aside
