"""The mark on a SQLite database whose rows went elsewhere: nobody goes on with it by mistake."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, inspect, select, text

import app.store.preference_repository  # noqa: F401 (a table of the metadata)
from app.store import region_schema  # noqa: F401 - its table is marked, too
from app.store.errors import StoreError
from app.store.schema import Base, InstallationRow

_MOVED = "moved"


def mark_as_moved(connection: Connection, at: datetime) -> None:
    """Say in a SQLite database that it was moved; from then on it refuses every change.

    A program that has it open is refused too. The rows stay as they are.
    """
    connection.execute(insert(InstallationRow).values(name=_MOVED, value=at.isoformat()))
    for table in Base.metadata.tables:
        for change in ("INSERT", "UPDATE", "DELETE"):
            connection.execute(
                text(
                    f"CREATE TRIGGER moved_{table}_{change.lower()} BEFORE {change} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'this database was moved to PostgreSQL'); END"
                )
            )


def refuse_moved(connection: Connection) -> None:
    """Refuse to go on with a database that was moved.

    Raises:
        StoreError: It was.
    """
    if connection.dialect.name != "sqlite" or not inspect(connection).has_table("installation"):
        return
    at = connection.scalar(select(InstallationRow.value).where(InstallationRow.name == _MOVED))
    if at is not None:
        problem = f"This database was moved to PostgreSQL on {at[:10]}."
        step = "Set DDAD_DATABASE_URL to the address it was moved to."
        raise StoreError(problem, step)
