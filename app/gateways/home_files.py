"""Which files lie in a home, and which of them belong to no image."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_IMAGE = re.compile(r"([0-9a-f]{64})\.(png|dcm)")
_ORIGINAL = re.compile(r"([0-9a-f]{64})\.[a-z0-9]{1,8}")
_MAPS = re.compile(r"[0-9a-f]{64}")
# Files are written before their rows are: what is new may get its row any moment.
_YOUNG = timedelta(hours=1)
_LEFT_FOLDERS = (".backup-*",)
_LEFT_FILES = (".incoming-*", ".anchor-*", ".key-*", "*.partial")
KIND_OF_ENDING = {"png": "png", "dcm": "dicom"}


@dataclass(frozen=True)
class Leftovers:
    """Files that belong to no image, or to work that was cut off.

    Attributes:
        paths: Files and folders.
        bytes: What they take.
    """

    paths: tuple[Path, ...]
    bytes: int


def originals(home: Path) -> dict[str, list[Path]]:
    """Files kept as they came, by the SHA-256 in their names."""
    found: dict[str, list[Path]] = {}
    for path in sorted((home / "originals").glob("*/*")):
        if match := _ORIGINAL.fullmatch(path.name):
            found.setdefault(match[1], []).append(path)
    return found


def leftovers(home: Path, images: Iterable[tuple[str, str]], *, now: datetime) -> Leftovers:
    """Find what no image needs, an hour old or more.

    Args:
        home: The folder.
        images: SHA-256 and kind of every image there is.
        now: The time.
    """
    wanted = set(images)
    known = {sha256 for sha256, _ in wanted}
    latest = (now.astimezone(UTC) - _YOUNG).timestamp()
    paths = sorted(
        path for path in _unwanted(home, wanted, known) if path.lstat().st_mtime < latest
    )
    return Leftovers(tuple(paths), sum(_size(path) for path in paths))


def _unwanted(home: Path, wanted: set[tuple[str, str]], known: set[str]) -> Iterator[Path]:
    for path in (home / "images").glob("*/*"):
        match = _IMAGE.fullmatch(path.name)
        if match and (match[1], KIND_OF_ENDING[match[2]]) not in wanted:
            yield path
    for path in (home / "originals").glob("*/*"):
        match = _ORIGINAL.fullmatch(path.name)
        if match and match[1] not in known:
            yield path
    for path in (home / "maps").glob("*/*"):
        if _MAPS.fullmatch(path.name) and path.name not in known:
            yield path
    for pattern in _LEFT_FOLDERS:
        yield from home.glob(pattern)
    for pattern in _LEFT_FILES:
        for folder in ("", "images/*/", "originals/*/", "maps/*/", "maps/*/*/", "backups/"):
            yield from home.glob(f"{folder}{pattern}")


def remove_leftovers(found: Leftovers) -> None:
    """Remove them.

    Raises:
        OSError: One cannot be removed.
    """
    for path in found.paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(one.lstat().st_size for one in path.rglob("*") if one.is_file())
    return path.lstat().st_size
