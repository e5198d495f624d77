"""From the files of a package to reads and labels: every value is checked before one is stored."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from app.gateways.files import is_sha256
from app.gateways.packages import Package, PackageError, PackedFile
from app.gateways.tables import Column, Format, first_columns, read_table
from app.services.export_tables import TABLES
from app.services.import_boxes import (
    NAME_LIMIT,
    box_of,
    coco_of,
    list_of,
    listed_box,
    wrong,
)
from app.services.read_draft import AGREEMENTS, COMMENT_LIMIT, MAX_BOXES, VERDICTS
from app.store.import_records import ImportedRead
from app.store.records import Box, Stage
from app.store.storable import storable
from ddad_core.vocabulary import MAP_TITLES

MAX_ROWS = 1_000_000
Table = Literal["reads", "boxes", "images", "reference_boxes", "labels"]
Row = dict[str, Any]
_EXTERNAL = re.compile(r"[^\x00-\x1f]{1,200}:[1-9][0-9]{0,17}")
_LABELS = (
    Column("sha256", "text", "SHA-256 of the image's original file"),
    Column("label", "integer", "1 abnormal, 0 normal"),
    Column("boxes", "object", "JSON list of [x, y, width, height] in image pixels"),
)
_NEEDED: dict[str, tuple[str, ...]] = {
    "reads": ("read_id", "sha256", "reader", "revision", "verdict", "ai_visible", "saved_at"),
    "boxes": ("read_id", "index", "x", "y", "width", "height"),
    "images": ("sha256",),
    "reference_boxes": ("sha256", "x", "y", "width", "height"),
    "labels": ("sha256", "label"),
}
_PREFERRED: tuple[Format, ...] = ("jsonl", "parquet", "csv")


@dataclass(frozen=True, slots=True)
class ForeignRead:
    """A read as the file has it.

    Attributes:
        number: In the place where it was exported.
        sha256: Of its image's original file.
        site: That it was imported from there; None for a read made there.
        external_id: Of such a read.
        read: All else; its image's id is not known yet.
    """

    number: int
    sha256: str
    site: str | None
    external_id: str | None
    read: ImportedRead


@dataclass(frozen=True, slots=True)
class ForeignLabel:
    """What the file says of an image: 1 abnormal, 0 normal, or only boxes."""

    label: int | None
    boxes: tuple[Box, ...]


@dataclass
class Content:
    """What can be taken from a package.

    Attributes:
        reads: In the file's order.
        labels: By SHA-256.
        pixels: SHA-256 of decoded pixels by that of the file.
        passed_over: Rows by table that an import does not take.
    """

    reads: list[ForeignRead] = field(default_factory=list)
    labels: dict[str, ForeignLabel] = field(default_factory=dict)
    pixels: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, int] = field(default_factory=dict)


def content_of(package: Package) -> Content:
    """Read everything.

    Raises:
        PackageError: Nothing that can be imported, or a value that cannot be.
        TableFileError: A file is no table, or lacks a column.
        OSError: A file cannot be read.
    """
    found = Content()
    tables = _tables(package)
    boxes = _boxes_of_reads(tables)
    if "reads" in tables:
        found.reads = list(_reads(tables["reads"], boxes))
    elif boxes:
        found.passed_over["boxes"] = sum(map(len, boxes.values()))
    _add_labels(found, tables)
    listed = package.manifest["files"] if package.manifest else ()
    for entry in listed:
        name = entry.get("table")
        if name in TABLES and name not in ("reads", "boxes", "images", "reference_boxes"):
            found.passed_over[name] = int(entry.get("rows", 0))
    if not (found.reads or found.labels or package.manifest):
        problem = f"{package.name} holds no reads and no labels."
        raise PackageError(problem, "docs/export.md says what an import takes.")
    return found


def _tables(package: Package) -> dict[str, PackedFile]:
    """The file of each table, in the kind that says it most exactly."""
    found: dict[str, PackedFile] = {}
    ranks = {kind: rank for rank, kind in enumerate((*_PREFERRED, "coco"))}
    for file in sorted(package.files, key=lambda one: ranks[one.kind]):
        found.setdefault(_table_of(file, named=package.manifest is not None), file)
    return found


def _table_of(file: PackedFile, *, named: bool) -> str:
    if named or file.stem in (*TABLES, "dictionary"):
        return file.stem
    if file.kind == "coco":
        coco = coco_of(file.path)
        return "boxes" if any("read_id" in one for one in coco.boxes) else "reference_boxes"
    columns = first_columns(file.path, file.kind)
    for table in ("reads", "boxes", "labels"):
        if set(_NEEDED[table]) <= columns:
            return table
    problem = f"{file.name} is no table of reads, boxes or labels that is understood."
    raise PackageError(problem, "docs/export.md says what its columns must be.")


def _rows(file: PackedFile, table: Table) -> Iterator[tuple[Row, str]]:
    """Rows with words for where each is."""
    columns = _LABELS if table == "labels" else TABLES[table].columns
    rows = read_table(file.path, cast("Format", file.kind), columns, required=_NEEDED[table])
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            problem = f"{file.name} has more than {MAX_ROWS:,} rows."
            raise PackageError(problem, "Import fewer at a time: export with filters.")
        yield row, f"{file.name}, row {number}"


def _reads(file: PackedFile, boxes: Mapping[int, tuple[Box, ...]]) -> Iterator[ForeignRead]:
    if file.kind == "coco":
        return
    for row, where in _rows(file, "reads"):
        number = row["read_id"]
        own = boxes.get(number, ())
        if row["boxes"] is not None and row["boxes"] != len(own):
            what = f"the read has {row['boxes']} boxes, but {len(own)} are given"
            raise wrong(where, f"{what}; give the table of boxes, too")
        yield _read(row, own, where)


def _read(row: Row, boxes: tuple[Box, ...], where: str) -> ForeignRead:
    def needs(true: object, what: str) -> None:
        if not true:
            raise wrong(where, what)

    row = {name: storable(v) if isinstance(v, str) else v for name, v in row.items()}
    needs(isinstance(row["read_id"], int) and row["read_id"] > 0, "read_id is no number of a read")
    needs(is_sha256(row["sha256"]), "sha256 is no SHA-256")
    reader = " ".join((row["reader"] or "").split())
    needs(reader and reader.isprintable() and len(reader) <= NAME_LIMIT, "reader is no name")
    needs(row["revision"] and row["revision"] > 0, "revision is below 1")
    needs(row["verdict"] in VERDICTS, f"verdict is none of {', '.join(VERDICTS)}")
    needs(row["ai_visible"] is not None and row["saved_at"], "ai_visible or saved_at is empty")
    needs(row["confidence"] is None or 1 <= row["confidence"] <= 5, "confidence is not 1 to 5")
    stage: Any = row["stage"] or "aided"
    needs(stage in get_args(Stage), "stage is neither unaided nor aided")
    needs(not row["model_hash"] or is_sha256(row["model_hash"]), "model_hash is no SHA-256")
    needs(not row["map"] or row["map"] in MAP_TITLES, "map is no map that is known")
    numbers: dict[str, Any] = {
        name: None if row[name] is None else float(row[name])
        for name in ("score", "threshold", "pixel_threshold", "opacity", "seconds_to_verdict")
    }
    needs(all(n is None or math.isfinite(n) for n in numbers.values()), "a number is not finite")
    needs(numbers["opacity"] is None or 0 <= numbers["opacity"] <= 1, "opacity is not 0 to 1")
    seconds = numbers["seconds_to_verdict"]
    needs(seconds is None or seconds >= 0, "seconds_to_verdict is below 0")
    comment = row["comment"] or ""
    needs(len(comment) <= COMMENT_LIMIT, f"comment is longer than {COMMENT_LIMIT} characters")
    texts = [*(row["findings"] or ()), *(row["agreement"] or ())]
    needs(all(isinstance(t, str) and len(t) <= NAME_LIMIT for t in texts), "a finding is no text")
    agreement = dict(_pair(text) for text in row["agreement"] or ())
    needs(
        set(agreement) <= set(MAP_TITLES) and set(agreement.values()) <= set(AGREEMENTS),
        "agreement is not understood",
    )
    needs(len(boxes) <= MAX_BOXES, f"more than {MAX_BOXES} boxes")
    site, external = row["site"] or None, row["external_id"] or None
    needs((site is None) == (external is None), "site and external_id do not go together")
    needs(external is None or _EXTERNAL.fullmatch(external), "external_id is none")
    read = ImportedRead(
        image_id=0,
        reader=reader,
        revision=row["revision"],
        verdict=row["verdict"],
        confidence=row["confidence"],
        findings=tuple(storable(row["findings"] or [])),
        comment=comment,
        boxes=boxes,
        model_name=row["model"] or None,
        model_hash=row["model_hash"] or None,
        map_name=row["map"] or None,
        ai_visible=row["ai_visible"],
        stage=stage,
        agreement=agreement,
        saved_at=row["saved_at"],
        **numbers,
    )
    return ForeignRead(row["read_id"], row["sha256"], site, external, read)


def _pair(text: str) -> tuple[str, Any]:
    name, _, word = text.partition(": ")
    return name, word


def _boxes_of_reads(tables: Mapping[str, PackedFile]) -> dict[int, tuple[Box, ...]]:
    file = tables.get("boxes")
    if file is None:
        return {}
    found: dict[int, list[tuple[int, Box]]] = {}
    if file.kind == "coco":
        for index, one in enumerate(coco_of(file.path).boxes):
            if isinstance(one.get("read_id"), int):
                found.setdefault(one["read_id"], []).append((index, one["box"]))
    else:
        for row, where in _rows(file, "boxes"):
            found.setdefault(row["read_id"], []).append((row["index"], box_of(row, where)))
    return {
        number: tuple(box for _, box in sorted(boxes, key=lambda pair: pair[0]))
        for number, boxes in found.items()
    }


def _add_labels(found: Content, tables: Mapping[str, PackedFile]) -> None:
    labels: dict[str, int | None] = {}
    boxes: dict[str, tuple[Box, ...]] = {}
    if file := tables.get("images"):
        for row, where in _rows(file, "images"):
            sha256 = _checked(row["sha256"], where)
            if is_sha256(row["pixel_sha256"]):
                found.pixels[sha256] = row["pixel_sha256"]
            _put_label(labels, sha256, row["reference_label"], where)
    if file := tables.get("labels"):
        for row, where in _rows(file, "labels"):
            sha256 = _checked(row["sha256"], where)
            _put_label(labels, sha256, row["label"], where)
            boxes[sha256] = tuple(listed_box(one, where) for one in list_of(row["boxes"], where))
    if file := tables.get("reference_boxes"):
        _add_reference_boxes(file, labels, boxes)
    for sha256 in labels | boxes:
        label, drawn = labels.get(sha256), boxes.get(sha256, ())
        image = f"Image {sha256[:12]}"
        if label == 0 and drawn:
            raise wrong(image, "it is called normal and has boxes")
        if len(drawn) > MAX_BOXES:
            raise wrong(image, f"more than {MAX_BOXES} boxes")
        if label is not None or drawn:
            found.labels[sha256] = ForeignLabel(label, drawn)


def _add_reference_boxes(
    file: PackedFile, labels: dict[str, int | None], boxes: dict[str, tuple[Box, ...]]
) -> None:
    if file.kind == "coco":
        coco = coco_of(file.path)
        for sha256, label in coco.labels.items():
            _put_label(labels, sha256, label, file.name)
        placed = ((one["sha256"], one["box"]) for one in coco.boxes)
    else:
        placed = (
            (_checked(row["sha256"], where), box_of(row, where))
            for row, where in _rows(file, "reference_boxes")
        )
    for sha256, box in placed:
        boxes[sha256] = (*boxes.get(sha256, ()), box)


def _checked(sha256: Any, where: str) -> str:
    if not is_sha256(sha256):
        raise wrong(where, "sha256 is no SHA-256")
    return str(sha256)


def _put_label(labels: dict[str, int | None], sha256: str, label: Any, where: str) -> None:
    if label is not None and (isinstance(label, bool) or label not in (0, 1)):
        raise wrong(where, "the label is neither 1 (abnormal) nor 0 (normal)")
    if labels.get(sha256) is not None and label is not None and labels[sha256] != label:
        raise wrong(where, "the same image has two labels")
    if label is not None:
        labels[sha256] = label
