"""DICOM files -> Radiograph. Nothing that identifies a patient leaves this package."""

from __future__ import annotations

import hashlib
import io
import zlib

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import header
from ddad_core.imaging.limits import MAX_FILE_BYTES
from ddad_core.imaging.lookup import apply_modality
from ddad_core.imaging.pixeldata import PixelFormat, highest_bit, read_stored_values
from ddad_core.imaging.quiet import silent_decoders
from ddad_core.imaging.suitability import check_not_blank, check_size, pixel_warnings
from ddad_core.imaging.windows import read_windows
from ddad_core.types import Radiograph

_EXPORT_AGAIN = "Export the image again from the PACS, uncompressed if it offers that."


def read_dicom(
    data: bytes, *, vouched: bool = False, whole: bool = False, sha256: str = ""
) -> Radiograph:
    """Read a single-frame grey radiograph.

    The pixels go through the Modality LUT or rescale (PS3.3 section C.11.1). MONOCHROME1 is
    then inverted, and windows are mirrored by the same rule without loss. Padding takes the
    darkest value of the rest. No VOI window is applied; the file's are handed on.

    Args:
        data: The whole file.
        vouched: Take a header without modality, because someone says that it is a radiograph.
        whole: See :func:`ddad_core.imaging.read_radiograph`.
        sha256: Of the file, where the caller has it already.

    Returns:
        The radiograph; its facts and warnings name no patient and no date.

    Raises:
        RefusedImageError: Another modality, several frames, colour, no or damaged pixels.
    """
    try:
        with silent_decoders():
            return _read(data, vouched, whole, sha256)
    except (RefusedImageError, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001
        # The file is untrusted and the decoders many, some of them in Rust, whose panics are no
        # Exception: whatever they raise means the same to the reader. Their messages may quote
        # the header, so neither the message nor the chain of causes is passed on, where a log
        # would keep a patient's name.
        problem = (
            "The DICOM file is damaged or its pixel data cannot be decoded "
            f"({type(error).__name__})."
        )
        raise RefusedImageError(problem, _EXPORT_AGAIN) from None


def _read(data: bytes, vouched: bool, whole: bool, sha256: str) -> Radiograph:
    check_inflated_size(data)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if "PixelData" not in dataset:
        # One whose end is missing takes the whole header with it.
        dataset = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
    header.check_kind(dataset, vouched=vouched)
    format = _pixel_format(dataset)
    stored = read_stored_values(dataset, data, format, whole=whole)
    pixels, mirror, low, high = apply_modality(dataset, stored, format)
    check_not_blank(pixels)
    return Radiograph(
        pixels=pixels,
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        facts=header.read_facts(dataset),
        windows=read_windows(dataset, low=low, high=high, mirror=mirror),
        warnings=header.read_warnings(dataset) + pixel_warnings(pixels),
        ends=(low, high),
    )


def check_inflated_size(data: bytes) -> None:
    """Refuse a deflate bomb: the data set grows inside dcmread, before any other check.

    Raises:
        RefusedImageError: The inflated data set is over ``MAX_FILE_BYTES``.
    """
    stream = io.BytesIO(data)
    syntax = _declared_syntax(stream)
    if syntax and syntax != DeflatedExplicitVRLittleEndian:
        return  # dcmread goes by the same element, read the same way
    if DeflatedExplicitVRLittleEndian.encode() not in data:
        return
    if syntax != DeflatedExplicitVRLittleEndian:
        # dcmread might read this header otherwise than it was read here, and inflate.
        problem = "The header names the deflated transfer syntax, but not where it belongs."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    if data[stream.tell() :].startswith(b"\0\0"):
        # dcmread takes a group 0000 for a command set, and inflates what comes after it.
        problem = "The DICOM file is damaged: a command set comes before its deflated data set."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    piece, size = data[stream.tell() :], 0
    while piece and not inflater.eof:
        size += len(inflater.decompress(piece, 2**20))
        piece = inflater.unconsumed_tail
        if size > MAX_FILE_BYTES:
            problem = f"The deflated file grows to more than {MAX_FILE_BYTES // 2**20} MB."
            raise RefusedImageError(problem, "Export the image again, not deflated.")


def _declared_syntax(stream: io.BytesIO) -> str:
    """Transfer syntax of the file meta information as dcmread reads it at first; "" if none.

    Args:
        stream: At the file's start; afterwards where the group ends.
    """
    read_preamble(stream, force=True)
    meta = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, *_: tag.group != 2,
    )
    try:
        meta[next(iter(meta.elements())).tag]
    except (StopIteration, NotImplementedError):  # then dcmread reads the group another way
        return ""
    return str(meta.get("TransferSyntaxUID") or "")


def _pixel_format(tags: Dataset) -> PixelFormat:
    """Read how the pixels are laid out (PS3.3 section C.7.6.3).

    Raises:
        RefusedImageError: The header describes no picture of a sensible size.
    """
    rows, columns, allocated, bits = (
        int(tags.get(keyword) or 0)
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored")
    )
    if not all((rows, columns, allocated, bits)):
        problem = "The DICOM file holds no image, or was cut off: its header describes no pixels."
        raise RefusedImageError(problem, "Send the image itself, or transfer the file again.")
    check_size(rows=rows, columns=columns)
    if allocated not in (8, 16) or not 2 <= bits <= allocated:
        problem = (
            f"Pixels have {bits} bits stored in {allocated} allocated; "
            "expected 2 to 16 bits in 8 or 16."
        )
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    return PixelFormat(
        rows=rows,
        columns=columns,
        allocated=allocated,
        bits=bits,
        high_bit=highest_bit(tags, allocated=allocated, bits=bits),
        signed=bool(tags.get("PixelRepresentation")),
    )
