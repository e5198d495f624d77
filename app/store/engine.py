"""Opening the database, with the settings that keep reads safe on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from app.store.errors import StoreError

BUSY_TIMEOUT_SECONDS = 10.0

# Any number will do as long as every process of this program uses the same.
_WRITE_LOCK = 0x44444156

# What libpq is told where the URL says nothing: a server that is gone is noticed in seconds.
_POSTGRESQL_DEFAULTS = {
    "application_name": "ddad-review",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

# Set on an engine or connection whose transactions only read.
READ_ONLY_OPTION = "ddad_read_only"


_queues: dict[str, threading.Lock] = {}
_queues_lock = threading.Lock()


def create_store_engine(url: str, *, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> Engine:
    """Open the database at a URL; on SQLite, create the folder that holds it.

    Nothing is connected yet. On SQLite every transaction takes the write lock when it begins,
    unless the option ``READ_ONLY_OPTION`` is set: a transaction that reads first and writes
    later can otherwise fail as locked, whatever the timeout. On PostgreSQL the driver is psycopg,
    and what the URL leaves out is left to libpq (PGPASSFILE and the like).

    Args:
        url: For instance "sqlite:////srv/ddad/ddad.db" or "postgresql://host/ddad".
        busy_timeout: Seconds to wait for another writer.

    Raises:
        StoreError: The URL is not understood, its driver is missing, or the folder cannot be
            created.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _create_folder(parsed)
    try:
        # Parameters hold comments on patients: they must not reach a log through an exception.
        engine = create_engine(
            parsed,
            hide_parameters=True,
            pool_pre_ping=_is_remote(parsed),
            connect_args=_connect_arguments(parsed),
        )
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
    else:
        _prepare_postgresql(engine, busy_timeout)
    return engine


def read_only(engine: Engine) -> Engine:
    """The same engine and pool, whose transactions only read and see one state throughout."""
    options: dict[str, Any] = {READ_ONLY_OPTION: True}
    if engine.dialect.name == "postgresql":
        options |= {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
    return engine.execution_options(**options)


@contextmanager
def turn_to_write(engine: Engine) -> Iterator[None]:
    """Let one thread of this process at a time begin to write to a SQLite file.

    SQLite itself makes who finds it busy sleep, up to 0.1 s each time, and try again: among many
    one may be overtaken again and again. Threads in a queue go on at once. Other processes are
    still kept apart by SQLite; who waits longer than it would goes on to be told so by it.
    """
    if engine.dialect.name != "sqlite":
        yield
        return
    with _queues_lock:
        queue = _queues.setdefault(str(engine.url), threading.Lock())
    first = queue.acquire(timeout=BUSY_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        if first:
            queue.release()


def take_write_lock(connection: Connection) -> None:
    """Let one transaction at a time write, from here to its end.

    SQLite does so by itself. On PostgreSQL a use case that reads, decides and writes would
    otherwise decide on what another one is changing at that moment.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"))


_URL_ADVICE = "Use sqlite:////path/to/file.db or postgresql://user:password@host/name."


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The URL may hold a password: it is not repeated.
        problem = "The database address is not a URL."
        raise StoreError(problem, _URL_ADVICE) from None
    # Hosting services hand out the older name of the same thing.
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
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


def _connect_arguments(url: URL) -> dict[str, Any]:
    if url.get_backend_name() != "postgresql":
        return {}
    return {name: one for name, one in _POSTGRESQL_DEFAULTS.items() if name not in url.query}


def _prepare_postgresql(engine: Engine, busy_timeout: float) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        for setting in (
            f"lock_timeout = {int(busy_timeout * 1000)}",
            "timezone = 'UTC'",
            # The server lets go of the locks of a machine that vanished.
            "tcp_keepalives_idle = 30",
            "tcp_keepalives_interval = 5",
            "tcp_keepalives_count = 3",
        ):
            connection.execute(f"SET {setting}")
        connection.commit()

    @event.listens_for(engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        # The lines after the first quote the row, and a comment may speak of a patient.
        error = context.original_exception
        told = str(error).partition("\n")[0]
        error.args = (told,)
        if context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = (told,)


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
