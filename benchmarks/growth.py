"""`python -m benchmarks.growth`: how the cost of training and scoring grows, and its memory.

Each slope is that of a straight line through the logarithms of size and time: 1 is proportional,
2 is quadratic. The memory is the peak of a process of its own that trains on 10,000 images.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.figures import Figure, show
from ddad_core.ensemble import Ensemble
from ddad_core.networks import build_network
from ddad_core.scoring import score_grey
from ddad_core.training.loop import TrainingConfig, train

COMMAND = "python -m benchmarks.growth"
IMAGES = (128, 256, 512)
MEMBERS = (1, 2, 4)
SIZES = (32, 64, 128)
REPEATS = 3
MEMORY_IMAGES = 10_000
MEMORY_LIMIT_MB = 3_000


def grey(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size), dtype=np.uint8)


def training_seconds(images: int, members: int, size: int) -> float:
    """One epoch of modules A and B on the same images."""
    config = TrainingConfig(size=size, members=members, epochs=1)
    normal = grey(images, size)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train(config, normal, normal[:0], run=Path(folder), device=torch.device("cpu"))
        return time.perf_counter() - started


def scoring_seconds(images: int, members: int, size: int) -> float:
    """All maps of the images by the plain networks, in batches of 64."""
    a, b = (
        Ensemble([build_network("ae-u", size) for _ in range(members)]).eval() for _ in range(2)
    )
    started = time.perf_counter()
    score_grey(a, b, grey(images, size))
    return time.perf_counter() - started


def slope(values: Sequence[int], seconds: Callable[[int], float]) -> tuple[float, str]:
    """Log-log slope of the fastest of some repeats, and the times themselves."""
    best = [min(seconds(value) for _ in range(REPEATS)) for value in values]
    found = np.polyfit(np.log(values), np.log(best), 1)[0]
    times = ", ".join(f"{v}: {s:.2f} s" for v, s in zip(values, best, strict=True))
    return float(found), times


def training_memory_mb() -> float:
    """Peak resident memory of training on 10,000 images, 64 x 64, K = 3."""
    code = (
        "import tempfile, pathlib, numpy as np\n"
        "from ddad_core.training.loop import TrainingConfig, train\n"
        "r = np.random.default_rng(0)\n"
        f"g = r.integers(0, 256, ({MEMORY_IMAGES}, 64, 64), dtype=np.uint8)\n"
        "c = TrainingConfig(epochs=1, batch_size=512)\n"
        "train(c, g[:2000], g[2000:], run=pathlib.Path(tempfile.mkdtemp()))\n"
        # Not getrusage: what it tells of a new process is at least what its parent held.
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(status.partition('VmHWM:')[2].split()[0]) / 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def run() -> list[Figure]:
    figures = []
    for verb, seconds in (("Training", training_seconds), ("Scoring", scoring_seconds)):
        sweeps = (
            ("images", IMAGES, lambda n, s=seconds: s(n, 2, 64)),
            ("K", MEMBERS, lambda k, s=seconds: s(128, k, 64)),
            ("the input's side", SIZES, lambda size, s=seconds: s(128, 2, size)),
        )
        for what, values, measure in sweeps:
            found, times = slope(values, measure)
            name = f"{verb}: growth of time with {what}, log-log slope"
            figures.append(Figure(name, "", f"{found:.2f} ({times})", COMMAND))
    memory = training_memory_mb()
    name = f"Peak memory of training on {MEMORY_IMAGES} images, 64 x 64, K = 3, batches of 512"
    figures.append(
        Figure(name, "under 3 GB", f"{memory:.0f} MB", COMMAND, met=memory < MEMORY_LIMIT_MB)
    )
    return figures


if __name__ == "__main__":
    show(run())
