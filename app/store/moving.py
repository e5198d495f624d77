"""Taking an installation on SQLite over into an empty database, for good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from app.store.account_records import NewAuditEvent
from app.store.audit_chain import Head, verify
from app.store.audit_repository import Anchor, AuditRepository
from app.store.copying import Copied, Progress, copy_rows, is_empty
from app.store.engine import create_store_engine, read_only, take_write_lock
from app.store.errors import StoreError, as_store_error
from app.store.migrate import migrate
from app.store.moved import mark_as_moved
from app.store.unit_of_work import utc_now


def move(
    source_url: str,
    target_url: str,
    anchor: Anchor,
    progress: Progress | None = None,
    *,
    now: Callable[[], datetime] = utc_now,
) -> Copied:
    """Copy every row, compare every value, check the audit trail, put the move on record.

    All of it is one transaction of the target: killed in the middle, it leaves the target empty.
    Nobody can write to the source meanwhile; at the end it refuses to be gone on with.

    Args:
        source_url: Of the SQLite database; brought to this version's schema first.
        target_url: Of an empty PostgreSQL database.
        anchor: Where the newest audit event is noted.
        progress: As of `copy_all`.
        now: The clock.

    Raises:
        StoreError: The target is not empty or no PostgreSQL database, the source was moved
            already, its audit trail is not whole, or a database failed. Both are as they were.
    """
    source, target = create_store_engine(source_url), create_store_engine(target_url)
    try:
        if (source.dialect.name, target.dialect.name) != ("sqlite", "postgresql"):
            problem = "A database is moved from SQLite to PostgreSQL only."
            raise StoreError(problem, "Give a SQLite file and a postgresql:// address.")
        _check_empty(target)
        migrate(source_url)
        migrate(target_url)
        with source.begin() as reading, target.begin() as writing:
            take_write_lock(writing)
            copied = copy_rows(reading, writing, progress)
            _check_trail(writing, anchor)
            audit = _put_on_record(writing, copied, anchor, now)
            mark_as_moved(reading, now())
            # The target is kept first: should the machine stop in between, both hold everything.
    except SQLAlchemyError as error:
        raise as_store_error(error) from error
    finally:
        source.dispose()
        target.dispose()
    audit.note_head()
    return copied


def _check_empty(target: Engine) -> None:
    with read_only(target).connect() as connection:
        if not is_empty(connection):
            problem = "The database to move to is not empty."
            raise StoreError(problem, "Create a new one for it: rows are never mixed.")


def _check_trail(connection: Connection, anchor: Anchor) -> None:
    noted = anchor.read()
    audit = AuditRepository(connection, utc_now)
    found = verify(audit.iter_all(), [Head(*noted)] if noted else [])
    if not found.intact:
        problem = f"The audit trail is not whole: {found.faults[0]}"
        step = "Nothing was moved. Run `ddad-admin audit verify` and settle what it finds first."
        raise StoreError(problem, step)


def _put_on_record(
    connection: Connection, copied: Copied, anchor: Anchor, now: Callable[[], datetime]
) -> AuditRepository:
    audit = AuditRepository(connection, now, anchor)
    audit.append(
        NewAuditEvent(
            actor="ddad-admin",
            actor_id=None,
            action="migration",
            subject="database",
            before={"database": "SQLite"},
            after={"database": "PostgreSQL", "rows": copied.rows, "replaced": copied.replaced},
            reason="move-database",
        )
    )
    return audit
