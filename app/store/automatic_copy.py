"""The copies of a SQLite database that are kept before its schema changes, and the way back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from app.store.errors import StoreError
from app.store.snapshot import copy_sqlite, faults_of
from ddad_core.lasting import to_disk

COPIES_KEPT = 5
FOLDER = "backups"
_NAME = re.compile(r"(?:before|undone)-[0-9a-z]+-([0-9]{8}T[0-9]{12}Z)\.sqlite")
_HOLD_SECONDS = 3600.0  # whoever changes the schema holds the write lock anyway


def keep_copy(database: Path, revision: str, *, word: str = "before") -> Path:
    """Copy the database into ``backups`` beside it, for good, and remove all but the last copies.

    Args:
        database: The SQLite file.
        revision: Of the schema that it is to get; part of the name.
        word: What the name starts with.

    Raises:
        StoreError: It cannot be copied; there is no new file then.
    """
    folder = database.parent / FOLDER
    name = f"{word}-{revision}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z.sqlite"
    temporary = folder / f".{name}.partial"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        copy_sqlite(database, temporary, hold_seconds=_HOLD_SECONDS)
        to_disk(temporary)
        temporary.rename(folder / name)
        to_disk(folder)
        same = [path for path in automatic_copies(folder) if path.name.startswith(f"{word}-")]
        for old in same[:-COPIES_KEPT]:
            old.unlink()
    except OSError as error:
        problem = f"The database cannot be copied to {folder} ({error.strerror or error})."
        raise StoreError(problem, "Nothing was changed: make room or give permission.") from error
    except StoreError as error:
        problem = f"The database cannot be copied before its schema is changed. {error.problem}"
        raise StoreError(problem, error.next_step) from error
    finally:
        temporary.unlink(missing_ok=True)
    return folder / name


def automatic_copies(folder: Path) -> list[Path]:
    """The copies in a folder, the oldest first."""
    found = [(m[1], path) for path in folder.glob("*.sqlite") if (m := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def put_back(copy: Path, database: Path) -> Path:
    """Put a copy in the database's place; the server must be stopped.

    Args:
        copy: As `keep_copy` made it; it stays.
        database: The SQLite file; kept as a copy, too.

    Returns:
        Where the database is kept as it was.

    Raises:
        StoreError: The copy is damaged, or one of them cannot be copied.
    """
    if not copy.is_file():
        problem = f"There is no copy {copy}."
        raise StoreError(problem, f"Look in {database.parent / FOLDER}.")
    if faults := faults_of(copy):
        problem = f"The copy {copy} is damaged ({faults[0]})."
        raise StoreError(problem, "Nothing was changed: take another copy or a backup.")
    incoming = database.with_name(f".{database.name}.incoming")
    copy_sqlite(copy, incoming)
    try:
        to_disk(incoming)
        kept = keep_copy(database, "copy", word="undone")
        incoming.replace(database)
        to_disk(database.parent)
    except OSError as error:
        problem = f"The copy cannot be put in place ({error.strerror or error})."
        raise StoreError(problem, "Check the folder's permissions, then try again.") from error
    finally:
        incoming.unlink(missing_ok=True)
    return kept
