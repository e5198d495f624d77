"""Is this a frontal chest radiograph that this model may judge? Answers in sentences."""

from __future__ import annotations

from ddad_core.types import Radiograph

LATERAL_VIEWS = frozenset({"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LLO", "RLO"})
CHEST_PARTS = frozenset({"CHEST", "THORAX", "LUNG", "LUNGS", "PORT CHEST", "RIBS"})


def header_warnings(
    *, modality: str | None, view: str | None, body_part: str | None
) -> tuple[str, ...]:
    """Warn of what the DICOM header says about the exposure."""
    warnings = []
    if modality in ("SC", "OT"):
        warnings.append(
            f"The file says {modality} (a secondary capture), so it may not be the original."
        )
    if view and view.upper() in LATERAL_VIEWS:
        warnings.append(
            f"The header says this is a lateral view ({view}); the models know frontal views only."
        )
    if body_part and body_part.upper() not in CHEST_PARTS:
        warnings.append(
            f"The header names the body part {body_part}; the models know the chest only."
        )
    return tuple(warnings)


def check_suitability(
    radiograph: Radiograph, *, age_min: float | None, age_max: float | None
) -> tuple[str, ...]:
    """Warn where a radiograph does not belong to a model's population.

    Args:
        radiograph: The image; its own warnings are not repeated.
        age_min: Youngest age the model was trained on, in years; None if unknown.
        age_max: Oldest, likewise.
    """
    age = radiograph.facts.age_years
    if age is None:
        return ()
    too_young = age_min is not None and age < age_min
    too_old = age_max is not None and age >= age_max + 1
    if not (too_young or too_old):
        return ()
    shown = f"{age:.0f} years" if age >= 2 else f"{age * 12:.0f} months"
    return (
        f"The patient is {shown} old; this model was trained on ages {age_min:g} to {age_max:g}.",
    )
