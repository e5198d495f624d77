"""`python -m benchmarks.training`: training of all six networks against the plain loop, in one run.

The plain loop restates the published one: images held as PIL images, turned into tensors and
normalised one by one in a DataLoader with one worker, the networks trained one after the other,
batches of 64, torch's Adam as it comes. Both sides get the same images; rounds alternate, so that
a busy moment of the machine meets both. A step is one network's step.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.figures import Figure, show, spread
from ddad_core.networks import build_network, reconstruction_loss
from ddad_core.training.loop import TrainingConfig, train

COMMAND = "python -m benchmarks.training"
SIZE = 64
NORMAL = 512
UNLABELED = 512
MEMBERS = 3
ROUNDS = 3
EPOCHS = {"cpu": (1, 1), "cuda": (2, 40)}
"""Of the plain loop and of ours, a round."""
TARGETS = {"cpu": 1.5, "cuda": 20.0}


class PilImages(Dataset):
    """8-bit images as PIL holds them; each becomes a tensor when it is asked for."""

    def __init__(self, grey: np.ndarray) -> None:
        self.images = [Image.fromarray(image) for image in grey]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = torch.from_numpy(np.array(self.images[index])).unsqueeze(0)
        return (pixels.float().div(255) - 0.5) / 0.5


def plain_loop(pools: list[np.ndarray], epochs: int, device: torch.device) -> float:
    """Network steps a second of the published loop."""
    steps, seconds = 0, 0.0
    for pool in pools:
        loader = DataLoader(PilImages(pool), 64, shuffle=True, drop_last=True, num_workers=1)
        for _ in range(MEMBERS):
            network = build_network("ae-u", SIZE).to(device).train()
            optimiser = torch.optim.Adam(network.parameters(), 5e-4, betas=(0.5, 0.999))
            started = time.perf_counter()
            for _ in range(epochs):
                losses = []
                for batch in loader:
                    images = batch.to(device)
                    optimiser.zero_grad()
                    loss = reconstruction_loss(network, images, network(images))
                    loss.backward()
                    optimiser.step()
                    losses.append(loss.item())
                    steps += 1
            seconds += time.perf_counter() - started
    return steps / seconds


def our_loop(normal: np.ndarray, unlabeled: np.ndarray, epochs: int, device: torch.device) -> float:
    """Network steps a second of ``ddad train``, its start and its checkpoints included."""
    config = TrainingConfig(network="ae-u", size=SIZE, members=MEMBERS, epochs=epochs)
    steps = epochs * MEMBERS * (len(normal) // 64 + (len(normal) + len(unlabeled)) // 64)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train(config, normal, unlabeled, run=Path(folder), device=device)
        return steps / (time.perf_counter() - started)


def run(rounds: int = ROUNDS) -> list[Figure]:
    """Measure on the CPU, and on a CUDA device when there is one."""
    generator = np.random.default_rng(0)
    grey = generator.integers(0, 256, (NORMAL + UNLABELED, SIZE, SIZE), dtype=np.uint8)
    figures = []
    for kind in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        device = torch.device(kind)
        words = torch.cuda.get_device_name() if kind == "cuda" else "CPU"
        plain, ours = [], []
        for _ in range(rounds):
            plain.append(plain_loop([grey, grey[:NORMAL]], EPOCHS[kind][0], device))
            ours.append(our_loop(grey[:NORMAL], grey[NORMAL:], EPOCHS[kind][1], device))
        ratios = [own / other for own, other in zip(ours, plain, strict=True)]
        target = TARGETS[kind]
        figures += [
            Figure(
                f"Training all six networks (AE-U, 64 x 64) against the plain loop, {words}",
                f"at least {target:g} times",
                spread(ratios, "times", 1),
                COMMAND,
                met=statistics.median(ratios) >= target,
            ),
            Figure(f"Network steps, ours, {words}", "", spread(ours, "a second", 1), COMMAND),
            Figure(
                f"Network steps, plain loop, {words}", "", spread(plain, "a second", 1), COMMAND
            ),
        ]
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    show(run(parser.parse_args().rounds))
