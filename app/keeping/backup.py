"""Backing an installation up while it is in use: one file, complete or not there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.gateways.files import ImageFiles
from app.gateways.home_files import originals
from app.gateways.home_lock import HomeLock
from app.keeping.key_check import key_fault
from app.keeping.manifest import (
    ANCHOR,
    DATABASE,
    KEY,
    LABEL,
    MANIFEST,
    BackupError,
    Label,
    Manifest,
)
from app.keeping.new_file import new_file
from app.keeping.sealing import Seal, write
from app.keeping.tar_stream import END, Member, stream
from app.services.people import Person
from app.store.migrate import HEAD_REVISION, current_revision
from app.store.snapshot import (
    HOLD_SECONDS,
    faults_of,
    image_files,
    row_counts,
    take_snapshot,
)
from app.store.unit_of_work import UnitOfWork
from ddad_core import __version__

WORK_FOLDER = ".backup-"
_SPARE_BYTES = 16 * 2**20
Progress = Callable[[int, int], None]
"""Called with how many more bytes are done, and how many there are in all."""


@dataclass(frozen=True)
class Installation:
    """What is backed up.

    Attributes:
        home: The folder of the image files.
        database_url: Of the database.
        key_file: Of the pseudonyms.
        store: The same database.
    """

    home: Path
    database_url: str
    key_file: Path
    store: UnitOfWork


@dataclass(frozen=True)
class BackupMade:
    """A backup.

    Attributes:
        path: The file.
        bytes: Its size.
        rows: Rows by table.
        files: How many image files it holds.
        originals: How many files as they came, with names in them.
        missing: Files that their rows ask for but that were not there.
    """

    path: Path
    bytes: int
    rows: dict[str, int]
    files: int
    originals: int
    missing: tuple[str, ...]


def back_up(
    installation: Installation,
    target: Path,
    person: Person,
    *,
    seal: Seal | None = None,
    progress: Progress = lambda _done, _total: None,
    hold_seconds: float = HOLD_SECONDS,
) -> BackupMade:
    """Write one state of the installation to a new file, and put that on record.

    The database is taken first: a row is there only after its file is, so every row's file can
    be had afterwards. Erasures wait outside.

    Args:
        installation: Of what.
        target: The file, or a folder that is to get one.
        person: Who asked for it.
        seal: How to encrypt it; None not to.
        progress: Told of the bytes.
        hold_seconds: How long writers of a SQLite database may be held up.

    Raises:
        BackupError: The target is there already, or cannot be written.
        FilesError: Another backup is going on.
        StoreError: The database cannot be read, is damaged, or of an older schema.
        OSError: A file cannot be read.
    """
    seal = seal or Seal()
    seal.check()
    path = _named(target, seal)
    if current_revision(installation.database_url) != HEAD_REVISION:
        problem = "The database does not have this version's tables."
        raise BackupError(problem, "Run `ddad-admin migrate` first; it keeps a copy.")
    if fault := key_fault(installation.store, installation.key_file):
        problem = f"The installation cannot be backed up: {fault}."
        raise BackupError(problem, "Restore the key file from an earlier backup first.")
    with HomeLock(installation.home).held():
        for left in installation.home.glob(f"{WORK_FOLDER}*"):
            shutil.rmtree(left, ignore_errors=True)  # of one that was killed: we hold the lock
        # Before the snapshot, so that the event it names is in it.
        anchor = _content(installation.home / ANCHOR)
        with tempfile.TemporaryDirectory(dir=installation.home, prefix=WORK_FOLDER) as folder:
            database = take_snapshot(
                installation.database_url, Path(folder), hold_seconds=hold_seconds
            )
            if faults := faults_of(database):
                problem = f"The database is damaged ({faults[0]}), so it is not backed up."
                raise BackupError(problem, "Keep it as it is and restore the last good backup.")
            made = _write(installation, path, seal, database, anchor, progress)
    with installation.store.writing() as repositories:
        after = {
            "file": path.name,
            "bytes": made.bytes,
            "rows": made.rows,
            "files": made.files,
            "originals": made.originals,
            "missing": len(made.missing),
            "encrypted": seal != Seal(),
        }
        repositories.audit.append(person.did("backup", "installation", after=after))
    return made


def _named(target: Path, seal: Seal) -> Path:
    path = target
    if target.is_dir():
        path = target / f"ddad-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{seal.ending}"
    if path.exists():
        problem = f"{path} is there already."
        raise BackupError(problem, "Choose another name: a backup is never overwritten.")
    if not path.parent.is_dir():
        problem = f"There is no folder {path.parent}."
        raise BackupError(problem, "Make it first, or give another one.")
    return path


def _write(
    installation: Installation,
    path: Path,
    seal: Seal,
    database: Path,
    anchor: bytes | None,
    progress: Progress,
) -> BackupMade:
    files, missing = _image_members(installation.home, database)
    kept = _original_members(installation.home, database)
    key = _content(installation.key_file)
    members = [Member(DATABASE, database)]
    members += [Member(n, c) for n, c in ((KEY, key), (ANCHOR, anchor)) if c is not None]
    members += [*files, *kept]
    total = sum(_size(member) for member in members)
    room = shutil.disk_usage(path.parent).free
    if room < total + _SPARE_BYTES:
        problem = f"The backup takes {total / 1e6:.0f} MB, and {path.parent} has {room / 1e6:.0f}."
        raise BackupError(problem, "Make room there, or choose another folder.")
    label = Label(
        program=f"DDAD Review {__version__}",
        schema=HEAD_REVISION,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        content_bytes=total,
    )
    rows = row_counts(database)
    found: dict[str, tuple[int, str]] = {}

    def pieces() -> Iterator[bytes]:
        for piece in stream([Member(LABEL, label.encoded()), *members], found):
            progress(len(piece), total)
            yield piece
        manifest = Manifest(rows, dict(found), missing)
        yield from stream([Member(MANIFEST, manifest.encoded())], {})
        yield END

    with new_file(path) as file:
        write(file, pieces(), seal)
    return BackupMade(path, path.stat().st_size, rows, len(files), len(kept), missing)


def _image_members(home: Path, database: Path) -> tuple[list[Member], tuple[str, ...]]:
    store, found, missing = ImageFiles(home), [], []
    for sha256, kind in image_files(database):
        path = store.path(sha256, "dicom" if kind == "dicom" else "png")
        name = path.relative_to(home).as_posix()
        if path.is_file():
            found.append(Member(name, path))
        else:
            missing.append(name)
    return found, tuple(missing)


def _original_members(home: Path, database: Path) -> list[Member]:
    by_hash = originals(home)
    if not by_hash:
        return []
    return [
        Member(path.relative_to(home).as_posix(), path)
        for sha256, _ in image_files(database)
        for path in by_hash.get(sha256, ())
    ]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _size(member: Member) -> int:
    source = member.source
    return len(source) if isinstance(source, bytes) else source.stat().st_size
