"""Opening the database, with the settings that keep reads safe on SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from app.store.errors import StoreError

BUSY_TIMEOUT_SECONDS = 10.0

# Set on an engine or connection whose transactions only read.
READ_ONLY_OPTION = "ddad_read_only"


def create_store_engine(url: str, *, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> Engine:
    """Open the database at a URL; on SQLite, create the folder that holds it.

    Nothing is connected yet. On SQLite every transaction takes the write lock when it begins,
    unless the option ``READ_ONLY_OPTION`` is set: a transaction that reads first and writes
    later can otherwise fail as locked, whatever the timeout.

    Args:
        url: For instance "sqlite:////srv/ddad/ddad.db" or "postgresql://host/ddad".
        busy_timeout: Seconds to wait for another writer (SQLite).

    Raises:
        StoreError: The URL is not understood, its driver is missing, or the folder cannot be
            created.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _create_folder(parsed)
    try:
        # Parameters hold comments on patients: they must not reach a log through an exception.
        engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=_is_remote(parsed))
    except NoSuchModuleError:
        problem = f"Databases of the kind {parsed.drivername!r} are not supported."
        raise StoreError(problem, _URL_ADVICE) from None
    except ModuleNotFoundError as error:
        problem = f"The database driver {error.name!r} is not installed."
        raise StoreError(
            problem, "Install it, for instance: pip install 'psycopg[binary]'."
        ) from None
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, busy_timeout)
    return engine


def read_only(engine: Engine) -> Engine:
    """The same engine and pool, whose transactions can only read."""
    options: dict[str, Any] = {READ_ONLY_OPTION: True}
    if engine.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    return engine.execution_options(**options)


_URL_ADVICE = "Use sqlite:////path/to/file.db or postgresql://user:password@host/name."


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The URL may hold a password: it is not repeated.
        problem = "The database address is not a URL."
        raise StoreError(problem, _URL_ADVICE) from None
    # Hosting services hand out the older name of the same thing.
    if parsed.drivername == "postgres":
        parsed = parsed.set(drivername="postgresql")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        problem = "The database address names no file, and a database in memory keeps nothing."
        raise StoreError(problem, _URL_ADVICE)
    return parsed


def _is_remote(url: URL) -> bool:
    return url.get_backend_name() != "sqlite"


def _create_folder(url: URL) -> None:
    database = url.database or ""
    if database.startswith("file:"):  # SQLite's own URI form, used to open without writing
        return
    folder = Path(database).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        problem = f"The folder {folder} for the database cannot be created ({error.strerror})."
        raise StoreError(problem, "Choose a folder that the program may write to.") from error


def _prepare_sqlite(engine: Engine, busy_timeout: float) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # The driver would begin transactions by itself, too late and never IMMEDIATE.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {int(busy_timeout * 1000)}",  # first: the others may have to wait
            "foreign_keys = ON",
            # WAL has a corruption bug with several connections in SQLite 3.7.0 to 3.51.2.
            "journal_mode = DELETE",
            "synchronous = FULL",
            # Without it INSERT OR REPLACE removes rows past the append-only triggers.
            "recursive_triggers = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        reading = bool(connection.get_execution_options().get(READ_ONLY_OPTION, False))
        connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if reading else 'OFF'}")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
