"""The database itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from app.keeping.check import Check, some
from app.store.migrate import HEAD_REVISION, current_revision
from app.store.snapshot import faults_of, journal_mode, sqlite_file

# WAL mode with several connections can corrupt a database in these.
_WAL_BUG = ((3, 7, 0), (3, 51, 3))
_RESTORE = "Stop the app, keep a copy of the file, and restore the last backup."


def check_schema(url: str) -> Check:
    """Has it this version's tables?"""
    revision = current_revision(url)
    if revision == HEAD_REVISION:
        return Check("schema", "ok", f"revision {revision}.")
    if revision is None:
        return Check("schema", "fault", "the database has no tables.", "Run `ddad-admin migrate`.")
    if revision < HEAD_REVISION:
        found = f"revision {revision}, this version has {HEAD_REVISION}."
        return Check("schema", "fault", found, "Run `ddad-admin migrate`; it keeps a copy.")
    found = f"revision {revision} is newer than this version's {HEAD_REVISION}."
    return Check("schema", "fault", found, "Start the newer version of the program.")


def check_sqlite(url: str) -> Iterator[Check]:
    """SQLite's own view of its file, and whether this SQLite can be trusted with it."""
    path = sqlite_file(url)
    if path is None:
        yield Check("database", "ok", "PostgreSQL; its server looks after its files.")
        return
    mode = journal_mode(path)
    version = sqlite3.sqlite_version_info
    words = f"SQLite {sqlite3.sqlite_version}, journal mode {mode}."
    if mode == "wal" and _WAL_BUG[0] <= version < _WAL_BUG[1]:
        mend = f"Stop the app; run: sqlite3 {path} 'PRAGMA journal_mode = DELETE'"
        yield Check("database", "fault", f"{words} This version can corrupt WAL databases.", mend)
    else:
        yield Check("database", "ok", words)
    faults = faults_of(path)
    if faults:
        yield Check("integrity", "fault", f"{some(faults)}.", _RESTORE)
    else:
        yield Check("integrity", "ok", "structure and references are sound.")
