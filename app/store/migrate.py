"""Bringing a database to the schema of this version."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from app.store.account_records import NewAuditEvent
from app.store.audit_repository import Anchor, AuditRepository
from app.store.automatic_copy import keep_copy
from app.store.engine import create_store_engine, read_only
from app.store.errors import StoreError, as_store_error
from app.store.moved import refuse_moved
from app.store.schema import AuditRow

log = logging.getLogger(__name__)

# The newest file in migrations/versions. Written down here so that starting on a database that
# is up to date need not import Alembic and all migrations; a test keeps the two equal.
HEAD_REVISION = "0011"

_FOLDER = Path(__file__).parent / "migrations"

# Any number will do as long as every process of this program uses the same.
_POSTGRESQL_LOCK = 0x44444144


def current_revision(url: str) -> str | None:
    """The revision of the schema at a URL, or None if it holds no schema yet.

    Raises:
        StoreError: The database cannot be opened.
    """
    engine = create_store_engine(url)
    try:
        return _revision(engine)
    finally:
        engine.dispose()


def migrate(
    url: str,
    *,
    anchor: Anchor | None = None,
    say: Callable[[str], None] = log.warning,
    copy: bool = True,
) -> bool:
    """Bring the database to this version's schema, creating it if need be.

    The whole change is one transaction: it happens, or the database stays as it was. Several
    processes may call this at the same time. A SQLite database that holds something is copied
    first, into ``backups`` beside it.

    Args:
        url: Of the database.
        anchor: Where the newest audit event is noted outside of the database.
        say: Told where the copy is.
        copy: False where there is another one already.

    Returns:
        Whether there was anything to do.

    Raises:
        StoreError: The database cannot be opened, copied or changed, or belongs to a newer
            version.
    """
    engine = create_store_engine(url)
    try:
        if _revision(engine) == HEAD_REVISION:
            return False
        return _change(engine, "upgrade", HEAD_REVISION, Wish(anchor, say, copy=copy))
    finally:
        engine.dispose()


def go_back(
    url: str,
    revision: str,
    *,
    anchor: Anchor | None = None,
    say: Callable[[str], None] = log.warning,
) -> bool:
    """Bring the database back to the schema of an earlier version; as `migrate`.

    Raises:
        StoreError: There is no such revision before the present one, or as `migrate`.
    """
    engine = create_store_engine(url)
    try:
        _check_earlier(engine, revision)
        return _change(engine, "downgrade", revision, Wish(anchor, say))
    finally:
        engine.dispose()


@dataclass(frozen=True)
class Loss:
    """What an earlier schema has no place for.

    Attributes:
        tables: Rows by table.
        columns: Values by "table.column".
    """

    tables: dict[str, int]
    columns: dict[str, int]


def loss_of_going_back(url: str, revision: str) -> Loss:
    """Try the way back in a transaction that is undone, and tell what would be gone.

    Raises:
        StoreError: As `go_back`.
    """
    engine = create_store_engine(url)
    try:
        _check_earlier(engine, revision)
        before = _filled(engine)
        after: dict[str, dict[str, int]] = {}
        with contextlib.suppress(_UndoneError):
            _change(engine, "downgrade", revision, Wish(copy=False, undo_into=after))
        tables = {name: one[""] for name, one in before.items() if name not in after and one[""]}
        columns = {
            f"{table}.{column}": count
            for table, one in before.items()
            if table in after
            for column, count in one.items()
            if column and column not in after[table] and count
        }
        return Loss(tables, columns)
    finally:
        engine.dispose()


class _UndoneError(Exception):
    pass


@dataclass(frozen=True)
class Wish:
    """How a change of schema is made.

    Attributes:
        anchor: As of `migrate`.
        say: As of `migrate`.
        copy: As of `migrate`.
        undo_into: Where to tell what there is after the change, which is then undone.
    """

    anchor: Anchor | None = None
    say: Callable[[str], None] = log.warning
    copy: bool = True
    undo_into: dict[str, dict[str, int]] | None = None


def _filled(engine: Engine) -> dict[str, dict[str, int]]:
    try:
        with read_only(engine).connect() as connection:
            return _filled_seen_by(connection)
    except SQLAlchemyError as error:
        raise as_store_error(error) from error


def _filled_seen_by(connection: Connection) -> dict[str, dict[str, int]]:
    """Rows of every table under "", and values of each of its columns that are there."""
    found: dict[str, dict[str, int]] = {}
    seen = inspect(connection)
    for table in seen.get_table_names():
        if table == "alembic_version":
            continue
        names = [str(one["name"]) for one in seen.get_columns(table)]
        counts = ", ".join(["count(*)", *(f'count("{name}")' for name in names)])
        row = connection.exec_driver_sql(f'SELECT {counts} FROM "{table}"').one()  # noqa: S608
        found[table] = dict(zip(["", *names], (int(value) for value in row), strict=True))
    return found


def _check_earlier(engine: Engine, revision: str) -> None:
    now = _revision(engine)
    known = sorted(path.name[:4] for path in (_FOLDER / "versions").glob("[0-9]*.py"))
    earlier = [one for one in known if now is not None and one < now]
    if revision not in earlier:
        problem = f"There is no revision {revision!r} before {now}, which the database has."
        raise StoreError(problem, f"Choose one of: {', '.join(earlier) or 'none'}.")


def _revision(engine: Engine) -> str | None:
    try:
        with read_only(engine).connect() as connection:
            refuse_moved(connection)
            return revision_seen_by(connection)
    except SQLAlchemyError as error:
        raise as_store_error(error) from error


def revision_seen_by(connection: Connection) -> str | None:
    """The revision of the schema that a connection sees, or None if there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _change(engine: Engine, way: str, revision: str, wish: Wish) -> bool:
    from alembic import command  # noqa: PLC0415 - kept out of a start with nothing to do
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    if engine.dialect.name == "sqlite":
        _without_foreign_keys(engine)
    audit: AuditRepository | None = None
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                _prepare_postgresql(connection)
            # Another process may have finished while this one waited for the lock.
            before = revision_seen_by(connection)
            if before == revision:
                return False
            copy = _copied(connection, revision, wish) if before and wish.copy else None
            config.attributes["connection"] = connection
            getattr(command, way)(config, revision)
            _check_foreign_keys(connection)
            if wish.undo_into is not None:
                wish.undo_into.update(_filled_seen_by(connection))
                raise _UndoneError
            if before:
                audit = _put_on_record(connection, before, revision, copy, wish.anchor)
    except CommandError as error:
        problem = f"The database has a schema this version does not know ({error})."
        next_step = "Start the newer version that last used it, or restore an older backup."
        raise StoreError(problem, next_step) from error
    except SQLAlchemyError as error:
        raise as_store_error(error) from error
    if audit is not None:
        audit.note_head()
    return True


def _copied(connection: Connection, revision: str, wish: Wish) -> Path | None:
    """Keep a SQLite database that holds something as it is before the change."""
    source = connection.engine.url.database
    if connection.dialect.name != "sqlite" or source is None:
        return None
    if not any(one[""] for one in _filled_seen_by(connection).values()):
        return None
    # This connection holds the write lock and has written nothing: others can read.
    copy = keep_copy(Path(source), revision)
    wish.say(f"Before the change to schema {revision} the database was copied to {copy}.")
    return copy


def _put_on_record(
    connection: Connection, before: str, revision: str, copy: Path | None, anchor: Anchor | None
) -> AuditRepository | None:
    if not inspect(connection).has_table(AuditRow.__tablename__):
        return None
    audit = AuditRepository(connection, lambda: datetime.now(UTC), anchor)
    event = NewAuditEvent(
        actor="DDAD Review",
        actor_id=None,
        action="migration",
        subject="database",
        before={"schema": before},
        after={"schema": revision, "copy": None if copy is None else copy.name},
    )
    audit.append(event)
    return audit


def _prepare_postgresql(connection: Connection) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        problem = f"The database stores text as {encoding}, which lacks characters people use."
        raise StoreError(problem, "Create the database with ENCODING 'UTF8' and use that one.")
    # The one that comes first may take longer than a use case has to wait.
    connection.execute(text("SET LOCAL lock_timeout = '10min'"))
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_LOCK})"))


def _without_foreign_keys(engine: Engine) -> None:
    """Let a migration rebuild a table that others refer to.

    SQLite cannot alter most things in place, and dropping the old table would otherwise remove
    or refuse what refers to it. The setting has no effect inside a transaction.
    """
    engine.dispose()

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = OFF")


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        tables = ", ".join(sorted({str(row[0]) for row in broken}))
        problem = f"The new schema would leave entries without what they refer to ({tables})."
        raise StoreError(problem, "Nothing was changed: keep the old version and report this.")
