"""PNG and JPEG files -> Radiograph."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image

from ddad_core.types import Radiograph, RadiographFacts


def read_raster(data: bytes, format: str) -> Radiograph:  # noqa: A002
    """Read a PNG or JPEG file.

    Args:
        data: The whole file.
        format: "png" or "jpeg", as sniffed.

    Returns:
        Pixels are the file's grey values; colour becomes Rec. 601 luma (PIL's "L").
    """
    with Image.open(io.BytesIO(data)) as image:
        grey = np.asarray(image.convert("L"), dtype=np.float32)
    return Radiograph(
        pixels=grey,
        sha256=hashlib.sha256(data).hexdigest(),
        facts=RadiographFacts(format=format, bits=8),
    )
