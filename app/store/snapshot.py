"""The whole database as one SQLite file, taken while others write."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from app.store.engine import BUSY_TIMEOUT_SECONDS, create_store_engine
from app.store.errors import StoreError, as_store_error, driver_error

HOLD_SECONDS = BUSY_TIMEOUT_SECONDS / 2
"""How long writers are held up at most: they wait twice as long before they give up."""

_ATTEMPTS = 3  # each finds more of the file in memory than the one before
_PAGES_AT_ONCE = 2000


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None of any other."""
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def take_snapshot(url: str, folder: Path, *, hold_seconds: float = HOLD_SECONDS) -> Path:
    """One consistent state of the database as a compact SQLite file of our schema.

    Sessions are left out: nobody is signed in where it is restored. Nothing of deleted rows is
    in it, for it is written anew row by row.

    Args:
        url: Of the database, at this version's schema where it is PostgreSQL.
        folder: An empty one, for this and what comes before it.
        hold_seconds: How long a writer of SQLite may be held up.

    Raises:
        StoreError: The database cannot be read or is damaged, the disk is full, or copying
            takes longer than writers may be held up.
    """
    raw, compact = folder / "raw.sqlite", folder / "ddad.sqlite"
    source = sqlite_file(url)
    if source is None:
        _copy_rows(url, raw)
    else:
        copy_sqlite(source, raw, hold_seconds=hold_seconds)
    with _words(), closing(sqlite3.connect(raw, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        if "sessions" in tables_of(connection):
            connection.execute("DELETE FROM sessions")
        connection.execute("VACUUM INTO ?", (str(compact),))
    raw.unlink()
    return compact


def copy_sqlite(source: Path, target: Path, *, hold_seconds: float = HOLD_SECONDS) -> None:
    """Copy a database page by page under one read lock, so that it is one state.

    Writers may prepare their change meanwhile, but not finish it.

    Args:
        source: The database; others may use it.
        target: The copy; readable by its owner alone.
        hold_seconds: When to let go, before a writer gives up.

    Raises:
        StoreError: It takes longer than that, the database cannot be read, or the disk is full.
            There is no target then.
    """
    if not source.is_file():
        problem = f"There is no database {source}."
        raise StoreError(problem, "Check DDAD_HOME and DDAD_DATABASE_URL.")
    for _ in range(_ATTEMPTS):
        target.unlink(missing_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        done = False
        try:
            with _words():
                done = _copied(source, target, hold_seconds)
        finally:
            if not done:
                target.unlink(missing_ok=True)
        if done:
            return
    problem = (
        f"Copying the database takes more than {hold_seconds:g} s, and whoever saves a read "
        "meanwhile would be told that it is busy."
    )
    raise StoreError(problem, "Stop the server, then allow more with --hold SECONDS.")


class _LateError(Exception):
    pass


def _copied(source: Path, target: Path, hold_seconds: float) -> bool:
    """Whether it was done in time."""
    with (
        closing(_connect(source)) as reading,
        closing(sqlite3.connect(target, isolation_level=None)) as writing,
    ):
        writing.execute("PRAGMA journal_mode = OFF")
        writing.execute("PRAGMA synchronous = OFF")  # whoever keeps the copy waits for the disk
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()  # takes the lock
        latest = time.monotonic() + hold_seconds

        def stop_when_late(_status: int, remaining: int, _total: int) -> None:
            if remaining and time.monotonic() > latest:
                raise _LateError

        try:
            reading.backup(writing, pages=_PAGES_AT_ONCE, progress=stop_when_late)
        except _LateError:
            return False
        return True


def _connect(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri() + "?mode=rw"  # never creates one; rw, to undo a dead write
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)


def _copy_rows(url: str, target: Path) -> None:
    from app.store.copying import copy_rows  # noqa: PLC0415 - it imports the migrations' module
    from app.store.migrate import migrate  # noqa: PLC0415

    target_url = f"sqlite:///{target}"
    migrate(target_url)
    source, copy = create_store_engine(url), create_store_engine(target_url)
    one_state = source.execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    )
    try:
        with one_state.connect() as reading, copy.begin() as writing:
            copy_rows(reading, writing)
    except SQLAlchemyError as error:
        raise as_store_error(error) from error
    finally:
        source.dispose()
        copy.dispose()


def faults_of(path: Path, *, quick: bool = False) -> list[str]:
    """What SQLite finds wrong with a database file; empty if nothing is.

    That is its structure, and rows without what they refer to.

    Raises:
        StoreError: It cannot be read at all.
    """
    check = "quick_check" if quick else "integrity_check"
    with _words(), closing(_connect(path)) as connection:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(20)")]
        faults = [] if found == ["ok"] else found
        broken = connection.execute("PRAGMA foreign_key_check").fetchmany(20)
        return faults + [f"{row[0]} row {row[1]} refers to no row of {row[2]}" for row in broken]


def journal_mode(path: Path) -> str:
    """How a SQLite file keeps its journal, for instance "delete".

    Raises:
        StoreError: The file cannot be read.
    """
    with _words(), closing(_connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def row_counts(path: Path) -> dict[str, int]:
    """Rows by table, those of SQLite itself and Alembic apart.

    Raises:
        StoreError: The file cannot be read.
    """
    with _words(), closing(_connect(path)) as connection:
        return {
            name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608
            for name in tables_of(connection)
        }


def revision_of(path: Path) -> str | None:
    """Revision of the schema in a SQLite file; None if it has none.

    Raises:
        StoreError: The file cannot be read.
    """
    with _words(), closing(_connect(path)) as connection:
        found = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
        ).fetchone()[0]
        if not found:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])


def image_files(path: Path) -> list[tuple[str, str]]:
    """SHA-256 and kind ("png" or "dicom") of every image in a snapshot.

    Raises:
        StoreError: The file cannot be read.
    """
    with _words(), closing(_connect(path)) as connection:
        rows = connection.execute("SELECT sha256, stored_as FROM images ORDER BY id")
        return [(str(sha256), str(kind)) for sha256, kind in rows]


def tables_of(connection: sqlite3.Connection) -> list[str]:
    """Names of our tables in a SQLite file."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [n for (n,) in names if not n.startswith("sqlite_") and n != "alembic_version"]


@contextlib.contextmanager
def _words() -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise as_store_error(driver_error(error)) from error
