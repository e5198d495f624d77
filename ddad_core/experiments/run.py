"""Running an experiment: what is finished is read, what is not is trained, then the report."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from ddad_core.errors import RequestError
from ddad_core.experiments import atomic, methods, provenance, store
from ddad_core.experiments.cells import Cell, Plan, make_plan, remaining
from ddad_core.experiments.config import ExperimentConfig
from ddad_core.experiments.inputs import Inputs, load_inputs
from ddad_core.experiments.store import Finished
from ddad_core.scoring import BatchScores, resolve_device

try:
    import fcntl
except ImportError:  # not on Windows; there, two runs at once are not noticed
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

SAMPLES = 12
"""Test images of which every cell keeps the maps, half of them normal."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """An experiment whose cells are all finished.

    Attributes:
        config: What was asked for.
        inputs: On which images.
        plan: Which cells are what.
        cells: The finished cells by name.
        device: Where it ran.
    """

    config: ExperimentConfig
    inputs: Inputs
    plan: Plan
    cells: dict[str, Finished]
    device: torch.device


def check_experiment(config: ExperimentConfig) -> list[tuple[str, str, bool]]:
    """Read and check everything, and train nothing.

    Returns:
        Name, description and whether it is finished, of every cell.

    Raises:
        DdadError: As :func:`run_experiment`, before its first training.
    """
    inputs = load_inputs(config)
    plan = make_plan(config, inputs, resolve_device(config.device))
    return [
        (name, cell.words, store.is_finished(config.out / "cells" / name))
        for name, cell in plan.cells.items()
    ]


def run_experiment(config: ExperimentConfig) -> Outcome:
    """Train, score and measure every cell that is not finished yet.

    Everything that a cell needs is read and checked before the first one trains. Killed at any
    moment and started again, it goes on from the last checkpoint and ends with the same weights.

    Raises:
        DdadError: Something is missing, unreadable or contradictory; the message says what.
    """
    device = resolve_device(config.device)
    inputs = load_inputs(config)
    plan = make_plan(config, inputs, device)
    with _alone(config.out):
        return _run(config, inputs, plan, device)


def _run(
    config: ExperimentConfig, inputs: Inputs, plan: Plan, device: torch.device
) -> Outcome:  # fmt: skip
    cells = list(plan.cells.values())
    folders = {cell.name: config.out / "cells" / cell.name for cell in cells}
    finished = {
        cell.name: store.read_cell(folders[cell.name], cell)
        for cell in cells
        if store.is_finished(folders[cell.name])
    }
    log.info("%d cells, %d of them finished", len(cells), len(finished))
    for i, cell in enumerate(cells, start=1):
        if cell.name not in finished:
            log.info("[%d/%d] %s", i, len(cells), cell.words)
            finish_cell(cell, inputs, folders[cell.name], config=config, device=device)
            finished[cell.name] = store.read_cell(folders[cell.name], cell)
            waiting = [c for c in cells if c.name not in finished]
            left = _time_left(waiting, list(finished.values()), len(inputs.normal))
            seconds = finished[cell.name].result["seconds"]
            log.info("[%d/%d] %s, %s", i, len(cells), f"trained in {duration(seconds)}", left)
        store.drop_checkpoints(folders[cell.name])
        finished[cell.name] = _measured(finished[cell.name], config)
    in_order = {cell.name: finished[cell.name] for cell in cells}
    return Outcome(config, inputs, plan, in_order, device)


def finish_cell(
    cell: Cell, inputs: Inputs, folder: Path, *, config: ExperimentConfig, device: torch.device
) -> None:
    """Train one cell, then score the test part, once, and write it all down."""
    atomic.write_json(folder / "identity.json", cell.identity)
    trained = methods.train_cell(cell, inputs, run=folder / "run", device=device)
    files = trained.files()
    if config.keep_weights:
        for name, data in files.items():
            atomic.write_bytes(folder / "weights" / name, data)
    # The test part is touched here for the first and only time.
    calibration, test = methods.score_parts(trained, inputs.calibration, inputs.test, device=device)
    samples = _samples(inputs, test, calibration)
    written = {
        store.SCORES: store.write_scores(folder, inputs.labels, test.scores, calibration.scores),
        store.SAMPLES: methods.digests(
            {"": atomic.write_arrays(folder / store.SAMPLES, samples)}
        )[""],
    }  # fmt: skip
    result: dict[str, Any] = {
        "identity": cell.identity,
        "files": written,
        "weights": methods.digests(files),
        "seconds": trained.seconds,
        "losses": trained.losses,
        "hardware": provenance.hardware(device),
        "versions": provenance.versions(),
        "source": provenance.source_digest(),
    }
    store.finish(folder, result)


def sample_places(labels: np.ndarray, count: int = SAMPLES) -> list[int]:
    """Places of a few test images, evenly spaced within each class, whatever their scores.

    Args:
        labels: (N,) of 0 and 1.
        count: At most so many, half of them normal.
    """
    places: list[int] = []
    for label, wanted in ((0, count // 2), (1, count - count // 2)):
        there = np.flatnonzero(labels == label)
        steps = np.linspace(0, len(there) - 1, min(wanted, len(there)))
        places += [int(there[round(step)]) for step in steps]
    return places


def _samples(
    inputs: Inputs, test: BatchScores, calibration: BatchScores
) -> dict[str, np.ndarray]:  # fmt: skip
    places = sample_places(inputs.labels)
    arrays = {"places": np.array(places), "images": inputs.test[places]}
    for name, maps in test.maps.items():
        arrays[f"map_{name}"] = maps[places].astype(np.float32)
        # The scale of colours comes from normals held apart, as in a model's card.
        arrays[f"top_{name}"] = np.array(np.percentile(calibration.maps[name], 99.9))
    return arrays


def _measured(cell: Finished, config: ExperimentConfig) -> Finished:
    """The cell with its figures, measured now unless they were before."""
    evaluation = cell.evaluation
    asked = {"specificity": config.specificity, "source": provenance.source_digest()}
    if not asked.items() <= evaluation.items():
        figures = methods.evaluate(
            cell.labels, cell.test, cell.calibration, specificity=config.specificity
        )
        evaluation = {**asked, **figures}
        atomic.write_json(cell.folder / store.EVALUATION, evaluation)
    return replace(cell, evaluation=evaluation)


def _time_left(waiting: list[Cell], finished: list[Finished], known_normal: int) -> str:
    if not waiting:
        return "the last one"
    left = 0.0
    for refined in (True, False):  # a refinement takes its own time
        alike = [one for one in finished if (one.cell.refinement is not None) is refined]
        measured = alike or finished
        seconds = sum(one.result["seconds"] for one in measured)
        cost = remaining([one.cell for one in measured], known_normal)
        still = [cell for cell in waiting if (cell.refinement is not None) is refined]
        left += seconds / max(cost, 1.0) * remaining(still, known_normal)
    return f"about {duration(left)} left, cells: {len(waiting)}"


def duration(seconds: float) -> str:
    """Time in the unit a reader would choose."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second run out of the same folder; a killed run lets go of it by itself."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / ".lock").open("w")
    except OSError as error:
        problem = f"{out} cannot be written: {error.strerror}."
        raise RequestError(problem, "Give another --out.") from error
    with file:
        _lock(file, out)
        yield


def _lock(file: IO[str], out: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        problem = f"Another `ddad experiment` is at work in {out}."
        raise RequestError(problem, "Wait for it, or give another --out.") from error
