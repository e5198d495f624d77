"""Trained modules -> a calibrated model folder with its card."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ddad_core.calibration import PlaceReference
from ddad_core.card import CARD_FILE, SCHEMA, estimate_to, load_card
from ddad_core.ensemble import Ensemble
from ddad_core.errors import ModelError, TrainingError
from ddad_core.evaluation.delong import DelongTest
from ddad_core.evaluation.metrics import proportion
from ddad_core.evaluation.report import Evaluation
from ddad_core.evaluation.thresholds import confusion, threshold_for_normal_rate
from ddad_core.familiarity import FAMILIARITY_FILE, pack_familiarity
from ddad_core.imaging.geometry import PUBLISHED_PIXELS
from ddad_core.ratio import RATIO, field_of, mapping_by
from ddad_core.refinement import REFINEMENT_FILE, RefinementNetwork, pack_refinement
from ddad_core.registry import (
    MODULE_FILES,
    PLACES_FILE,
    Model,
    pack_module,
    pack_places,
    unpack_module,
)
from ddad_core.scoring import MAP_NAMES, BatchScores, Extras, score_grey
from ddad_core.training.familiarise import learn_familiarity
from ddad_core.training.familiarity_card import how_learnt
from ddad_core.training.folder import file_facts, write_folder, write_json
from ddad_core.training.loop import TrainedModules, TrainingConfig
from ddad_core.training.manifest import Manifest
from ddad_core.training.refine import TrainedRefinement
from ddad_core.vocabulary import MAP_TITLES, map_of_score

PRIMARY = "a_inter"
MAX_NORMAL_RATE = 0.10
HALF_PRECISION_TOLERANCE = 1e-3
"""Largest relative change of any calibration score that half precision may cause."""

LEAST_FOR_PLACES = 20
"""Calibration normals needed to calibrate maps by place: half of them for the statistics."""
LEAST_EVIDENCE = 0.05
"""From which A_ratio is coloured at the lowest, as a share of its scale."""
GUARANTEE = (
    "Among images exchangeable with the n calibration normals of a score, a p-value (1 + "
    "normals at least as high) / (n + 1) is at most alpha with probability at most alpha,"
    " for every alpha and n."
)

USE = (
    "Decision support for research. Not a medical device: not for diagnosis, triage or any "
    "decision about a patient."
)


def pack_model(
    folder: Path,
    *,
    config: TrainingConfig,
    trained: TrainedModules,
    manifest: Manifest,
    calibration: np.ndarray,
    title: str = "",
    refinement: TrainedRefinement | None = None,
    primary: str = PRIMARY,
    default_map: str = "",
    normals: np.ndarray | None = None,
) -> None:
    """Calibrate trained modules on held-apart normals and write the model folder.

    Args:
        folder: ``weights/<name>``; must not exist.
        config: What was trained.
        trained: Modules A and B.
        manifest: The data set; its sidecar names source, licence and population.
        calibration: Calibration normals, uint8 (N, S, S).
        title: For people; made from the data set if empty.
        refinement: Trained on D_n with A and B frozen, or None.
        primary: The score the operating point is stated for.
        default_map: The map a reader is shown first; that of the primary score if empty.
        normals: D_n, uint8 (N, S, S): what is familiar is learnt from it, if it is large enough.

    The maps of every second calibration normal say what is usual at a place; the scores taken
    from calibrated maps have the other ones as their reference, so that those stay exchangeable
    with new normals. All other scores have all calibration normals.

    Raises:
        ModelError: The folder exists; weights are never edited in place.
        TrainingError: There are no calibration normals.
    """
    check_new(folder)
    if not len(calibration):
        problem = f"The manifest {manifest.name} has no calibration normals."
        raise TrainingError(problem, "Without them nothing may be called abnormal; add some.")
    refiners = refinement.networks if refinement else {}
    files, reference, precision = _choose_precision(config, trained, calibration, refiners)
    if len(calibration) >= LEAST_FOR_PLACES:
        places, reference = calibrate_places(reference)
        files = {**files, PLACES_FILE: pack_places(places)}
    if refinement:
        files = {**files, REFINEMENT_FILE: pack_refinement(refiners)}
    familiarity = None if normals is None else learn_familiarity(normals, calibration)
    if familiarity is not None and normals is not None:
        files = {**files, FAMILIARITY_FILE: pack_familiarity(familiarity)}
    about = manifest.about
    card: dict[str, Any] = {
        "schema": SCHEMA,
        "name": folder.name,
        "title": title or f"{config.network.upper()}, {about.get('title') or manifest.name}",
        "network": config.network,
        "input_size": config.size,
        "members": config.members,
        "pixels": PUBLISHED_PIXELS.replace("S x S", f"{config.size} x {config.size}"),
        "precision": precision,
        "files": file_facts(files),
        "use": USE,
        "population": {
            "description": about.get("population") or about.get("title") or "not stated",
            "age_min": about.get("age_min"),
            "age_max": about.get("age_max"),
        },
        "data": {
            **{k: about.get(k, "") for k in ("title", "source", "licence", "abnormal_means")},
            "manifest": f"{manifest.name}.csv",
            "manifest_sha256": manifest.sha256,
            "counts": manifest.counts(),
            "anomaly_rate": about.get("anomaly_rate"),
        },
        "training": {
            **asdict(config),
            "seconds": round(trained.seconds, 1),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "hardware": trained.hardware,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "final_loss": {name: round(losses[-1], 5) for name, losses in trained.losses.items()},
            "refinement": _refinement_facts(refinement),
        },
        **_calibration_facts(reference, len(calibration), config.network, primary, default_map),
        "evaluation": None,
    }
    if familiarity is not None and normals is not None:
        learnt = how_learnt(familiarity, normals=len(normals), calibration=len(calibration))
        card["familiarity"] = {**learnt, "manifest_sha256": manifest.sha256}
    write_folder(folder, files, card)


def recalibrate(
    folder: Path,
    model: Model,
    calibration: np.ndarray,
    *,
    primary: str,
    default_map: str = "",
    source: Mapping[str, str] | None = None,
) -> None:
    """Write a model anew with another calibration or primary score; its networks stay.

    Args:
        folder: ``weights/<name>`` of the new model; must not exist.
        model: The model as it is, calibrated or not.
        calibration: Calibration normals, uint8 (N, S, S).
        primary: The score the operating point is stated for.
        default_map: The map a reader is shown first; that of the primary score if empty.
        source: What the normals come from, for the card.

    Raises:
        ModelError: The folder exists.
        TrainingError: There are too few normals, or the model has no such score or map.
    """
    check_new(folder)
    raw = model.card.raw
    if len(calibration) < LEAST_FOR_PLACES:
        problem = f"{len(calibration)} calibration normals are too few."
        raise TrainingError(problem, f"Give {LEAST_FOR_PLACES} or more.")
    found = score_grey(
        model.a, model.b, calibration, extras=Extras(model.refiners, ratio=mapping_by(model.ratio))
    )
    places, reference = calibrate_places(found)
    files = {
        name: (model.folder / name).read_bytes() for name in raw["files"] if name != PLACES_FILE
    }
    files[PLACES_FILE] = pack_places(places)
    card = {
        **raw,
        "name": folder.name,
        "files": file_facts(files),
        **_calibration_facts(reference, len(calibration), raw["network"], primary, default_map),
        "calibrated_on": {**(source or {}), "n": len(calibration)},
        "evaluation": None,
    }
    write_folder(folder, files, card)


def check_new(folder: Path) -> None:
    """Refuse to write over a model.

    Raises:
        ModelError: The folder exists.
    """
    if folder.exists():
        problem = f"{folder} exists, and a model is never edited in place."
        raise ModelError(problem, "Give another --name, or remove the folder yourself.")


def _calibration_facts(
    reference: BatchScores, n: int, network: str, primary: str, default_map: str
) -> dict[str, Any]:
    """What a card says from the calibration normals' scores and maps.

    Raises:
        TrainingError: There is no such primary score.
    """
    if primary not in reference.scores:
        problem = f"The model has no score {primary}."
        raise TrainingError(problem, f"Choose one of: {', '.join(reference.scores)}.")
    if default_map and default_map not in reference.maps:
        problem = f"The model has no map {default_map}."
        raise TrainingError(problem, f"Choose one of: {', '.join(reference.maps)}.")
    scores = {name: np.sort(values).tolist() for name, values in reference.scores.items()}
    return {
        "reference": {"n": n, "guarantee": GUARANTEE, "scores": scores},
        "maps": map_displays(reference, network),
        "default_map": default_map or map_of_score(primary),
        "operating_point": operating_point(primary, reference.scores[primary]),
    }


def add_evaluation(folder: Path, evaluation: Evaluation, manifest: Manifest) -> None:
    """Write test figures into a card that has none yet.

    Raises:
        ModelError: The card already states an evaluation.
    """
    card = load_card(folder)
    if card.raw.get("evaluation"):
        problem = f"The card of {card.name} already states an evaluation."
        raise ModelError(problem, "Figures of other data go into a report of their own.")
    counts = evaluation.at_threshold
    raw = dict(card.raw)
    raw["evaluation"] = {
        "command": f"ddad evaluate {card.name} --images FOLDER",
        "part": "test",
        "manifest_sha256": manifest.sha256,
        "n_normal": evaluation.n_normal,
        "n_abnormal": evaluation.n_abnormal,
        "auc": {name: estimate_to(value) for name, value in evaluation.auc.items()},
        "average_precision": {
            name: estimate_to(value) for name, value in evaluation.average_precision.items()
        },
        "sensitivity_at_specificity_90": {
            name: estimate_to(value) for name, value in evaluation.sensitivity.items()
        },
        "auc_inter_minus_rec": estimate_to(evaluation.inter_minus_rec),
        "delong": {name: _delong_to(test) for name, test in evaluation.delong.items()},
        "interval": "95 %, bootstrap stratified by class, 2000 samples",
        "at_operating_point": {
            "counts": asdict(counts),
            "sensitivity": counts.sensitivity and estimate_to(counts.sensitivity),
            "specificity": counts.specificity and estimate_to(counts.specificity),
            "interval": "95 %, Clopper-Pearson",
        },
        "auc_within": {
            name: {"n_normal": normal, "n_abnormal": abnormal, **estimate_to(estimate)}
            for name, (normal, abnormal, estimate) in evaluation.by_stratum.items()
        },
        "statement": evaluation.statement,
    }
    write_json(folder / CARD_FILE, raw)


def _delong_to(test: DelongTest) -> dict[str, Any]:
    """A score's test against the ensemble's A_rec; z is null where it is infinite."""
    z = round(test.z, 4) if np.isfinite(test.z) else None
    return {
        "auc_minus_rec": estimate_to(test.difference),
        "z": z,
        "p_value": float(f"{test.p_value:.4g}"),
    }


def _choose_precision(
    config: TrainingConfig,
    trained: TrainedModules,
    calibration: np.ndarray,
    refiners: Mapping[str, RefinementNetwork],
) -> tuple[dict[str, bytes], BatchScores, str]:
    """Half precision if no calibration score changes by the tolerance or more, else full."""
    extras = Extras(refiners)
    full = score_grey(trained.a, trained.b, calibration, extras=extras)
    files = _packed(trained, half=True)
    a, b = (_unpacked(data, config) for data in files.values())
    reference = score_grey(a, b, calibration, extras=extras)
    change = max(
        float(np.max(np.abs(reference.scores[name] - values) / values))
        for name, values in full.scores.items()
    )
    if change < HALF_PRECISION_TOLERANCE:
        words = "float16 (linear layers), float32 (the rest)"
        return files, reference, f"{words}; calibration scores differ by {change:.1e}"
    return _packed(trained, half=False), full, "float32"


def calibrate_places(reference: BatchScores) -> tuple[PlaceReference, BatchScores]:
    """Take what is usual at a place from every second normal, and calibrate the others' maps.

    Args:
        reference: Scores and maps of the calibration normals.

    Returns:
        The statistics, and the scores and maps with those of the calibrated maps added.
    """
    base = {name: reference.maps[name] for name in MAP_NAMES}
    places = PlaceReference.of({name: maps[::2] for name, maps in base.items()})
    placed = places.calibrate({name: maps[1::2] for name, maps in base.items()})
    means = {name: maps.mean(axis=(1, 2), dtype=np.float64) for name, maps in placed.items()}
    return places, BatchScores({**reference.scores, **means}, {**reference.maps, **placed})


def _refinement_facts(refinement: TrainedRefinement | None) -> dict[str, Any] | None:
    if refinement is None:
        return None
    return {
        **asdict(refinement.config),
        "seconds": round(refinement.seconds, 1),
        "final_loss": {kind: round(values[-1], 6) for kind, values in refinement.losses.items()},
    }


def _packed(trained: TrainedModules, *, half: bool) -> dict[str, bytes]:
    modules = {"a": trained.a, "b": trained.b}
    return {MODULE_FILES[name]: pack_module(m, half=half) for name, m in modules.items()}


def _unpacked(data: bytes, config: TrainingConfig) -> Ensemble:
    return unpack_module(data, config.network, config.size, config.members)


def operating_point(primary: str, scores: np.ndarray) -> dict[str, Any]:
    """Of a score, from the calibration normals' values of it, (n,), as a card states it."""
    threshold = threshold_for_normal_rate(scores, MAX_NORMAL_RATE)
    flagged = confusion(np.zeros(len(scores)), scores, threshold).flagged
    return {
        "score": primary,
        "threshold": threshold,
        "policy": f"Flags at most {MAX_NORMAL_RATE:.0%} of the calibration normals",
        "n": len(scores),
        "flagged": flagged,
        "rate": {**estimate_to(proportion(flagged, len(scores))), "interval": "Clopper-Pearson"},
    }


def map_displays(reference: BatchScores, network: str) -> dict[str, Any]:
    """How the maps of the calibration normals are shown, by name, as a card states it."""
    plain, squared = ("σ", "σ²") if network == "ae-u" else ("grey", "grey²")
    units = {"rec": squared, "intra": plain, "inter": plain, RATIO: "log ratio"}
    displays = {}
    for name in (name for name in MAP_TITLES if name in reference.maps):
        values = reference.maps[name]
        if name == RATIO:  # what the networks do not see is 0 there, and no evidence
            values = values[:, field_of(values.shape[-1]).numpy() > 0]
        threshold, maximum = np.percentile(values, [95, 99.9])
        top = float(f"{maximum:.4g}")
        if name == RATIO:  # evidence of 0 and less speaks for D_n, and is not coloured
            top = max(top, 1.0)
            threshold = max(threshold, LEAST_EVIDENCE * top)
        displays[name] = {
            "threshold": float(f"{threshold:.4g}"),
            "maximum": top if top > 0 else 1.0,
            "unit": units.get(name, "SD" if name.startswith("c_") else "0 to 1"),
        }
    return displays
