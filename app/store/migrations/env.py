"""Run by Alembic. Uses the connection that ``app.store.migrate`` opened, or ``-x url=...``."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

import app.store.preference_repository  # noqa: F401 (a table of the metadata)
from app.store import (
    proposal_schema,  # noqa: F401 - its tables belong to the metadata
    region_schema,  # noqa: F401 - its table belongs to the metadata
)
from app.store.engine import create_store_engine
from app.store.schema import Base


def _run(connection: Connection) -> None:
    # transactional_ddl: SQLite can roll tables back, since this program begins transactions
    # itself; Alembic assumes it cannot. render_as_batch: SQLite alters a table by rebuilding
    # it, and the rebuilt table has lost its triggers: such a migration creates them again.
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _main() -> None:
    given = context.config.attributes.get("connection")
    if given is not None:
        _run(given)
        return
    url = context.get_x_argument(as_dictionary=True).get("url")
    if not url:
        message = "Give the database address: alembic -x url=sqlite:////path/to/file.db ..."
        raise SystemExit(message)
    engine = create_store_engine(url)
    with engine.begin() as connection:
        _run(connection)
    engine.dispose()


_main()
