"""Training of the refinement networks: modules A and B are frozen, D_n is all it sees.

Source: method, "The extension"; Cai et al., Medical Image Analysis 86, 2023, 102794.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ddad_core.discrepancy import discrepancy_maps
from ddad_core.ensemble import Ensemble
from ddad_core.errors import TrainingError, check_options
from ddad_core.refinement import INPUT_MAPS, RefinementNetwork
from ddad_core.training.checkpoints import load_checkpoint, save_checkpoint
from ddad_core.training.refine_step import BATCH_MAPS, Learner, start_learner, stepper
from ddad_core.training.synthesis import synthesise

CHECKPOINT_FILE = "refinement.checkpoint.pt"
CHECKPOINT_EVERY = 5
"""Epochs between checkpoints."""
IMAGES_AT_ONCE = 256
"""Synthesised and passed through modules A and B together; a matter of speed and memory."""


@dataclass(frozen=True)
class RefinementConfig:
    """What decides the refinement's weights, together with the images and modules A and B.

    Attributes:
        epochs: Passes over D_n; the last one's weights are kept.
        batch_size: Images a step; the last incomplete batch is dropped.
        learning_rate: Of Adam.
        weight_decay: Of Adam (its L2 term).
        seed: Initialisation, shuffling and synthetic anomalies follow from it.
        kinds: What to train; a kind's weights do not depend on the others.
    """

    epochs: int = 100
    batch_size: int = 8
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    seed: int = 2022
    kinds: tuple[str, ...] = tuple(INPUT_MAPS)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, before images are loaded.

        Raises:
            TrainingError: A value is out of range; the message names it.
        """
        rate, decay, kinds = self.learning_rate, self.weight_decay, set(self.kinds)
        different = bool(kinds) and len(kinds) == len(self.kinds) and kinds <= set(INPUT_MAPS)
        checks = (
            ("epochs", self.epochs, self.epochs >= 1, "1 or more"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "1 or more"),
            ("learning_rate", rate, bool(np.isfinite(rate)) and rate > 0, "a number above 0"),
            ("weight_decay", decay, bool(np.isfinite(decay)) and decay >= 0, "0 or more"),
            ("seed", self.seed, self.seed >= 0, "0 or more"),
            ("kinds", self.kinds, different, f"one or more of {', '.join(INPUT_MAPS)}"),
        )
        check_options(
            (f"The refinement's {name}", value, good, wanted)
            for name, value, good, wanted in checks
        )

    def digest(self, a: Ensemble, b: Ensemble, normal: np.ndarray) -> str:
        """SHA-256 over this configuration, the images and modules A and B, for checkpoints."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        digest.update(str(normal.shape).encode())
        digest.update(np.ascontiguousarray(normal).tobytes())
        for module in (a, b):
            for name, tensor in module.state_dict().items():
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TrainedRefinement:
    """What training gives.

    Attributes:
        config: What was trained.
        networks: By kind, in evaluation mode on the CPU.
        losses: Mean training loss of each epoch by kind.
        seconds: Time spent in epochs, over all interruptions.
    """

    config: RefinementConfig
    networks: dict[str, RefinementNetwork]
    losses: dict[str, list[float]]
    seconds: float


@dataclass
class _Progress:
    """All networks' state between epochs."""

    learners: dict[str, Learner]
    done: int = 0
    seconds: float = 0.0


def train_refinement(
    config: RefinementConfig,
    a: Ensemble,
    b: Ensemble,
    normal: np.ndarray,
    *,
    run: Path,
    device: torch.device | None = None,
    on_epoch: Callable[[str, int, float], None] | None = None,
) -> TrainedRefinement:
    """Train the refinement networks on known normal images with synthetic anomalies.

    All kinds see the same batches in the same order, so that A and B run once for all of them.
    Interrupted and called again with the same arguments, it goes on from the last checkpoint and
    ends with the same weights as an uninterrupted run on the same machine.

    Args:
        config: Hyperparameters.
        a: Module A; left as it is.
        b: Module B; likewise.
        normal: D_n, uint8 (N, S, S).
        run: Folder for the checkpoint; made if missing.
        device: Where to train; the CPU if None. On CUDA convolutions run in bfloat16.
        on_epoch: Called after each epoch with each kind, the epoch and the kind's loss.

    Raises:
        TrainingError: There are too few images, the checkpoint in ``run`` belongs to another
            configuration, other images or other modules, or a loss is no longer finite.
    """
    device = device or torch.device("cpu")
    _check_images(config, normal)
    digest = config.digest(a, b, normal)
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / CHECKPOINT_FILE
    modules = _frozen(a, device), _frozen(b, device)
    progress = _Progress({kind: _start(config, kind, device) for kind in config.kinds})
    _restore(progress, checkpoint, digest)
    step = stepper(progress.learners, device)
    steps = len(normal) // config.batch_size
    bar = tqdm(
        total=config.epochs * steps,
        initial=progress.done * steps,  # the time left is told from this session's steps alone
        unit="step",
        desc="refinement",
    )
    with bar:
        while progress.done < config.epochs:
            started = time.perf_counter()
            for inputs, masks in _batches(config, progress.done, modules, normal, device):
                step(inputs, masks)
                bar.update()
            _close_epoch(progress, steps)
            progress.seconds += time.perf_counter() - started
            said = " ".join(f"{k} {v.losses[-1]:.4f}" for k, v in progress.learners.items())
            bar.set_postfix_str(f"epoch {progress.done} loss {said}", refresh=False)
            if progress.done % CHECKPOINT_EVERY == 0 or progress.done == config.epochs:
                _save(progress, checkpoint, digest)
            if on_epoch:
                for kind, learner in progress.learners.items():
                    on_epoch(kind, progress.done, learner.losses[-1])
    return TrainedRefinement(
        config=config,
        networks={
            kind: learner.network.cpu().eval().requires_grad_(False)
            for kind, learner in progress.learners.items()
        },
        losses={kind: learner.losses for kind, learner in progress.learners.items()},
        seconds=progress.seconds,
    )


def _check_images(config: RefinementConfig, normal: np.ndarray) -> None:
    needed = max(2, config.batch_size)  # a patch comes from another image
    if len(normal) < needed:
        problem = f"{len(normal)} known normal images; the refinement needs {needed} or more."
        raise TrainingError(problem, "Lower its batch_size or give more images.")
    assert normal.dtype == np.uint8 and normal.ndim == 3 and normal.shape[1] == normal.shape[2]


def _start(config: RefinementConfig, kind: str, device: torch.device) -> Learner:
    return start_learner(
        kind,
        seed=config.seed,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        device=device,
    )


def _batches(
    config: RefinementConfig,
    epoch: int,
    modules: tuple[Ensemble, Ensemble],
    normal: np.ndarray,
    device: torch.device,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The maps (B, 2, S, S) and masks (B, S, S) of an epoch's batches, shuffled.

    Every draw follows from the seed and the epoch alone, so a resumed run needs no other state.
    """
    generator = np.random.default_rng([config.seed, len(INPUT_MAPS), epoch])
    size = config.batch_size
    order = generator.permutation(len(normal))[: len(normal) // size * size]
    at_once = max(1, IMAGES_AT_ONCE // size) * size
    for start in range(0, len(order), at_once):
        made = synthesise(normal, generator, order[start : start + at_once])
        images = _moved(made.images, device).unsqueeze(1)  # (at_once, 1, S, S)
        with torch.no_grad():
            a, b = (module(images) for module in modules)
            found = discrepancy_maps(images, a, b)
            maps = torch.stack([getattr(found, name) for name in BATCH_MAPS], dim=1)
        yield from zip(maps.split(size), _moved(made.masks, device).split(size), strict=True)


def _frozen(module: Ensemble, device: torch.device) -> Ensemble:
    """A copy, so that the caller's module stays where and as it is."""
    return copy.deepcopy(module).to(device).eval().requires_grad_(False)


def _moved(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """On CUDA without waiting, so that the next images are made while these are trained on."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _close_epoch(progress: _Progress, steps: int) -> None:
    progress.done += 1
    for kind, learner in progress.learners.items():
        mean = float(learner.total) / steps
        learner.total.zero_()  # in place: a captured graph adds to this very tensor
        if not np.isfinite(mean):
            problem = f"The loss of the refinement {kind} is {mean} in epoch {progress.done}."
            raise TrainingError(problem, "Lower its learning_rate or look for damaged images.")
        learner.losses.append(mean)


def _save(progress: _Progress, path: Path, digest: str) -> None:
    state = {
        "done": progress.done,
        "seconds": progress.seconds,
        "learners": {
            kind: {
                "network": learner.network.state_dict(),
                "optimiser": learner.optimiser.state_dict(),
                "losses": learner.losses,
            }
            for kind, learner in progress.learners.items()
        },
    }
    save_checkpoint(state, path, digest)


def _restore(progress: _Progress, path: Path, digest: str) -> None:
    state = load_checkpoint(
        path,
        digest,
        what="the refinement",
        others="another configuration, other images or other modules A and B",
    )
    if state is None:
        return
    for kind, learner in progress.learners.items():
        saved = state["learners"][kind]
        learner.network.load_state_dict(saved["network"])
        capturable = learner.optimiser.param_groups[0]["capturable"]
        learner.optimiser.load_state_dict(saved["optimiser"])
        # A run begun on another kind of device brings that device's choice along.
        learner.optimiser.param_groups[0]["capturable"] = capturable
        learner.losses[:] = saved["losses"]
    progress.done, progress.seconds = state["done"], state["seconds"]
