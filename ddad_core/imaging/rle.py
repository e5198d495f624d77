"""RLE Lossless (DICOM PS3.5 annex G), decoded with every length checked before it is believed.

Nothing in the stream says how many pixels it holds, and two bytes may stand for 128 of them;
decoding stops at the size that the header declares.
"""

from __future__ import annotations

import struct

import numpy as np

from ddad_core.errors import RefusedImageError

_HEADER_BYTES = 64
_EXPORT_AGAIN = "Transfer or export the file again."


def decode_rle(frame: bytes, *, rows: int, columns: int, sample_bytes: int) -> np.ndarray:
    """Decode one grey frame.

    Args:
        frame: The RLE header and its segments, the most significant byte of all pixels first.
        rows: Height that the header declares.
        columns: Width.
        sample_bytes: 1 or 2, bytes of a pixel.

    Returns:
        uint8 or uint16 (rows, columns).

    Raises:
        RefusedImageError: The header is implausible, or a segment holds too few pixels.
    """
    ends = _segment_ends(frame, sample_bytes)
    planes = [
        _unpack(frame[start:end], rows * columns)
        for start, end in zip(ends[:-1], ends[1:], strict=True)
    ]
    values = planes[0] if sample_bytes == 1 else planes[0].astype(np.uint16) << 8 | planes[1]
    return values.reshape(rows, columns)


def _segment_ends(frame: bytes, expected: int) -> list[int]:
    """Where the segments begin, and the end of the last (PS3.5 section G.5)."""
    if len(frame) < _HEADER_BYTES:
        problem = "The RLE stream is truncated inside its header."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    count, *offsets = struct.unpack("<16L", frame[:_HEADER_BYTES])
    if count != expected:
        problem = f"The RLE stream has {count} segment(s); a pixel of this image has {expected}."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    ends = [*offsets[:count], len(frame)]
    if ends[0] < _HEADER_BYTES or any(a >= b for a, b in zip(ends[:-1], ends[1:], strict=True)):
        problem = "The RLE stream is damaged or truncated: its segments lie outside the data."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    return ends


def _unpack(packed: bytes, expected: int) -> np.ndarray:
    """Undo PackBits (PS3.5 section G.3.2).

    A control byte n below 128 heads n + 1 literal bytes, one above 128 heads a byte that is
    repeated 257 - n times, and 128 does nothing. Runs end with the image (a run does not even
    cross a row, section G.3.1); what follows is padding and is not decoded.

    Args:
        packed: One segment.
        expected: Pixels that it must hold.

    Returns:
        uint8 (expected,).
    """
    plane, position, end = bytearray(), 0, len(packed)
    while len(plane) < expected and position < end:
        control = packed[position]
        if control < 128:
            plane += packed[position + 1 : position + control + 2]
            position += control + 2
        elif control > 128:
            plane += packed[position + 1 : position + 2] * (257 - control)
            position += 2
        else:
            position += 1
    if len(plane) < expected:
        problem = f"The RLE stream is truncated: {len(plane)} of {expected} pixels are there."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    return np.frombuffer(plane, np.uint8)[:expected]
