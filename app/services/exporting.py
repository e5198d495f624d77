"""Taking out what is stored: tables, boxes as COCO, a data dictionary and a manifest.

Rows come a page at a time out of one state of the database; what is made is handed over whole.
"""

from __future__ import annotations

import tempfile
import uuid
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.services.access import Access
from app.services.export_making import (
    FORMAT_VERSION,
    FORMATS,
    INSTALLATION,
    MANIFEST,
    ExportFormat,
    ExportWish,
    Making,
    Progress,
)
from app.services.export_tables import TABLES, ExportTable
from app.services.models import ModelService
from app.services.people import Action, Person
from app.store.export_records import ExportFilter, TableName
from app.store.unit_of_work import UnitOfWork
from ddad_core import __version__
from ddad_core.errors import RequestError

__all__ = ["FORMATS", "MANIFEST", "ExportFilter", "ExportFormat", "ExportWish", "ExportingService"]

EVERYTHING = ExportWish()


@dataclass(frozen=True)
class Exported:
    """What was made.

    Attributes:
        path: The folder, or the ZIP file.
        rows: By table.
        files: Names with the rows in each.
    """

    path: Path
    rows: dict[str, int]
    files: dict[str, int]


@dataclass(frozen=True)
class Choices:
    """What there is to filter by.

    Attributes:
        readers: Who has read.
        models: Names.
    """

    readers: tuple[str, ...]
    models: tuple[str, ...]


class ExportingService:
    """Takes out what is stored.

    Args:
        store: The database.
        access: Who may.
        models: For what the manifest says of them.
        site: Its name, or empty.
    """

    def __init__(
        self, store: UnitOfWork, access: Access, models: ModelService, site: str = ""
    ) -> None:
        self._store = store
        self._access = access
        self._models = models
        self._site = site

    def tables(self, person: Person) -> tuple[ExportTable, ...]:
        """What the person may take out: the audit trail only who may see it.

        Raises:
            ForbiddenError: The person may not export.
        """
        self._access.require(person, Action.EXPORT)
        trail = self._access.may(person, Action.VIEW_AUDIT)
        return tuple(t for t in TABLES.values() if trail or t.name != "audit_events")

    def choices(self, person: Person) -> Choices:
        """What there is to filter by.

        Raises:
            ForbiddenError: The person may not export.
        """
        self._access.require(person, Action.EXPORT)
        with self._store.reading() as repositories:
            return Choices(
                tuple(repositories.exports.readers()), tuple(repositories.exports.models())
            )

    def counts(self, person: Person, wanted: ExportFilter | None = None) -> dict[TableName, int]:
        """How many rows each table would have; not an export.

        Raises:
            ForbiddenError: The person may not export.
        """
        tables = self.tables(person)
        with self._store.reading() as repositories:
            return {
                t.name: repositories.exports.count(t.name, wanted or ExportFilter()) for t in tables
            }

    def folder(
        self,
        person: Person,
        wish: ExportWish,
        target: Path,
        progress: Progress | None = None,
    ) -> Exported:
        """Write an export as a folder that is there whole or not at all.

        Raises:
            ForbiddenError: The person may not export.
            RequestError: The folder holds something, or no format is asked for.
            StoreError: The database cannot be read.
            OSError: The disk does not take it.
        """
        tables = self.tables(person)
        if target.is_dir() and any(target.iterdir()):
            problem = f"{target} is not empty."
            raise RequestError(problem, "Name a folder that is not there yet.")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_dir():
            raise FileExistsError(17, "File exists", str(target))
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as work:
            made = Path(work) / "made"
            done = self._made(tables, wish, made, progress)
            self._on_record(person, wish, done)
            made.chmod(0o700)
            made.replace(target)
        return Exported(target, done.rows, done.files)

    def archive(
        self,
        person: Person,
        wish: ExportWish,
        target: Path,
        progress: Progress | None = None,
    ) -> Exported:
        """Write an export as one ZIP file that is there whole or not at all.

        Raises:
            As `folder`.
        """
        tables = self.tables(person)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as work:
            made, packed = Path(work) / "made", Path(work) / "made.zip"
            done = self._made(tables, wish, made, progress)
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
                for name in sorted(path.name for path in made.iterdir()):
                    out.write(made / name, name)
            packed.chmod(0o600)
            self._on_record(person, wish, done)
            packed.replace(target)
        return Exported(target, done.rows, done.files)

    def _made(
        self,
        tables: Sequence[ExportTable],
        wish: ExportWish,
        folder: Path,
        progress: Progress | None,
    ) -> Making:
        if not wish.formats:
            problem = "No format was chosen."
            raise RequestError(problem, f"Choose one or more of {', '.join(FORMATS)}.")
        installation = self._installation()
        folder.mkdir()
        made_at = self._store.now()
        with self._store.exporting(folder.parent) as exports:
            making = Making(exports, wish, folder, progress, tables)
            making.all(
                {
                    "format": "ddad-export",
                    "format_version": FORMAT_VERSION,
                    "program": f"DDAD Review {__version__}",
                    "made_at": made_at.isoformat(),
                    "site": self._site,
                    "installation": installation,
                    "filters": wish.rows.words(),
                    "comments": wish.comments,
                    "patients": "site pseudonyms" if wish.site_pseudonyms else "new pseudonyms",
                    "models": [self._model(card) for card in self._models.cards],
                }
            )
        return making

    def _model(self, card: Any) -> dict[str, Any]:
        """What the threshold page's figures need of a model besides rows."""
        facts = {"name": card.name, "hash": card.model_hash}
        if card.reference is None:
            return facts | {"calibrated": False}
        in_force = self._models.operating_point(card.name)
        return facts | {
            "calibrated": True,
            "score_name": card.primary,
            "threshold": in_force.threshold,
            "operating_point_id": in_force.id,
            "policy": in_force.policy,
            "calibration_scores": [float(s) for s in card.reference.of_score(card.primary)],
        }

    def _installation(self) -> str:
        """What tells this database's reads from another's; made when it is first needed."""
        with self._store.reading() as repositories:
            found = repositories.installation.get(INSTALLATION)
        if found is None:
            with self._store.writing() as repositories:
                found = repositories.installation.get(INSTALLATION)
                if found is None:
                    found = uuid.uuid4().hex
                    repositories.installation.put(INSTALLATION, found)
        return found

    def _on_record(self, person: Person, wish: ExportWish, done: Making) -> None:
        after = {
            "rows": done.rows,
            "formats": list(wish.formats),
            "filters": wish.rows.words(),
            "comments": wish.comments,
            "manifest_sha256": done.manifest_sha256,
        }
        with self._store.writing() as repositories:
            repositories.audit.append(person.did("export", "tables", after=after))
