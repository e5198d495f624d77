"""The one training loop. It sees known normal and unlabeled images and nothing else.

Source: method, "Training"; the published code sets no seed and prints the test AUC while
training, and neither is repeated here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError  # torch raises it; nothing is unpickled here

import numpy as np
import torch
from tqdm import tqdm

from ddad_core.ensemble import Ensemble
from ddad_core.errors import TrainingError
from ddad_core.imaging.geometry import normalise
from ddad_core.networks import build_network, reconstruction_loss
from ddad_core.networks.build import Network

log = logging.getLogger(__name__)

MODULES = ("a", "b")
CHECKPOINT_EVERY = 10
"""Epochs between checkpoints."""


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
        for option, value, good, wanted in checks:
            if not good:
                problem = f"{option} is {value}; it must be {wanted}."
                raise TrainingError(problem, "Change it and start again.")

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
    """

    a: Ensemble
    b: Ensemble
    seconds: float
    losses: dict[str, list[float]]


@dataclass
class _Progress:
    """A network's state between epochs."""

    network: Network
    optimiser: torch.optim.Adam
    shuffle: torch.Generator
    losses: list[float]
    seconds: float = 0.0


def train(
    config: TrainingConfig,
    normal: np.ndarray,
    unlabeled: np.ndarray,
    *,
    run: Path,
    device: torch.device | None = None,
    on_epoch: Callable[[str, int, float], None] | None = None,
) -> TrainedModules:
    """Train modules A (normal and unlabeled images) and B (normal images).

    Interrupted and called again with the same arguments, it goes on from the last checkpoint
    and ends with the same weights as an uninterrupted run on the same machine.

    Args:
        config: Hyperparameters.
        normal: D_n, uint8 (N, S, S).
        unlabeled: D_u, uint8 (M, S, S).
        run: Folder for checkpoints; made if missing.
        device: Where to train; the CPU if None.
        on_epoch: Called after each epoch with the network's name, the epoch and its loss.

    Raises:
        TrainingError: There are too few images, the checkpoints in ``run`` belong to another
            configuration or other images, or the loss is no longer finite.
    """
    device = device or torch.device("cpu")
    _check_images(config, normal, unlabeled)
    digest = config.digest(normal, unlabeled)
    run.mkdir(parents=True, exist_ok=True)
    pools = {"a": np.concatenate([normal, unlabeled]), "b": normal}
    steps = {module: len(pool) // config.batch_size for module, pool in pools.items()}
    bar = tqdm(
        total=config.epochs * config.members * sum(steps.values()), unit="step", desc="training"
    )
    finished: dict[str, list[Network]] = {module: [] for module in MODULES}
    losses: dict[str, list[float]] = {}
    seconds = 0.0
    with bar:
        for m, module in enumerate(MODULES):
            images = torch.from_numpy(normalise(pools[module])).unsqueeze(1).to(device)
            for k in range(config.members):
                name = f"{module}-{k}"
                progress = _start(config, seed=_member_seed(config.seed, m, k), device=device)
                checkpoint = run / f"{name}.checkpoint.pt"
                _restore(progress, checkpoint, digest)
                bar.update(len(progress.losses) * steps[module])
                while len(progress.losses) < config.epochs:
                    _train_epoch(progress, config, images, name, bar)
                    done = len(progress.losses)
                    if done % CHECKPOINT_EVERY == 0 or done == config.epochs:
                        _save(progress, checkpoint, digest)
                    if on_epoch:
                        on_epoch(name, done, progress.losses[-1])
                finished[module].append(progress.network.cpu().eval())
                losses[name] = progress.losses
                seconds += progress.seconds
    return TrainedModules(
        a=Ensemble(finished["a"]).eval(),
        b=Ensemble(finished["b"]).eval(),
        seconds=seconds,
        losses=losses,
    )


def _check_images(config: TrainingConfig, normal: np.ndarray, unlabeled: np.ndarray) -> None:
    for name, images in (("known normal", normal), ("unlabeled", unlabeled)):
        if len(images) == 0:
            problem = f"There are no {name} images to train on."
            raise TrainingError(problem, "Give the manifest rows of that role.")
        assert images.dtype == np.uint8 and images.shape[1:] == (config.size, config.size)
    if len(normal) < config.batch_size:
        problem = f"{len(normal)} known normal images do not fill one batch of {config.batch_size}."
        raise TrainingError(problem, "Lower --batch-size or give more images.")


def _member_seed(seed: int, module: int, member: int) -> int:
    """A seed of its own for each network: they must not start alike."""
    return int(np.random.SeedSequence([seed, module, member]).generate_state(1)[0])


def _start(config: TrainingConfig, *, seed: int, device: torch.device) -> _Progress:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(config.network, config.size).to(device).train()
    optimiser = torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, betas=(0.5, 0.999), fused=True
    )
    return _Progress(network, optimiser, torch.Generator().manual_seed(seed), [])


def _train_epoch(
    progress: _Progress, config: TrainingConfig, images: torch.Tensor, name: str, bar: tqdm
) -> None:
    started = time.perf_counter()
    order = torch.randperm(len(images), generator=progress.shuffle)
    steps = len(images) // config.batch_size
    total = torch.zeros((), device=images.device)
    for step in range(steps):
        chosen = order[step * config.batch_size : (step + 1) * config.batch_size]
        batch = images[chosen.to(images.device)]  # (B, 1, S, S)
        progress.optimiser.zero_grad(set_to_none=True)
        loss = reconstruction_loss(progress.network, batch, progress.network(batch))
        loss.backward()
        progress.optimiser.step()
        total += loss.detach()
        bar.update()
    mean = float(total) / steps
    if not np.isfinite(mean):
        problem = f"The loss of network {name} is {mean} in epoch {len(progress.losses) + 1}."
        raise TrainingError(problem, "Lower --learning-rate or look for damaged images.")
    progress.losses.append(mean)
    progress.seconds += time.perf_counter() - started
    bar.set_postfix_str(f"{name} epoch {len(progress.losses)} loss {mean:.4f}", refresh=False)


def _save(progress: _Progress, path: Path, digest: str) -> None:
    state = {
        "digest": digest,
        "network": progress.network.state_dict(),
        "optimiser": progress.optimiser.state_dict(),
        "shuffle": progress.shuffle.get_state(),
        "losses": progress.losses,
        "seconds": progress.seconds,
    }
    unfinished = path.with_suffix(".unfinished")
    torch.save(state, unfinished)
    unfinished.replace(path)


def _restore(progress: _Progress, path: Path, digest: str) -> None:
    if not path.is_file():
        return
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["digest"]
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError, LookupError) as error:
        problem = f"The checkpoint {path} cannot be read."
        raise TrainingError(problem, "Delete it to train this network anew.") from error
    if found != digest:
        problem = f"{path} belongs to another configuration or to other images."
        raise TrainingError(problem, "Give another --run folder, or delete this one.")
    progress.network.load_state_dict(state["network"])
    progress.optimiser.load_state_dict(state["optimiser"])
    progress.shuffle.set_state(state["shuffle"])
    progress.losses[:] = state["losses"]
    progress.seconds = state["seconds"]
    log.info("%s: going on after epoch %d", path.stem, len(progress.losses))
