"""The configuration of an experiment: one YAML file, every key declared once with its meaning.

Paths are relative to the file's own folder. ``key_table(ExperimentConfig)`` lists all keys for
the documents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ddad_core.experiments import yaml_tree as tree
from ddad_core.experiments.yaml_tree import key

NETWORKS = ("ae", "memae", "ae-u")
DEVICES = ("auto", "cpu", "cuda")
RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

_network = tree.choice(*NETWORKS)
_rate = tree.number(0, 1)
_epochs = tree.or_none(tree.whole(1))
_seeds = tree.several(tree.whole(0), "a list of whole numbers, such as [2022, 2023]")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How modules A and B are trained; the defaults are the paper's."""

    epochs: int = key(tree.whole(1), "epochs of every network", default=250)
    size: int = key(tree.whole(16, multiple_of=16), "side of the input, pixels", default=64)
    members: int = key(tree.whole(2), "K, networks a module", default=3)
    batch_size: int = key(tree.whole(2), "images a step", default=64)
    learning_rate: float = key(
        tree.number(0, math.inf, open_ends=True), "of Adam", default=5e-4
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RefinementSettings:
    """How the refinement networks (R_dual, R_intra) are trained; the defaults are the paper's."""

    networks: tuple[str, ...] = key(
        tree.several(_network, "a list of networks"), "which rows of the table have it",
        default=NETWORKS,
    )  # fmt: skip
    epochs: int = key(tree.whole(1), "epochs of every refinement network", default=100)
    batch_size: int = key(tree.whole(2), "images a step", default=8)
    learning_rate: float = key(
        tree.number(0, math.inf, open_ends=True), "of Adam", default=1e-4
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AnomalyRateSweep:
    """D_u of one size with more and more abnormal images."""

    network: str = key(_network, "which network is swept", default="ae-u")
    rates: tuple[float, ...] = key(
        tree.several(_rate, "a list of rates from 0 to 1"), "shares of abnormal images in D_u",
        default=RATES,
    )  # fmt: skip
    size: int | None = key(
        tree.or_none(tree.whole(1)),
        "images in D_u at every rate; blank: the largest number that all rates can give",
        default=None,
    )
    epochs: int | None = key(_epochs, "instead of training.epochs", default=None)
    seeds: tuple[int, ...] | None = key(
        tree.or_none(_seeds), "instead of the experiment's seeds", default=None
    )


@dataclass(frozen=True, kw_only=True)
class UnlabeledSweep:
    """D_u of one anomaly rate with more and more images; 0 stands for none."""

    sizes: tuple[int, ...] = key(
        tree.several(tree.whole(0), "a list of whole numbers, such as [0, 100, 1000]"),
        "images in D_u; with 0, module A is trained on D_n alone, like module B",
    )
    network: str = key(_network, "which network is swept", default="ae-u")
    anomaly_rate: float = key(_rate, "share of abnormal images at every size", default=0.6)
    epochs: int | None = key(_epochs, "instead of training.epochs", default=None)
    seeds: tuple[int, ...] | None = key(
        tree.or_none(_seeds), "instead of the experiment's seeds", default=None
    )


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """What is varied beside the grid."""

    anomaly_rate: AnomalyRateSweep | None = key(
        tree.or_none(tree.section(AnomalyRateSweep)),
        "the share of abnormal images in D_u, at one size",
        default=None, below=AnomalyRateSweep,
    )  # fmt: skip
    unlabeled: UnlabeledSweep | None = key(
        tree.or_none(tree.section(UnlabeledSweep)),
        "the size of D_u, at one anomaly rate",
        default=None, below=UnlabeledSweep,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """A whole experiment."""

    manifest: Path = key(tree.path, "the data set: a CSV file made by `ddad manifest`")
    out: Path = key(tree.path, "folder of the cells and the report; made if missing")
    images: Path | None = key(
        tree.or_none(tree.path), "folder the manifest's paths start from, unless --images gives it",
        default=None,
    )  # fmt: skip
    title: str = key(tree.text, "of the report; made from the data set if blank", default="")
    networks: tuple[str, ...] = key(
        tree.several(_network, "a list of networks"), "rows of the table", default=NETWORKS
    )
    seeds: tuple[int, ...] = key(
        _seeds, "every network is trained once a seed", default=(2022, 2023, 2024)
    )
    training: TrainingSettings = key(
        tree.section(TrainingSettings), "modules A and B",
        default=TrainingSettings(), below=TrainingSettings,
    )  # fmt: skip
    refinement: RefinementSettings | None = key(
        tree.or_none(tree.section(RefinementSettings), off=("null", "bool")),
        "R_dual and R_intra for the cells of the table; false: left out",
        default=None, below=RefinementSettings,
    )  # fmt: skip
    unlabeled_pool: Path | None = key(
        tree.or_none(tree.path),
        "CSV file (path, label; patient_id and sha256 for images outside the manifest) from "
        "which sweeps compose D_u; its labels never reach training",
        default=None,
    )
    sweeps: Sweeps = key(
        tree.section(Sweeps), "what is varied beside the table", default=Sweeps(), below=Sweeps
    )
    specificity: float = key(
        tree.number(0, 1, open_ends=True), "at which sensitivity is stated", default=0.9
    )
    samples: int = key(
        tree.whole(0), "test images shown with their maps in the report; 0: none", default=6
    )
    keep_weights: bool = key(
        tree.flag, "keep every cell's weights, not only their SHA-256", default=False
    )
    device: str = key(tree.choice(*DEVICES), "auto, cpu or cuda", default="auto")


def load_config(
    path: Path,
    *,
    images: Path | None = None,
    out: Path | None = None,
    device: str | None = None,
    seeds: tuple[int, ...] | None = None,
) -> ExperimentConfig:
    """Read a configuration and put the command line's words above the file's.

    Args:
        path: The YAML file.
        images: Instead of the file's; relative to the working folder.
        out: Likewise.
        device: Instead of the file's.
        seeds: Instead of the file's.

    Raises:
        ConfigError: The file breaks a rule; the message names file, line and key.
    """
    config = tree.read_file(path, ExperimentConfig)
    given: dict[str, Any] = {"images": images, "out": out, "device": device, "seeds": seeds}
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    if config.images is None:
        problem = f"{path} does not say where the images are."
        raise tree.ConfigError(problem, "Give --images FOLDER, or a key `images`.")
    sweeps = config.sweeps
    if (sweeps.anomaly_rate or sweeps.unlabeled) and config.unlabeled_pool is None:
        problem = f"{path}: a sweep composes D_u by class, which the manifest does not tell."
        raise tree.ConfigError(problem, "Give `unlabeled_pool`, a CSV file of path and label.")
    return config
