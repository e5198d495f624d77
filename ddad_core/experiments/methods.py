"""The seams: all that an experiment asks of training, refinement, scoring and metrics.

Nothing else of this package calls them, so a change over there is met here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ddad_core.card import estimate_to
from ddad_core.evaluation import metrics
from ddad_core.evaluation.delong import delong_test
from ddad_core.evaluation.thresholds import confusion, threshold_for_normal_rate
from ddad_core.experiments.cells import Cell
from ddad_core.experiments.config import RefinementSettings
from ddad_core.experiments.inputs import Inputs
from ddad_core.refinement import REFINEMENT_FILE, RefinementNetwork, pack_refinement
from ddad_core.registry import MODULE_FILES, pack_module
from ddad_core.scoring import BatchScores, Extras, score_grey
from ddad_core.training import loop
from ddad_core.training.pack import LEAST_FOR_PLACES, calibrate_places
from ddad_core.training.refine import RefinementConfig, train_refinement
from ddad_core.vocabulary import SCORE_TITLES

COMPARISONS = (("a_inter", "a_rec"), ("r_dual", "a_rec"))
"""Paired tests: first against second, where a cell has both."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What the training of a cell gives.

    Attributes:
        modules: A and B.
        refiners: Refinement networks by kind; none without refinement.
        seconds: Training time, over all interruptions.
        losses: Mean loss of each epoch by network.
    """

    modules: loop.TrainedModules
    refiners: dict[str, RefinementNetwork]
    seconds: float
    losses: dict[str, list[float]] = field(repr=False)

    def files(self) -> dict[str, bytes]:
        """Weights as safetensors, in full precision, by file name."""
        modules = {"a": self.modules.a, "b": self.modules.b}
        files = {MODULE_FILES[name]: pack_module(m, half=False) for name, m in modules.items()}
        if self.refiners:
            files[REFINEMENT_FILE] = pack_refinement(self.refiners)
        return files


def train_cell(
    cell: Cell,
    inputs: Inputs,
    *,
    run: Path,
    device: torch.device,
    on_epoch: Callable[[str, int, float], None] | None = None,
) -> Trained:
    """Train modules A and B, and the refinement if the cell has one, going on where it stopped.

    Args:
        cell: What to train.
        inputs: Images; the test part is not touched.
        run: Folder of the checkpoints.
        device: Where.
        on_epoch: Called after each epoch with the network's name, the epoch and its loss.
    """
    modules = loop.train(
        cell.training,
        inputs.normal,
        inputs.unlabeled(cell.point),
        run=run,
        device=device,
        on_epoch=on_epoch,
    )
    if cell.refinement is None:
        return Trained(modules, {}, modules.seconds, dict(modules.losses))
    refined = train_refinement(
        _refinement_config(cell.training.seed, cell.refinement),
        modules.a,
        modules.b,
        inputs.normal,
        run=run,
        device=device,
        on_epoch=on_epoch,
    )
    return Trained(
        modules,
        refined.networks,
        modules.seconds + refined.seconds,
        {**modules.losses, **refined.losses},
    )


def _refinement_config(seed: int, settings: RefinementSettings) -> RefinementConfig:
    return RefinementConfig(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=seed,
    )


def score_parts(
    trained: Trained, calibration: np.ndarray, test: np.ndarray, *, device: torch.device
) -> tuple[BatchScores, BatchScores]:
    """Score calibration normals and test images, uint8 (N, S, S), with all that a cell trained.

    As in a model's card, every second calibration normal says what is usual at a place, and the
    scores of calibrated maps have the others as their reference.
    """
    a, b = trained.modules.a.to(device), trained.modules.b.to(device)
    normals = score_grey(a, b, calibration, device=device, extras=Extras(trained.refiners))
    places = None
    if len(calibration) >= LEAST_FOR_PLACES:
        places, normals = calibrate_places(normals)
    found = score_grey(a, b, test, device=device, extras=Extras(trained.refiners, places))
    return normals, found


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 by file name."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def evaluate(
    labels: np.ndarray,
    test: Mapping[str, np.ndarray],
    calibration: Mapping[str, np.ndarray],
    *,
    specificity: float,
) -> dict[str, Any]:
    """Measure a cell's scores on the test part.

    Args:
        labels: (N,) of 0 and 1.
        test: Scores of the test part, (N,) by name.
        calibration: Scores of the calibration normals, by name; thresholds come from them.
        specificity: At which sensitivity is stated.

    Returns:
        JSON values: the figures of each score, and the paired tests.
    """
    names = [name for name in SCORE_TITLES if name in test]
    return {
        "scores": {
            name: {
                "auc": estimate_to(metrics.auc_with_interval(labels, test[name])),
                "average_precision": estimate_to(
                    metrics.average_precision_with_interval(labels, test[name])
                ),
                "sensitivity": estimate_to(
                    metrics.sensitivity_at_specificity(labels, test[name], specificity)
                ),
                "at_threshold": _at_threshold(labels, test[name], calibration[name], specificity),
            }
            for name in names
        },
        "tests": [
            _paired(labels, test, first, second)
            for first, second in COMPARISONS
            if first in test and second in test
        ],
    }


def _at_threshold(
    labels: np.ndarray, test: np.ndarray, calibration: np.ndarray, specificity: float
) -> dict[str, Any]:
    """What the threshold does that lets this share of the calibration normals pass."""
    threshold = threshold_for_normal_rate(calibration, 1 - specificity)
    counts = confusion(labels, test, threshold)
    assert counts.sensitivity and counts.specificity  # both classes are in the test part
    return {
        "threshold": threshold,
        "sensitivity": estimate_to(counts.sensitivity),
        "specificity": estimate_to(counts.specificity),
    }


def _paired(
    labels: np.ndarray, test: Mapping[str, np.ndarray], first: str, second: str
) -> dict[str, Any]:
    found = delong_test(labels, test[first], test[second])
    return {
        "score": first,
        "against": second,
        "difference": estimate_to(found.difference),
        "p_value": found.p_value,
    }
