"""What of a DICOM header may stay: named attributes with values that can name nobody.

De-identifying by a list of what must go leaves whatever nobody thought of: private groups,
sequences inside sequences, unknown attributes, a name typed into the wrong field. Hence only
what a display or a model needs is copied, and only where the value is a number, a code of a
known set, or made of known words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ddad_core.imaging import header
from ddad_core.imaging.lookup import read_lookup_table
from ddad_core.imaging.terms import known_body_part, known_view, known_window_name

_CODES = {
    "Modality": "CR DX RG SC OT",
    "PresentationIntentType": "FOR PRESENTATION|FOR PROCESSING",
    "ConversionType": "DV DI DF WSD SD SI DRW SYN",
    "PatientSex": "F M O",
    "ImageLaterality": "L R U B",
    "Laterality": "L R",
    "PixelSpacingCalibrationType": "GEOMETRY FIDUCIAL",
    "DetectorType": "DIRECT SCINTILLATOR STORAGE FILM",
    "PatientPosition": "AP PA HFP HFS HFDR HFDL FFP FFS FFDR FFDL",
    "PhotometricInterpretation": "MONOCHROME1 MONOCHROME2",
    "PixelIntensityRelationship": "LIN LOG DISP",
    "BurnedInAnnotation": "YES NO",
    "RecognizableVisualFeatures": "YES NO",
    "VOILUTFunction": "LINEAR LINEAR_EXACT SIGMOID",
    "RescaleType": "OD HU US",
    "LossyImageCompression": "00 01",
    "LossyImageCompressionMethod": "ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_15444_15",
    "PresentationLUTShape": "IDENTITY INVERSE",
}
"""Enumerated values and defined terms of PS3.3; others are left out."""

_INTEGERS = ("SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit")
_PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")
_NUMBERS = (
    "PixelSpacing",
    "ImagerPixelSpacing",
    "EstimatedRadiographicMagnificationFactor",
    "WindowCenter",
    "WindowWidth",
    "RescaleIntercept",
    "RescaleSlope",
    "NumberOfFrames",
)
_BOUNDED = {
    "PatientSize": 3,
    "PatientWeight": 700,
    "KVP": 1000,
    "ExposureTime": 100_000,
    "XRayTubeCurrent": 10_000,
    "Exposure": 10_000,
    "DistanceSourceToDetector": 10_000,
    "DistanceSourceToPatient": 10_000,
    "SeriesNumber": 9_999,
    "InstanceNumber": 9_999,
    "LossyImageCompressionRatio": 10_000,
}
"""Largest value that is believed: a longer number is more likely one that identifies."""

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_AGE = re.compile(r"(\d{1,3})([YMWD]?)")

_IMAGE_TYPES = frozenset("ORIGINAL DERIVED PRIMARY SECONDARY".split())


def retained(tags: Dataset) -> Dataset:
    """Copy what may stay of a header that :func:`ddad_core.imaging.read_dicom` takes.

    Args:
        tags: The header as read.

    Returns:
        A new header that reads as the same radiograph; it has no UID, no date and no
        character but of ASCII.
    """
    kept = Dataset()
    for keyword, value in _values(tags):
        _put(kept, keyword, value)
    _copy_padding(tags, kept)
    _copy_tables(tags, kept)
    return kept


def _values(tags: Dataset) -> Iterator[tuple[str, object]]:
    """Plain attributes that stay, with the values that they get."""
    for keyword, known in _CODES.items():
        found = header.code(tags, keyword)
        if found in known.split("|" if "|" in known else " "):
            yield keyword, found
    for keyword in (*_INTEGERS, "PixelRepresentation"):
        value = tags.get(keyword)
        if value is not None:
            yield keyword, int(value)
    for keyword in _NUMBERS:
        if header.numbers(tags, keyword):
            yield keyword, [_decimal(part) for part in header.text_of(tags, keyword).split("\\")]
    for keyword, most in _BOUNDED.items():
        numbers = header.numbers(tags, keyword)
        if len(numbers) == 1 and 0 <= numbers[0] <= most:
            yield keyword, _decimal(header.text_of(tags, keyword))
    yield from _described(tags)


def _described(tags: Dataset) -> Iterator[tuple[str, object]]:
    """Attributes in words."""
    if age := _age(tags):
        yield "PatientAge", age
    if view := known_view(header.code(tags, "ViewPosition")):
        yield "ViewPosition", view
    if part := known_body_part(header.code(tags, "BodyPartExamined")):
        yield "BodyPartExamined", part
    kinds = header.text_of(tags, "ImageType").upper().split("\\")[:2]
    if len(kinds) == 2 and _IMAGE_TYPES.issuperset(kind.strip() for kind in kinds):
        yield "ImageType", [kind.strip() for kind in kinds]
    orientation = header.text_of(tags, "PatientOrientation").upper().split("\\")
    if len(orientation) == 2 and all(re.fullmatch(r"[APRLHF]{1,3}", o) for o in orientation):
        yield "PatientOrientation", orientation
    if "WindowCenterWidthExplanation" in tags:
        names = header.text_of(tags, "WindowCenterWidthExplanation").split("\\")
        yield "WindowCenterWidthExplanation", [known_window_name(name) for name in names]


def _age(tags: Dataset) -> str | None:
    """The age as an AS value (PS3.5 table 6.2-1); from the dates, it is in completed units."""
    match = _AGE.fullmatch(header.text_of(tags, "PatientAge").strip().upper())
    years = header.read_facts(tags).age_years
    if years is None:
        return None
    if match:
        return f"{int(match[1]):03d}{match[2] or 'Y'}"
    if years >= 2:
        return f"{int(years):03d}Y"
    return f"{int(years * 12):03d}M" if years * 12 >= 1 else f"{int(years * 365.25):03d}D"


def _decimal(text: str) -> str:
    """A DS value as it stands, where that is nothing but a number."""
    text = text.strip()
    return text if _DECIMAL.fullmatch(text) and len(text) <= 16 else repr(float(text))


def _copy_padding(tags: Dataset, kept: Dataset) -> None:
    signed = bool(tags.get("PixelRepresentation"))
    allocated = int(tags.BitsAllocated)
    for keyword in _PADDING:
        value = tags.get(keyword)
        if value is None:
            continue
        bits = int(value) % 2**allocated
        if signed and bits >= 2 ** (allocated - 1):
            bits -= 2**allocated
        _put(kept, keyword, bits, "SS" if signed else "US")


def _copy_tables(tags: Dataset, kept: Dataset) -> None:
    """The Modality LUT and the VOI LUTs, without anything behind their last entry."""
    little = tags.original_encoding[1] is not False
    if tags.get("ModalityLUTSequence"):
        first = tags.ModalityLUTSequence[0]
        signed = bool(tags.get("PixelRepresentation"))
        entries = read_lookup_table(tags, first, signed=signed).entries
        item = _table(first, entries.astype("<u2" if little else ">u2"))
        kind = header.code(tags.ModalityLUTSequence[0], "ModalityLUTType")
        _put(item, "ModalityLUTType", kind if kind in ("OD", "HU") else "US")
        kept.ModalityLUTSequence = Sequence([item])
    if tags.get("VOILUTSequence"):
        kept.VOILUTSequence = Sequence([_voi_table(item, little) for item in tags.VOILUTSequence])


def _voi_table(item: Dataset, little: bool) -> Dataset:
    words = item.get("LUTData")
    count = int(item.LUTDescriptor[0]) or 2**16
    entries = None
    if isinstance(words, bytes) and 0 < count and len(words) >= 2 * count:
        entries = np.frombuffer(words, "<u2" if little else ">u2", count)
    elif words is not None and not isinstance(words, (bytes, str)):
        numbers = np.atleast_1d(np.asarray(words, dtype=np.int64))[: max(count, 0)]
        entries = numbers.astype("<u2" if little else ">u2")
    table = _table(item, entries)
    name = known_window_name(header.text_of(item, "LUTExplanation"))
    if name:
        _put(table, "LUTExplanation", name)
    return table


def _table(item: Dataset, entries: np.ndarray | None) -> Dataset:
    table = Dataset()
    descriptor = [int(value) for value in item.LUTDescriptor][:3]
    _put(table, "LUTDescriptor", descriptor, "SS" if min(descriptor) < 0 else "US")
    if entries is not None:
        _put(table, "LUTData", entries.tobytes(), "OW")
    return table


def _put(kept: Dataset, keyword: str, value: object, vr: str = "") -> None:
    """Set an element; what is put here has been looked at, so pydicom need not warn of it."""
    tag = tag_for_keyword(keyword)
    vr = vr or dictionary_VR(keyword)
    kept[keyword] = DataElement(tag, vr, value, validation_mode=config.IGNORE)
