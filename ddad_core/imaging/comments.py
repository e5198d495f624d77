"""Text and attachments beside the picture inside a compressed stream, blanked out in place.

JPEG has comment and application segments (EXIF, XMP, previews), JPEG 2000 comment segments and,
in the JP2 wrapper, boxes of XML. No profile of PS3.15 looks there. All lengths stay, so nothing
that a decoder needs moves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_JFIF_HEADER = 14
"""Bytes of an APP0 segment before its thumbnail (JFIF 1.02)."""

_SOT, _SOD, _EOC, _J2K_COM = b"\xff\x90", b"\xff\x93", b"\xff\xd9", b"\xff\x64"
_SOC = b"\xff\x4f"
_JP2_START = b"\0\0\0\x0cjP  "
_JP2_NEEDED = (b"jP  ", b"ftyp", b"jp2h", b"jp2c")


def blank_jpeg(stream: bytes) -> bytes:
    """Blank a JPEG or JPEG-LS stream's comments and application data (ITU-T T.81 annex B).

    Args:
        stream: From SOI on; complete.

    Returns:
        The same stream up to EOI: what stands behind is no part of the picture. Bytes between two
        segments, where nothing belongs, become 0xFF, which a marker may have before it.
    """
    blank = bytearray(stream)
    position, data_follows = 2, False
    while match := _JPEG_MARKER.search(stream, position):
        if not data_follows:
            blank[position : match.start()] = b"\xff" * (match.start() - position)
        marker, position = stream[match.end() - 1], match.end()
        if marker == _EOI:
            return bytes(blank[:position])
        if marker == _SOI:
            continue
        end = position + int.from_bytes(stream[position : position + 2], "big")
        start = position + 2
        if marker == _COM or marker in _APPLICATION:
            if stream[start : start + 5] == b"JFIF\0":
                start += _JFIF_HEADER
            blank[start:end] = bytes(max(end - start, 0))
        position = max(end, start)
        data_follows = marker == _SOS
    return bytes(blank)


def blank_jpeg2000(stream: bytes) -> bytes:
    """Blank the comments of a JPEG 2000 codestream or JP2 file (ITU-T T.800 annexes A and I).

    Args:
        stream: The codestream, or the file around it.

    Returns:
        The same bytes, comments and all boxes that a decoder can do without blanked.
    """
    blank = bytearray(stream)
    if not stream.startswith(_JP2_START):
        return bytes(blank[: _blank_codestream(blank, 0, len(blank))])
    for kind, start, end in _boxes(stream):
        if kind == b"jp2c":
            stop = _blank_codestream(blank, start, end)
            blank[stop:end] = bytes(end - stop)
        elif kind not in _JP2_NEEDED:
            blank[start:end] = bytes(end - start)
    return bytes(blank)


def _boxes(stream: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box (ITU-T T.800 section I.4)."""
    position = 0
    while position + 8 <= len(stream):
        length = int.from_bytes(stream[position : position + 4], "big")
        kind, start = stream[position + 4 : position + 8], position + 8
        if length == 1:
            length, start = int.from_bytes(stream[start : start + 8], "big"), start + 8
        end = len(stream) if length == 0 else min(position + length, len(stream))
        if end < start:
            return
        yield kind, start, end
        position = end


def _blank_codestream(blank: bytearray, start: int, end: int) -> int:
    """Blank COM in the main header and in the headers of all tile-parts.

    Returns:
        Where the codestream ends: behind EOC if that is found, else ``end``.
    """
    if blank[start : start + 2] != _SOC:
        return end
    position, tile_end = start + 2, end
    while position + 4 <= end:
        marker = bytes(blank[position : position + 2])
        if marker == _SOD:
            position, tile_end = tile_end, end
            continue
        if marker == _EOC:
            return position + 2
        if marker[0] != 0xFF:
            return end
        stop = position + 2 + int.from_bytes(blank[position + 2 : position + 4], "big")
        if marker == _SOT:
            length = int.from_bytes(blank[position + 6 : position + 10], "big")
            tile_end = end if length == 0 else max(position + length, stop)
        if marker == _J2K_COM:  # after the two bytes that say whether it is text
            blank[position + 6 : stop] = b" " * max(stop - position - 6, 0)
        position = max(stop, position + 4)
    if bytes(blank[position : position + 2]) == _EOC:
        return position + 2
    last = blank.rfind(_EOC, start, end)  # the last tile-part may reach to it without saying so
    return last + 2 if last >= 0 else end
