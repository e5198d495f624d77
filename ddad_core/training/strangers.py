"""Pictures that ought to be warned about, by kind: to measure how many are.

Everything here is made from the model's own test images, drawn, or comes in the wheels of packages
that the project needs, so that a command can reproduce the figures. None of it is used to learn.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ddad_core.errors import DdadError
from ddad_core.familiarity import INVERTED, LATERAL, SIDE, TURNED, UPSIDE_DOWN, to_side
from ddad_core.training.drawn import drawn_abdomens, drawn_laterals
from ddad_core.training.patterns import patterns

SEED = 4000
"""Another one than that of learning."""
DRAWN = 100
NAMED = {
    "inverted": INVERTED,
    "upside down": UPSIDE_DOWN,
    "turned by a quarter": TURNED,
    "drawn laterals": LATERAL,
}
"""The sentence that names a kind; every other kind is to be called unlike."""

_SLICES = ("CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small.dcm")
_WORDS = (
    "Patient Report Findings The heart is of normal size and there is no effusion 2026 ".split()
)


def strangers(images: np.ndarray) -> dict[str, np.ndarray]:
    """Pictures by kind.

    Args:
        images: Test images, uint8 (N, S, S).

    Returns:
        uint8 (M, SIDE, SIDE) by kind, in words.
    """
    generator = np.random.default_rng(SEED)
    small = np.stack([to_side(image) for image in images])
    from_images: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "inverted": lambda p: 255 - p,
        "upside down": lambda p: p[::-1],
        "turned by a quarter": lambda p: np.rot90(p, int(generator.choice([1, 3]))),
        "one lung alone": lambda p: _half(p, generator),
        "a quarter of the picture": lambda p: _quarter(p, generator),
        "two side by side": lambda p: np.hstack([cv2.resize(p, (SIDE // 2, SIDE))] * 2),
        "squeezed to half the width": _squeezed,
    }
    kinds = {
        kind: np.stack([np.ascontiguousarray(make(picture)) for picture in small])
        for kind, make in from_images.items()
    }
    kinds["drawn laterals"] = drawn_laterals(DRAWN, generator)
    kinds["drawn abdomens"] = drawn_abdomens(DRAWN, generator)
    kinds["noise, shapes and gradients"] = patterns(DRAWN, generator)
    kinds["pages of text"] = np.stack([_page(generator) for _ in range(DRAWN)])
    kinds["photographs"] = _photographs(generator)
    kinds["CT and MR slices"] = _slices(generator)
    return kinds


def _half(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    middle = SIDE // 2
    half = picture[:, :middle] if generator.uniform() < 0.5 else picture[:, middle:]
    return cv2.resize(np.ascontiguousarray(half), (SIDE, SIDE))


def _quarter(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    y, x = generator.integers(0, 2, 2) * (SIDE // 2)
    part = picture[y : y + SIDE // 2, x : x + SIDE // 2]
    return cv2.resize(np.ascontiguousarray(part), (SIDE, SIDE))


def _squeezed(picture: np.ndarray) -> np.ndarray:
    middle = cv2.resize(picture, (SIDE // 2, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(middle, 0, 0, SIDE // 4, SIDE // 4, cv2.BORDER_CONSTANT, value=0)


def _page(generator: np.random.Generator) -> np.ndarray:
    """A page or screen of text in Pillow's own font."""
    width, height = (int(v) for v in generator.integers(500, 1000, 2))
    paper, ink = ((255, 0), (0, 255), (235, 40))[generator.integers(3)]
    page = Image.new("L", (width, height), paper)
    draw = ImageDraw.Draw(page)
    size = int(generator.integers(12, 40))
    font = ImageFont.load_default(size)
    for y in range(size, int(height * generator.uniform(0.5, 1)), int(size * 1.5)):
        words = " ".join(generator.choice(_WORDS, int(generator.integers(2, 14))))
        draw.text((size, y), words, fill=ink, font=font)
    return cv2.resize(np.asarray(page), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _crops(picture: np.ndarray, n: int, generator: np.random.Generator) -> list[np.ndarray]:
    """The whole picture and n parts of it, uint8 (SIDE, SIDE), stretched to the full range."""
    parts = [picture]
    for _ in range(n):
        share = generator.uniform(0.5, 0.9)
        height, width = (int(side * share) for side in picture.shape)
        y = int(generator.integers(0, picture.shape[0] - height + 1))
        x = int(generator.integers(0, picture.shape[1] - width + 1))
        parts.append(picture[y : y + height, x : x + width])
    small = [
        cv2.resize(part.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for part in parts
    ]
    return [(255 * (p - p.min()) / max(float(np.ptp(p)), 1e-6)).astype(np.uint8) for p in small]


def _photographs(generator: np.random.Generator) -> np.ndarray:
    """The two photographs that scikit-learn brings, and parts of them, in grey."""
    from sklearn.datasets import load_sample_images  # noqa: PLC0415 - seconds to import

    grey = [image.mean(axis=2) for image in load_sample_images().images]
    return np.stack([crop for image in grey for crop in _crops(image, 14, generator)])


def _slices(generator: np.random.Generator) -> np.ndarray:
    """The CT and MR slices that pydicom brings, and parts of them."""
    import pydicom  # noqa: PLC0415
    from pydicom.data import get_testdata_file  # noqa: PLC0415

    pictures = []
    for name in _SLICES:
        path = get_testdata_file(name, download=False)
        if path is None:
            problem = f"pydicom's test file {name} is not installed."
            raise DdadError(problem, "Install pydicom as requirements.txt has it.")
        pictures += _crops(pydicom.dcmread(str(path)).pixel_array, 4, generator)
    return np.stack(pictures)
