"""One export on its way into a folder: tables, COCO, the data dictionary, the manifest last."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from app.gateways.tables import ENDINGS, KIND_WORDS, Format, open_table
from app.services.export_coco import CocoWriter
from app.services.export_tables import DICTIONARY, ExportTable, Row, rows_of
from app.store.export_records import ExportFilter
from app.store.export_repository import ExportRepository

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
INSTALLATION = "installation_id"
"""The name under which an installation keeps its id."""

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


class Making:
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
