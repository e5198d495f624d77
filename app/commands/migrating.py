"""`ddad-admin migrate`: to this version's schema, to an earlier one, or back to a copy."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from app.commands.shared import agreed
from app.opening import anchor_of
from app.settings import Settings, load_settings
from ddad_core.errors import RequestError


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = sub.add_parser("migrate", help="create the database or bring it up to date")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--to",
        metavar="REVISION",
        help="back to the schema of an earlier version, for instance 0003",
    )
    how.add_argument(
        "--undo", type=Path, metavar="COPY", help="put a copy from before a migration in place"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from app.store.migrate import migrate

    settings = load_settings(os.environ)
    if arguments.to:
        return _go_back(arguments, settings)
    if arguments.undo:
        return _undo(arguments, settings)
    changed = migrate(settings.database_url, anchor=anchor_of(settings), say=print)
    print("Database upgraded." if changed else "Database is up to date.")
    return 0


def _go_back(arguments: argparse.Namespace, settings: Settings) -> int:
    from app.store.migrate import go_back, loss_of_going_back

    loss = loss_of_going_back(settings.database_url, arguments.to)
    for table, rows in loss.tables.items():
        print(f"Lost: {rows} rows of the table {table}.")
    for column, values in loss.columns.items():
        print(f"Lost: {values} values of {column}.")
    if not agreed(arguments, f"Go back to schema {arguments.to}? Stop the server first."):
        print("Nothing was changed.")
        return 0
    go_back(settings.database_url, arguments.to, anchor=anchor_of(settings), say=print)
    print(f"The database has schema {arguments.to}: start the version that goes with it.")
    return 0


def _undo(arguments: argparse.Namespace, settings: Settings) -> int:
    from app.store.automatic_copy import put_back
    from app.store.snapshot import revision_of, sqlite_file

    database = sqlite_file(settings.database_url)
    if database is None:
        problem = "Copies before a migration are kept of SQLite databases only."
        raise RequestError(problem, "Use what PostgreSQL offers, or `ddad-admin migrate --to`.")
    print("What was stored since the copy was made will be gone from the database.")
    if not agreed(arguments, f"Put {arguments.undo} in place? Stop the server first."):
        print("Nothing was changed.")
        return 0
    kept = put_back(arguments.undo, database)
    print(f"The database has schema {revision_of(database)}: start the version that goes with it.")
    print(f"The database as it was is kept in {kept}.")
    print("The audit trail now ends earlier: `ddad-admin audit accept --reason TEXT` takes note.")
    return 0
