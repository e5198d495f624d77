"""Pixel data of a DICOM file -> the integers that were stored (PS3.5 section 8).

Whatever the encoding, the same stored values come out: a file and its lossless twins give equal
arrays. Every length and size is checked before a decoder believes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import libjpeg
import numpy as np
import openjpeg
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames, parse_basic_offsets
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.codestream import (
    DECODED_TWICE,
    FrameSize,
    check_nothing_missing,
    jpeg2000_frame_size,
    jpeg_frame_size,
)
from ddad_core.imaging.rle import decode_rle

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)
JPEG = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes)

_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, JPEG2000MC, HTJ2K)
_UNDEFINED_LENGTH = 0xFFFFFFFF

_EXPORT_AGAIN = "Export the image again from the PACS, uncompressed if it offers that."
_TRANSFER_AGAIN = "Transfer or export the file again."


@dataclass(frozen=True)
class PixelFormat:
    """What the header says of its pixels (PS3.3 section C.7.6.3.1).

    Attributes:
        rows: Height.
        columns: Width.
        allocated: Bits Allocated, 8 or 16.
        bits: Bits Stored.
        high_bit: High Bit; bits - 1 unless the value lies higher in its cell.
        signed: Whether Pixel Representation is 1.
    """

    rows: int
    columns: int
    allocated: int
    bits: int
    high_bit: int
    signed: bool

    @property
    def ends(self) -> tuple[int, int]:
        """Smallest and largest value that the bits can express."""
        low = -(2 ** (self.bits - 1)) if self.signed else 0
        return low, low + 2**self.bits - 1


@dataclass(frozen=True, eq=False)
class StoredValues:
    """Decoded pixels.

    Attributes:
        values: Integers of 8 or 16 bits, (rows, columns).
        low: The smallest of them.
        high: The largest.
    """

    values: np.ndarray
    low: int
    high: int


def highest_bit(tags: Dataset, *, allocated: int, bits: int) -> int:
    """High Bit as it is read: within the cell, and where values end if the header says nothing.

    Args:
        tags: The header.
        allocated: Bits Allocated.
        bits: Bits Stored.
    """
    said = tags.get("HighBit")
    return bits - 1 if said is None else min(int(said), allocated - 1)


def read_stored_values(
    dataset: Dataset, data: bytes, format: PixelFormat, *, whole: bool = False
) -> StoredValues:
    """Decode the pixels of a data set.

    Args:
        dataset: The whole data set.
        data: The file it was read from.
        format: Its pixels, as declared.
        whole: See :func:`ddad_core.imaging.read_radiograph`.

    Returns:
        The stored values, bits outside Bits Stored cleared or sign-extended: old overlays are
        kept in them (PS3.5 section 8.1.2).

    Raises:
        RefusedImageError: There are no pixels, or truncated, damaged or contradictory ones.
    """
    syntax = transfer_syntax(dataset, data)
    element = dataset.get_item("PixelData")
    raw = element.value
    if not isinstance(raw, bytes) or not raw:
        problem = "The DICOM file holds no pixel data: the element is empty."
        raise RefusedImageError(problem, "Send the image itself from the study.")
    if syntax in NATIVE:
        _check_native_length(len(raw), format)
        words = format.allocated == 8 and syntax == ExplicitVRBigEndian and element.VR == "OW"
        cells = _native_cells(raw, format, big=syntax == ExplicitVRBigEndian, words=words)
        precision = format.allocated
    else:
        cells, precision = _decode(_single_frame(raw), syntax, format, whole)
    return _normalised(cells, format, precision=precision, lossy=syntax in _LOSSY)


def transfer_syntax(dataset: Dataset, data: bytes) -> UID:
    """Name the encoding of the pixels, and make sure that there are pixels.

    Returns:
        The transfer syntax of the file meta information; without one, what dcmread found.

    Raises:
        RefusedImageError: No pixel data, or in an encoding that is not read here.
    """
    element = dataset.get_item("PixelData")
    if element is None:
        # The reader drops an element of undefined length whose end is missing.
        if b"\xe0\x7f\x10\x00" in data or b"\x7f\xe0\x00\x10" in data:
            problem = "The pixel data is truncated: its end is missing."
            raise RefusedImageError(problem, _TRANSFER_AGAIN)
        problem = "The DICOM file holds no pixel data."
        raise RefusedImageError(problem, "Send the image itself from the study.")
    syntax = UID(str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID") or ""))
    compressed = element.length == _UNDEFINED_LENGTH
    if not syntax and not compressed:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
    if not syntax or (syntax in NATIVE) == compressed:
        problem = "The header does not say truly how the pixel data is compressed."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    if syntax not in (*NATIVE, *JPEG, *JPEG2000TransferSyntaxes, RLELossless):
        # Only a name from the standard's list is quoted: the element may hold anything.
        name = syntax.name if syntax.type == "Transfer Syntax" else "an encoding without a name"
        problem = f"The pixel data is in an encoding that is not read here ({name})."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    return syntax


def _check_native_length(actual: int, format: PixelFormat) -> None:
    """Compare the pixel data with the size that the header declares (PS3.5 section 8.1.1)."""
    row = format.columns * (format.allocated // 8)
    expected = row * format.rows
    if actual < expected:
        problem = f"The pixel data is truncated: {actual} of {expected} bytes are there."
        raise RefusedImageError(problem, _TRANSFER_AGAIN)
    # A few bytes over are padding; a whole row means that Rows or Columns are wrong, and with
    # wrong Columns the picture would be sheared.
    if actual >= expected + row:
        problem = f"The pixel data has {actual} bytes, but the header describes {expected}."
        raise RefusedImageError(problem, _EXPORT_AGAIN)


def _native_cells(raw: bytes, format: PixelFormat, *, big: bool, words: bool) -> np.ndarray:
    """Unsigned integers (rows, columns) of Bits Allocated.

    ``words`` says that pixels of one byte lie in pairs, swapped, in big-endian 16-bit words.
    """
    count = format.rows * format.columns
    if words:
        even = raw[: len(raw) // 2 * 2]
        cells = np.frombuffer(even, ">u2").astype("<u2").view(np.uint8)[:count]
    else:
        kind = f"{'>' if big else '<'}u{format.allocated // 8}"
        cells = np.frombuffer(raw, kind, count=count)
    native = cells.dtype.newbyteorder("=")
    return cells.astype(native, copy=False).reshape(format.rows, format.columns)


def _single_frame(raw: bytes) -> bytes:
    """The one frame of encapsulated pixel data (PS3.5 section A.4).

    Raises:
        RefusedImageError: There are several, though Number of Frames says otherwise.
    """
    frames = len(parse_basic_offsets(raw))
    if frames > 1:
        problem = f"The pixel data holds {frames} frames; a radiograph has one."
        raise RefusedImageError(problem, "Send a single radiograph, not a series or a film.")
    return next(generate_frames(raw, number_of_frames=1))


def _decode(frame: bytes, syntax: UID, format: PixelFormat, whole: bool) -> tuple[np.ndarray, int]:
    """Decode a compressed frame, its own size checked first.

    Returns:
        Unsigned integers (rows, columns), and how many of their bits the codec carried.
    """
    rows, columns = format.rows, format.columns
    if syntax == RLELossless:
        sample_bytes = format.allocated // 8
        cells = decode_rle(frame, rows=rows, columns=columns, sample_bytes=sample_bytes)
        return cells, format.allocated
    if syntax in JPEG:
        size = jpeg_frame_size(frame)
        _check_frame_size(size, format)
        cells = libjpeg.decode(frame)
        if not whole and cells.size <= DECODED_TWICE:
            check_nothing_missing(frame, size, libjpeg.decode, cells)
    else:
        size = jpeg2000_frame_size(frame)
        _check_frame_size(size, format)
        cells = openjpeg.decode(frame)
        if size.signed and size.precision < 8 * cells.dtype.itemsize and not format.signed:
            # Written as signed though the header says unsigned: the bits are what counts.
            cells = cells & (2**size.precision - 1)
    cells = cells.view(f"u{cells.dtype.itemsize}").reshape(rows, columns)
    if format.signed and not size.signed:
        # JPEG knows no sign, and some JPEG 2000 encoders do not say it (PS3.5 section 8.2).
        cells = _sign_extended(cells, size.precision)
    return cells, size.precision


def _check_frame_size(size: FrameSize, format: PixelFormat) -> None:
    """Compare a compressed image's own size with the header's before a decoder believes it."""
    if (size.rows, size.columns) != (format.rows, format.columns):
        problem = (
            f"The compressed image is {size.columns} x {size.rows} pixels, "
            f"but the header says {format.columns} x {format.rows}."
        )
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    if size.components != 1 or size.precision > format.allocated:
        problem = (
            f"The compressed image has {size.components} component(s) of {size.precision} bits; "
            f"expected one of {format.bits}."
        )
        raise RefusedImageError(problem, _EXPORT_AGAIN)


def _sign_extended(cells: np.ndarray, bits: int) -> np.ndarray:
    """Take the lowest bits as a two's complement number; unsigned integers of the same type."""
    spare = 8 * cells.dtype.itemsize - bits
    signed = (cells << spare).view(f"i{cells.dtype.itemsize}") >> spare
    return signed.view(cells.dtype)


def _normalised(
    cells: np.ndarray, format: PixelFormat, *, precision: int, lossy: bool
) -> StoredValues:
    """Cut cells to Bits Stored.

    Args:
        cells: Unsigned integers (rows, columns).
        format: The pixels as declared.
        precision: Bits of a cell that mean something.
        lossy: Whether the codec may overshoot; then values are clipped, for to cut a bit off
            would turn white into black.
    """
    # High Bit has had to be Bits Stored - 1 since 2001 (PS3.5 section 8.1.1); older files keep
    # their bits at the top.
    shift = max(min(format.high_bit + 1, precision) - format.bits, 0)
    values = cells.view(f"i{cells.dtype.itemsize}") if format.signed else cells
    if shift:
        values = values >> shift
    smallest, largest = format.ends
    low, high = _extremes(values)
    if low < smallest or high > largest:
        if lossy:
            values = np.clip(values, smallest, largest)
        elif format.signed:
            unsigned = values.view(f"u{values.dtype.itemsize}")
            values = _sign_extended(unsigned, format.bits).view(values.dtype)
        else:
            values = values & largest
        low, high = _extremes(values)
    return StoredValues(values, low, high)


def _extremes(values: np.ndarray) -> tuple[int, int]:
    """Smallest and largest of integers (rows, columns), in one pass."""
    low, high, _, _ = cv2.minMaxLoc(values)
    return int(low), int(high)
