"""DICOM files -> Radiograph. Nothing that identifies a patient leaves this module."""

from __future__ import annotations

import hashlib
import io
import math
import zlib
from datetime import datetime

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    RLELossless,
)

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.codestream import jpeg2000_frame_size, jpeg_frame_size
from ddad_core.imaging.limits import MAX_FILE_BYTES
from ddad_core.imaging.suitability import (
    body_part_warning,
    check_not_blank,
    check_size,
    modality_warning,
    view_warning,
)
from ddad_core.types import Radiograph, RadiographFacts, Window

RADIOGRAPHS = ("CR", "DX", "RG")
CAPTURES = ("SC", "OT")
MODALITY_WORDS = {
    "CT": "computed tomography",
    "MR": "magnetic resonance",
    "US": "ultrasound",
    "MG": "mammography",
    "PT": "positron emission tomography",
    "NM": "nuclear medicine",
    "XA": "angiography",
    "RF": "fluoroscopy",
    "PX": "a panoramic dental X-ray",
    "SR": "a structured report",
    "PR": "a presentation state",
    "SEG": "a segmentation",
    "DOC": "a document",
}
YEARS_PER_UNIT = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def read_dicom(data: bytes) -> Radiograph:
    """Read a single-frame grey radiograph.

    Pixels go through the Modality LUT or rescale and are inverted where the image is meant to
    be (MONOCHROME1, or Presentation LUT Shape INVERSE; PS3.3 C.7.6.3.1.2 and C.11.6); no VOI
    window is applied, but the file's windows are handed on.

    Args:
        data: The whole file.

    Raises:
        RefusedImageError: Another modality, several frames, colour, no or damaged pixels.
    """
    try:
        return _read(data)
    except RefusedImageError:
        raise
    except (Exception, RecursionError) as error:  # noqa: BLE001
        # The file is untrusted and the decoders many: whatever they raise means the same to
        # the reader. Their messages may quote the header, so they are not passed on.
        problem = "The DICOM file is damaged or its pixel data cannot be decoded."
        raise RefusedImageError(problem, "Export the image again from the archive.") from error


def _read(data: bytes) -> Radiograph:
    _bound_deflated(data)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    modality = _text(dataset, "Modality")
    _check_kind(dataset, modality)
    _check_pixels_declared(dataset)
    stored = _stored_values(dataset)
    pixels, low, high = _modality_values(dataset, stored)
    background = _padding(dataset, stored)
    inverted = _is_inverted(dataset)
    if inverted:
        pixels = (low + high) - pixels
    if background is not None and background.any() and not background.all():
        pixels[background] = pixels[~background].min()
    check_not_blank(pixels)
    facts = _facts(dataset, modality)
    return Radiograph(
        pixels=pixels.astype(np.float32),
        sha256=hashlib.sha256(data).hexdigest(),
        facts=facts,
        windows=_windows(dataset, mirror=low + high if inverted else None),
        warnings=_warnings(facts),
    )


def _bound_deflated(data: bytes) -> None:
    """A deflated dataset grows inside dcmread, before any other check can see it."""
    if DeflatedExplicitVRLittleEndian.encode() not in data[:1024]:
        return
    meta = pydicom.filereader.read_file_meta_info(io.BytesIO(data))
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    start = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    grown = 0
    piece = data[start:]
    while piece and not inflater.eof:
        grown += len(inflater.decompress(piece, 2**20))
        piece = inflater.unconsumed_tail
        if grown > MAX_FILE_BYTES:
            problem = f"The file inflates to more than {MAX_FILE_BYTES // 2**20} MB."
            raise RefusedImageError(problem, "Export the image again, not deflated.")


def _check_kind(dataset: Dataset, modality: str | None) -> None:
    if modality not in RADIOGRAPHS + CAPTURES:
        words = MODALITY_WORDS.get(modality or "", "")
        named = f"{modality} ({words})" if words else modality or "nothing"
        problem = f"The header's modality is {named}; expected CR, DX or RG."
        raise RefusedImageError(problem, "Send a chest radiograph.")
    if "PixelData" not in dataset:
        problem = "The DICOM file holds no pixel data."
        raise RefusedImageError(problem, "Send the image object of the study.")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        problem = f"The file holds {frames} frames; a radiograph has one."
        raise RefusedImageError(problem, "Send a single radiograph.")
    photometric = _text(dataset, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or dataset.SamplesPerPixel != 1:
        problem = f"PhotometricInterpretation is {photometric}; expected MONOCHROME1 or 2."
        raise RefusedImageError(problem, "Export the original radiograph, not a screenshot.")


def _check_pixels_declared(dataset: Dataset) -> None:
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    check_size(rows=rows, columns=columns)
    if dataset.file_meta.get("TransferSyntaxUID") is None or not _is_compressed(dataset):
        expected = rows * columns * (int(dataset.BitsAllocated) // 8)
        if len(dataset.PixelData) < expected:
            problem = f"Pixel data is cut short: {len(dataset.PixelData)} of {expected} bytes."
            raise RefusedImageError(problem, "Export the image again from the archive.")
        return
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == RLELossless:  # carries no size of its own
        return
    read_size = jpeg2000_frame_size if syntax in JPEG2000TransferSyntaxes else jpeg_frame_size
    size = read_size(frame)
    if (size.rows, size.columns) != (rows, columns):
        problem = (
            f"The compressed image is {size.columns} x {size.rows} pixels, "
            f"but the header says {columns} x {rows}."
        )
        raise RefusedImageError(problem, "Export the image again from the archive.")


def _is_compressed(dataset: Dataset) -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID.is_compressed) and (
        dataset.file_meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian
    )


def _stored_values(dataset: Dataset) -> np.ndarray:
    """Stored pixel values, bits outside BitsStored cleared (PS3.5 8.1.1)."""
    if "file_meta" not in dataset.__dict__ or not dataset.file_meta.get("TransferSyntaxUID"):
        # Without file meta, PS3.10 readers assume the default transfer syntax.
        dataset.ensure_file_meta()
        syntax = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian if syntax[0] else pydicom.uid.ExplicitVRLittleEndian
        )
    values = dataset.pixel_array
    bits = int(dataset.BitsStored)
    shift = int(dataset.get("HighBit", bits - 1)) + 1 - bits
    spare = bits < int(dataset.BitsAllocated)
    if not _is_compressed(dataset) and spare and int(dataset.PixelRepresentation) == 0:
        values = (values >> max(shift, 0)) & ((1 << bits) - 1)
    return values


def _modality_values(dataset: Dataset, stored: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Values after the modality transformation, and the ends of the range they can take."""
    if dataset.get("ModalityLUTSequence"):
        values = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
        return values, float(values.min()), float(values.max())
    slope = float(dataset.get("RescaleSlope") or 1.0)
    intercept = float(dataset.get("RescaleIntercept") or 0.0)
    bits = int(dataset.BitsStored)
    signed = int(dataset.PixelRepresentation) == 1
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    low, high = sorted(end * slope + intercept for end in ends)
    return stored.astype(np.float64) * slope + intercept, low, high


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray | None:
    """Where the image is padding (PS3.3 C.7.5.1.1.2); bool (H, W)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return (stored >= low) & (stored <= high)


def _is_inverted(dataset: Dataset) -> bool:
    """MONOCHROME1 and INVERSE mean the same thing, so both together invert once."""
    return (
        _text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
        or _text(dataset, "PresentationLUTShape") == "INVERSE"
    )


def _windows(dataset: Dataset, *, mirror: float | None) -> tuple[Window, ...]:
    """The file's windows as clip((v - centre) / width + 0.5), mirrored for inverted images.

    LINEAR windows (PS3.3 C.11.2.1.2.1) become (c - 0.5, w - 1); SIGMOID ones are taken for
    linear ones.
    """
    centers, widths = (_numbers(dataset, k) for k in ("WindowCenter", "WindowWidth"))
    explanation = dataset.get("WindowCenterWidthExplanation") or []
    names = [explanation] if isinstance(explanation, str) else list(explanation)
    exact = _text(dataset, "VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID")
    windows = []
    for i, (center, width) in enumerate(zip(centers, widths, strict=False)):
        shown = (center, width) if exact else (center - 0.5, width - 1)
        if shown[1] <= 0:
            continue
        middle = shown[0] if mirror is None else mirror - shown[0]
        name = "".join(c for c in str(names[i]) if c.isprintable())[:40] if i < len(names) else ""
        windows.append(Window(middle, shown[1], name))
    return tuple(windows)


def _facts(dataset: Dataset, modality: str | None) -> RadiographFacts:
    sex = _text(dataset, "PatientSex")
    return RadiographFacts(
        format="dicom",
        modality=modality,
        view=_text(dataset, "ViewPosition"),
        body_part=_text(dataset, "BodyPartExamined"),
        age_years=_age(dataset),
        sex=sex if sex in ("F", "M", "O") else None,
        spacing_mm=_spacing(dataset),
        bits=int(dataset.BitsStored),
    )


def _warnings(facts: RadiographFacts) -> tuple[str, ...]:
    found = (
        modality_warning(facts.modality or ""),
        view_warning(facts.view),
        body_part_warning(facts.body_part),
    )
    return tuple(sentence for sentence in found if sentence)


def _age(dataset: Dataset) -> float | None:
    """PatientAge (PS3.5 "AS", or a bare number of years), else from the dates."""
    text = str(dataset.get("PatientAge") or "").strip().upper()
    number = text.rstrip("YMWD")
    if number.isdigit():
        years = int(number) * YEARS_PER_UNIT[text[len(number) :][:1] or "Y"]
        return years if years < 130 else None
    born, taken = (str(dataset.get(k) or "") for k in ("PatientBirthDate", "StudyDate"))
    try:
        days = datetime.strptime(taken, "%Y%m%d") - datetime.strptime(born, "%Y%m%d")  # noqa: DTZ007
    except ValueError:
        return None
    years = days.days / 365.25
    return years if 0 <= years < 130 else None


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = _numbers(dataset, keyword)
        if len(values) == 2 and all(0 < value < 10 for value in values):
            return values[0], values[1]
    return None


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    parts = list(value) if isinstance(value, MultiValue) else [value]
    numbers = [float(part) for part in parts]
    return numbers if all(map(math.isfinite, numbers)) else []


def _text(dataset: Dataset, keyword: str) -> str | None:
    """A short code of the header, freed of odd characters; None if absent or empty."""
    value = dataset.get(keyword)
    text = "".join(c for c in str(value or "") if c.isalnum() or c in " _-").strip()
    return text[:32] or None
