"""Bringing a database to the schema of this version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from app.store.engine import create_store_engine, read_only
from app.store.errors import StoreError, as_store_error
from app.store.moved import refuse_moved

# The newest file in migrations/versions. Written down here so that starting on a database that
# is up to date need not import Alembic and all migrations; a test keeps the two equal.
HEAD_REVISION = "0005"

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


def migrate(url: str) -> bool:
    """Bring the database to this version's schema, creating it if need be.

    The whole change is one transaction: it happens, or the database stays as it was. Several
    processes may call this at the same time.

    Returns:
        Whether there was anything to do.

    Raises:
        StoreError: The database cannot be opened or changed, or belongs to a newer version.
    """
    engine = create_store_engine(url)
    try:
        if _revision(engine) == HEAD_REVISION:
            return False
        return _upgrade(engine)
    finally:
        engine.dispose()


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


def _upgrade(engine: Engine) -> bool:
    from alembic import command  # noqa: PLC0415 - kept out of a start with nothing to do
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    if engine.dialect.name == "sqlite":
        _without_foreign_keys(engine)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                _prepare_postgresql(connection)
            # Another process may have finished while this one waited for the lock.
            if revision_seen_by(connection) == HEAD_REVISION:
                return False
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            _check_foreign_keys(connection)
    except CommandError as error:
        problem = f"The database has a schema this version does not know ({error})."
        next_step = "Start the newer version that last used it, or restore an older backup."
        raise StoreError(problem, next_step) from error
    except SQLAlchemyError as error:
        raise as_store_error(error) from error
    return True


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
