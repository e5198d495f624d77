"""One state of the database to export from, without keeping anybody from writing for long."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine

from app.store.engine import create_store_engine, read_only
from app.store.errors import StoreError, as_store_error, driver_error
from app.store.region_schema import RejectedRegionRow
from app.store.schema import AuditRow, Base, BoxRow, ImageRow, OperatingPointRow, ReadRow, ScoreRow
from app.store.snapshot import HOLD_SECONDS
from app.store.team_schema import ArbitrationRow

TABLES: tuple[type[Base], ...] = (
    ImageRow,
    ScoreRow,
    OperatingPointRow,
    ReadRow,
    BoxRow,
    RejectedRegionRow,
    ArbitrationRow,
    AuditRow,
)
"""What an export may need, without what it must not have: accounts and sessions."""

_LEFT_OUT = {"images": ("thumbnail", "windows")}
_INDEXES = {
    "reads": ("image_id", "reader", "revision"),
    "boxes": ("read_id",),
    "arbitrations": ("read_id",),
}
_ATTEMPTS = 2  # the second finds the file in memory
_INSTRUCTIONS = 20_000


@contextmanager
def one_state(engine: Engine, folder: Path) -> Iterator[Connection]:
    """A connection that sees one state however long it takes.

    PostgreSQL keeps one for whoever reads. SQLite would keep writers waiting: what is needed is
    copied first, which takes a second or two, into a file that is gone afterwards.

    Args:
        engine: Of the database.
        folder: For that file.

    Raises:
        StoreError: The database cannot be read, or the copy takes longer than writers wait.
    """
    if engine.dialect.name != "sqlite":
        with read_only(engine).connect() as connection:
            yield connection
        return
    state = folder / "state.sqlite"
    try:
        _copy(Path(engine.url.database or ""), state, TABLES)
        copy = create_store_engine(f"sqlite:///{state}")
        try:
            with read_only(copy).connect() as connection:
                yield connection
        finally:
            copy.dispose()
    finally:
        state.unlink(missing_ok=True)


def _copy(source: Path, state: Path, tables: Sequence[type[Base]]) -> None:
    for attempt in range(_ATTEMPTS):
        state.unlink(missing_ok=True)
        os.close(os.open(state, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            _copied(source, state, tables)
        except sqlite3.OperationalError as error:
            late = str(error) == "interrupted"
            if not late:
                raise as_store_error(driver_error(error)) from error
            if attempt + 1 == _ATTEMPTS:
                problem = (
                    f"Reading one state of the database takes more than {HOLD_SECONDS:g} s, and "
                    "whoever saves a read meanwhile would be told that it is busy."
                )
                raise StoreError(problem, "Export when nobody reads, or use PostgreSQL.") from error
        except sqlite3.DatabaseError as error:
            raise as_store_error(driver_error(error)) from error
        else:
            return


def _copied(source: Path, state: Path, tables: Sequence[type[Base]]) -> None:
    uri = source.absolute().as_uri() + "?mode=rw"  # rw, to undo a dead write
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)) as connection:
        connection.execute("ATTACH ? AS state", (str(state),))
        connection.execute("PRAGMA state.journal_mode = OFF")
        connection.execute("PRAGMA state.synchronous = OFF")
        latest = time.monotonic() + HOLD_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > latest, _INSTRUCTIONS)
        connection.execute("BEGIN")
        for table in tables:
            name = table.__tablename__
            columns = ", ".join(
                f'"{column.name}"'
                for column in table.__table__.columns
                if column.name not in _LEFT_OUT.get(name, ())
            )
            connection.execute(f"CREATE TABLE state.{name} AS SELECT {columns} FROM main.{name}")  # noqa: S608
        connection.execute("COMMIT")  # nobody waits any more
        connection.set_progress_handler(None, 0)
        for table in tables:
            name = table.__tablename__
            key = next(iter(table.__table__.primary_key)).name
            connection.execute(f"CREATE UNIQUE INDEX state.{name}_key ON {name} ({key})")
            if name in _INDEXES:
                listed = ", ".join(_INDEXES[name])
                connection.execute(f"CREATE INDEX state.{name}_more ON {name} ({listed})")
