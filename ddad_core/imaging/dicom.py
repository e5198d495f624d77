"""DICOM files -> Radiograph. Nothing that identifies a patient leaves this package."""

from __future__ import annotations

import hashlib
import io
import zlib

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import header
from ddad_core.imaging.codestream import jpeg2000_frame_size, jpeg_frame_size
from ddad_core.imaging.limits import MAX_FILE_BYTES
from ddad_core.imaging.suitability import check_not_blank, check_size
from ddad_core.types import Radiograph

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)
JPEG = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes)

_EXPORT_AGAIN = "Export the image again from the PACS, uncompressed if it offers that."
_TRANSFER_AGAIN = "Transfer or export the file again."


def read_dicom(data: bytes, *, vouched: bool = False) -> Radiograph:
    """Read a single-frame grey radiograph.

    The pixels go through the Modality LUT or rescale (PS3.3 section C.11.1). MONOCHROME1 is
    then inverted as x' = low + high - x, where low and high are the ends of what the stored
    bits can express after that transformation: unlike the image's own extremes they do not
    depend on its content, and windows are mirrored by the same rule without loss. Padding
    takes the darkest value of the rest. No VOI window is applied; the file's are handed on.

    Args:
        data: The whole file.
        vouched: Take a header without modality, because someone says that it is a radiograph.

    Returns:
        The radiograph; its facts and warnings name no patient and no date.

    Raises:
        RefusedImageError: Another modality, several frames, colour, no or damaged pixels.
    """
    try:
        return _read(data, vouched=vouched)
    except RefusedImageError:
        raise
    except Exception as error:  # noqa: BLE001
        # The file is untrusted and the decoders many: whatever they raise means the same to
        # the reader. Their messages may quote the header, so neither the message nor the chain
        # of causes is passed on, where a log would keep a patient's name.
        problem = (
            "The DICOM file is damaged or its pixel data cannot be decoded "
            f"({type(error).__name__})."
        )
        raise RefusedImageError(problem, _EXPORT_AGAIN) from None


def _read(data: bytes, *, vouched: bool) -> Radiograph:
    check_inflated_size(data)
    tags = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    header.check_kind(tags, vouched=vouched)
    _check_layout(tags)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    syntax = transfer_syntax(dataset, data)
    if syntax in NATIVE:
        _check_native_length(dataset)
    else:
        _check_codestream(dataset, syntax)
    stored = _stored_values(dataset, syntax)
    pixels, low, high = _modality_values(dataset, stored)
    mirror = low + high if header.is_inverted(dataset) else None
    if mirror is not None:
        pixels = mirror - pixels
    pixels = _fill_padding(dataset, stored, pixels).astype(np.float32)
    check_not_blank(pixels)
    return Radiograph(
        pixels=pixels,
        sha256=hashlib.sha256(data).hexdigest(),
        facts=header.read_facts(dataset),
        windows=header.read_windows(
            dataset, low=float(pixels.min()), high=float(pixels.max()), mirror=mirror
        ),
        warnings=header.read_warnings(dataset),
    )


def check_inflated_size(data: bytes) -> None:
    """Refuse a deflate bomb: the data set grows inside dcmread, before any other check.

    Raises:
        RefusedImageError: The inflated data set is over ``MAX_FILE_BYTES``.
    """
    if DeflatedExplicitVRLittleEndian.encode() not in data:
        return
    stream = io.BytesIO(data)
    read_preamble(stream, force=True)
    meta = read_dataset(
        stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group > 2
    )
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        # dcmread might read this header otherwise than it was read here, and inflate.
        problem = "The header names the deflated transfer syntax, but not where it belongs."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    piece, size = data[stream.tell() :], 0
    while piece and not inflater.eof:
        size += len(inflater.decompress(piece, 2**20))
        piece = inflater.unconsumed_tail
        if size > MAX_FILE_BYTES:
            problem = f"The deflated file grows to more than {MAX_FILE_BYTES // 2**20} MB."
            raise RefusedImageError(problem, "Export the image again, not deflated.")


def _check_layout(tags: Dataset) -> None:
    """Refuse a header that describes no picture of a sensible size (PS3.3 section C.7.6.3)."""
    rows, columns = (int(tags.get(keyword) or 0) for keyword in ("Rows", "Columns"))
    check_size(rows=rows, columns=columns)
    allocated = int(tags.get("BitsAllocated") or 0)
    stored = int(tags.get("BitsStored") or 0)
    if allocated not in (8, 16) or not 2 <= stored <= allocated:
        problem = (
            f"Pixels have {stored} bits stored in {allocated} allocated; "
            "expected 2 to 16 bits in 8 or 16."
        )
        raise RefusedImageError(problem, _EXPORT_AGAIN)


def transfer_syntax(dataset: Dataset, data: bytes) -> UID:
    """Name the encoding of the pixels, and make sure that there are pixels.

    Returns:
        The transfer syntax of the file meta information; without one, what dcmread found.

    Raises:
        RefusedImageError: No pixel data, or in an encoding that is not read here.
    """
    if "PixelData" not in dataset:
        # The reader drops an element of undefined length whose end is missing.
        if b"\xe0\x7f\x10\x00" in data:
            problem = "The pixel data is truncated: its end is missing."
            raise RefusedImageError(problem, _TRANSFER_AGAIN)
        problem = "The DICOM file holds no pixel data."
        raise RefusedImageError(problem, "Send the image itself from the study.")
    dataset.ensure_file_meta()
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    compressed = dataset["PixelData"].is_undefined_length
    if not syntax and not compressed:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta.TransferSyntaxUID = syntax
    if not syntax or (syntax in NATIVE) == compressed:
        problem = "The header does not say truly how the pixel data is compressed."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    if syntax not in (*NATIVE, *JPEG, *JPEG2000TransferSyntaxes, RLELossless):
        problem = f"Pixel data in the encoding {syntax.name} is not read here."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    return syntax


def _check_native_length(dataset: Dataset) -> None:
    """Compare the pixel data with the size that the header declares (PS3.5 section 8.1.1)."""
    row = int(dataset.Columns) * (int(dataset.BitsAllocated) // 8)
    expected, actual = row * int(dataset.Rows), len(dataset.PixelData)
    if actual < expected:
        problem = f"The pixel data is truncated: {actual} of {expected} bytes are there."
        raise RefusedImageError(problem, _TRANSFER_AGAIN)
    # A few bytes over are padding; a whole row means that Rows or Columns are wrong, and with
    # wrong Columns the picture would be sheared.
    if actual >= expected + row:
        problem = f"The pixel data has {actual} bytes, but the header describes {expected}."
        raise RefusedImageError(problem, _EXPORT_AGAIN)


def _check_codestream(dataset: Dataset, syntax: UID) -> None:
    """Compare a compressed image's own size with the header's before a decoder believes it."""
    if syntax == RLELossless:  # PS3.5 annex G: has no size of its own; decoded to Rows, Columns
        return
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    size = jpeg_frame_size(frame) if syntax in JPEG else jpeg2000_frame_size(frame)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if (size.rows, size.columns) != (rows, columns):
        problem = (
            f"The compressed image is {size.columns} x {size.rows} pixels, "
            f"but the header says {columns} x {rows}."
        )
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    if size.components != 1 or size.precision > int(dataset.BitsAllocated):
        problem = (
            f"The compressed image has {size.components} component(s) of {size.precision} bits; "
            f"expected one of {int(dataset.BitsStored)}."
        )
        raise RefusedImageError(problem, _EXPORT_AGAIN)


def _stored_values(dataset: Dataset, syntax: UID) -> np.ndarray:
    """Decode the stored pixel values.

    Returns:
        Integers (Rows, Columns), bits outside Bits Stored cleared or sign-extended.
    """
    bits = int(dataset.BitsStored)
    shift = 0
    if syntax in NATIVE:
        # High Bit has had to be Bits Stored - 1 since 2001 (PS3.5 section 8.1.1); older files
        # keep their bits at the top, which pydicom does not look at.
        shift = max(int(dataset.get("HighBit", bits - 1)) + 1 - bits, 0)
        dataset.BitsStored = min(bits + shift, int(dataset.BitsAllocated))
    plugin = "" if syntax in NATIVE else "pydicom" if syntax == RLELossless else "pylibjpeg"
    values = pixel_array(dataset, decoding_plugin=plugin)  # (Rows, Columns)
    dataset.BitsStored = bits
    return values >> shift


def _modality_values(dataset: Dataset, stored: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Apply the Modality LUT or rescale (PS3.3 section C.11.1).

    Args:
        dataset: The header.
        stored: Integers (H, W).

    Returns:
        float64 (H, W), and the ends of the range that the result can have.
    """
    if dataset.get("ModalityLUTSequence"):
        entries, first, depth = header.modality_lut(dataset)
        index = np.clip(stored.astype(np.int32) - first, 0, len(entries) - 1)
        return entries[index].astype(np.float64), 0.0, 2.0**depth - 1
    header.check_rescale(dataset)
    slope = header.numbers(dataset, "RescaleSlope")[:1] or [1.0]
    intercept = header.numbers(dataset, "RescaleIntercept")[:1] or [0.0]
    bits = int(dataset.BitsStored)
    start = -(2 ** (bits - 1)) if dataset.get("PixelRepresentation") else 0
    low, high = sorted(end * slope[0] + intercept[0] for end in (start, start + 2**bits - 1))
    if max(abs(low), abs(high)) > float(np.finfo(np.float32).max):
        problem = "Rescale Slope or Intercept in the header is absurdly large."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    return stored * slope[0] + intercept[0], low, high


def _fill_padding(dataset: Dataset, stored: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Set padding to the darkest of the image, lest it set the ends of the grey scale.

    Pixel Padding Value and Range Limit are stored values, both included (PS3.3 section
    C.7.5.1.1.2).

    Args:
        dataset: The header.
        stored: Integers (H, W).
        pixels: float64 (H, W), in MONOCHROME2 sense.

    Returns:
        float64 (H, W).
    """
    ends = header.padding_range(dataset)
    if ends is None:
        return pixels
    padding = (stored >= ends[0]) & (stored <= ends[1])
    if padding.all():
        problem = "The image is blank: the header calls every pixel padding."
        raise RefusedImageError(problem, "Check the image in the PACS and export it again.")
    return np.where(padding, pixels[~padding].min(), pixels)
