"""What a compressed image says of its own size, read without decoding it.

A small file may claim a picture of 65500 x 65500; a decoder believes it and fills the memory.
Hence a codestream is asked for its size first, and the size compared with the header's.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ddad_core.errors import RefusedImageError

DECODED_TWICE = 2**24
"""Pixels at most, 4096 x 4096, that :func:`check_nothing_missing` is asked about: of more, the
second time would take what time, or in colour what memory, a file has."""

_EXPORT_AGAIN = "Export the image again, uncompressed if the PACS offers that."

_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""Entropy-coded data has 0x00 or RST after 0xFF (JPEG), or a byte below 0x80 (JPEG-LS)."""

_START_OF_FRAME = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
"""ITU-T T.81 table B.1; 0xF7 is SOF55 of JPEG-LS, ITU-T T.87."""

_ARITHMETIC_FRAMES = range(0xC9, 0xD0)
_LOSSLESS_FRAMES = (0xC3, 0xC7, 0xCB, 0xCF, 0xF7)
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_RESTARTS = range(0xD0, 0xD8)
_NOISE = bytes(1) + hashlib.shake_128(b"noise").digest(95).translate(
    bytes(value & 0x7F for value in range(256))
)
"""No byte of it is 0xFF, and the first ends a marker that a cut may have left half."""
_J2K_START = b"\xff\x4f\xff\x51"
_J2K_MAX_TILES = 65_535


@dataclass(frozen=True)
class FrameSize:
    """What a codestream declares.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        components: 1 for grey.
        precision: Bits per sample.
        signed: Whether samples are signed; JPEG knows no sign.
        lossless: Whether it is JPEG lossless or JPEG-LS.
        end: Where the data of a JPEG stream's last scan ends; 0 for JPEG 2000.
        arithmetic: Whether a JPEG stream is coded arithmetically.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool = False
    lossless: bool = False
    end: int = 0
    arithmetic: bool = False


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Walk a JPEG or JPEG-LS stream from marker to marker (ITU-T T.81 annex B).

    Args:
        data: The stream, beginning with SOI.

    Yields:
        (marker, where it begins, payload without its length); the last is EOI unless the stream
        is cut off.
    """
    position = 2
    while match := _MARKER.search(data, position):
        marker, position = data[match.end() - 1], match.end()
        if marker == _EOI:
            yield marker, match.start(), b""
            return
        if marker == _SOI:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2 or position + length > len(data):
            return
        yield marker, match.start(), data[position + 2 : position + length]
        position += length


def jpeg_frame_size(data: bytes) -> FrameSize:
    """Read the frame header of a JPEG (any process) or JPEG-LS stream.

    Args:
        data: The stream.

    Returns:
        Its declared size.

    Raises:
        RefusedImageError: It is no JPEG stream, holds several frames, or its end is missing.
    """
    if not data.startswith(b"\xff\xd8"):
        problem = "The compressed image data is not a JPEG stream, though the header says so."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    frames, complete, end, before = [], False, 0, 0
    for marker, start, payload in jpeg_segments(data):
        complete = marker == _EOI
        end = start if before == _SOS else end
        before = marker
        if marker in _START_OF_FRAME:
            if len(payload) < 6:
                break
            frames.append((marker, payload))
    if not complete:
        problem = "The JPEG stream is truncated: its end marker is missing."
        raise RefusedImageError(problem, "Transfer or export the file again.")
    if len(frames) != 1:
        problem = f"The JPEG stream holds {len(frames)} frame headers; expected one."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    marker, frame = frames[0]
    return FrameSize(
        rows=int.from_bytes(frame[1:3], "big"),
        columns=int.from_bytes(frame[3:5], "big"),
        components=frame[5],
        precision=frame[0],
        lossless=marker in _LOSSLESS_FRAMES,
        end=end,
        arithmetic=marker in _ARITHMETIC_FRAMES,
    )


def check_nothing_missing(
    data: bytes, size: FrameSize, decode: Callable[[bytes], np.ndarray], pixels: np.ndarray
) -> None:
    """Refuse a JPEG or JPEG-LS stream that was cut and closed again with an end marker.

    Decoders fill in what is missing in silence. So the stream is decoded once more with noise
    behind its last scan: a decoder that has all pixels never looks at it, another one takes it
    for the pixels that are missing. Arithmetic coding is passed over: there a whole stream may
    leave zeros at its end out (ITU-T T.81 section D.1.8).

    Args:
        data: The stream.
        size: Its own, from :func:`jpeg_frame_size`.
        decode: The decoder.
        pixels: What it makes of the stream.

    Raises:
        RefusedImageError: Pixels are missing.
    """
    if size.arithmetic:
        return
    try:
        same = np.array_equal(decode(_with_noise(data, size.end)), pixels)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - decoders raise what they like
        same = False
    if not same:
        problem = "The JPEG stream is truncated: pixels are missing before its end marker."
        raise RefusedImageError(problem, "Transfer or export the file again.")


def _with_noise(data: bytes, end: int) -> bytes:
    """The stream with noise behind its last scan, and again behind the restart that is next.

    Args:
        data: The stream.
        end: Of the data of the last scan: where the first marker behind it begins.
    """
    while data[end - 2] == 0xFF and data[end - 1] in _RESTARTS:
        end -= 2
    last = max(data.rfind(bytes((0xFF, number)), 0, end) for number in _RESTARTS)
    number = 0 if last < 0 else (data[last + 1] + 1) % len(_RESTARTS)
    restart = bytes((0xFF, _RESTARTS[number]))
    return data[:end] + _NOISE + restart + _NOISE + data[end:]


def jpeg2000_frame_size(data: bytes) -> FrameSize:
    """Read the SIZ segment of a JPEG 2000 or HTJ2K codestream (ITU-T T.800 section A.5.1).

    PS3.5 section 8.2.4 forbids the JP2 wrapper, yet files with it are about. In them every
    codestream start must say the same, lest a decoy in an earlier box hide the real one.

    Args:
        data: The codestream.

    Returns:
        Its declared size.

    Raises:
        RefusedImageError: It is no such codestream, contradicts itself, or its end is missing.
    """
    starts = [0] if data.startswith(_J2K_START) else []
    if data.startswith(b"\0\0\0\x0cjP  "):
        starts = [match.start() for match in re.finditer(re.escape(_J2K_START), data)]
    sizes = {_size_segment(data[start + 6 : start + 45]) for start in starts}
    if len(sizes) != 1:
        problem = "The compressed image data is not one JPEG 2000 image, though the header says so."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    if not _tile_parts_reach_the_end(data, starts[-1]):
        problem = "The JPEG 2000 stream is truncated or damaged: its end is missing."
        raise RefusedImageError(problem, "Transfer or export the file again.")
    return sizes.pop()


def _tile_parts_reach_the_end(data: bytes, start: int) -> bool:
    """Walk from segment to segment, and by their lengths from tile-part to tile-part, to EOC.

    A stream with a hole in the middle still ends well; its tile-parts then lead elsewhere
    (ITU-T T.800 sections A.4.2 and A.4.4).
    """
    position = start + 2
    while (marker := data[position : position + 2]) != b"\xff\xd9":
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == b"\xff\x90":
            length = int.from_bytes(data[position + 6 : position + 10], "big")
            if length == 0:  # the last tile-part, up to EOC
                return data.rstrip(b"\0").endswith(b"\xff\xd9")
            length -= 2  # counted from the marker on, unlike that of other segments
        if marker[:1] != b"\xff" or length < 2:
            return False
        position += 2 + length
    return True


def _size_segment(payload: bytes) -> FrameSize:
    """Parse SIZ from Rsiz on; offsets as in ITU-T T.800 table A.9."""
    if len(payload) < 37:
        problem = "The JPEG 2000 stream is truncated inside its header."
        raise RefusedImageError(problem, "Transfer or export the file again.")
    x1, y1, x0, y0, tile_w, tile_h, tile_x0, tile_y0 = (
        int.from_bytes(payload[i : i + 4], "big") for i in range(2, 34, 4)
    )
    tiles = math.ceil((x1 - tile_x0) / max(tile_w, 1)) * math.ceil((y1 - tile_y0) / max(tile_h, 1))
    if not (tile_w and tile_h) or tiles > _J2K_MAX_TILES:
        problem = "The JPEG 2000 stream is cut into more tiles than the format allows."
        raise RefusedImageError(problem, _EXPORT_AGAIN)
    return FrameSize(
        rows=y1 - y0,
        columns=x1 - x0,
        components=int.from_bytes(payload[34:36], "big"),
        precision=(payload[36] & 0x7F) + 1,
        signed=bool(payload[36] & 0x80),
    )
