"""Going through a backup member by member, each compared with the manifest at the end."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.keeping.manifest import (
    LABEL,
    MANIFEST,
    SMALL,
    BackupError,
    Label,
    Manifest,
    check_complete,
    check_name,
    damaged,
    read_label,
    read_manifest,
)
from app.keeping.sealing import Unseal, opened
from app.keeping.tar_stream import read_pieces

Progress = Callable[[int], None]
"""Called with how many more bytes are done."""


@dataclass(frozen=True)
class Contents:
    """What a backup holds, all of it checked.

    Attributes:
        label: Its first member.
        manifest: Its last.
    """

    label: Label
    manifest: Manifest


def go_through(
    path: Path,
    unseal: Unseal,
    *,
    into: Path | None = None,
    labelled: Callable[[Label], None] = lambda _: None,
    progress: Progress = lambda _: None,
) -> Contents:
    """Read a backup from its start to its end and check every hash.

    Args:
        path: The backup.
        unseal: How it is opened.
        into: An empty folder that gets the files; None to check alone.
        labelled: Called with the label before anything else is read; may raise.
        progress: Told of the bytes.

    Raises:
        BackupError: It is damaged, incomplete or no backup. What is in the folder is then of
            no use.
        OSError: The file cannot be read, or the folder does not take the files.
    """
    found: dict[str, tuple[int, str]] = {}
    label: Label | None = None
    try:
        with (
            opened(path, unseal) as plain,
            tarfile.open(fileobj=plain, mode="r|") as archive,
        ):
            for info in archive:
                file = archive.extractfile(info) if info.isreg() else None
                if file is None:
                    raise damaged(why=f"{info.name[:80]!r} is not a plain file")
                if info.name in found or info.size > SMALL and info.name in (LABEL, MANIFEST):
                    raise damaged(why=f"{info.name[:80]!r} is there twice or too large")
                if info.name == MANIFEST:
                    if label is None:
                        raise damaged(why="its label is missing")
                    manifest = read_manifest(_whole(file, info.size))
                    check_complete(manifest, found)
                    return Contents(label, manifest)
                if label is None:
                    label, found[LABEL] = _label(info.name, _whole(file, info.size))
                    labelled(label)
                    continue
                check_name(info.name)
                target = None if into is None else into / info.name
                found[info.name] = _take(file, info.size, target, progress)
    except (tarfile.TarError, EOFError) as error:
        raise damaged(why="it ends too early, or is no archive") from error
    raise damaged(why="its end is missing")


def _label(name: str, data: bytes) -> tuple[Label, tuple[int, str]]:
    if name != LABEL:
        problem = "The file is not a backup that `ddad-admin backup` made."
        raise BackupError(problem, "Check that it is the right file.")
    return read_label(data), (len(data), hashlib.sha256(data).hexdigest())


def _whole(file: IO[bytes], size: int) -> bytes:
    return b"".join(read_pieces(file, size))


def _take(file: IO[bytes], size: int, target: Path | None, progress: Progress) -> tuple[int, str]:
    digest, done = hashlib.sha256(), 0
    if target is None:
        for piece in read_pieces(file, size):
            digest.update(piece)
            done += len(piece)
            progress(len(piece))
        return done, digest.hexdigest()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.touch(mode=0o600, exist_ok=False)
    with target.open("wb") as out:
        for piece in read_pieces(file, size):
            digest.update(piece)
            out.write(piece)
            done += len(piece)
            progress(len(piece))
    return done, digest.hexdigest()
