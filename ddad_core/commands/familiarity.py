"""`ddad familiarity`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddad_core.errors import ModelError, RequestError
from ddad_core.familiarity import FAMILIARITY_FILE

if TYPE_CHECKING:
    from ddad_core.familiarity import Familiarity
    from ddad_core.training.manifest import Manifest


def run(arguments: Namespace) -> int:
    """`ddad familiarity`."""
    from ddad_core.card import load_card
    from ddad_core.registry import load_model
    from ddad_core.training.familiarity_card import add_familiarity
    from ddad_core.training.images import load_roles
    from ddad_core.training.manifest import load_model_manifest

    folder = arguments.weights / arguments.model
    card = load_card(folder)
    if arguments.other and not arguments.measure:
        problem = "--other is measured, not learnt from."
        raise RequestError(problem, "Add --measure.")
    data = load_model_manifest(arguments.manifest, card.raw["data"], arguments.manifests)
    has_one = FAMILIARITY_FILE in card.files
    if has_one and not arguments.measure:
        problem = f"{card.name} has {FAMILIARITY_FILE}; a model is never edited in place."
        raise ModelError(problem, "Add --measure to measure it.")
    roles = [] if has_one else ["normal", "calibration"]
    roles += ["test"] if arguments.measure else []
    grey = load_roles(data, roles, arguments.images, card.input_size)
    familiarity = load_model(folder).familiarity if has_one else None
    section = dict(card.raw.get("familiarity") or {})
    if familiarity is None:
        familiarity, section = _learn(data, grey)
    if arguments.measure:
        others = [(Path(m), Path(i)) for m, i in arguments.other or ()]
        section |= _measured(familiarity, data, grey["test"], others, card.input_size)
        section["command"] = _command(card.name, others)
    add_familiarity(folder, familiarity, section)
    _print(card.name, section)
    return 0


def _learn(data: Manifest, grey: Mapping[str, np.ndarray]) -> tuple[Familiarity, dict[str, Any]]:
    from ddad_core.training import familiarise
    from ddad_core.training.familiarity_card import how_learnt

    normals, calibration = grey["normal"], grey["calibration"]
    familiarity = familiarise.learn_familiarity(normals, calibration)
    if familiarity is None:
        problem = f"{data.name} has too few normals: {familiarise.NEEDS}."
        raise RequestError(problem, "Give a larger data set.")
    section = how_learnt(familiarity, normals=len(normals), calibration=len(calibration))
    return familiarity, {**section, "manifest_sha256": data.sha256}


def _measured(
    familiarity: Familiarity,
    data: Manifest,
    test: np.ndarray,
    others: list[tuple[Path, Path]],
    size: int,
) -> dict[str, Any]:
    from ddad_core.training.familiarity_card import measure
    from ddad_core.training.images import load_roles
    from ddad_core.training.manifest import load_manifest
    from ddad_core.training.strangers import strangers

    frontal = _by_label(data, test, "own test part")
    for path, images in others:
        other = load_manifest(path)
        found = load_roles(other, ["test"], images, size)["test"]
        frontal |= _by_label(other, found, f"test part of {path.name}")
    return {"rates": measure(familiarity, frontal, strangers(test))}


def _by_label(data: Manifest, grey: np.ndarray, name: str) -> dict[str, np.ndarray]:
    labels = np.array([row.label for row in data.role("test")])
    words = {0: "normal", 1: "abnormal"}
    return {
        f"{name}, {words[label]}": grey[labels == label]
        for label in words
        if np.any(labels == label)
    }


def _command(name: str, others: list[tuple[Path, Path]]) -> str:
    more = "".join(f" --other data/manifests/{path.name} FOLDER" for path, _ in others)
    return f"ddad familiarity {name} --images FOLDER --measure{more}"


def _print(name: str, section: dict[str, Any]) -> None:
    learnt = section["learnt_from"]
    print(
        f"{name}: familiarity learnt from {learnt['normal']} normals; limit {section['limit']:.3g} "
        f"set on {learnt['calibration']} calibration normals."
    )
    for heading, key in (("False alarms", "false_alarms"), ("Warned about", "caught")):
        for kind, found in (section["rates"] or {}).get(key, {}).items():
            low, high = found["ci95"]
            share = f"{found['warned']} of {found['n']}, {found['value']:.3f}"
            named = f", {found['named']} by name" if "named" in found else ""
            print(f"  {heading:12} {kind:44} {share} (95 % CI {low:.3f} to {high:.3f}){named}")
