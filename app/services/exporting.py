"""Taking out what is stored: tables, boxes as COCO, a data dictionary and a manifest.

Rows come a page at a time out of one state of the database; what is made is handed over whole.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from app.gateways.tables import ENDINGS, KIND_WORDS, Format, open_table
from app.services.access import Access
from app.services.export_coco import CocoWriter
from app.services.export_tables import DICTIONARY, TABLES, ExportTable, Row, rows_of
from app.services.models import ModelService
from app.services.people import Action, Person
from app.store.export_records import ExportFilter, TableName
from app.store.export_repository import ExportRepository
from app.store.unit_of_work import UnitOfWork
from ddad_core import __version__
from ddad_core.errors import RequestError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
INSTALLATION = "installation_id"
ExportFormat = Literal["csv", "jsonl", "parquet", "coco"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""


@dataclass(frozen=True, kw_only=True)
class ExportWish:
    """What is to be taken out.

    Attributes:
        rows: Which rows.
        formats: Each gives files of its own.
        comments: Whether readers' comments go along: free text, in which a patient may be named.
        site_pseudonyms: Whether patients keep the pseudonyms that this site knows them by. Else
            they get new ones, which tell within the export who is who and nothing beyond it.
    """

    rows: ExportFilter = field(default_factory=ExportFilter)
    formats: tuple[ExportFormat, ...] = ("csv", "jsonl")
    comments: bool = False
    site_pseudonyms: bool = False


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
    ) -> _Making:
        if not wish.formats:
            problem = "No format was chosen."
            raise RequestError(problem, f"Choose one or more of {', '.join(FORMATS)}.")
        installation = self._installation()
        folder.mkdir()
        made_at = self._store.now()
        with self._store.exporting(folder.parent) as exports:
            making = _Making(exports, wish, folder, progress, tables)
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

    def _on_record(self, person: Person, wish: ExportWish, done: _Making) -> None:
        after = {
            "rows": done.rows,
            "formats": list(wish.formats),
            "filters": wish.rows.words(),
            "comments": wish.comments,
            "manifest_sha256": done.manifest_sha256,
        }
        with self._store.writing() as repositories:
            repositories.audit.append(person.did("export", "tables", after=after))


class _Making:
    """One export on its way into a folder."""

    def __init__(
        self,
        exports: ExportRepository,
        wish: ExportWish,
        folder: Path,
        progress: Progress | None,
        tables: Sequence[ExportTable],
    ) -> None:
        self._exports = exports
        self._wish = wish
        self._folder = folder
        self._progress = progress
        self._tables = tables
        self._key = secrets.token_bytes(32)
        self._done = self._total = 0
        self.rows: dict[str, int] = {}
        self.files: dict[str, int] = {}
        self.manifest_sha256 = ""

    def all(self, facts: dict[str, Any]) -> None:
        """Write everything; the manifest last."""
        wanted = self._wish.rows
        self._total = sum(self._exports.count(t.name, wanted) for t in self._tables)
        formats: list[Format] = [f for f in self._wish.formats if f != "coco"]
        for table in self._tables:
            self.rows[table.name] = self._table(table, formats)
        if "coco" in self._wish.formats:
            self._coco(facts)
        dictionary = "dictionary.csv"
        self._write(self._folder / dictionary, "csv", DICTIONARY, [_dictionary(self._tables)])
        self.files[dictionary] = sum(len(t.columns) for t in self._tables)
        listed = [self._listed(name, rows) for name, rows in self.files.items()]
        text = json.dumps(facts | {"files": listed}, ensure_ascii=False, indent=1) + "\n"
        self.manifest_sha256 = hashlib.sha256(text.encode()).hexdigest()
        (self._folder / MANIFEST).write_text(text, encoding="utf-8")

    def _table(self, table: ExportTable, formats: Sequence[Format]) -> int:
        writers = []
        count = 0
        try:
            for kind in formats:
                path = self._folder / f"{table.name}{ENDINGS[kind]}"
                writers.append(open_table(path, kind, table.columns))
            for page in self._exports.pages(table.name, self._wish.rows):
                rows = [self._freed(row) for raw in page for row in rows_of(table, raw)]
                for writer in writers:
                    writer.write(rows)
                count += len(rows)
                self._step(len(rows))
        finally:
            for writer in writers:
                writer.close()
        for kind in formats:
            self.files[f"{table.name}{ENDINGS[kind]}"] = count
        return count

    def _freed(self, row: Row) -> Row:
        """Without what could tell who a patient is."""
        if not self._wish.comments and "comment" in row:
            row["comment"] = ""
        if not self._wish.site_pseudonyms and row.get("patient"):
            digest = hmac.new(self._key, row["patient"].encode(), hashlib.sha256).hexdigest()
            row["patient"] = f"E-{digest[:16].upper()}"
        return row

    def _coco(self, facts: dict[str, Any]) -> None:
        """Readers' boxes and those that came with images, each in a file of its own."""
        about = {
            "description": "Boxes in image pixels",
            "version": facts["program"],
            "date_created": facts["made_at"],
        }
        wanted = self._wish.rows
        for name, source in (("boxes", "boxes"), ("reference_boxes", "reference_boxes")):
            path = self._folder / f"{name}.coco.json"
            writer = CocoWriter(path, about | {"boxes_of": source})
            try:
                for page in self._exports.pages("images", wanted):
                    for raw in page:
                        writer.image(raw)
                writer.begin_annotations()
                for page in self._exports.pages("boxes" if name == "boxes" else name, wanted):  # type: ignore[arg-type]
                    for raw in page:
                        _annotate(writer, raw)
            finally:
                writer.close()
            self.files[path.name] = writer.annotations

    @staticmethod
    def _write(path: Path, kind: Format, columns: Any, pages: Iterable[Sequence[Row]]) -> None:
        writer = open_table(path, kind, columns)
        try:
            for rows in pages:
                writer.write(rows)
        finally:
            writer.close()

    def _listed(self, name: str, rows: int) -> dict[str, Any]:
        path = self._folder / name
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        table, _, kind = name.partition(".")
        size = path.stat().st_size
        return {
            "name": name, "table": table, "format": kind, "rows": rows, "bytes": size,
            "sha256": digest,
        }  # fmt: skip

    def _step(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(self._done, max(self._total, self._done))


def _annotate(writer: CocoWriter, raw: dict[str, Any]) -> None:
    if "reference_boxes" in raw:
        for box in raw["reference_boxes"]:
            writer.annotation(raw["id"], vars(box))
        return
    more = {name: raw[name] for name in ("read_id", "reader", "revision")}
    writer.annotation(raw["image_id"], raw, **more, current=bool(raw["current"]))


def _dictionary(tables: Sequence[ExportTable]) -> list[Row]:
    return [
        {
            "table": table.name,
            "column": column.name,
            "meaning": column.meaning,
            "type": KIND_WORDS[column.kind],
            "unit": column.unit,
            "values": ", ".join(column.values),
        }
        for table in tables
        for column in table.columns
    ]
