"""Images of a manifest, decoded and resized once and held as 8-bit arrays."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from ddad_core.errors import ManifestError, RefusedImageError
from ddad_core.imaging import read_radiograph_file
from ddad_core.imaging.geometry import to_network_grey
from ddad_core.parallel import in_order
from ddad_core.training.manifest import Manifest, ManifestRow, check_roles, place
from ddad_core.types import Radiograph, RadiographFacts

MAX_WORKERS = 4
"""Threads that decode at a time; each may hold several hundred MB of a large radiograph."""

SHOWN = 3
"""Files that a message names of many."""

log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True)
class FileIdentity:
    """What a file is, found in one reading of it.

    Attributes:
        sha256: Of the file.
        pixels: SHA-256 of the pixel values, the same however they are wrapped.
        facts: What its header says.
    """

    sha256: str
    pixels: str
    facts: RadiographFacts


def check_files(rows: Sequence[ManifestRow], images: Path, *, manifest: Path | None = None) -> None:
    """Make sure every image is there before hours are spent.

    Args:
        rows: What to look for.
        images: Folder the paths start from.
        manifest: The file the rows come from, for the message.

    Raises:
        ManifestError: Files are missing; all are counted, the first named with their lines.
    """
    missing = [row for row in rows if not (images / row.path).is_file()]
    if missing:
        shown = ", ".join(
            f"{row.path} (line {row.line})" if row.line else row.path for row in missing[:SHOWN]
        )
        where = f"{manifest}: " if manifest is not None else ""
        more = " ..." if len(missing) > SHOWN else ""
        problem = (
            f"{where}{len(missing)} of {len(rows)} images are not under {images}: {shown}{more}."
        )
        raise ManifestError(problem, "Give the folder the manifest's paths start from (--images).")


def load_grey(
    rows: Sequence[ManifestRow],
    images: Path,
    size: int,
    *,
    manifest: Path | None = None,
    report_duplicates: bool = False,
    workers: int | None = None,
) -> np.ndarray:
    """Decode and resize images in manifest order, with a progress bar.

    Several threads decode (the decoders release Python's lock); the result does not depend on
    how many.

    Args:
        rows: What to load.
        images: Folder the paths start from.
        size: S.
        manifest: The file the rows come from, for messages.
        report_duplicates: Log equal pixels under two roles and go on.
        workers: Threads; None for one a processor, up to ``MAX_WORKERS``.

    Returns:
        uint8 (N, S, S).

    Raises:
        ManifestError: A file is missing, cannot be read, holds values that are not finite, is
            not the one with this SHA-256, or has the pixels of a row of another role.
    """
    check_files(rows, images, manifest=manifest)
    grey = np.empty((len(rows), size, size), dtype=np.uint8)

    def load(i: int) -> str:
        row = rows[i]
        try:
            radiograph = _read(images / row.path)
            grey[i] = to_network_grey(radiograph, size)
        except RefusedImageError as error:
            problem = f"{place(row, manifest)}: {images / row.path}: {error.problem}"
            raise ManifestError(problem, "Mend the file or take its row out.") from error
        if row.sha256 and row.sha256 != radiograph.sha256:
            problem = (
                f"{place(row, manifest)}: {images / row.path} is another file than the "
                "manifest's (SHA-256 differs)."
            )
            raise ManifestError(problem, "Get the original image set, or make a new manifest.")
        return _pixel_digest(radiograph)

    first: dict[str, ManifestRow] = {}
    for row, pixels in zip(rows, _in_order(load, len(rows), workers), strict=True):
        earlier = first.setdefault(pixels, row)
        if earlier.role != row.role:
            problem = (
                f"{place(row, manifest)}: {row.path} ({row.role}) has the same pixels as "
                f"{earlier.path} ({earlier.role}, {place(earlier)})."
            )
            if not report_duplicates:
                raise ManifestError(problem, "An image has one role; take one of the two out.")
            log.warning("%s Reported, not refused: a published partition.", problem)
    return grey


def load_roles(
    manifest: Manifest,
    roles: Sequence[str],
    images: Path,
    size: int,
    *,
    workers: int | None = None,
) -> dict[str, np.ndarray]:
    """Check and load whole roles of a manifest in one go.

    All that can be told without decoding is checked first: roles without images, labels in the
    unlabeled part, missing files. Loading the roles together also finds equal pixels under two
    of them.

    Args:
        manifest: The data set.
        roles: Which parts.
        images: Folder the paths start from.
        size: S.
        workers: Threads; see :func:`load_grey`.

    Returns:
        By role, uint8 (N, S, S) in manifest order.

    Raises:
        ManifestError: As :func:`load_grey`, a role is empty, or an unlabeled row has a label.
    """
    check_roles(manifest, roles)
    parts = {role: manifest.role(role) for role in roles}
    rows = [row for part in parts.values() for row in part]
    grey = load_grey(
        rows,
        images,
        size,
        manifest=manifest.path,
        report_duplicates=manifest.reports_duplicates,
        workers=workers,
    )
    ends = np.cumsum([len(part) for part in parts.values()])[:-1]
    return dict(zip(parts, np.split(grey, ends), strict=True))


def identify_files(
    paths: Sequence[Path], *, workers: int | None = None
) -> list[FileIdentity | RefusedImageError]:
    """Read every file once, with a progress bar.

    Args:
        paths: Files to read.
        workers: Threads; see :func:`load_grey`.

    Returns:
        In the order of ``paths``, what each file is, or why it cannot be read.
    """

    def identify(i: int) -> FileIdentity | RefusedImageError:
        try:
            radiograph = _read(paths[i])
        except RefusedImageError as error:
            return error
        return FileIdentity(radiograph.sha256, _pixel_digest(radiograph), radiograph.facts)

    return list(_in_order(identify, len(paths), workers))


def _read(path: Path) -> Radiograph:
    """Read a file that a manifest or its maker says is a chest radiograph.

    Raises:
        RefusedImageError: It cannot be opened or read, or its values are not finite.
    """
    try:
        radiograph = read_radiograph_file(path, vouched=True)
    except OSError as error:
        problem = f"The file cannot be opened: {error.strerror or error}."
        raise RefusedImageError(problem, "Check the file and its permissions.") from error
    # NaN spreads through min and max, so two numbers tell of all pixels.
    low, high = float(radiograph.pixels.min()), float(radiograph.pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        problem = "The image has pixel values that are NaN or infinite."
        raise RefusedImageError(problem, "Export the image again.")
    return radiograph


def _pixel_digest(radiograph: Radiograph) -> str:
    return hashlib.sha256(np.ascontiguousarray(radiograph.pixels).reshape(-1).data).hexdigest()


def _in_order(work: Callable[[int], Result], n: int, workers: int | None) -> Iterator[Result]:
    """Do work(0), work(1), ... on threads, with a progress bar; the results in order."""
    workers = workers or min(os.cpu_count() or 1, MAX_WORKERS)
    yield from tqdm(
        in_order(work, range(n), workers), total=n, desc="images", unit="image", leave=False
    )
