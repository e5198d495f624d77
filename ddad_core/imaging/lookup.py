"""Lookup tables and rescaling of a DICOM header (PS3.3 sections C.11.1 and C.11.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import header
from ddad_core.imaging.pixeldata import PixelFormat, StoredValues

_EXPORT_AGAIN = "Export the image again from the PACS."
_EXACT_IN_FLOAT32 = 2**24


@dataclass(frozen=True, eq=False)
class LookupTable:
    """A Modality or VOI LUT.

    Attributes:
        entries: Integers (n,).
        first: Input value that the first entry is for; lower ones take it, too.
        depth: Bits of an entry.
    """

    entries: np.ndarray
    first: int
    depth: int


class ModalityPixels(NamedTuple):
    """Pixels after the modality transformation, in MONOCHROME2 sense.

    Attributes:
        values: float32 (H, W).
        mirror: Sum of a modality value and its inverted value; None if not inverted.
        low: The smallest of the values.
        high: The largest.
    """

    values: np.ndarray
    mirror: float | None
    low: float
    high: float


def read_lookup_table(tags: Dataset, item: Dataset, *, signed: bool) -> LookupTable:
    """Unpack an item of a LUT sequence (PS3.3 sections C.11.1.1 and C.11.2.1.1).

    Args:
        tags: The header that the item lies in.
        item: Holds LUT Descriptor and LUT Data.
        signed: Whether the values that are looked up may be negative.

    Raises:
        RefusedImageError: The table is shorter than it says.
    """
    count, first, depth = _descriptor(tags, item, signed=signed)
    words = item.LUTData
    if isinstance(words, bytes):
        little = tags.original_encoding[1] is not False
        bytewise = depth <= 8 and len(words) < 2 * count
        kind = "u1" if bytewise else "<u2" if little else ">u2"
        whole = len(words) if bytewise else len(words) // 2 * 2
        words = np.frombuffer(words[:whole], dtype=kind)
    entries = np.atleast_1d(np.asarray(words))[:count].astype(np.int64) & 0xFFFF
    if len(entries) < count or not 8 <= depth <= 16:
        problem = f"A lookup table says {count} entries of {depth} bits, but has {len(entries)}."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    # Some makers understate the depth; the entries cannot be wrong about what they hold.
    return LookupTable(entries, first, max(depth, int(entries.max()).bit_length()))


def _descriptor(tags: Dataset, item: Dataset, *, signed: bool) -> tuple[int, int, int]:
    """Number of entries, first input value, bits of an entry."""
    element = item.get_item("LUTDescriptor")
    value = element.value if element is not None else None
    if isinstance(value, bytes):
        little = tags.original_encoding[1] is not False
        count, first, depth = struct.unpack("<3H" if little else ">3H", value[:6])
    else:
        count, first, depth = (int(number) & 0xFFFF for number in item.LUTDescriptor)
    # The VR tells the sign of the second number only; makers write US for SS, too.
    if first >= 2**15 and (signed or (element is not None and element.VR == "SS")):
        first -= 2**16
    return count or 2**16, first, depth


def apply_modality(tags: Dataset, stored: StoredValues, format: PixelFormat) -> ModalityPixels:
    """Apply the Modality LUT or rescale, invert MONOCHROME1 and darken padding.

    Inverting is x' = low + high - x, where low and high are the ends of what the stored bits can
    express after the transformation: unlike the image's own extremes they do not depend on its
    content.

    Args:
        tags: The header.
        stored: The stored values.
        format: Their format.

    Raises:
        RefusedImageError: The transformation is broken, or the header calls every pixel padding.
    """
    inverted = header.is_inverted(tags)
    lut = slope = intercept = None
    if tags.get("ModalityLUTSequence"):
        lut = read_lookup_table(tags, tags.ModalityLUTSequence[0], signed=format.signed)
        low, high = 0.0, 2.0**lut.depth - 1
    else:
        header.check_rescale(tags)
        slope = (header.numbers(tags, "RescaleSlope")[:1] or [1.0])[0]
        intercept = (header.numbers(tags, "RescaleIntercept")[:1] or [0.0])[0]
        low, high = sorted(end * slope + intercept for end in format.ends)
        if max(abs(low), abs(high)) > float(np.finfo(np.float32).max):
            problem = "Rescale Slope or Intercept in the header is absurdly large."
            raise RefusedImageError(problem, _EXPORT_AGAIN)
    mirror = low + high if inverted else None
    ends = None
    if slope == 1.0 and intercept is not None and _whole(intercept, low, high):
        values, ends = (
            _shifted(whole, intercept, mirror)
            for whole in (stored.values, np.array([stored.low, stored.high]))
        )
    else:
        values = _through_table(stored.values, lut, slope, intercept, mirror)
    if _has_padding(tags, stored):
        values, ends = _with_dark_padding(tags, stored, values), None
    ends = values if ends is None else ends
    return ModalityPixels(values, mirror, float(ends.min()), float(ends.max()))


def _shifted(stored: np.ndarray, intercept: float, mirror: float | None) -> np.ndarray:
    """The transformation where it is a sum of whole numbers; float32."""
    values = stored.astype(np.float32)
    if mirror is not None:
        np.subtract(np.float32(mirror - intercept), values, out=values)
    elif intercept:
        values += np.float32(intercept)
    return values


def _whole(intercept: float, low: float, high: float) -> bool:
    """Whether every value is a whole number that float32 holds, so that sums are exact."""
    reach = abs(low) + abs(high) + abs(intercept)
    return intercept.is_integer() and reach < _EXACT_IN_FLOAT32


def _through_table(
    stored: np.ndarray,
    lut: LookupTable | None,
    slope: float | None,
    intercept: float | None,
    mirror: float | None,
) -> np.ndarray:
    """Transform each value that a cell can have once, in float64, then look the pixels up."""
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    cells = np.arange(2 ** (8 * stored.dtype.itemsize), dtype=unsigned).view(stored.dtype)
    domain = cells.astype(np.int32)
    if lut is not None:
        index = np.clip(domain - lut.first, 0, len(lut.entries) - 1)
        table: np.ndarray = lut.entries[index].astype(np.float64)
    else:
        assert slope is not None and intercept is not None
        table = domain * slope + intercept
    if mirror is not None:
        table = mirror - table
    return table.astype(np.float32)[stored.view(unsigned)]


def _has_padding(tags: Dataset, stored: StoredValues) -> bool:
    ends = header.padding_range(tags)
    return ends is not None and ends[0] <= stored.high and ends[1] >= stored.low


def _with_dark_padding(tags: Dataset, stored: StoredValues, pixels: np.ndarray) -> np.ndarray:
    """Set padding to the darkest of the image, lest it set the ends of the grey scale.

    Pixel Padding Value and Range Limit are stored values, both included (PS3.3 section
    C.7.5.1.1.2).
    """
    ends = header.padding_range(tags)
    assert ends is not None
    padding = (stored.values >= ends[0]) & (stored.values <= ends[1])
    if padding.all():
        problem = "The image is blank: the header calls every pixel padding."
        raise RefusedImageError(problem, "Check the image in the PACS and export it again.")
    darkest = pixels.min(where=~padding, initial=np.float32(np.inf))
    pixels[padding] = darkest
    return pixels
