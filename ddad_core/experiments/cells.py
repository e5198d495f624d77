"""Cells: one network, one seed, one D_u. Which there are, and what decides the result of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from ddad_core.experiments.config import ExperimentConfig, RefinementSettings
from ddad_core.experiments.inputs import Inputs, Point, digest_of
from ddad_core.training.loop import TrainingConfig

RESULT_VERSION = 1
"""Raised when a change of the code changes weights or scores, so that no old cell is taken."""

SINGLE_PASS_COST = {"ae": 1.0, "memae": 1.02, "ae-u": 1.05}
"""Time of a training step, roughly, by network; for the estimate of the time left only."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One training with its evaluation.

    Attributes:
        name: Of its folder: readable, then a digest of all that decides its result.
        training: Hyperparameters, network and seed among them.
        refinement: How the refinement is trained; None: none.
        point: Its D_u.
        identity: What the digest was taken of.
    """

    name: str
    training: TrainingConfig
    refinement: RefinementSettings | None
    point: Point
    identity: dict[str, Any]

    @property
    def words(self) -> str:
        """For progress lines."""
        rate = "" if self.point.rate is None else f", {self.point.rate:.0%} abnormal"
        return (
            f"{self.training.network}, seed {self.training.seed}, D_u {self.point.size}"
            f"{rate if self.point.size else ''}, {self.training.epochs} epochs"
        )

    def cost(self, known_normal: int) -> float:
        """Expected training time in arbitrary units."""
        batch = self.training.batch_size
        steps = (known_normal + self.point.size) // batch + known_normal // batch
        return (
            SINGLE_PASS_COST[self.training.network]
            * steps
            * self.training.epochs
            * self.training.members
        )


@dataclass(frozen=True)
class Curve:
    """A sweep: which cells are the points of its curve.

    Attributes:
        name: "anomaly_rate" or "unlabeled".
        network: Which is swept.
        epochs: Of its cells.
        seeds: Of its cells.
        points: In the configuration's order.
        cells: Name of a cell by place in ``points`` and seed.
    """

    name: str
    network: str
    epochs: int
    seeds: tuple[int, ...]
    points: tuple[Point, ...]
    cells: dict[tuple[int, int], str]


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that is to be trained, no cell twice.

    Attributes:
        cells: By name, the grid's first.
        grid: Name of a cell by network and seed.
        curves: The sweeps.
    """

    cells: dict[str, Cell]
    grid: dict[tuple[str, int], str]
    curves: tuple[Curve, ...]


def make_plan(config: ExperimentConfig, inputs: Inputs, device: torch.device) -> Plan:
    """List the cells of the grid and of the sweeps.

    A sweep's cell whose training equals a cell of the grid is that cell.

    Raises:
        TrainingError: A training setting is out of range.
    """
    fixed = _fixed_identity(inputs, device)
    cells: dict[str, Cell] = {}
    by_training: dict[str, str] = {}

    def add(network: str, seed: int, epochs: int, point: Point, *, refined: bool) -> str:
        training = TrainingConfig(
            network=network, seed=seed, **asdict(replace(config.training, epochs=epochs))
        )
        asked = config.refinement if refined else None
        refinement = asked if asked and network in asked.networks else None
        cell = _cell(training, refinement, point, inputs, fixed)
        same_training = json.dumps({**cell.identity, "refinement": None}, sort_keys=True)
        name = by_training.setdefault(same_training, cell.name)
        cells.setdefault(name, cell)
        return name

    grid_point = inputs.points[0]
    grid = {
        (network, seed): add(network, seed, config.training.epochs, grid_point, refined=True)
        for network in config.networks
        for seed in config.seeds
    }
    curves = []
    for sweep_name in ("anomaly_rate", "unlabeled"):
        sweep = getattr(config.sweeps, sweep_name)
        points = tuple(p for p in inputs.points if p.use == sweep_name)
        if sweep is None:
            continue
        epochs, seeds = sweep.epochs or config.training.epochs, sweep.seeds or config.seeds
        members = {
            (i, seed): add(sweep.network, seed, epochs, point, refined=False)
            for i, point in enumerate(points)
            for seed in seeds
        }
        curves.append(Curve(sweep_name, sweep.network, epochs, seeds, points, members))
    return Plan(cells, grid, tuple(curves))


def _fixed_identity(inputs: Inputs, device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {
        "version": RESULT_VERSION,
        "torch": torch.__version__,
        "device": name,
        "normal": digest_of(inputs.normal),
        "calibration": digest_of(inputs.calibration),
        "test": digest_of(inputs.test),
        "labels": digest_of(inputs.labels),
    }


def _refinement_identity(settings: RefinementSettings | None) -> dict[str, Any] | None:
    """What decides a cell's refinement; which other cells have one does not."""
    if settings is None:
        return None
    values = asdict(settings)
    del values["networks"]
    return values


def _cell(
    training: TrainingConfig,
    refinement: RefinementSettings | None,
    point: Point,
    inputs: Inputs,
    fixed: dict[str, Any],
) -> Cell:
    identity = {
        **fixed,
        "training": asdict(training),
        "refinement": _refinement_identity(refinement),
        "unlabeled": digest_of(inputs.unlabeled(point)),
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    name = f"{training.network}-seed{training.seed}-u{point.size}-{digest[:12]}"
    return Cell(name, training, refinement, point, identity)


def remaining(cells: Sequence[Cell], known_normal: int) -> float:
    """Expected training time of cells in arbitrary units."""
    return sum(cell.cost(known_normal) for cell in cells)
