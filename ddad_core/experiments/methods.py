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
from ddad_core.experiments.inputs import Inputs
from ddad_core.registry import MODULE_FILES, pack_module
from ddad_core.scoring import BatchScores, score_grey
from ddad_core.training import loop
from ddad_core.vocabulary import SCORE_TITLES

COMPARISONS = (("a_inter", "a_rec"), ("r_dual", "a_rec"))
"""Paired tests: first against second, where a cell has both."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What the training of a cell gives.

    Attributes:
        modules: A and B.
        refiners: Refinement networks; None without.
        seconds: Training time, over all interruptions.
        losses: Mean loss of each epoch by network.
    """

    modules: loop.TrainedModules
    refiners: Any
    seconds: float
    losses: dict[str, list[float]] = field(repr=False)

    def files(self) -> dict[str, bytes]:
        """Weights as safetensors, in full precision, by file name."""
        modules = {"a": self.modules.a, "b": self.modules.b}
        files = {MODULE_FILES[name]: pack_module(m, half=False) for name, m in modules.items()}
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
    return Trained(modules, None, modules.seconds, dict(modules.losses))


def score_images(trained: Trained, grey: np.ndarray, *, device: torch.device) -> BatchScores:
    """Score images, uint8 (N, S, S), with all that a cell has trained."""
    modules = trained.modules
    return score_grey(modules.a.to(device), modules.b.to(device), grey, device=device)


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
