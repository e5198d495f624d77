"""Uncompressed pixel data freed of what is no pixel: trailing bytes and unused bits."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from ddad_core.imaging.pixeldata import highest_bit


def only_used_bits(source: Dataset, value: bytes) -> bytes:
    """Cut pixel data to its picture and clear the bits that no pixel uses.

    Before 2004 overlays, and with them burned names, were kept in the bits above High Bit
    (PS3.5 section 8.1.2); elsewhere such bits are zero or repeat the sign.

    Args:
        source: The header, as read from the file.
        value: Native pixel data, at least as long as the header says.

    Returns:
        The same bytes, the very same object wherever nothing had to go.
    """
    allocated, bits = int(source.BitsAllocated), int(source.BitsStored)
    length = int(source.Rows) * int(source.Columns) * allocated // 8
    if len(value) != length:
        value = value[:length]
    shift = max(highest_bit(source, allocated=allocated, bits=bits) + 1 - bits, 0)
    top = min(bits + shift, allocated)
    if top == allocated and shift == 0:
        return value
    order = "<" if source.original_encoding[1] is not False else ">"
    words = np.frombuffer(value, f"{order}u{allocated // 8}")
    mask = (1 << top) - (1 << shift)
    unused = ~mask & ((1 << allocated) - 1)
    if source.get("PixelRepresentation"):
        signed = words.view(f"{order}i{allocated // 8}")
        free = allocated - top
        extended = (signed << free >> free) & np.array(~((1 << shift) - 1), signed.dtype)
        clean = extended.astype(signed.dtype).view(words.dtype)
        return value if np.array_equal(clean, words) else clean.tobytes()
    if not int(np.bitwise_or.reduce(words)) & unused:
        return value
    return (words & words.dtype.type(mask)).astype(words.dtype).tobytes()
