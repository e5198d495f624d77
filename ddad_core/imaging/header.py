"""What a DICOM header says that matters here, freed of identity.

Values are taken as raw text where that will do: pydicom's conversion warns of odd values by
quoting them, and a birth date does not belong in a log.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.suitability import body_part_warning, modality_warning, view_warning
from ddad_core.types import RadiographFacts, Window

_RADIOGRAPHS = ("CR", "DX", "RG")
_CAPTURES = ("SC", "OT")
_MODALITY_WORDS = {
    "CT": "computed tomography",
    "DOC": "a document",
    "MG": "mammography",
    "MR": "magnetic resonance",
    "NM": "nuclear medicine",
    "PR": "a presentation state",
    "PT": "positron emission tomography",
    "PX": "panoramic dental radiography",
    "RF": "fluoroscopy",
    "SEG": "a segmentation",
    "SR": "a structured report",
    "US": "ultrasound",
    "XA": "angiography",
    "XC": "a photograph",
}
_DICOMDIR = "1.2.840.10008.1.3.10"
_CODE = re.compile(r"[A-Z0-9_ .-]{1,64}")
"""CS and UI values (PS3.5 table 6.2-1), and the hyphen that some makers use."""

_AGE = re.compile(r"(\d{1,3})([YMWD]?)")
_YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_OLDEST = 125


def check_kind(tags: Dataset, *, vouched: bool = False) -> None:
    """Refuse all but one grey projection image.

    Args:
        tags: The header.
        vouched: Take a header without modality; one that names another is refused all the same.

    Raises:
        RefusedImageError: The modality, the frames or the colour are others.
    """
    modality = code(tags, "Modality")
    if code(getattr(tags, "file_meta", Dataset()), "MediaStorageSOPClassUID") == _DICOMDIR:
        problem = "The file is a DICOMDIR, the table of contents of a disc, not an image."
        raise RefusedImageError(problem, "Send the image files that lie beside it.")
    if modality not in _RADIOGRAPHS + _CAPTURES and not (vouched and not modality):
        words = _MODALITY_WORDS.get(modality or "")
        found = f"{words} ({modality})" if words else modality or "not given"
        problem = f"The modality is {found}; expected a radiograph (CR, DX or RG)."
        raise RefusedImageError(problem, "Send the chest radiograph of the study.")
    frames = numbers(tags, "NumberOfFrames")[:1] or [1]
    if frames[0] != 1:
        problem = f"The file holds {frames[0]:g} frames; a radiograph has one."
        raise RefusedImageError(problem, "Send a single radiograph, not a series or a film.")
    photometric = code(tags, "PhotometricInterpretation")
    samples = tags.get("SamplesPerPixel", 1)
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or samples != 1:
        problem = (
            f"PhotometricInterpretation is {photometric or 'not given'} with {samples} sample(s) "
            "per pixel; expected MONOCHROME1 or MONOCHROME2 with one."
        )
        raise RefusedImageError(problem, "Export the original radiograph, not a screenshot.")


def check_rescale(tags: Dataset) -> None:
    """Refuse a rescale that would make every pixel NaN or infinite (PS3.3 section C.11.1).

    Raises:
        RefusedImageError: Rescale Slope or Intercept is there, but is no finite number.
    """
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        text = printable(tags, keyword).strip()
        if text and not numbers(tags, keyword):
            problem = f"{keyword} in the header is {text[:16]!r}, not a finite number."
            raise RefusedImageError(problem, "Export the image again from the PACS.")


def is_inverted(tags: Dataset) -> bool:
    """Whether small values are meant to be bright.

    Photometric Interpretation decides (PS3.3 section C.7.6.3.1.2). In an image, Presentation
    LUT Shape only restates it: INVERSE "shall be used if" MONOCHROME1, IDENTITY if MONOCHROME2
    (General Image Module, section C.7.6.1), so it never adds an inversion. Where the two
    contradict each other, :func:`read_warnings` says so.
    """
    return code(tags, "PhotometricInterpretation") == "MONOCHROME1"


def read_facts(tags: Dataset) -> RadiographFacts:
    """Collect what may be kept of a header; codes and numbers that cannot be true are None."""
    sex = code(tags, "PatientSex")
    return RadiographFacts(
        format="dicom",
        modality=code(tags, "Modality"),
        view=_view(tags),
        body_part=code(tags, "BodyPartExamined"),
        age_years=_age(tags),
        sex=sex if sex in ("F", "M", "O") else None,
        spacing_mm=_spacing(tags),
        bits=int(tags.BitsStored),
    )


def read_warnings(tags: Dataset) -> tuple[str, ...]:
    """Say in sentences what a reader must know of the header."""
    facts = read_facts(tags)
    found = [
        modality_warning(facts.modality or ""),
        view_warning(facts.view),
        body_part_warning(facts.body_part),
    ]
    if code(tags, "PresentationIntentType") == "FOR PROCESSING":
        found.append(
            "The header says that this is raw detector data (FOR PROCESSING); "
            "the models are made for images as presented to a reader."
        )
    shape = code(tags, "PresentationLUTShape")
    if shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") != is_inverted(tags):
        found.append(
            "The header contradicts itself on polarity; check that bones are bright "
            "and the lungs dark."
        )
    return tuple(sentence for sentence in found if sentence)


def read_windows(
    tags: Dataset, *, low: float, high: float, mirror: float | None
) -> tuple[Window, ...]:
    """Convert the display windows to displayed = clip((x - centre) / width + 0.5, 0, 1).

    A LINEAR window (c, w) is (c - 0.5, w - 1) in this form and LINEAR_EXACT is itself (PS3.3
    sections C.11.2.1.2.1 and C.11.2.1.3.2). Two kinds are approximated: SIGMOID by its tangent
    at the centre, which is (c, w), and a VOI LUT by the straight line over its input range.

    Args:
        tags: The header.
        low: Smallest pixel of the image.
        high: Largest.
        mirror: Sum that a value and its inverted value have; None if not inverted.

    Returns:
        The windows in the file's order, LUTs last. Left out are those of no positive width
        and those that would show the whole image black or white.
    """
    exact = code(tags, "VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID")
    pairs = zip(numbers(tags, "WindowCenter"), numbers(tags, "WindowWidth"), strict=False)
    names = printable(tags, "WindowCenterWidthExplanation").split("\\")
    found = []
    for i, (center, width) in enumerate(pairs):
        name = names[i] if i < len(names) else ""
        found.append((center, width, name) if exact else (center - 0.5, width - 1, name))
    for item in tags.get("VOILUTSequence") or ():
        entries, first, _ = (int(value) for value in item.LUTDescriptor)
        span = (entries or 2**16) - 1
        found.append((first + span / 2, span, printable(item, "LUTExplanation")))
    windows = []
    for center, width, name in found:
        shown = center if mirror is None else mirror - center
        if width > 0 and shown - width / 2 < high and shown + width / 2 > low:
            windows.append(Window(shown, width, name.strip()[:64]))
    return tuple(windows)


def modality_lut(tags: Dataset) -> tuple[np.ndarray, int, int]:
    """Unpack the Modality LUT (PS3.3 section C.11.1.1).

    Args:
        tags: The header, with a Modality LUT Sequence.

    Returns:
        Entries, integers (n,); the stored value that the first is for; bits of an entry.

    Raises:
        RefusedImageError: The table is shorter than it says.
    """
    item = tags.ModalityLUTSequence[0]
    count, first, depth = (int(value) for value in item.LUTDescriptor)
    count = count or 2**16
    words = item.LUTData
    if isinstance(words, bytes):
        little = tags.original_encoding[1] is not False
        kind = "u1" if len(words) < 2 * count else "<u2" if little else ">u2"
        words = np.frombuffer(words, dtype=kind)
    entries = np.asarray(words)[:count]
    if len(entries) < count or not 8 <= depth <= 16:
        problem = f"The Modality LUT says {count} entries of {depth} bits, but has {len(entries)}."
        raise RefusedImageError(problem, "Export the image again from the PACS.")
    return entries, first, depth


def padding_range(tags: Dataset) -> tuple[int, int] | None:
    """Read which stored values are padding, both ends included (PS3.3 section C.7.5.1.1.2).

    Args:
        tags: The header.

    Returns:
        (smallest, largest), or None if the header names no padding.
    """
    value = tags.get("PixelPaddingValue")
    if value is None:
        return None
    limit = tags.get("PixelPaddingRangeLimit")
    allocated = int(tags.BitsAllocated)
    ends = [int(value), int(value if limit is None else limit)]
    # Written with the wrong VR (US for SS), a value has the same bits but another sign.
    ends = [end % 2**allocated for end in ends]
    if tags.get("PixelRepresentation"):
        ends = [end - 2**allocated if end >= 2 ** (allocated - 1) else end for end in ends]
    return min(ends), max(ends)


def numbers(tags: Dataset, keyword: str) -> list[float]:
    """Read a DS or IS element.

    Args:
        tags: The header.
        keyword: Name of the element.

    Returns:
        The values; empty if the element is absent, or if one of them is no finite number.
    """
    try:
        found = [float(part) for part in printable(tags, keyword).split("\\")]
    except ValueError:
        return []
    return found if all(map(math.isfinite, found)) else []


def code(tags: Dataset, keyword: str) -> str | None:
    """Read a CS or UI element.

    Args:
        tags: The header.
        keyword: Name of the element.

    Returns:
        The value in capitals, or None if it is absent or too odd to be a code.
    """
    text = printable(tags, keyword).strip().upper()
    return text if _CODE.fullmatch(text) else None


def printable(tags: Dataset, keyword: str) -> str:
    """Read any element as text, without pydicom's conversion.

    Args:
        tags: The header.
        keyword: Name of the element.

    Returns:
        Its printable characters, its values parted by backslashes; empty if it is absent.
    """
    element = tags.get_item(keyword)
    value: Any = element.value if element is not None else None
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            value = value.decode("latin-1")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        value = "\\".join(str(part) for part in value)
    return "".join(c for c in str("" if value is None else value) if c.isprintable())


def _view(tags: Dataset) -> str | None:
    """ViewPosition, or PatientPosition where a maker put the view there (the NIH files do)."""
    position = code(tags, "PatientPosition")
    return code(tags, "ViewPosition") or (position if position in ("AP", "PA") else None)


def _age(tags: Dataset) -> float | None:
    """PatientAge (AS, PS3.5 section 6.2, or a bare number of years), else from the dates."""
    match = _AGE.fullmatch(printable(tags, "PatientAge").strip().upper())
    if match:
        years = int(match[1]) * _YEARS[match[2]]
        return years if years <= _OLDEST else None
    try:
        born, taken = (
            datetime.strptime(printable(tags, keyword).strip(), "%Y%m%d").replace(tzinfo=UTC)
            for keyword in ("PatientBirthDate", "StudyDate")
        )
    except ValueError:
        return None
    years = (taken - born).days / 365.25
    return years if 0 <= years <= _OLDEST else None


def _spacing(tags: Dataset) -> tuple[float, float] | None:
    """Calibrated spacing, else that of the detector (PS3.3 section 10.7.1.3)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = numbers(tags, keyword)
        if len(values) == 2 and min(values) > 0:
            return values[0], values[1]
    return None
