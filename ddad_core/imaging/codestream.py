"""Dimensions that a compressed codestream states itself, read without decoding it."""

from __future__ import annotations

_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Start-of-frame markers of JPEG (ITU-T T.81) and JPEG-LS (T.87)."""


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Read (height, width) from a JPEG, JPEG-LS or JPEG 2000 codestream; None if unknown."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)  # SOC, SIZ (T.800); JP2 boxes before it
    if start >= 0 and len(data) >= start + 24:
        corners = [int.from_bytes(data[i : i + 4], "big") for i in range(start + 8, start + 24, 4)]
        width, height, offset_x, offset_y = corners
        return height - offset_y, width - offset_x
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _SOF_MARKERS:
            height = int.from_bytes(data[at + 5 : at + 7], "big")
            width = int.from_bytes(data[at + 7 : at + 9], "big")
            return height, width
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
