"""What a home holds, to be compared."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

KEPT = ("images", "originals")


def rows_of(database: Path, *, without: tuple[str, ...] = ("sessions",)) -> dict[str, list[tuple]]:
    """Every row of every table, by table."""
    with closing(sqlite3.connect(database)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name not in without and name != "sqlite_sequence"
        ]
        return {name: sorted(connection.execute(f'SELECT * FROM "{name}"')) for name in names}


def files_of(home: Path) -> dict[str, bytes]:
    """Every image file and original, and the key."""
    found = [path for part in KEPT for path in (home / part).rglob("*") if path.is_file()]
    found.append(home / "pseudonym.key")
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in found}
