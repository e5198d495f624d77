"""The values that go into the store and come out of it. Nothing here knows SQL.

``New...`` is what a caller gives; the store adds the id, the time and, where rows form a
history, the number in that history. ``...Record`` is what was stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Origin = Literal["gallery", "upload"]
Verdict = Literal["normal", "abnormal", "uncertain", "unreadable"]
StoredAs = Literal["png", "dicom"]
Stage = Literal["unaided", "aided"]
PointKind = Literal["image", "pixel"]
Agreement = Literal["helpful", "misleading", "missed"]


@dataclass(frozen=True)
class WindowRecord:
    """A display window, in the units of the pixel values. See ``ddad_core.types.Window``."""

    center: float
    width: float
    name: str = ""
    function: Literal["linear", "sigmoid", "lut"] = "linear"
    table: bytes = field(default=b"", repr=False)
    table_max: int = 0


@dataclass(frozen=True)
class Box:
    """A rectangle in image pixels, from its top left corner; edges may fall between pixels."""

    x: float
    y: float
    width: float
    height: float
    label: str = ""


@dataclass(frozen=True)
class RejectedRegion:
    """A region of a map that a reader called no finding.

    Attributes:
        map_name: The map.
        pixel_threshold: That the region was found with, in the map's units.
        x: Its outline in image pixels, from the top left corner.
        y: See ``x``.
        width: See ``x``.
        height: See ``x``.
        peak: Highest value in it.
        peak_x: Middle of the map's cell with that value, in image pixels.
        peak_y: See ``peak_x``.
    """

    map_name: str
    pixel_threshold: float
    x: float
    y: float
    width: float
    height: float
    peak: float
    peak_x: float
    peak_y: float


@dataclass(frozen=True, kw_only=True)
class ImageDescription:
    """What is known of an image besides its pixels and its thumbnail.

    Attributes:
        sha256: Of the original bytes, lower-case hexadecimal.
        origin: Whether it came with the program or from a reader.
        label: What the worklist calls it. For an upload never a patient's or a file's name.
        format: "dicom", "png" or "jpeg".
        bits: Bits stored per pixel in the original file.
        width: Columns.
        height: Rows.
        slope: Pixel value = value in the stored PNG * slope + intercept; 1 where DICOM is stored.
        intercept: See ``slope``.
        modality: DICOM (0008,0060).
        view: DICOM ViewPosition (0018,5101).
        body_part: DICOM (0018,0015).
        age_years: Age in years.
        sex: "F", "M" or "O".
        spacing_row_mm: Distance between rows in millimetres; None if unknown.
        spacing_col_mm: Distance between columns in millimetres; None if unknown.
        windows: Display windows, the default first.
        warnings: Sentences a reader must see.
        reference_label: The label that came with the gallery: 1 abnormal, 0 normal.
        reference_boxes: The boxes that came with the gallery.
        attribution: Whom the licence asks to name.
        added_by: Who brought the image in.
        patient: The patient's keyed pseudonym; None if the file names none.
        instance: The keyed pseudonym of the SOP Instance UID; None if the file has none.
        station: The keyed pseudonym of the scanner; None if unknown, as for images that an older
            version took in.
        pixel_sha256: Of the decoded pixels, 64 lower-case hexadecimal digits; None for images
            that an older version took in.
        stored_as: The kind of file in the image store.
        stored_sha256: Of that file's bytes; None for images that an older version took in.
        conflict: Another image has the same SOP Instance UID, but other pixels.
    """

    sha256: str
    origin: Origin
    label: str
    format: str
    bits: int
    width: int
    height: int
    slope: float
    intercept: float
    added_by: str
    modality: str | None = None
    view: str | None = None
    body_part: str | None = None
    age_years: float | None = None
    sex: str | None = None
    spacing_row_mm: float | None = None
    spacing_col_mm: float | None = None
    windows: tuple[WindowRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    reference_label: int | None = None
    reference_boxes: tuple[Box, ...] = ()
    attribution: str | None = None
    patient: str | None = None
    instance: str | None = None
    station: str | None = None
    pixel_sha256: str | None = None
    stored_as: StoredAs = "png"
    stored_sha256: str | None = None
    conflict: bool = False

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """(row, column) pixel spacing in millimetres; None if unknown."""
        if self.spacing_row_mm and self.spacing_col_mm:
            return self.spacing_row_mm, self.spacing_col_mm
        return None


@dataclass(frozen=True, kw_only=True)
class NewImage(ImageDescription):
    """An image to add.

    Attributes:
        thumbnail: A small JPEG, at most ``schema.THUMBNAIL_LIMIT_BYTES``.
    """

    thumbnail: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ImageRecord(ImageDescription):
    """An image as stored. Its thumbnail is asked for separately: a worklist holds many."""

    id: int
    added_at: datetime


@dataclass(frozen=True, kw_only=True)
class NewScore:
    """What one model says of one image.

    Attributes:
        image_id: The image.
        model_name: The model.
        model_hash: Of the model's weights, 64 lower-case hexadecimal digits.
        a_rec: Reconstruction error of the module B ensemble.
        a_rec_single: Mean reconstruction error of its single networks.
        a_intra: Intra-discrepancy.
        a_inter: Inter-discrepancy.
        score_name: Which of these is the primary score.
        score: Its value.
        p_value: Of the primary score among the calibration normals.
        percentile: Percent of calibration normals below it, 0 to 100.
        warnings: Sentences a reader must see beside this score.
        seconds: How long scoring took.
        r_dual: A_inter and A_intra refined; None, as the following, if the model has no such map.
        r_intra: A_intra refined.
        c_rec: A_rec calibrated by place.
        c_intra: A_intra calibrated by place.
        c_inter: A_inter calibrated by place.
        a_ratio: The estimated log density ratio of D_u and D_n.
    """

    image_id: int
    model_name: str
    model_hash: str
    a_rec: float
    a_rec_single: float
    a_intra: float
    a_inter: float
    score_name: str
    score: float
    p_value: float
    percentile: float
    seconds: float
    warnings: tuple[str, ...] = ()
    r_dual: float | None = None
    r_intra: float | None = None
    c_rec: float | None = None
    c_intra: float | None = None
    c_inter: float | None = None
    a_ratio: float | None = None

    def value(self, name: str) -> float | None:
        """The score of that name (``ddad_core.vocabulary``); None if the model has none."""
        value: float | None = getattr(self, name)
        return value


@dataclass(frozen=True, kw_only=True)
class ScoreRecord(NewScore):
    """A score as stored."""

    id: int
    scored_at: datetime


@dataclass(frozen=True, kw_only=True)
class NewOperatingPoint:
    """A threshold that the site sets for one score of one model.

    Attributes:
        model_name: The model.
        model_hash: Of the model's weights: a threshold belongs to one version of a model.
        score_name: The score it cuts.
        threshold: Scores at or above it are flagged.
        policy: How it was chosen, for instance "sensitivity >= 0.95 on the site's own set".
        reason: Why it was changed, in the words of who changed it.
        set_by: Who set it.
        kind: "image" for a threshold of the score, "pixel" for a level of a map.
        map_name: The map whose level it is; None for a threshold of the score.
        evidence: What it rests on, and what was to be expected of it.
        override_reason: Why it was put in force on fewer cases than the site asks for; empty if
            there were enough.
        population: Whom the model was made for then; None in versions older than this column.
        site: The site then; None in versions older than this column.
        approved_by: The second person; None where none was asked for.
        restores: The earlier version it goes back to, 0 for the model's own; None for none.
    """

    model_name: str
    model_hash: str
    score_name: str
    threshold: float
    policy: str
    reason: str
    set_by: str
    kind: PointKind = "image"
    map_name: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    override_reason: str = ""
    population: str | None = None
    site: str | None = None
    approved_by: str | None = None
    restores: int | None = None


@dataclass(frozen=True, kw_only=True)
class OperatingPointRecord(NewOperatingPoint):
    """An operating point as stored; never changed, only followed by the next version."""

    id: int
    version: int
    replaces_id: int | None
    set_at: datetime


@dataclass(frozen=True, kw_only=True)
class ReadContent:
    """What a reader decided on an image, and what was on the screen meanwhile.

    Attributes:
        image_id: The image.
        reader: Who read it.
        verdict: The reader's call.
        confidence: 1 (guess) to 5 (certain); None if the reader gave none.
        findings: Names of findings, in the reader's order.
        comment: Free text.
        model_name: Model in use; None if the image was read without one.
        model_hash: Of that model's weights.
        operating_point_id: The site's operating point in force; None if the model's own was.
        score: The primary score then.
        threshold: The threshold then.
        map_name: The map shown last.
        pixel_threshold: The lowest map value that was painted.
        opacity: Of the overlay, 0 to 1.
        ai_visible: Whether the map lay on the image when the read was saved.
        seconds_to_verdict: From opening the image to the verdict, idle time left out.
        stage: "unaided" where the verdict was asked for before anything of the AI was shown.
        agreement: What the reader thinks of maps, by name.
        origin: The site that an imported read came from; None for a read made here.
        external_id: Its installation and its number there; None for a read made here.
        imported_at: When it was imported, UTC; None for a read made here.
    """

    image_id: int
    reader: str
    verdict: Verdict
    ai_visible: bool
    confidence: int | None = None
    findings: tuple[str, ...] = ()
    comment: str = ""
    model_name: str | None = None
    model_hash: str | None = None
    operating_point_id: int | None = None
    score: float | None = None
    threshold: float | None = None
    map_name: str | None = None
    pixel_threshold: float | None = None
    opacity: float | None = None
    seconds_to_verdict: float | None = None
    stage: Stage = "aided"
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    origin: str | None = None
    external_id: str | None = None
    imported_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class NewRead(ReadContent):
    """A read to append; boxes and rejected regions are numbered in the order given."""

    boxes: tuple[Box, ...] = ()
    rejected: tuple[RejectedRegion, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BoxRecord:
    """A box of a read as stored, in image pixels from its top left corner."""

    id: int
    read_id: int
    index: int
    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, kw_only=True)
class ReadRecord(ReadContent):
    """A read as stored; never changed, only followed by the reader's next revision."""

    id: int
    revision: int
    replaces_id: int | None
    saved_at: datetime
    boxes: tuple[BoxRecord, ...] = ()
    rejected: tuple[RejectedRegion, ...] = ()
