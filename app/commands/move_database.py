"""`ddad-admin move-database`: from the SQLite file to PostgreSQL."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from app.opening import anchor_of
from app.settings import load_settings
from app.store.moving import move
from ddad_core.errors import RequestError


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    moving = sub.add_parser("move-database", help="take a SQLite database over into PostgreSQL")
    moving.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="the SQLite file; ddad.sqlite in DDAD_HOME unless given",
    )
    moving.add_argument(
        "--to", metavar="URL", help="an empty database; DDAD_DATABASE_URL unless given"
    )
    moving.set_defaults(command=_move)


def _move(arguments: argparse.Namespace) -> int:
    settings = load_settings(os.environ)
    source: Path = (arguments.source or settings.home / "ddad.sqlite").resolve()
    if not source.is_file():
        problem = f"There is no SQLite database {source}."
        raise RequestError(problem, "Give its file with --from.")
    # The anchor belongs to the home whose trail is moved.
    anchor = anchor_of(settings)
    target = arguments.to or settings.database_url
    with tqdm(unit="row", desc="copied and compared") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            copied = move(f"sqlite:///{quote(str(source))}", target, anchor, show)
        except KeyboardInterrupt:
            print("ddad-admin: interrupted; nothing was moved", file=sys.stderr)
            return 130
    for table, count in copied.rows.items():
        print(f"{table}: {count} rows")
    if copied.replaced:
        print(f"{copied.replaced} texts held characters that PostgreSQL does not store; replaced.")
    print(f"All of them were compared. {source} is kept as it was and cannot be written any more.")
    if arguments.to:
        print("Set DDAD_DATABASE_URL to the new address before you start the program again.")
    return 0
