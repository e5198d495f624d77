"""What an export holds: every table with its columns, each with its meaning.

A new table is a `Source` in `app.store.export_repository`, its name in `TableName`, its row class
in `app.store.export_state`, and an entry of `TABLES` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from app.gateways.tables import Column, Kind
from app.store.account_records import AuditAction
from app.store.export_records import TableName
from app.store.records import Origin, PointKind, Stage, StoredAs, Verdict
from ddad_core.vocabulary import MAP_TITLES, SCORE_TITLES

Row = dict[str, Any]


@dataclass(frozen=True)
class ExportTable:
    """A table of an export.

    Attributes:
        name: In files' names.
        title: For people.
        columns: In order.
    """

    name: TableName
    title: str
    columns: tuple[Column, ...]


def _text(name: str, meaning: str, *values: str, source: str = "") -> Column:
    return Column(name, "text", meaning, values=values, source=source)


def _other(kind: Kind, name: str, meaning: str, unit: str = "", source: str = "") -> Column:
    return Column(name, kind, meaning, unit, source=source)


_CASE = _text("case", "What the worklist calls the image; no name and no number of a patient")
_SHA = _text("sha256", "SHA-256 of the image's original file: the key between tables and sites")
_MODEL = _text("model", "Name of the model", source="model_name")
_HASH = _text("model_hash", "SHA-256 of the model's weights: one version of the model")
_READER = _text("reader", "Name of the reader's account; name@site for an imported read")
_REVISION = _other("integer", "revision", "1 for a reader's first read of an image, then 2, 3, …")
_CURRENT = _other("flag", "current", "Whether no later revision of this reader and image is stored")
_OF_READ = (
    _other("integer", "read_id", "The revision of the read it belongs to"),
    _CASE,
    _SHA,
    _READER,
    _REVISION,
    _CURRENT,
)
_PLACE = (
    _other("number", "x", "Left edge, from the image's left", "pixel"),
    _other("number", "y", "Upper edge, from the image's top", "pixel"),
    _other("number", "width", "Of the box", "pixel"),
    _other("number", "height", "Of the box", "pixel"),
)
_IMAGE_SIZE = (
    _other("integer", "image_width", "Columns of the image", "pixel"),
    _other("integer", "image_height", "Rows of the image", "pixel"),
)
_BOX = (*_PLACE, _text("label", "What the box is called; may be empty"), *_IMAGE_SIZE)
_SCORES = tuple(
    _other("number", name, f"{SCORE_TITLES[name]} of the image; empty if the model has none")
    for name in (
        "a_rec", "a_rec_single", "a_intra", "a_inter", "r_dual", "r_intra", "c_rec", "c_intra",
        "c_inter",
        "a_ratio",
    )
)  # fmt: skip
TABLES: dict[TableName, ExportTable] = {
    table.name: table
    for table in (
        ExportTable("images", "Images with their facts, and patients as pseudonyms", (
            _CASE,
            _SHA,
            _text("pixel_sha256", "SHA-256 of the decoded pixels; empty for old images"),
            _text("origin", "Shipped with the program, or taken in", *get_args(Origin)),
            _text("format", "Of the original file", "dicom", "png", "jpeg"),
            _text("stored_as", "Kind of the stored file", *get_args(StoredAs)),
            _text("patient", "Pseudonym: images of a patient share it; empty if unknown"),
            _other("flag", "conflict", "Another image has its SOP Instance UID, but other pixels"),
            _text("modality", "DICOM (0008,0060)"),
            _text("view", "DICOM ViewPosition (0018,5101)"),
            _text("body_part", "DICOM (0018,0015)"),
            _other("number", "age_years", "Of the patient at the time of the image", "year"),
            _text("sex", "Of the patient", "F", "M", "O"),
            _other("integer", "width", "Columns", "pixel"),
            _other("integer", "height", "Rows", "pixel"),
            _other("integer", "bits", "Stored per pixel in the original file", "bit"),
            _other("number", "spacing_row_mm", "Distance between rows; empty if unknown", "mm"),
            _other("number", "spacing_col_mm", "Distance between columns", "mm"),
            _other("integer", "reference_label", "From outside: 1 abnormal, 0 normal, or empty"),
            _other("texts", "warnings", "Sentences that a reader sees beside the image"),
            _text("added_by", "Who took it in"),
            _other("time", "added_at", "When it was taken in"),
        )),
        ExportTable("reference_boxes", "Boxes that came with images, in image pixels", (
            _CASE,
            _SHA,
            _other("integer", "index", "Of the box in the image, from 0"),
            *_BOX,
        )),
        ExportTable("reads", "Reads with all revisions, and what was on the screen", (
            _other("integer", "read_id", "Number of this revision, never given again", source="id"),
            _CASE,
            _SHA,
            _READER,
            _REVISION,
            _other(
                "integer", "replaces_read_id", "The revision before; empty for a first read",
                source="replaces_id",
            ),
            _CURRENT,
            _other("flag", "settles", "Whether it settled a case that readers disagreed on"),
            _text("verdict", "The reader's call", *get_args(Verdict)),
            _other("integer", "confidence", "1 (guess) to 5 (certain); empty if none was given"),
            _other("texts", "findings", "Chosen findings, in the reader's order"),
            _text("comment", "Free text; empty unless the export was asked for comments"),
            _other("integer", "boxes", "How many boxes the read has"),
            _MODEL,
            _HASH,
            _other("number", "score", "The model's primary score then; empty without a model"),
            _other("number", "threshold", "The threshold in force then: at or above was flagged"),
            _other(
                "integer", "operating_point_id",
                "The site's operating point then; empty while the model's own was in force",
            ),
            _text("map", "The map shown last", *MAP_TITLES.keys(), source="map_name"),
            _other("number", "pixel_threshold", "The lowest map value that was painted"),
            _other("number", "opacity", "Of the map over the image, 0 to 1"),
            _other("flag", "ai_visible", "Whether score or map was seen before the verdict"),
            _other("number", "seconds_to_verdict", "From opening to verdict, pauses cut", "s"),
            _text("stage", "Before or after the AI was shown", *get_args(Stage)),
            _other("texts", "agreement", "What the reader thinks of each map, as “map: word”"),
            _other("time", "saved_at", "When it was saved, at its own site"),
            _text("site", "The site that an imported read came from, or empty", source="origin"),
            _text("external_id", "An imported read's installation and number there, or empty"),
            _other("time", "imported_at", "When it was imported; empty for a read made here"),
        )),
        ExportTable("boxes", "Boxes of reads, in image pixels", (
            _other("integer", "box_id", "Number of the box", source="id"),
            *_OF_READ,
            _other("integer", "index", "Of the box in its read, from 0"),
            *_BOX,
        )),
        ExportTable("rejected_regions", "Regions of a map that readers rejected, in image pixels", (
            _other("integer", "region_id", "Number of the region", source="id"),
            *_OF_READ,
            _other("integer", "index", "Of the region in its read, from 0"),
            _text("map", "The map it is of", *MAP_TITLES.keys(), source="map_name"),
            _other("number", "pixel_threshold", "The level the map was cut at"),
            *_PLACE,
            *_IMAGE_SIZE,
            _other("number", "peak", "The highest value of the map in it"),
            _other("number", "peak_x", "Where that is, from the image's left", "pixel"),
            _other("number", "peak_y", "Where that is, from the image's top", "pixel"),
        )),
        ExportTable("scores", "Scores of every case and model version", (
            _CASE,
            _SHA,
            _MODEL,
            _HASH,
            *_SCORES,
            _text("score_name", "Which of these is the primary score", *SCORE_TITLES.keys()),
            _other("number", "score", "The primary score; higher is more abnormal"),
            _other("number", "p_value", "Share of calibration normals at or above it, 0 to 1"),
            _other("number", "percentile", "Of calibration normals below it", "%"),
            _other("texts", "warnings", "Sentences that a reader sees beside image and score"),
            _other("number", "seconds", "That scoring took", "s"),
            _other("time", "scored_at", "When it was scored"),
        )),
        ExportTable("operating_points", "Every version of the site's operating points", (
            _other("integer", "operating_point_id", "Number of this version", source="id"),
            _MODEL,
            _HASH,
            _text("kind", "Of images by a score, or of the pixels of a map", *get_args(PointKind)),
            _text("score_name", "The score it cuts; “map NAME” where it cuts a map"),
            _text("map", "The map it cuts, or empty", *MAP_TITLES.keys(), source="map_name"),
            _other("integer", "version", "1 for the first of a score of a model"),
            _other("number", "threshold", "Scores at or above it are flagged"),
            _text("policy", "How it was chosen"),
            _text("reason", "Why it was changed"),
            _text("override_reason", "Why it was set on less evidence than is asked for, or empty"),
            _text("set_by", "Who set it"),
            _text("approved_by", "The second person, where one had to approve"),
            _text("population", "Of the model, as its card has it"),
            _text("site", "For which site"),
            _other("time", "set_at", "When"),
            _other("integer", "replaces_id", "The version before; empty for the first"),
            _other("integer", "restores", "The version gone back to; 0: the model's own; or empty"),
            _other("object", "evidence", "Figures in force and proposed, when it was set"),
        )),
        ExportTable("audit_events", "Who did what and when, as a chain of hashes", (
            _other("integer", "id", "1 for the first, and no number left out"),
            _other("time", "at", "When"),
            _text("actor", "Name of the account"),
            _other("integer", "actor_id", "Number of the account; empty for a command"),
            _text("action", "What was done", *get_args(AuditAction)),
            _text("subject", "To what"),
            _text("address", "Where from"),
            _other("object", "before", "What was"),
            _other("object", "after", "What is"),
            _text("reason", "Why"),
            _text("previous", "Hash of the event before"),
            _text("hash", "SHA-256 over all else of this event"),
        )),
    )
}  # fmt: skip

DICTIONARY = tuple(
    _text(name, meaning)
    for name, meaning in (
        ("table", "Table"),
        ("column", "Column"),
        ("meaning", "What it says"),
        ("type", "Of its values"),
        ("unit", "Empty for none"),
        ("values", "All that it can be; empty if that is not a short list"),
    )
)


def rows_of(table: ExportTable, raw: Mapping[str, Any]) -> list[Row]:
    """The rows of a table that one row of the store gives: one, but for boxes of an image."""
    if table.name == "reference_boxes":
        return [
            {"index": i, **vars(box), **{c.name: raw[c.name] for c in table.columns[:2]},
             "image_width": raw["image_width"], "image_height": raw["image_height"]}
            for i, box in enumerate(raw["reference_boxes"])
        ]  # fmt: skip
    values = dict(raw)
    if table.name == "images":
        values["case"] = raw["label"]
    if table.name == "reads":
        values["agreement"] = [f"{name}: {word}" for name, word in sorted(raw["agreement"].items())]
    if table.name == "scores":
        values["warnings"] = (*raw["image_warnings"], *raw["warnings"])
    row = {c.name: values[c.source or c.name] for c in table.columns}
    for column in table.columns:
        if column.kind == "texts":
            row[column.name] = list(row[column.name])
        elif column.kind == "flag":
            row[column.name] = bool(row[column.name])
    return [row]
