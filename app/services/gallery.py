"""The demonstration gallery that comes with the program."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.services.intake import IntakeOutcome, IntakeService, Provenance
from app.services.people import Person
from app.store.records import Box
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError
from ddad_core.imaging.sources import FileSource

LIST_FILE = "gallery.csv"
LOADER = Person.named("DDAD Review", "reader")


@dataclass(frozen=True)
class GalleryEntry:
    """One image of the gallery: its file and what is known of it."""

    path: Path
    sha256: str
    provenance: Provenance


class GalleryService:
    """Loads the gallery; files that are already here are passed over."""

    def __init__(self, folder: Path, store: UnitOfWork, intake: IntakeService) -> None:
        self._folder = folder
        self._store = store
        self._intake = intake

    def missing(self) -> list[GalleryEntry]:
        """Entries that are not stored yet; none if there is no gallery.

        Raises:
            RequestError: The gallery's list is damaged.
        """
        if not (self._folder / LIST_FILE).is_file():
            return []
        entries = _entries(self._folder)
        with self._store.reading() as repositories:
            return [e for e in entries if repositories.images.by_sha256(e.sha256) is None]

    def load(
        self,
        entries: Sequence[GalleryEntry],
        on_progress: Callable[[IntakeOutcome], None] = lambda _: None,
    ) -> None:
        """Take entries in, in order; interrupted, the rest is loaded next time.

        Raises:
            RequestError: A file is missing or refused.
        """
        for entry in entries:
            if not entry.path.is_file():
                problem = f"The gallery's file {entry.path} is missing."
                raise RequestError(problem, "Restore the folder as it was shipped.")
        pairs = ((FileSource(entry.path), entry.provenance) for entry in entries)
        for outcome in self._intake.take_many(LOADER, pairs):
            if outcome.status == "refused":
                problem = f"The gallery's file {outcome.file_name} was refused: {outcome.reason}"
                raise RequestError(problem, "Restore the folder as it was shipped.")
            on_progress(outcome)


def _entries(folder: Path) -> list[GalleryEntry]:
    path = folder / LIST_FILE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_entry(folder, row) for row in csv.DictReader(file)]
    except (KeyError, ValueError, TypeError) as error:
        problem = f"{path} is damaged: {error}."
        raise RequestError(problem, "Restore the folder as it was shipped.") from error


def _entry(folder: Path, row: dict[str, str]) -> GalleryEntry:
    return GalleryEntry(
        path=folder / row["file"],
        sha256=row["sha256"],
        provenance=Provenance(
            origin="gallery",
            label=row["label"],
            view=row["view"] or None,
            age_years=float(row["age"]) if row["age"] else None,
            sex=row["sex"] or None,
            reference_label=int(row["reference_label"]) if row["reference_label"] else None,
            reference_boxes=tuple(Box(**box) for box in json.loads(row["boxes"] or "[]")),
            attribution=row["attribution"],
        ),
    )
