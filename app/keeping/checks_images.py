"""Image files against the rows that ask for them, and models against their cards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from app.gateways.files import FilesError, ImageFiles
from app.gateways.home_files import Leftovers, leftovers, remove_leftovers
from app.gateways.home_lock import HomeLock
from app.keeping.check import Check, some
from app.store.records import ImageRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.card import list_cards
from ddad_core.errors import ModelError

_BRING_BACK = "Restore them from a backup, or bring the original files in again."
Progress = Callable[[int, int], None]


def check_files(store: UnitOfWork, home: Path, *, deep: bool, progress: Progress) -> Check:
    """Is every row's file there, and with ``deep`` what it should be?"""
    with store.reading() as repositories:
        images = repositories.images.list_all()
    files, missing, damaged = ImageFiles(home), [], []
    for image in images:
        progress(1, len(images))
        if not files.path(image.sha256, image.stored_as).is_file():
            missing.append(f"image {image.id}")
        elif deep and (fault := _damage(files, image)):
            damaged.append(f"image {image.id} ({fault})")
    if missing or damaged:
        found = "; ".join(
            words
            for words in (
                f"{len(missing)} files are missing: {some(missing)}" if missing else "",
                f"{len(damaged)} files are damaged: {some(damaged)}" if damaged else "",
            )
            if words
        )
        return Check("image files", "fault", f"{found}.", _BRING_BACK)
    seen = "each is what it should be" if deep else "each is there; --deep reads them, too"
    return Check("image files", "ok", f"{len(images)} images, {seen}.")


def _damage(files: ImageFiles, image: ImageRecord) -> str:
    try:
        if image.stored_sha256 is None and image.stored_as == "png":
            files.pixels(image.sha256)  # of an older version, which noted no digest
        else:
            files.file(image.sha256, image.stored_as, stored_sha256=image.stored_sha256)
    except FilesError as error:
        return "cannot be read" if "read" in error.problem else "its content has changed"
    return ""


def check_leftovers(store: UnitOfWork, home: Path, *, sweep: bool) -> Check:
    """Are there files of no image? With ``sweep`` they are removed."""
    if sweep:
        with HomeLock(home).held():
            found = _leftovers(store, home)
            remove_leftovers(found)
        words = f"{len(found.paths)} files without an image removed, {found.bytes / 1e6:.1f} MB."
        return Check("leftovers", "ok", words)
    found = _leftovers(store, home)
    if not found.paths:
        return Check("leftovers", "ok", "no file without an image.")
    words = f"{len(found.paths)} files belong to no image, {found.bytes / 1e6:.1f} MB."
    return Check("leftovers", "warning", words, "Remove them: `ddad-admin doctor --sweep`.")


def _leftovers(store: UnitOfWork, home: Path) -> Leftovers:
    with store.reading() as repositories:
        images = [(one.sha256, one.stored_as) for one in repositories.images.list_all()]
    return leftovers(home, images, now=store.now())


def check_weights(weights: Path) -> Iterator[Check]:
    """Are the models' files those that their cards describe?"""
    wrong, count = [], 0
    mend = "Restore the weights folder as it was shipped; such a model is not loaded."
    try:
        for card in list_cards(weights):
            for name, digest in card.files.items():
                path = weights / card.name / name
                count += 1
                if not path.is_file():
                    wrong.append(f"{card.name}/{name} is missing")
                elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                    wrong.append(f"{card.name}/{name} differs from its card")
    except ModelError as error:
        yield Check("models", "fault", error.problem, error.next_step)
        return
    if wrong:
        yield Check("models", "fault", f"{some(wrong)}.", mend)
    else:
        yield Check("models", "ok", f"{count} files as their cards describe them.")
