"""Is this a frontal chest radiograph that this model may judge? Limits and sentences, all pure."""

from __future__ import annotations

import math

import numpy as np

from ddad_core.errors import RefusedImageError

MIN_SIDE = 64
"""Pixels; the networks see 64 x 64, so a smaller image holds less than they need."""

MAX_SIDE = 10_000
"""Pixels; the largest detectors are about 43 cm at 0.1 mm, well below."""

MAX_PIXELS = 60_000_000
"""Pixels in all, so that one image cannot exhaust the memory."""

_BLANK_SHARE = 0.99
_FEW_GREYS = 16
_FLAT_SHARE = 0.05
_SAMPLE_SIDE = 128

_CHEST_WORDS = ("CHEST", "THORAX", "TORAX", "LUNG")
_BEYOND_CHEST_WORDS = ("ABD", "PELV", "SPINE", "NECK")
_SIDE_VIEWS = {
    "LL": "lateral",
    "RL": "lateral",
    "LLD": "lateral decubitus",
    "RLD": "lateral decubitus",
    "LLO": "oblique",
    "RLO": "oblique",
}
"""Defined terms of ViewPosition (0018,5101) other than AP and PA, PS3.3 section C.8.1.2."""


def check_size(*, rows: int, columns: int) -> None:
    """Refuse an image whose size no radiograph has, before any pixel is decoded.

    Args:
        rows: Rows that the header declares.
        columns: Columns that the header declares.

    Raises:
        RefusedImageError: The image is too small or too large.
    """
    if min(rows, columns) < MIN_SIDE:
        problem = (
            f"The image has {columns} x {rows} pixels; each side must have at least {MIN_SIDE}."
        )
        raise RefusedImageError(problem, "Send the full-size radiograph, not a thumbnail.")
    if max(rows, columns) > MAX_SIDE or rows * columns > MAX_PIXELS:
        problem = (
            f"The image claims {columns} x {rows} pixels; the limits are {MAX_SIDE} a side "
            f"and {MAX_PIXELS // 1_000_000} million in all."
        )
        raise RefusedImageError(problem, "Check the file; export it again at the detector's size.")


def check_not_blank(pixels: np.ndarray) -> None:
    """Refuse an image without content.

    A collimated radiograph may be black over more than half of its area; a picture of one value
    but for a hundredth, a stray marker or a few dead pixels, shows no chest.

    Args:
        pixels: float32 (H, W).

    Raises:
        RefusedImageError: All pixels but a hundredth have one value.
    """
    values, counts = np.unique(_sample(pixels), return_counts=True)
    common = values[counts.argmax()]
    if counts.max() < (_BLANK_SHARE - 0.01) * counts.sum():
        return
    same = int(np.count_nonzero(pixels == common))
    if same >= _BLANK_SHARE * pixels.size:
        most = "every pixel has" if same == pixels.size else "nearly all pixels have"
        problem = f"The image is blank: {most} the value {common:g}."
        raise RefusedImageError(problem, "Check the image in the PACS and export it again.")


def pixel_warnings(pixels: np.ndarray) -> tuple[str, ...]:
    """Warn of what the pixels themselves betray.

    Args:
        pixels: float32 (H, W).

    Returns:
        Sentences; empty if there is nothing to say.
    """
    found = (_few_greys_warning(pixels), _flat_bottom_warning(pixels))
    return tuple(sentence for sentence in found if sentence)


def _few_greys_warning(pixels: np.ndarray) -> str | None:
    if np.unique(_sample(pixels)).size >= _FEW_GREYS:
        return None
    greys = np.unique(pixels).size
    if greys >= _FEW_GREYS:
        return None
    return (
        f"The picture has only {greys} different grey values; what a radiograph shows is mostly "
        "lost in it."
    )


def _flat_bottom_warning(pixels: np.ndarray) -> str | None:
    """Notice what JPEG decoders fill in where a stream was cut and closed again.

    They repeat the last grey they know. A border is black or white; this is something between.
    """
    grey = pixels[-1, 0]
    if not (pixels[-1] == grey).all():
        return None
    flat = (pixels == grey).all(axis=1)[::-1]  # from the bottom up
    rows = int(flat.argmin()) if not flat.all() else len(flat)
    if rows < _FLAT_SHARE * len(flat):
        return None
    dark, bright = np.percentile(_sample(pixels[: len(flat) - rows]), [5, 95])
    if not dark < grey < bright:
        return None
    return (
        f"The lower {100 * rows / len(flat):.0f} % of the picture is one flat grey; "
        "the file may have been cut off. Compare it with the PACS."
    )


def _sample(pixels: np.ndarray) -> np.ndarray:
    """Pixels on a grid, at most some ten thousand: enough to tell a picture from a blank."""
    step = max(min(pixels.shape) // _SAMPLE_SIDE, 1)
    return pixels[::step, ::step]


def view_warning(view: str | None) -> str | None:
    """Warn of a view other than frontal.

    Args:
        view: ViewPosition (0018,5101) or None.

    Returns:
        A sentence, or None for AP, PA and views that are unknown.
    """
    if view is None:
        return None
    words = _SIDE_VIEWS.get(view) or ("lateral" if "LAT" in view else None)
    if words is None:
        return None
    return (
        f"The header calls this a {words} view ({view}); "
        "the models are made for frontal views (PA or AP)."
    )


def body_part_warning(body_part: str | None) -> str | None:
    """Warn of a body part other than the chest.

    Args:
        body_part: BodyPartExamined (0018,0015) or None.

    Returns:
        A sentence, or None for the chest and where the header says nothing.
    """
    if body_part is None:
        return None
    chest = any(word in body_part for word in _CHEST_WORDS)
    if chest and not any(word in body_part for word in _BEYOND_CHEST_WORDS):
        return None
    return (
        f"The header says that the body part is {body_part}; "
        "the models are made for chest radiographs."
    )


def modality_warning(modality: str) -> str | None:
    """Warn of an image that is not the detector's own.

    Args:
        modality: Modality (0008,0060), one of those that are taken.

    Returns:
        A sentence, or None for CR, DX and RG.
    """
    words = {"SC": "a secondary capture (SC)", "OT": "of an unnamed kind (modality OT)"}
    if modality not in words:
        return None
    return (
        f"The header says that the image is {words[modality]}, not a detector's own image; "
        "make sure that it is the original chest radiograph and not a screenshot."
    )


def check_suitability(
    age: float | None, *, age_min: float | None, age_max: float | None
) -> tuple[str, ...]:
    """Compare a patient with the population that a model was trained on.

    What the header alone gives away (view, body part) is already in ``Radiograph.warnings``.

    Args:
        age: Of the patient, years; None if unknown.
        age_min: Youngest age in training, years; None if there is no bound.
        age_max: Oldest age in training, completed years; None if there is no bound.

    Returns:
        Sentences that a reader must see; empty if there is nothing to say. An unknown age
        gives none: most images lack it, and a warning on every image is read on none.
    """
    if age is None:
        return ()
    too_young = age_min is not None and age < age_min
    too_old = age_max is not None and math.floor(age) > age_max
    if not (too_young or too_old):
        return ()
    trained = _age_range(age_min, age_max)
    return (f"The patient is {_age_words(age)} old; this model was trained on {trained}.",)


def _age_range(age_min: float | None, age_max: float | None) -> str:
    if age_max is None:
        return f"ages from {age_min:g}"
    if age_min is None:
        return f"ages up to {age_max:g}"
    return f"ages {age_min:g} to {age_max:g}"


def _age_words(age: float) -> str:
    """Say an age as clinicians do: months below two years, then completed years."""
    if age >= 2:
        return f"{math.floor(age)} years"
    months = math.floor(age * 12)
    if months >= 1:
        return f"{months} month" + ("s" if months > 1 else "")
    return "less than one month"
