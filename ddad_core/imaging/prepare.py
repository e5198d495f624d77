"""One file -> all that is wanted of it: the only way from untrusted bytes to anything else.

What is asked for and what comes back are plain values, so that :mod:`ddad_core.imaging.sandbox`
can have the same done in a child process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import read_radiograph
from ddad_core.imaging.burned_in import search_size, text_warning_of
from ddad_core.imaging.deidentify import Identity, deidentify
from ddad_core.imaging.geometry import to_network_greys
from ddad_core.imaging.stored import pack, thumbnail, to_stored
from ddad_core.overlay import default_window
from ddad_core.types import Radiograph, RadiographFacts, Window

StoredAs = Literal["png", "dicom"]


@dataclass(frozen=True)
class Keeping:
    """How a file is freed of identity before it is kept.

    Attributes:
        key: The installation's secret, for pseudonyms.
        site: Name of the site, for InstitutionName; may be empty.
    """

    key: bytes = field(repr=False)
    site: str = ""


@dataclass(frozen=True)
class Wanted:
    """What is to be made of a file besides its facts.

    Attributes:
        sizes: Sides S of the network inputs.
        display: Pixels for the browser.
        display_side: Longest side of these pixels; a larger image is shrunk. 0: as it is.
        thumbnail: A small JPEG.
        keep: The file as it may be stored; None: not wanted.
        vouched: See :func:`ddad_core.imaging.read_radiograph`.
        whole: Likewise.
        sha256: Likewise.
    """

    sizes: tuple[int, ...] = ()
    display: bool = False
    display_side: int = 0
    thumbnail: bool = False
    keep: Keeping | None = None
    vouched: bool = False
    whole: bool = False
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class Kept:
    """A file as it may be stored.

    Attributes:
        stored_as: "dicom" (de-identified, pixels in their own encoding) or "png" (16 bits).
        data: The file.
        pixel_sha256: Of the pixel values, the same however they are encoded.
        identity: Pseudonyms; all None for a raster file.
        slope: Pixel value = value in a PNG * slope + intercept; 1 for DICOM, which needs none.
        intercept: See ``slope``; 0 for DICOM.
    """

    stored_as: StoredAs
    data: bytes | memoryview = field(repr=False)
    pixel_sha256: str
    identity: Identity
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, eq=False)
class Display:
    """What the browser shows.

    Attributes:
        pixels: zlib of little-endian uint16, ``height`` x ``width``, row by row.
        slope: Pixel value = 16-bit value * slope + intercept.
        intercept: See ``slope``; the image's lowest pixel value.
        window: Default window, in pixel values.
        width: Columns that were sent: the image's, or fewer.
        height: Rows likewise.
        highest: The image's highest pixel value.
    """

    pixels: bytes = field(repr=False)
    slope: float
    intercept: float
    window: Window
    width: int
    height: int
    highest: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """A readable radiograph and what was made of it.

    Attributes:
        sha256: Of the file.
        facts: What the file says of its image.
        windows: Display windows of the file, the default first.
        warnings: Sentences a reader must see.
        width: Columns.
        height: Rows.
        grey: uint8 (S, S) by S.
        display: For the browser, or None if not wanted.
        thumbnail: JPEG; empty if not wanted.
        kept: For the store, or None if not wanted.
    """

    sha256: str
    facts: RadiographFacts
    windows: tuple[Window, ...]
    warnings: tuple[str, ...]
    width: int
    height: int
    grey: Mapping[int, np.ndarray]
    display: Display | None = None
    thumbnail: bytes = field(default=b"", repr=False)
    kept: Kept | None = None


def prepare(data: bytes, wanted: Wanted) -> Prepared:
    """Read one file and make what is wanted of it.

    Args:
        data: The whole file.
        wanted: What to make.

    Raises:
        RefusedImageError: It is no radiograph that can be read; the message says why.
    """
    radiograph = read_radiograph(
        data, vouched=wanted.vouched, whole=wanted.whole, sha256=wanted.sha256
    )
    small = search_size(radiograph.pixels)
    return Prepared(
        sha256=radiograph.sha256,
        facts=radiograph.facts,
        windows=radiograph.windows,
        warnings=_warnings(radiograph, small),
        width=radiograph.width,
        height=radiograph.height,
        grey=to_network_greys(radiograph, wanted.sizes),
        display=display_of(radiograph, wanted.display_side) if wanted.display else None,
        thumbnail=thumbnail(radiograph, small) if wanted.thumbnail else b"",
        kept=_kept(data, radiograph, wanted.keep) if wanted.keep else None,
    )


def _warnings(radiograph: Radiograph, small: np.ndarray) -> tuple[str, ...]:
    """What reading found to say, and whether there is text in the picture."""
    if any("burned into" in sentence for sentence in radiograph.warnings):
        return radiograph.warnings  # the header says it already
    text = text_warning_of(small)
    return (*radiograph.warnings, text) if text else radiograph.warnings


def display_of(radiograph: Radiograph, side: int = 0) -> Display:
    """A radiograph as a browser shows it; see ``Wanted.display_side``.

    A smaller picture's pixels are means of the image's, in the same 16-bit steps: the same window
    shows both alike.
    """
    stored = to_stored(radiograph.pixels)
    values = stored.values
    highest = float(values.max()) * stored.slope + stored.intercept
    longest = max(values.shape)
    if 0 < side < longest:
        height, width = (max(round(n * side / longest), 1) for n in values.shape)
        values = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    return Display(
        pack(values),
        stored.slope,
        stored.intercept,
        default_window(radiograph),
        width=values.shape[1],
        height=values.shape[0],
        highest=highest,
    )


def _kept(data: bytes, radiograph: Radiograph, keep: Keeping) -> Kept:
    # Lossless twins in other encodings have the same values, hence the same digest.
    digest = hashlib.sha256(f"{radiograph.height}x{radiograph.width}".encode())
    digest.update(np.ascontiguousarray(radiograph.pixels).data)
    if radiograph.facts.format == "dicom":
        freed = deidentify(data, key=keep.key, site=keep.site, sha256=radiograph.sha256)
        return Kept("dicom", freed.data, digest.hexdigest(), freed.identity)
    stored = to_stored(radiograph.pixels)
    done, encoded = cv2.imencode(".png", stored.values)
    if not done:
        problem = "The picture cannot be written in the form that is kept."
        raise RefusedImageError(problem, "Export it again.")
    nobody = Identity(None, None, None, None)
    return Kept(
        "png", encoded.tobytes(), digest.hexdigest(), nobody, stored.slope, stored.intercept
    )
