"""What a card says of a model's check of familiarity: how it was learnt, and its measured rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddad_core.card import CARD_FILE, estimate_to, load_card
from ddad_core.errors import ModelError
from ddad_core.evaluation.metrics import proportion
from ddad_core.familiarity import (
    FAMILIARITY_FILE,
    LATERAL,
    RESIDUAL_WEIGHT,
    Familiarity,
    pack_familiarity,
)
from ddad_core.training.familiarise import LEAST_LIMIT, MAX_FLAGGED, SEED
from ddad_core.training.folder import file_facts, write_json
from ddad_core.training.strangers import NAMED

POLICY = (
    f"At most {MAX_FLAGGED:.0%} of the calibration normals are called unlike, and none below "
    f"{LEAST_LIMIT:g} standard deviations of the varied training normals"
)


def how_learnt(familiarity: Familiarity, *, normals: int, calibration: int) -> dict[str, Any]:
    """The card's section before anything is measured.

    Args:
        familiarity: As learnt.
        normals: Training normals it was learnt from.
        calibration: Calibration normals its limit was set on.
    """
    return {
        "learnt_from": {"normal": normals, "calibration": calibration, "seed": SEED},
        "policy": POLICY,
        "limit": round(float(familiarity.limits[0]), 6),
        "lateral_limit": round(float(familiarity.limits[1]), 6),
        "residual_weight": RESIDUAL_WEIGHT,
        "rates": None,
    }


def measure(
    familiarity: Familiarity,
    frontal: Mapping[str, np.ndarray],
    strange: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Count warnings.

    Args:
        familiarity: The check.
        frontal: Frontal chest radiographs that nothing was learnt from, uint8 (N, S, S), by what
            they are; every warning is a false alarm.
        strange: Pictures that ought to be warned about, by kind.
    """
    return {
        "interval": "95 %, Clopper-Pearson",
        "false_alarms": {name: _rate(familiarity, grey) for name, grey in frontal.items()},
        "caught": {
            kind: _rate(familiarity, grey, NAMED.get(kind, "")) for kind, grey in strange.items()
        },
    }


def _rate(familiarity: Familiarity, grey: np.ndarray, sentence: str = "") -> dict[str, Any]:
    said: Sequence[tuple[str, ...]] = [familiarity.judge(picture) for picture in grey]
    warned = sum(bool(sentences) for sentences in said)
    found = {"n": len(grey), "warned": warned, **estimate_to(proportion(warned, len(grey)))}
    if sentence:
        found["named"] = sum(sentence in sentences for sentences in said)
    else:
        found["called_lateral"] = sum(LATERAL in sentences for sentences in said)
    return found


def add_familiarity(folder: Path, familiarity: Familiarity, section: Mapping[str, Any]) -> None:
    """Give a model that has none its check of familiarity, or state more of the one it has.

    The card is replaced last and whole: before that, the model is what it was.

    Raises:
        ModelError: The model has another such check; weights are never edited in place.
    """
    card = load_card(folder)
    data = pack_familiarity(familiarity)
    facts = file_facts({FAMILIARITY_FILE: data})
    own = facts[FAMILIARITY_FILE]["sha256"]
    if card.files.get(FAMILIARITY_FILE, own) != own:
        problem = f"{card.name} has another {FAMILIARITY_FILE}; a model is never edited in place."
        raise ModelError(problem, "Add the check to a copy of the model without it.")
    unfinished = folder / f"{FAMILIARITY_FILE}.unfinished"
    unfinished.write_bytes(data)
    unfinished.replace(folder / FAMILIARITY_FILE)
    raw = {**card.raw, "files": {**card.raw["files"], **facts}, "familiarity": dict(section)}
    write_json(folder / CARD_FILE, raw)
