"""PNG and JPEG files -> Radiograph."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.suitability import check_not_blank, check_size
from ddad_core.types import Radiograph, RadiographFacts

COLOUR_MEAN = 8.0
COLOUR_PEAK = 40.0
"""Grey radiographs saved as colour JPEG keep a channel spread far below these grey levels."""


def read_raster(data: bytes, format: str) -> Radiograph:  # noqa: A002
    """Read a PNG or JPEG file.

    Args:
        data: The whole file.
        format: "png" or "jpeg", as sniffed.

    Returns:
        Pixels are the file's grey values (16-bit PNG in full precision); grey stored as colour
        becomes Rec. 601 luma (PIL's "L"). Transparency is laid on black.

    Raises:
        RefusedImageError: The file is truncated or damaged, in colour, animated or of an
            absurd size.
    """
    try:
        with Image.open(io.BytesIO(data), formats=[format]) as image:
            check_size(rows=image.height, columns=image.width)
            frames = int(getattr(image, "n_frames", 1))
            if frames > 1:
                problem = f"The file holds {frames} images."
                raise RefusedImageError(problem, "Send one radiograph a file.")
            image.load()
            grey, bits = _grey(ImageOps.exif_transpose(image))
    except RefusedImageError:
        raise
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error, MemoryError) as error:
        problem = f"The {format.upper()} file is damaged or cut short."
        raise RefusedImageError(problem, "Export it again.") from error
    except Image.DecompressionBombError as error:
        problem = "The image claims more pixels than any radiograph has."
        raise RefusedImageError(problem, "Check the file; it may be damaged.") from error
    check_not_blank(grey)
    return Radiograph(
        pixels=grey,
        sha256=hashlib.sha256(data).hexdigest(),
        facts=RadiographFacts(format=format, bits=bits),
    )


def _grey(image: Image.Image) -> tuple[np.ndarray, int]:
    """float32 (H, W) and the bits a pixel had."""
    if image.mode.startswith("I"):  # 16-bit PNG; convert("L") would clip it to white
        return np.asarray(image, dtype=np.float32), 16
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), dtype=np.float32), 8
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, rgba)
    colour = image.convert("RGB")
    _refuse_colour(np.asarray(colour))
    return np.asarray(colour.convert("L"), dtype=np.float32), 8


def _refuse_colour(rgb: np.ndarray) -> None:
    spread = rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2)  # (H, W)
    if spread.mean() > COLOUR_MEAN or np.percentile(spread, 99) > COLOUR_PEAK:
        problem = "This is a colour picture, not a radiograph."
        raise RefusedImageError(problem, "Send the original grey image.")
