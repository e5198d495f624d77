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

from pydicom.dataset import Dataset
from pydicom.uid import UID

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.suitability import body_part_warning, modality_warning, view_warning
from ddad_core.imaging.terms import MODALITIES, known_body_part, known_view
from ddad_core.types import RadiographFacts

_RADIOGRAPHS = ("CR", "DX", "RG")
_CAPTURES = ("SC", "OT")
_DICOMDIR = "1.2.840.10008.1.3.10"
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_RADIOGRAPH_CLASSES = tuple(
    _STORAGE + end for end in ("1", "1.1", "1.1.1", "7", "7.1", "7.2", "7.3", "7.4")
)
"""CR, DX for presentation and for processing, and the secondary captures (PS3.4 annex B)."""

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = (
    "PALETTE COLOR", "RGB", "ARGB", "CMYK", "HSV", "XYB", "YBR_FULL", "YBR_FULL_422",
    "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT",
)  # fmt: skip
"""Terms of PhotometricInterpretation, retired ones included (PS3.3 section C.7.6.3.1.2)."""

_EXPECTED = "expected a radiograph (CR, DX or RG)"
_SEND_RADIOGRAPH = "Send the chest radiograph of the study."
_CODE = re.compile(r"[A-Z0-9_ .-]{1,64}")
"""CS and UI values (PS3.5 table 6.2-1), and the hyphen that some makers use."""

_AGE = re.compile(r"(\d{1,3})([YMWD]?)")
_YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_OLDEST = 125


def check_kind(tags: Dataset, *, vouched: bool = False) -> None:
    """Refuse all but one grey projection image.

    What a sentence quotes is a code from the standard's lists: an element may hold anything,
    even a name.

    Args:
        tags: The header.
        vouched: Take a header without modality; one that names another is refused all the same.

    Raises:
        RefusedImageError: The modality, the SOP class, the frames or the colour are others.
    """
    modality = code(tags, "Modality")
    classes = [
        UID(code(part, keyword) or "")
        for part, keyword in (
            (tags, "SOPClassUID"),
            (getattr(tags, "file_meta", Dataset()), "MediaStorageSOPClassUID"),
        )
    ]
    if _DICOMDIR in classes:
        problem = "The file is a DICOMDIR, the table of contents of a disc, not an image."
        raise RefusedImageError(problem, "Send the image files that lie beside it.")
    if modality not in _RADIOGRAPHS + _CAPTURES and not (vouched and not modality):
        problem = f"The modality is {_modality_words(tags)}; {_EXPECTED}."
        raise RefusedImageError(problem, _SEND_RADIOGRAPH)
    for uid in classes:
        if uid.type == "SOP Class" and uid not in _RADIOGRAPH_CLASSES:
            kind = uid.name.removesuffix(" (Retired)").removesuffix(" Storage")
            problem = (
                f"The file is of the kind {kind} (its SOP class), although its modality is "
                f"{modality or 'not given'}; {_EXPECTED}."
            )
            raise RefusedImageError(problem, _SEND_RADIOGRAPH)
    _check_frames(tags)
    photometric = code(tags, "PhotometricInterpretation")
    samples = int(tags.get("SamplesPerPixel") or 1)
    if photometric in _GREY and samples == 1:
        return
    if photometric in _COLOUR or samples > 1:
        found = photometric if photometric in (*_GREY, *_COLOUR) else "not a known code"
        problem = (
            f"The image is in colour (PhotometricInterpretation is {found}, {samples} sample(s) "
            "per pixel); a radiograph is grey."
        )
        raise RefusedImageError(problem, "Export the original radiograph, not a screenshot.")
    problem = (
        "The header does not say whether large values are bright or dark "
        f"(PhotometricInterpretation is {'not a known code' if photometric else 'not given'})."
    )
    raise RefusedImageError(problem, "Export the image again from the PACS.")


def _modality_words(tags: Dataset) -> str:
    if not text_of(tags, "Modality").strip():
        return "not given"
    modality = code(tags, "Modality")
    words = MODALITIES.get(modality or "")
    return f"{words} ({modality})" if words else "a code that is not known here"


def _check_frames(tags: Dataset) -> None:
    frames = numbers(tags, "NumberOfFrames")[:1] or [1.0]
    if frames[0] > 1:
        problem = f"The file holds {frames[0]:g} frames; a radiograph has one."
        raise RefusedImageError(problem, "Send a single radiograph, not a series or a film.")


def check_rescale(tags: Dataset) -> None:
    """Refuse a rescale that would make every pixel NaN or infinite (PS3.3 section C.11.1).

    Raises:
        RefusedImageError: Rescale Slope or Intercept is there, but is no finite number.
    """
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if text_of(tags, keyword).strip() and not numbers(tags, keyword):
            problem = f"{keyword} in the header is not a finite number."
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
    sex, modality = code(tags, "PatientSex"), code(tags, "Modality")
    return RadiographFacts(
        format="dicom",
        modality=modality if modality in MODALITIES else None,
        view=_view(tags),
        body_part=known_body_part(code(tags, "BodyPartExamined")),
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
    if code(tags, "BurnedInAnnotation") == "YES":
        found.append("The header says that text is burned into the picture; it may name a patient.")
    shape = code(tags, "PresentationLUTShape")
    if shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") != is_inverted(tags):
        found.append(
            "The header contradicts itself on polarity; check that bones are bright "
            "and the lungs dark."
        )
    return tuple(sentence for sentence in found if sentence)


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
        found = [float(part) for part in text_of(tags, keyword).split("\\")]
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
    text = text_of(tags, keyword).strip().upper()
    return text if _CODE.fullmatch(text) else None


def text_of(tags: Dataset, keyword: str) -> str:
    """Read the printable characters of an element, its values parted by backslashes."""
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
    view = known_view(code(tags, "ViewPosition"))
    return view or (position if position in ("AP", "PA") else None)


def _age(tags: Dataset) -> float | None:
    """PatientAge (AS, PS3.5 section 6.2, or a bare number of years), else from the dates."""
    match = _AGE.fullmatch(text_of(tags, "PatientAge").strip().upper())
    if match:
        years = int(match[1]) * _YEARS[match[2]]
        return years if years <= _OLDEST else None
    try:
        born, taken = (
            datetime.strptime(text_of(tags, keyword).strip(), "%Y%m%d").replace(tzinfo=UTC)
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
