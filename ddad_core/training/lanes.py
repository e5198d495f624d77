"""Training on the CPU: one network a thread, one core a network.

Splitting each operation over the cores makes them wait for each other many thousand times a
minute; a core that keeps a network to itself does not wait, and the result does not depend on
how many cores there are. Measured against stacked parameters in ``benchmarks/training.py``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from ddad_core.imaging.geometry import normalise
from ddad_core.networks import reconstruction_loss
from ddad_core.training.checkpoints import load_checkpoint, save_checkpoint
from ddad_core.training.loop import Lane, OnEpoch, TrainingConfig

CHECKPOINT_EVERY = 10
"""Epochs between checkpoints."""


@dataclass(eq=False)
class _Shared:
    """What the threads have in common."""

    config: TrainingConfig
    run: Path
    digest: str
    bar: tqdm
    on_epoch: OnEpoch | None
    telling: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)


def train_lanes(
    config: TrainingConfig,
    lanes: Mapping[str, Sequence[Lane]],
    *,
    run: Path,
    digest: str,
    device: torch.device,
    bar: tqdm,
    on_epoch: OnEpoch | None,
) -> None:
    """Train every lane to the last epoch, as many at a time as torch may use threads.

    Raises:
        TrainingError: As :func:`ddad_core.training.loop.train`.
    """
    assert device.type == "cpu"
    shared = _Shared(config, run, digest, bar, on_epoch)
    threads = torch.get_num_threads()
    every = [lane for group in lanes.values() for lane in group]
    try:
        with ThreadPoolExecutor(
            min(threads, len(every)), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            waiting = [pool.submit(_train_lane, lane, shared) for lane in every]
            try:
                done, _ = wait(waiting, return_when=FIRST_EXCEPTION)
            finally:
                shared.stop.set()  # also when this thread is interrupted while it waits
        for future in done:
            future.result()
    finally:
        torch.set_num_threads(threads)


def _train_lane(lane: Lane, shared: _Shared) -> None:
    config = shared.config
    network = lane.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, betas=(0.5, 0.999), fused=True
    )
    path = shared.run / f"{lane.name}.checkpoint.pt"
    _restore(lane, optimiser, path, shared)
    while len(lane.losses) < config.epochs:
        if not _train_epoch(lane, optimiser, shared):
            return
        done = len(lane.losses)
        if done % CHECKPOINT_EVERY == 0 or done == config.epochs:
            _save(lane, optimiser, path, shared.digest)
        with shared.telling:
            if shared.on_epoch and not shared.stop.is_set():
                shared.on_epoch(lane.name, done, lane.losses[-1])
    lane.network = network.to(memory_format=torch.contiguous_format).eval()


def _train_epoch(lane: Lane, optimiser: torch.optim.Adam, shared: _Shared) -> bool:
    """One epoch; False if the training was stopped in the middle of it."""
    config = shared.config
    started = time.perf_counter()
    order = lane.order()
    steps = len(lane.images) // config.batch_size
    total = torch.zeros(())
    for step in range(steps):
        if shared.stop.is_set():
            return False
        chosen = order[step * config.batch_size : (step + 1) * config.batch_size]
        batch = torch.from_numpy(normalise(lane.images[chosen].numpy())).unsqueeze(1)
        optimiser.zero_grad(set_to_none=True)
        loss = reconstruction_loss(lane.network, batch, lane.network(batch))
        loss.backward()
        optimiser.step()
        total += loss.detach()
        shared.bar.update()
    lane.finish_epoch(float(total) / steps, config)
    lane.seconds += time.perf_counter() - started
    note = f"{lane.name} epoch {len(lane.losses)} loss {lane.losses[-1]:.4f}"
    shared.bar.set_postfix_str(note, refresh=False)
    return True


def _save(lane: Lane, optimiser: torch.optim.Adam, path: Path, digest: str) -> None:
    state = {
        "network": lane.network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "shuffle": lane.shuffle.get_state(),
        "losses": lane.losses,
        "seconds": lane.seconds,
    }
    save_checkpoint(state, path, digest)


def _restore(lane: Lane, optimiser: torch.optim.Adam, path: Path, shared: _Shared) -> None:
    state = load_checkpoint(path, shared.digest)
    if state is None:
        return
    lane.network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    lane.shuffle.set_state(state["shuffle"])
    lane.losses[:] = state["losses"]
    lane.seconds = state["seconds"]
    shared.bar.update(len(lane.losses) * (len(lane.images) // shared.config.batch_size))
