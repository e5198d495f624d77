"""PNG and JPEG files -> Radiograph."""

from __future__ import annotations

import hashlib
import io
import zlib

import cv2
import numpy as np
from PIL import Image, ImageChops, ImageOps

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.codestream import DECODED_TWICE, check_nothing_missing, jpeg_frame_size
from ddad_core.imaging.quiet import silent_decoders
from ddad_core.imaging.suitability import check_not_blank, check_size, pixel_warnings
from ddad_core.types import Radiograph, RadiographFacts

COLOUR_MEAN = 8.0
COLOUR_PEAK = 40
"""Grey levels, mean and 99th percentile of max(R, G, B) - min(R, G, B). Grey radiographs saved
as colour JPEG stay far below; a small coloured marker passes, a photograph or heat map does not."""

_MAX_CHUNKS = 100_000
"""A piece of 8 KB each, as encoders write them, is far more than the largest picture."""

_STRIP_ROWS = 256

_PNG_BIT_DEPTH = 24
"""Offset in the file: IHDR is always the first chunk (PNG, third edition, section 11.2.1)."""

_LUMA = np.array([299, 587, 114], dtype=np.float64) / 1000
"""Rec. 601 weights, those of PIL's "L"."""


def read_raster(data: bytes, format: str, *, whole: bool = False, sha256: str = "") -> Radiograph:
    """Read a PNG or JPEG file.

    Args:
        data: The whole file.
        format: "png" or "jpeg", as sniffed.
        whole: See :func:`ddad_core.imaging.read_radiograph`.
        sha256: Of the file, where the caller has it already.

    Returns:
        Pixels are the file's grey values (16-bit PNG in full precision); grey stored as colour
        becomes Rec. 601 luma (PIL's "L"). Transparency is laid on black.

    Raises:
        RefusedImageError: The file is truncated or damaged, in colour, animated, blank or of
            an absurd size.
    """
    try:
        with silent_decoders():
            grey, bits = _read(data, format, whole)
    except (RefusedImageError, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001
        # The file is untrusted: whatever the decoder raises means the same to the reader.
        problem = f"The {format.upper()} file is damaged and cannot be decoded."
        raise RefusedImageError(problem, "Transfer or export the file again.") from error
    check_not_blank(grey)
    return Radiograph(
        pixels=grey,
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        facts=RadiographFacts(format=format, bits=bits),
        warnings=pixel_warnings(grey),
    )


def _read(data: bytes, format: str, whole: bool) -> tuple[np.ndarray, int]:
    # Sizes are looked at before Pillow sees the file; it raises on truncated pixels, but neither
    # on a wrong checksum nor always on a missing end.
    if format == "png":
        check_size(
            rows=int.from_bytes(data[20:24], "big"), columns=int.from_bytes(data[16:20], "big")
        )
        _check_png_chunks(data)
    else:
        size = jpeg_frame_size(data)
        check_size(rows=size.rows, columns=size.columns)
        if size.precision != 8 or size.lossless:
            kind = "lossless" if size.lossless else f"{size.precision}-bit"
            problem = f"The file is a {kind} JPEG, which is read inside DICOM files only."
            raise RefusedImageError(problem, "Export the image as DICOM or 16-bit PNG.")
    with Image.open(io.BytesIO(data), formats=[format]) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            problem = f"The file holds {frames} images; a radiograph is one."
            raise RefusedImageError(problem, "Send one still image a file.")
        image.load()
        if format == "jpeg" and not whole and image.width * image.height <= DECODED_TWICE:
            check_nothing_missing(data, size, _decoded, np.asarray(image))
        deep = format == "png" and data[_PNG_BIT_DEPTH] == 16
        if deep and not image.mode.startswith("I"):
            return _deep_colour(data), 16
        ImageOps.exif_transpose(image, in_place=True)
        return _grey(image)


def _decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=["jpeg"]) as image:
        return np.asarray(image)


def _check_png_chunks(data: bytes) -> None:
    """Walk the chunks of a PNG file to its end, checking each (PNG, third edition, section 5).

    Raises:
        RefusedImageError: A checksum is wrong, or the end is missing.
    """
    position, name, count = 8, b"", 0
    while name != b"IEND":
        count += 1
        if count > _MAX_CHUNKS:
            problem = f"The PNG file is cut into more than {_MAX_CHUNKS} pieces."
            raise RefusedImageError(problem, "Export it again.")
        length = int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        body_end = position + 8 + length
        if body_end + 4 > len(data):
            problem = "The PNG file is truncated: its end is missing."
            raise RefusedImageError(problem, "Transfer or export the file again.")
        checksum = int.from_bytes(data[body_end : body_end + 4], "big")
        if zlib.crc32(memoryview(data)[position + 4 : body_end]) != checksum:
            problem = "The PNG file is damaged: a checksum does not fit."
            raise RefusedImageError(problem, "Transfer or export the file again.")
        position = body_end + 4


def _grey(image: Image.Image) -> tuple[np.ndarray, int]:
    """float32 (H, W) and the bits a pixel had."""
    clear = image.info.get("transparency")  # in grey pictures the one value that is see-through
    if image.mode.startswith("I"):  # 16-bit PNG; convert("L") would clip it to white
        deep = np.array(image, dtype=np.float32)
        if clear is not None:
            deep[deep == clear] = 0
        return deep, 16
    if image.mode in ("1", "L") and clear is None:
        return np.asarray(image.convert("L"), dtype=np.float32), 8
    pixels = np.empty((image.height, image.width), np.float32)
    spreads = np.zeros(256, np.int64)
    for top in range(0, image.height, _STRIP_ROWS):  # no copy of all of it: colour is large
        bottom = min(top + _STRIP_ROWS, image.height)
        strip = _in_rgb(image.crop((0, top, image.width, bottom)))
        spreads += _spreads(np.asarray(strip))
        pixels[top:bottom] = np.asarray(strip.convert("L"))
    _refuse_colour(spreads)
    return pixels, 8


def _in_rgb(image: Image.Image) -> Image.Image:
    """A picture in colours, transparency laid on black."""
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, rgba)
    if image.mode == "CMYK" and "adobe" not in image.info:
        # Pillow takes all CMYK for Adobe's, which is stored inverted.
        image = ImageChops.invert(image)
    return image.convert("RGB")


def _deep_colour(data: bytes) -> np.ndarray:
    """Read a 16-bit PNG with colour or alpha channels, which Pillow would cut to 8 bits.

    Returns:
        float32 (H, W), 0 to 65535.
    """
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16 or samples.ndim != 3:
        problem = "The 16-bit PNG file cannot be decoded."
        raise RefusedImageError(problem, "Export it as 16-bit grey, without transparency.")
    rgb = samples[:, :, 2::-1].astype(np.float64)  # OpenCV has B, G, R, A
    if samples.shape[2] == 4:
        rgb *= samples[:, :, 3:] / 65535
    _refuse_colour(_spreads((rgb / 257).astype(np.uint8)))
    return np.rint(rgb @ _LUMA).astype(np.float32)


def _spreads(rgb: np.ndarray) -> np.ndarray:
    """How many pixels of uint8 (H, W, 3) have channels so far apart, (256,)."""
    return np.bincount((rgb.max(axis=2) - rgb.min(axis=2)).ravel(), minlength=256)


def _refuse_colour(spreads: np.ndarray) -> None:
    """Judge how far a picture is from grey.

    Args:
        spreads: From :func:`_spreads`.

    Raises:
        RefusedImageError: It is coloured.
    """
    pixels = int(spreads.sum())
    mean = float(spreads @ np.arange(256)) / pixels
    peak = int(np.searchsorted(np.cumsum(spreads), 0.99 * pixels))
    if mean > COLOUR_MEAN or peak > COLOUR_PEAK:
        problem = (
            f"The image is in colour (channels differ by {mean:.0f} grey levels on average); "
            "a radiograph is grey."
        )
        raise RefusedImageError(
            problem, "Export the original radiograph, not a photograph, screenshot or overlay."
        )
