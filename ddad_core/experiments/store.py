"""The folder of a cell: what is in it when it is finished, and how it is read again.

``identity.json`` what decides the result; ``run/`` checkpoints, while it trains;
``scores.npz`` scores of the test part and of the calibration normals; ``samples.npz`` a few test
images with their maps; ``evaluation.json`` the figures; ``weights/`` if they are kept; and, last
of all, ``result.json``. A folder without it is not finished.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ddad_core.errors import TrainingError
from ddad_core.experiments import atomic
from ddad_core.experiments.cells import Cell

RESULT = "result.json"
SCORES = "scores.npz"
SAMPLES = "samples.npz"
EVALUATION = "evaluation.json"


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished cell.

    Attributes:
        cell: What was trained.
        folder: Where it lies.
        labels: Of the test part, (N,).
        test: Scores of the test part, (N,) by name.
        calibration: Scores of the calibration normals, (C,) by name.
        samples: ``images`` uint8 (n, S, S), ``places`` (n,) in the test part, and
            ``map_NAME`` (n, S, S) with its ``top_NAME``, the end of its colour scale.
        evaluation: Figures, as :func:`ddad_core.experiments.methods.evaluate` gives them.
        result: Time, losses, SHA-256 of weights, hardware, versions.
    """

    cell: Cell
    folder: Path
    labels: np.ndarray = field(repr=False)
    test: dict[str, np.ndarray] = field(repr=False)
    calibration: dict[str, np.ndarray] = field(repr=False)
    samples: dict[str, np.ndarray] = field(repr=False)
    evaluation: dict[str, Any] = field(repr=False)
    result: dict[str, Any] = field(repr=False)


def write_scores(
    folder: Path,
    labels: np.ndarray,
    test: Mapping[str, np.ndarray],
    calibration: Mapping[str, np.ndarray],
) -> str:
    """Write the scores and return the file's SHA-256."""
    arrays = {"labels": labels}
    arrays |= {f"test_{name}": values for name, values in test.items()}
    arrays |= {f"calibration_{name}": values for name, values in calibration.items()}
    return hashlib.sha256(atomic.write_arrays(folder / SCORES, arrays)).hexdigest()


def is_finished(folder: Path) -> bool:
    """Whether the cell of this folder is finished."""
    return (folder / RESULT).is_file()


def read_cell(folder: Path, cell: Cell) -> Finished:
    """Read a finished cell; its figures may be missing.

    Raises:
        TrainingError: A file is missing, damaged or not the one the result names.
    """
    result = atomic.read_json(folder / RESULT)
    if result.get("identity") != cell.identity:
        problem = f"{folder / RESULT} is the result of another configuration or other images."
        raise TrainingError(problem, f"Delete the folder {folder} to train it anew.")
    arrays = _arrays(folder / SCORES, result["files"][SCORES])
    evaluation = folder / EVALUATION
    return Finished(
        cell=cell,
        folder=folder,
        labels=arrays["labels"],
        test=_with_prefix(arrays, "test_"),
        calibration=_with_prefix(arrays, "calibration_"),
        samples=_arrays(folder / SAMPLES, result["files"][SAMPLES]),
        evaluation=atomic.read_json(evaluation) if evaluation.is_file() else {},
        result=result,
    )


def _with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {n.removeprefix(prefix): values for n, values in arrays.items() if n.startswith(prefix)}


def _arrays(path: Path, digest: str) -> dict[str, np.ndarray]:
    next_step = f"Delete the folder {path.parent} to train this cell anew."
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            problem = f"{path} is not the file its result.json names (SHA-256 differs)."
            raise TrainingError(problem, next_step)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        problem = f"{path} cannot be read: {error}."
        raise TrainingError(problem, next_step) from error


def finish(folder: Path, result: dict[str, Any]) -> None:
    """Declare a cell finished, and let its checkpoints go."""
    atomic.write_json(folder / RESULT, result)
    drop_checkpoints(folder)


def drop_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a finished cell; a kill may have left them."""
    shutil.rmtree(folder / "run", ignore_errors=True)
