"""Training of modules A and B. It sees known normal and unlabeled images and nothing else.

Source: method, "Training"; the published code sets no seed and prints the test AUC while
training, and neither is repeated here. How the steps are carried out is for ``lanes`` (CPU) and
``branches`` (GPU); what they compute is decided here.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ddad_core.ensemble import Ensemble
from ddad_core.errors import TrainingError, check_options
from ddad_core.networks import build_network
from ddad_core.networks.build import Network

MODULES = ("a", "b")
OnEpoch = Callable[[str, int, float], None]
"""Called after each epoch with the network's name, the epoch and its loss."""


@dataclass(frozen=True)
class TrainingConfig:
    """What decides the weights, together with the images.

    Attributes:
        network: "ae", "ae-u" or "memae".
        size: S, the input's side.
        members: K, networks a module.
        epochs: For modules A and B alike.
        batch_size: Images a step; the last incomplete batch is dropped.
        learning_rate: Of Adam.
        seed: Initialisation and shuffling of every network follow from it.
    """

    network: str = "ae-u"
    size: int = 64
    members: int = 3
    epochs: int = 250
    batch_size: int = 64
    learning_rate: float = 5e-4
    seed: int = 2022

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, before images are loaded.

        Raises:
            TrainingError: A value is out of range; the message names it.
        """
        checks = (
            ("--size", self.size, self.size >= 16 and self.size % 16 == 0, "a multiple of 16"),
            ("--members", self.members, self.members >= 1, "1 or more"),
            ("--seed", self.seed, self.seed >= 0, "0 or more"),
            ("--epochs", self.epochs, self.epochs >= 1, "1 or more"),
            # BatchNorm needs two images to tell a spread.
            ("--batch-size", self.batch_size, self.batch_size >= 2, "2 or more"),
            (
                "--learning-rate",
                self.learning_rate,
                bool(np.isfinite(self.learning_rate)) and self.learning_rate > 0,
                "a number above 0",
            ),
        )
        check_options(checks)

    def digest(self, normal: np.ndarray, unlabeled: np.ndarray) -> str:
        """SHA-256 over this configuration and the images, for checkpoints."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        for images in (normal, unlabeled):
            digest.update(str(images.shape).encode())
            digest.update(np.ascontiguousarray(images).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TrainedModules:
    """What training gives.

    Attributes:
        a: Module A, in evaluation mode on the CPU.
        b: Module B, likewise.
        seconds: Time spent in training steps, over all interruptions.
        losses: Mean training loss of each epoch by network, for instance ``losses["a-0"]``.
        hardware: What it was trained on, in words.
    """

    a: Ensemble
    b: Ensemble
    seconds: float
    losses: dict[str, list[float]]
    hardware: str = ""


@dataclass(eq=False)
class Lane:
    """One network on its way: who it is, what it trains on and how far it has come.

    Attributes:
        name: Module and member, for instance "a-0".
        network: Fresh from the seed, on the CPU.
        images: uint8 (M, S, S), shared between the lanes of a module.
        shuffle: Gives the order of the images of each epoch.
        losses: Mean training loss of each finished epoch.
        seconds: Time spent in its steps.
    """

    name: str
    network: Network
    images: torch.Tensor
    shuffle: torch.Generator
    losses: list[float]
    seconds: float = 0.0

    def order(self) -> torch.Tensor:
        """The next epoch's order of the images, (M,)."""
        return torch.randperm(len(self.images), generator=self.shuffle)

    def finish_epoch(self, loss: float, config: TrainingConfig) -> None:
        """Note the loss of an epoch.

        Raises:
            TrainingError: It is not finite.
        """
        if not np.isfinite(loss):
            problem = f"The loss of network {self.name} is {loss} in epoch {len(self.losses) + 1}."
            advice = f"Lower --learning-rate ({config.learning_rate:g}) or look for damaged images."
            raise TrainingError(problem, advice)
        self.losses.append(loss)


def train(
    config: TrainingConfig,
    normal: np.ndarray,
    unlabeled: np.ndarray,
    *,
    run: Path,
    device: torch.device | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainedModules:
    """Train modules A (normal and unlabeled images) and B (normal images).

    Interrupted and called again with the same arguments, it goes on from the last checkpoint
    and ends with the same weights as an uninterrupted run on the same machine.

    Args:
        config: Hyperparameters.
        normal: D_n, uint8 (N, S, S).
        unlabeled: D_u, uint8 (M, S, S); M may be 0, and A then sees what B sees.
        run: Folder for checkpoints; made if missing.
        device: Where to train; the CPU if None.
        on_epoch: Called after each epoch of each network, from any thread, one at a time.

    Raises:
        TrainingError: There are too few images, the checkpoints in ``run`` belong to another
            configuration or other images, or the loss is no longer finite.
    """
    from ddad_core.training import branches as on_gpu  # noqa: PLC0415
    from ddad_core.training import lanes as on_cpu  # noqa: PLC0415 (they import this module)

    device = device or torch.device("cpu")
    _check_images(config, normal, unlabeled)
    digest = config.digest(normal, unlabeled)
    run.mkdir(parents=True, exist_ok=True)
    pools = {
        "a": torch.from_numpy(np.concatenate([normal, unlabeled])),
        "b": torch.from_numpy(np.ascontiguousarray(normal)),
    }
    lanes = {
        module: [_lane(config, m, k, pools[module]) for k in range(config.members)]
        for m, module in enumerate(MODULES)
    }
    steps = sum(len(pool) // config.batch_size for pool in pools.values())
    total = config.epochs * config.members * steps
    with tqdm(total=total, unit="step", desc="training", smoothing=0.05) as bar:
        carry_out = on_cpu.train_lanes if device.type == "cpu" else on_gpu.train_branches
        carry_out(config, lanes, run=run, digest=digest, device=device, bar=bar, on_epoch=on_epoch)
    every = [lane for group in lanes.values() for lane in group]
    return TrainedModules(
        a=Ensemble([lane.network for lane in lanes["a"]]).eval(),
        b=Ensemble([lane.network for lane in lanes["b"]]).eval(),
        seconds=sum(lane.seconds for lane in every),
        losses={lane.name: lane.losses for lane in every},
        hardware=_hardware(device),
    )


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{os.cpu_count()} x {platform.machine()} CPU cores"


def _check_images(config: TrainingConfig, normal: np.ndarray, unlabeled: np.ndarray) -> None:
    if len(normal) == 0:
        problem = "There are no known normal images to train on."
        raise TrainingError(problem, "Give the manifest rows of that role.")
    for images in (normal, unlabeled):
        assert images.dtype == np.uint8 and images.shape[1:] == (config.size, config.size)
    if len(normal) < config.batch_size:
        problem = f"{len(normal)} known normal images do not fill one batch of {config.batch_size}."
        raise TrainingError(problem, "Lower --batch-size or give more images.")


def _member_seed(seed: int, module: int, member: int) -> int:
    """A seed of its own for each network: they must not start alike."""
    return int(np.random.SeedSequence([seed, module, member]).generate_state(1)[0])


def _lane(config: TrainingConfig, module: int, member: int, images: torch.Tensor) -> Lane:
    seed = _member_seed(config.seed, module, member)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(config.network, config.size).train()
    shuffle = torch.Generator().manual_seed(seed)
    return Lane(f"{MODULES[module]}-{member}", network, images, shuffle, [])
