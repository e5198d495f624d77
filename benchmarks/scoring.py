"""`python -m benchmarks.scoring`: batches of 64 against the published loop, in the same run.

The published loop takes one image at a time through six networks, one after the other, as they
were trained. Both sides start from the same prepared 64 x 64 images in memory. Every engine that
is installed is measured; the one that the program chooses by itself has the target. On the CPU
once with torch's own number of threads and once with one, where nothing waits for a thread that
another program holds up; on a CUDA device when there is one. The scorer computes four scores and
three maps an image; the loop A_inter alone.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from benchmarks.figures import Figure, show, spread
from benchmarks.serving import GALLERY, REPOSITORY
from ddad_core.card import DEFAULT_MODEL, load_card
from ddad_core.ensemble import Ensemble
from ddad_core.imaging import read_radiograph
from ddad_core.imaging.geometry import to_network_grey
from ddad_core.inference.choice import ENGINES
from ddad_core.inference.engines import full_precision
from ddad_core.networks import build_network
from ddad_core.registry import Model, load_model
from ddad_core.scoring import BATCH_SIZE, Scorer

COMMAND = "python -m benchmarks.scoring"
ROUNDS = 9
IMAGES = BATCH_SIZE
TARGET_CPU = 5.0
TARGET_GPU = 50.0
GPU_BATCHES = 16
ALONE = 50
MODEL = "kermany-ae-u"
"""In the paper's configuration."""
PUBLISHED_SIZE = 64


def gallery_grey(size: int) -> np.ndarray:
    """The gallery as network input, uint8 (IMAGES, S, S), repeated as often as it takes."""
    with (GALLERY / "gallery.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    read = [read_radiograph((GALLERY / name).read_bytes()) for name in names]
    grey = np.stack([to_network_grey(radiograph, size) for radiograph in read])
    return np.resize(grey, (IMAGES, size, size))


@torch.no_grad()
def published_loop(model: Model, grey: np.ndarray, device: torch.device) -> list[float]:
    """A_inter of AE-U as the published code runs it: image by image, network by network."""
    scores = []
    for image in grey:
        values = (image.astype(np.float32) / 255.0 - 0.5) / 0.5
        x = torch.from_numpy(values)[None, None].to(device)
        means_a = [network(x).mean for network in model.a.networks]
        out_b = [network(x) for network in model.b.networks]
        mean_a = torch.cat(means_a).mean(dim=0)
        mean_b = torch.cat([out.mean for out in out_b]).mean(dim=0)
        variance = torch.cat([out.log_var.exp() for out in out_b]).mean(dim=0)
        inter = torch.sqrt((mean_a - mean_b) ** 2 / variance)
        scores.append(float(inter.mean()))
    return scores


def untrained_model() -> Model:
    """Fresh networks of the published shape, as fast as trained ones."""
    card = load_card(REPOSITORY / "weights" / DEFAULT_MODEL)
    a, b = (
        Ensemble([build_network("ae-u", PUBLISHED_SIZE) for _ in range(3)]).eval() for _ in "ab"
    )
    return Model(replace(card, network="ae-u", input_size=PUBLISHED_SIZE), a, b)


def run(rounds: int = ROUNDS, *, untrained: bool = False) -> list[Figure]:
    if untrained:
        model = untrained_model()
        grey = np.random.default_rng(0).integers(0, 256, (IMAGES, 64, 64), dtype=np.uint8)
    else:
        trained = load_model(REPOSITORY / "weights" / MODEL)
        # The loop has no refinement and no calibration by place, so neither side runs them here.
        model = Model(trained.card, trained.a, trained.b)
        grey = gallery_grey(model.card.input_size)
    own = torch.get_num_threads()
    figures = []
    try:
        for threads in sorted({own, 1}, reverse=True):
            torch.set_num_threads(threads)
            words = f"{threads} thread{'s' if threads > 1 else ''}"
            target = TARGET_CPU if threads > 1 else None
            figures += _compare(model, "cpu", grey, grey, rounds, words, target)
    finally:
        torch.set_num_threads(own)
    if torch.cuda.is_available():  # last, because the modules stay there
        many = np.resize(grey, (GPU_BATCHES * IMAGES, *grey.shape[1:]))
        words = torch.cuda.get_device_name()
        figures += _compare(model, "cuda", grey, many, rounds, words, TARGET_GPU)
    return figures


def _compare(
    model: Model,
    device: str,
    few: np.ndarray,
    many: np.ndarray,
    rounds: int,
    words: str,
    target: float | None,
) -> list[Figure]:
    """Rounds of all sides in turn, so that a busy moment of the machine meets each of them.

    The loop runs over ``few`` images, the engines over ``many``; times are an image's.
    """
    chosen = Scorer(model, device)
    usable = [name for name, engine in ENGINES.items() if not engine.lacks(chosen.device)]
    scorers = {
        name: chosen if name == chosen.engine_name else Scorer(model, device, engine=name)
        for name in usable
    }
    sides: dict[str, Callable[[], float]] = {
        name: lambda scorer=scorer: _milliseconds(lambda: scorer.score_prepared(many), len(many))
        for name, scorer in scorers.items()
    }
    sides["loop"] = lambda: _milliseconds(
        lambda: published_loop(model, few, chosen.device), len(few)
    )
    with full_precision():
        expected = published_loop(model, few, chosen.device)
    for scorer in scorers.values():
        found = [result.scores["a_inter"] for result in scorer.score_prepared(few)]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(side())
    once = [_milliseconds(lambda i=i: chosen.score_prepared(few[i : i + 1])) for i in range(ALONE)]
    return [
        *_ratios(times, chosen.engine_name, words, target),
        Figure(
            f"One image by the published loop, {words}", "", spread(times["loop"], "ms"), COMMAND
        ),
        *(
            Figure(f"One image in a batch, {name}, {words}", "", spread(times[name], "ms"), COMMAND)
            for name in usable
        ),
        Figure(
            f"One image, scored alone, {chosen.engine_name}, {words}",
            "",
            spread(once, "ms", 1),
            COMMAND,
        ),
    ]


def _ratios(
    times: dict[str, list[float]], chosen: str, words: str, target: float | None
) -> list[Figure]:
    """How many times faster than the loop of the same round, the chosen engine first."""
    figures = []
    for name in sorted(set(times) - {"loop"}, key=lambda name: name != chosen):
        ratios = [b / a for a, b in zip(times[name], times["loop"], strict=True)]
        aimed = target if name == chosen else None
        which = f"{name}, the engine chosen" if name == chosen else name
        figures.append(
            Figure(
                f"Scoring in batches of {BATCH_SIZE} against the published loop, {which}, {words}",
                f"at least {aimed:g} times" if aimed else "",
                spread(ratios, "times", 1),
                COMMAND,
                statistics.median(ratios) >= aimed if aimed else None,
            )
        )
    return figures


def _milliseconds(work: Callable[[], object], n: int = 1) -> float:
    """Wall time of some work, an n-th of it."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / n * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--untrained", action="store_true", help="fresh networks and random images, as fast"
    )
    options = parser.parse_args()
    show(run(options.rounds, untrained=options.untrained))
