"""Training of the networks of A_ratio: D_u told from D_n, each member without a fold of patients.

Member k never sees fold k, so that every image of D_n and D_u has a score of a network that was
not trained on its patient: the two-sample test and the shortcut report need no further training.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from ddad_core.errors import TrainingError, check_options
from ddad_core.imaging.geometry import normalise
from ddad_core.ratio import LARGEST_SIDE, RatioNetwork, field_of, normalise_field, pooled
from ddad_core.training.checkpoints import load_checkpoint, save_checkpoint
from ddad_core.training.manifest import ManifestRow
from ddad_core.training.ratio_augment import augment
from ddad_core.training.ratio_risk import ratio_risk

CHECKPOINT_EVERY = 5
"""Epochs between checkpoints."""
LEAST_PER_FOLD = 2
"""Images of each set that every fold needs."""


@dataclass(frozen=True)
class RatioConfig:
    """What decides the weights, together with the images, their patients and their weights.

    Attributes:
        size: S, the input's side.
        members: K, networks and folds.
        epochs: Passes over the larger of the two sets; the last one's weights are kept.
        batch_size: Images a step of each set.
        learning_rate: The highest of AdamW's, on a one-cycle schedule.
        weight_decay: Of AdamW.
        floor_share: C, the least share of normal images in D_u that is taken for granted.
        seed: Folds, initialisation, shuffling and variation follow from it.
    """

    size: int = 64
    members: int = 5
    epochs: int = 25
    batch_size: int = 32
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    floor_share: float = 0.1
    seed: int = 2022

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, before images are loaded.

        Raises:
            TrainingError: A value is out of range; the message names it.
        """
        checks = (
            ("--size", self.size, self.size >= 16 and self.size % 16 == 0, "a multiple of 16"),
            ("--members", self.members, self.members >= 2, "2 or more, a fold for each"),
            ("--epochs", self.epochs, self.epochs >= 1, "1 or more"),
            ("--batch-size", self.batch_size, self.batch_size >= 2, "2 or more"),
            ("--learning-rate", self.learning_rate, 0 < self.learning_rate < np.inf, "above 0"),
            ("the floor share", self.floor_share, 0 <= self.floor_share < 1, "0 to below 1"),
            ("--seed", self.seed, self.seed >= 0, "0 or more"),
        )
        check_options(checks)


@dataclass(frozen=True, eq=False)
class RatioSets:
    """What the networks are trained on.

    Attributes:
        normal: D_n, uint8 (N, S, S).
        unlabeled: D_u, uint8 (M, S, S).
        normal_patients: (N,) names.
        unlabeled_patients: (M,) names.
        weights: Of D_n's images, (N,), mean 1.
    """

    normal: np.ndarray
    unlabeled: np.ndarray
    normal_patients: Sequence[str]
    unlabeled_patients: Sequence[str]
    weights: np.ndarray

    @classmethod
    def of_rows(
        cls,
        normal_rows: Sequence[ManifestRow],
        unlabeled_rows: Sequence[ManifestRow],
        normal: np.ndarray,
        unlabeled: np.ndarray,
        weights: np.ndarray,
    ) -> Self:
        """Images in the order of their rows of a manifest."""
        normal_patients, unlabeled_patients = (
            [row.patient_id for row in rows] for rows in (normal_rows, unlabeled_rows)
        )
        return cls(normal, unlabeled, normal_patients, unlabeled_patients, weights)

    def digest(self, config: RatioConfig) -> str:
        """SHA-256 over configuration, images, patients and weights, for checkpoints."""
        digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
        for images in (self.normal, self.unlabeled, np.asarray(self.weights, np.float64)):
            digest.update(str(images.shape).encode())
            digest.update(np.ascontiguousarray(images).tobytes())
        digest.update(json.dumps([*self.normal_patients, *self.unlabeled_patients]).encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TrainedRatio:
    """What training gives.

    Attributes:
        config: What was trained.
        networks: K, in evaluation mode on the CPU.
        held_normal: Held-apart scores of D_n, float64 (N,).
        held_unlabeled: Held-apart scores of D_u, float64 (M,).
        normal_folds: Fold of each image of D_n, (N,).
        unlabeled_folds: Fold of each image of D_u, (M,).
        losses: Mean risk of each epoch by member.
        seconds: Time spent in training steps, summed over the members.
    """

    config: RatioConfig
    networks: tuple[RatioNetwork, ...]
    held_normal: np.ndarray
    held_unlabeled: np.ndarray
    normal_folds: np.ndarray
    unlabeled_folds: np.ndarray
    losses: dict[str, list[float]]
    seconds: float

    @property
    def held(self) -> np.ndarray:
        """All held-apart scores, D_n first, float64 (N + M,)."""
        return np.concatenate([self.held_normal, self.held_unlabeled])

    @property
    def of_unlabeled(self) -> np.ndarray:
        """Which of them are of D_u, bool (N + M,)."""
        return np.arange(len(self.held)) >= len(self.held_normal)


def folds_of(patients: Sequence[str], members: int, seed: int) -> np.ndarray:
    """Deal whole patients to folds, (N,) of 0 to K - 1, as even as patients allow."""
    names = sorted(set(patients))
    order = np.random.default_rng([seed, 77]).permutation(len(names))
    of = {names[place]: i % members for i, place in enumerate(order)}
    return np.array([of[name] for name in patients], dtype=int)


def train_ratio(
    config: RatioConfig,
    sets: RatioSets,
    *,
    run: Path,
    on_epoch: Callable[[str, int, float], None] | None = None,
    make: Callable[[int], RatioNetwork] = RatioNetwork,
) -> TrainedRatio:
    """Train K networks on the CPU, one a thread, so that the number of cores changes nothing.

    Interrupted and called again with the same arguments, it goes on from the last checkpoint and
    ends with the same weights as an uninterrupted run on the same machine.

    Args:
        config: Hyperparameters.
        sets: D_n and D_u.
        run: Folder for checkpoints; made if missing.
        on_epoch: Called after each epoch with the member's name, the epoch and its risk.
        make: Makes a network for a side; a benchmark tries others. Give each a ``run`` of its own.

    Raises:
        TrainingError: A set is too small for the folds, a checkpoint in ``run`` belongs to
            something else, or the risk is no longer finite.
    """
    patients = [*sets.normal_patients, *sets.unlabeled_patients]
    folds = np.split(folds_of(patients, config.members, config.seed), [len(sets.normal)])
    for name, fold in zip(("D_n", "D_u"), folds, strict=True):
        fewest = np.bincount(fold, minlength=config.members).min()
        if fewest < LEAST_PER_FOLD:
            problem = f"{name} has {len(fold)} images, too few for {config.members} folds."
            raise TrainingError(problem, "Give more images, or lower --members.")
    run.mkdir(parents=True, exist_ok=True)
    digest = sets.digest(config)
    threads = torch.get_num_threads()
    telling = threading.Lock()
    steps = config.members * config.epochs
    try:
        with tqdm(total=steps, unit="epoch", desc="ratio") as bar:

            def member(k: int) -> _Member:
                torch.set_num_threads(1)

                def tell(epoch: int, risk: float) -> None:
                    with telling:
                        bar.update()
                        if on_epoch:
                            on_epoch(f"ratio-{k}", epoch, risk)

                return _train_member(
                    _Member(_fresh(config, k, make), []), config, sets, folds, k, run, digest, tell
                )

            with ThreadPoolExecutor(min(threads, config.members)) as pool:
                members = list(pool.map(member, range(config.members)))
        torch.set_num_threads(1)  # with more, sums come in another order
        held_normal, held_unlabeled = (
            _held_apart(members, images, fold)
            for images, fold in zip((sets.normal, sets.unlabeled), folds, strict=True)
        )
    finally:
        torch.set_num_threads(threads)
    return TrainedRatio(
        config=config,
        networks=tuple(m.network for m in members),
        held_normal=held_normal,
        held_unlabeled=held_unlabeled,
        normal_folds=folds[0],
        unlabeled_folds=folds[1],
        losses={f"ratio-{k}": m.losses for k, m in enumerate(members)},
        seconds=sum(m.seconds for m in members),
    )


@dataclass
class _Member:
    network: RatioNetwork
    losses: list[float]
    seconds: float = 0.0


def _train_member(
    member: _Member,
    config: RatioConfig,
    sets: RatioSets,
    folds: Sequence[np.ndarray],
    k: int,
    run: Path,
    digest: str,
    tell: Callable[[int, float], None],
) -> _Member:
    normal, unlabeled = (
        _shown(images[fold != k])
        for images, fold in zip((sets.normal, sets.unlabeled), folds, strict=True)
    )
    weights = torch.from_numpy(np.asarray(sets.weights)[folds[0] != k].astype(np.float32))
    size = min(config.batch_size, len(normal), len(unlabeled))
    steps = max(len(normal), len(unlabeled)) // size
    network = member.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.epochs * steps, pct_start=0.2
    )
    path = run / f"ratio-{k}.checkpoint.pt"
    _restore(member, optimiser, schedule, path, digest)
    while len(member.losses) < config.epochs:
        started = time.perf_counter()
        epoch = len(member.losses)
        seed = int(np.random.SeedSequence([config.seed, k, epoch]).generate_state(1)[0])
        generator = torch.Generator().manual_seed(seed)
        orders = [_order(len(images), steps * size, generator) for images in (normal, unlabeled)]
        total = 0.0
        for step in range(steps):
            n, u = (order[step * size : (step + 1) * size] for order in orders)
            batch = augment(torch.cat([normal[n], unlabeled[u]]), generator)
            z = pooled(network(batch))
            risk, descent = ratio_risk(z[:size], z[size:], weights[n], config.floor_share)
            optimiser.zero_grad(set_to_none=True)
            descent.backward()
            optimiser.step()
            schedule.step()
            total += float(risk.detach())
        mean = total / steps
        if not np.isfinite(mean):
            problem = f"The risk of ratio network {k} is {mean} in epoch {epoch + 1}."
            raise TrainingError(problem, "Lower --learning-rate or look for damaged images.")
        member.losses.append(mean)
        member.seconds += time.perf_counter() - started
        if len(member.losses) % CHECKPOINT_EVERY == 0 or len(member.losses) == config.epochs:
            _save(member, optimiser, schedule, path, digest)
        tell(len(member.losses), mean)
    member.network = network.to(memory_format=torch.contiguous_format)
    member.network.eval().requires_grad_(False)
    shown = torch.from_numpy(normalise(sets.normal)).unsqueeze(1)
    member.network.centre(shown, torch.from_numpy(np.asarray(sets.weights, np.float32)))
    return member


def _shown(images: np.ndarray) -> torch.Tensor:
    """What the networks see of images, uint8 (N, S, S) -> (N, 1, side, side) in [-1, 1].

    Taken before the images are varied: a shift must not bring into the field what lies outside.
    """
    side = min(images.shape[-1], LARGEST_SIDE)
    parts = []
    for part in np.array_split(images, max(1, len(images) // 64)):
        small = functional.adaptive_avg_pool2d(torch.from_numpy(normalise(part))[:, None], side)
        parts.append((normalise_field(small, field_of(side)) / 3).clamp(-1, 1))
    return torch.cat(parts)


_MAKING = threading.Lock()


def _fresh(config: RatioConfig, k: int, make: Callable[[int], RatioNetwork]) -> RatioNetwork:
    with _MAKING, torch.random.fork_rng(devices=[]):  # torch's generator is one for all threads
        torch.manual_seed(int(np.random.SeedSequence([config.seed, 5, k]).generate_state(1)[0]))
        return make(config.size)


def _order(n: int, wanted: int, generator: torch.Generator) -> torch.Tensor:
    """Places of images, (wanted,): whole shuffled passes, as many as are needed."""
    passes = [torch.randperm(n, generator=generator) for _ in range(-(-wanted // n))]
    return torch.cat(passes)[:wanted]


def _held_apart(
    members: Sequence[_Member], images: np.ndarray, folds: np.ndarray
) -> np.ndarray:  # fmt: skip
    """Score each image by the member that did not see its patient, float64 (N,)."""
    scores = np.empty(len(images))
    with torch.inference_mode():
        for k, member in enumerate(members):
            mine = np.flatnonzero(folds == k)
            for part in np.array_split(mine, max(1, len(mine) // 64)):
                z = pooled(member.network(torch.from_numpy(normalise(images[part])).unsqueeze(1)))
                scores[part] = z.double().numpy()
    return scores


def _save(
    member: _Member,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    path: Path,
    digest: str,
) -> None:
    state = {
        "network": member.network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.last_epoch,
        "losses": member.losses,
        "seconds": member.seconds,
    }
    save_checkpoint(state, path, digest)


def _restore(
    member: _Member,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    path: Path,
    digest: str,
) -> None:
    state = load_checkpoint(path, digest)
    if state is None:
        return
    member.network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.last_epoch = state["schedule"]
    member.losses[:] = state["losses"]
    member.seconds = state["seconds"]
