"""Taking out what is stored: images, reads, scores, boxes and operating points as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.services.access import Access
from app.services.people import Action, Person
from app.store.records import ImageRecord, ReadRecord, ScoreRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core import __version__
from ddad_core.spreadsheet import formula_safe

COLUMNS: dict[str, tuple[str, ...]] = {
    "images": (
        "case", "sha256", "origin", "format", "stored_as", "patient", "conflict", "modality",
        "view", "body_part", "age_years", "sex", "width", "height", "bits", "spacing_row_mm",
        "spacing_col_mm", "reference_label", "warnings", "added_by", "added_at",
    ),
    "reads": (
        "read_id", "case", "sha256", "reader", "revision", "replaces_read_id", "current",
        "verdict", "confidence", "findings", "comment", "boxes", "model", "model_hash", "score",
        "threshold", "operating_point_id", "map", "pixel_threshold", "opacity", "ai_visible",
        "seconds_to_verdict", "stage", "agreement", "saved_at",
    ),
    "scores": (
        "case", "sha256", "model", "model_hash", "a_rec", "a_rec_single", "a_intra", "a_inter",
        "r_dual", "r_intra", "c_rec", "c_intra", "c_inter", "a_ratio", "score_name", "score",
        "p_value", "percentile", "warnings", "seconds", "scored_at",
    ),
    "boxes": (
        "box_id", "read_id", "case", "sha256", "reader", "revision", "current", "index", "x", "y",
        "width", "height", "label", "image_width", "image_height",
    ),
    "operating_points": (
        "operating_point_id", "model", "model_hash", "score_name", "version", "threshold",
        "policy", "reason", "set_by", "set_at", "replaces_id",
    ),
}  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """Everything that is stored, as tables.

    Attributes:
        tables: Rows by table name; the keys of a row are ``COLUMNS[table]``.
        made_at: When, UTC.
    """

    tables: dict[str, tuple[Row, ...]]
    made_at: datetime

    def csv(self, table: str) -> bytes:
        """One table as UTF-8 CSV that a spreadsheet will not take for formulas."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS[table], lineterminator="\r\n")
        writer.writeheader()
        for row in self.tables[table]:
            writer.writerow({name: _cell(value) for name, value in row.items()})
        return ("\ufeff" + text.getvalue()).encode("utf-8")

    def json(self) -> bytes:
        """All tables as one JSON document, values unchanged."""
        document = {
            "program": f"DDAD Review {__version__}",
            "made_at": self.made_at.isoformat(),
            **{name: list(rows) for name, rows in self.tables.items()},
        }
        return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8")


class ExportingService:
    """Reads the whole store in one consistent state."""

    def __init__(self, store: UnitOfWork, access: Access) -> None:
        self._store = store
        self._access = access

    def export(self, person: Person) -> Export:
        """Gather all tables; of a patient they have the pseudonym, for no more is stored.

        Raises:
            ForbiddenError: The person may not export.
        """
        return self._exported(person, "all tables")

    def csv(self, person: Person, table: str) -> bytes:
        """One table as `Export.csv` has it.

        Raises:
            ForbiddenError: The person may not export.
        """
        return self._exported(person, table).csv(table)

    def json(self, person: Person) -> bytes:
        """All tables as `Export.json` has them.

        Raises:
            ForbiddenError: The person may not export.
        """
        return self.export(person).json()

    def counts(self, person: Person) -> dict[str, int]:
        """How many rows each table would have; not an export.

        Raises:
            ForbiddenError: The person may not export.
        """
        self._access.require(person, Action.EXPORT)
        with self._store.reading() as repositories:
            return {
                "images": repositories.images.count(),
                "reads": repositories.reads.count(),
                "scores": repositories.scores.count(),
                "boxes": repositories.reads.count_boxes(),
                "operating_points": repositories.operating_points.count(),
            }

    def _exported(self, person: Person, subject: str) -> Export:
        self._access.require(person, Action.EXPORT)
        export = self._gathered()
        tables = export.tables if subject == "all tables" else {subject: export.tables[subject]}
        rows = {table: len(found) for table, found in tables.items()}
        with self._store.writing() as repositories:
            repositories.audit.append(person.did("export", subject, after={"rows": rows}))
        return export

    def _gathered(self) -> Export:
        with self._store.reading() as repositories:
            images = {image.id: image for image in repositories.images.list_all()}
            reads = list(repositories.reads.iter_all())
            scores = repositories.scores.list_all()
            points = repositories.operating_points.list_all()
        latest: dict[tuple[int, str], int] = {}
        for read in reads:
            key = (read.image_id, read.reader)
            latest[key] = max(latest.get(key, 0), read.revision)
        current = {r.id: latest[(r.image_id, r.reader)] == r.revision for r in reads}
        tables: dict[str, tuple[Row, ...]] = {
            "images": tuple(_image(image) for image in reversed(images.values())),
            "reads": tuple(_read(r, images[r.image_id], current[r.id]) for r in reads),
            "scores": tuple(_score(score, images[score.image_id]) for score in scores),
            "boxes": tuple(
                row for r in reads for row in _boxes(r, images[r.image_id], current[r.id])
            ),
            "operating_points": tuple(
                {
                    "operating_point_id": point.id,
                    "model": point.model_name,
                    "model_hash": point.model_hash,
                    "score_name": point.score_name,
                    "version": point.version,
                    "threshold": point.threshold,
                    "policy": point.policy,
                    "reason": point.reason,
                    "set_by": point.set_by,
                    "set_at": point.set_at.isoformat(),
                    "replaces_id": point.replaces_id,
                }
                for point in points
            ),
        }
        return Export(tables, datetime.now(UTC))


def _image(image: ImageRecord) -> Row:
    values: Row = {
        "case": image.label,
        "warnings": list(image.warnings),
        "added_at": image.added_at.isoformat(),
    }
    return {
        name: values[name] if name in values else getattr(image, name) for name in COLUMNS["images"]
    }


def _read(read: ReadRecord, image: ImageRecord, current: bool) -> Row:
    return {
        "read_id": read.id,
        "case": image.label,
        "sha256": image.sha256,
        "reader": read.reader,
        "revision": read.revision,
        "replaces_read_id": read.replaces_id,
        "current": current,
        "verdict": read.verdict,
        "confidence": read.confidence,
        "findings": list(read.findings),
        "comment": read.comment,
        "boxes": len(read.boxes),
        "model": read.model_name,
        "model_hash": read.model_hash,
        "score": read.score,
        "threshold": read.threshold,
        "operating_point_id": read.operating_point_id,
        "map": read.map_name,
        "pixel_threshold": read.pixel_threshold,
        "opacity": read.opacity,
        "ai_visible": read.ai_visible,
        "seconds_to_verdict": read.seconds_to_verdict,
        "stage": read.stage,
        "agreement": [f"{name}: {word}" for name, word in sorted(read.agreement.items())],
        "saved_at": read.saved_at.isoformat(),
    }


def _score(score: ScoreRecord, image: ImageRecord) -> Row:
    return {
        "case": image.label,
        "sha256": image.sha256,
        "model": score.model_name,
        "model_hash": score.model_hash,
        "a_rec": score.a_rec,
        "a_rec_single": score.a_rec_single,
        "a_intra": score.a_intra,
        "a_inter": score.a_inter,
        "r_dual": score.r_dual,
        "r_intra": score.r_intra,
        "c_rec": score.c_rec,
        "c_intra": score.c_intra,
        "c_inter": score.c_inter,
        "a_ratio": score.a_ratio,
        "score_name": score.score_name,
        "score": score.score,
        "p_value": score.p_value,
        "percentile": score.percentile,
        "warnings": list((*image.warnings, *score.warnings)),
        "seconds": score.seconds,
        "scored_at": score.scored_at.isoformat(),
    }


def _boxes(read: ReadRecord, image: ImageRecord, current: bool) -> list[Row]:
    return [
        {
            "box_id": box.id,
            "read_id": read.id,
            "case": image.label,
            "sha256": image.sha256,
            "reader": read.reader,
            "revision": read.revision,
            "current": current,
            "index": box.index,
            "x": box.x,
            "y": box.y,
            "width": box.width,
            "height": box.height,
            "label": box.label,
            "image_width": image.width,
            "image_height": image.height,
        }
        for box in read.boxes
    ]


def _cell(value: Any) -> Any:
    """A CSV cell: lists joined, text made safe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = "; ".join(str(part) for part in value)
    return formula_safe(value) if isinstance(value, str) else value
