"""`python -m benchmarks.scoring`: batches of 64 against the published loop, in the same run.

The published loop takes one image at a time through six networks, one after the other. Both
sides start from the same prepared 64 x 64 images and run on the CPU, once with torch's own number
of threads and once with one, where nothing waits for a thread that another program holds up. The
scorer computes four scores and three maps an image; the loop A_inter alone.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time

import numpy as np
import torch

from benchmarks.figures import Figure, show, spread
from benchmarks.serving import GALLERY, REPOSITORY
from ddad_core.card import DEFAULT_MODEL
from ddad_core.imaging import read_radiograph
from ddad_core.imaging.geometry import to_network_grey
from ddad_core.registry import Model, load_model
from ddad_core.scoring import BATCH_SIZE, Scorer

COMMAND = "python -m benchmarks.scoring"
ROUNDS = 9
IMAGES = BATCH_SIZE
TARGET = 2.0


def gallery_grey(size: int) -> np.ndarray:
    """The gallery as network input, uint8 (IMAGES, S, S), repeated as often as it takes."""
    with (GALLERY / "gallery.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    read = [read_radiograph((GALLERY / name).read_bytes()) for name in names]
    grey = np.stack([to_network_grey(radiograph, size) for radiograph in read])
    return np.resize(grey, (IMAGES, size, size))


@torch.no_grad()
def published_loop(model: Model, grey: np.ndarray) -> list[float]:
    """A_inter of AE-U as the published code runs it: image by image, network by network."""
    scores = []
    for image in grey:
        x = torch.from_numpy((image.astype(np.float32) / 255.0 - 0.5) / 0.5)[None, None]
        means_a = [network(x).mean for network in model.a.networks]
        out_b = [network(x) for network in model.b.networks]
        mean_a = torch.cat(means_a).mean(dim=0)
        mean_b = torch.cat([out.mean for out in out_b]).mean(dim=0)
        variance = torch.cat([out.log_var.exp() for out in out_b]).mean(dim=0)
        inter = torch.sqrt((mean_a - mean_b) ** 2 / variance)
        scores.append(float(inter.mean()))
    return scores


def run(rounds: int = ROUNDS) -> list[Figure]:
    model = load_model(REPOSITORY / "weights" / DEFAULT_MODEL)
    scorer = Scorer(model, "cpu")
    grey = gallery_grey(model.card.input_size)
    batched = [result.scores["a_inter"] for result in scorer.score_prepared(grey)]
    np.testing.assert_allclose(batched, published_loop(model, grey), rtol=1e-4)
    own = torch.get_num_threads()
    figures = []
    try:
        for threads in sorted({own, 1}, reverse=True):
            torch.set_num_threads(threads)
            figures += _compare(model, scorer, grey, rounds)
    finally:
        torch.set_num_threads(own)
    once = [_alone(scorer, image) for image in grey[:50]]
    return [*figures, Figure("One image, scored alone", "", spread(once, "ms", 1), COMMAND)]


def _compare(model: Model, scorer: Scorer, grey: np.ndarray, rounds: int) -> list[Figure]:
    """Rounds of both sides in turn, so that a busy moment of the machine meets both."""
    batched, loop = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        scorer.score_prepared(grey)
        between = time.perf_counter()
        published_loop(model, grey)
        ended = time.perf_counter()
        batched.append((between - started) / len(grey) * 1000)
        loop.append((ended - between) / len(grey) * 1000)
    ratios = [b / a for a, b in zip(batched, loop, strict=True)]
    threads = torch.get_num_threads()
    words = f"{threads} thread{'s' if threads > 1 else ''}"
    return [
        Figure(
            f"Scoring in batches of {BATCH_SIZE} against the published loop, throughput, {words}",
            f"at least {TARGET:g} times",
            spread(ratios, "times", 1),
            COMMAND,
            statistics.median(ratios) >= TARGET,
        ),
        Figure(f"One image in a batch, {words}", "", spread(batched, "ms"), COMMAND),
        Figure(f"One image by the published loop, {words}", "", spread(loop, "ms"), COMMAND),
    ]


def _alone(scorer: Scorer, image: np.ndarray) -> float:
    started = time.perf_counter()
    scorer.score_prepared(image[None])
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    show(run(parser.parse_args().rounds))
