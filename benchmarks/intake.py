"""`python -m benchmarks.intake`: DICOM files to stored scores, against the published path.

The published path reads a file with pydicom, scales it from its minimum to its maximum, writes a
512 x 512 PNG, reads that again, shrinks it to 64 x 64 and asks six networks, one after the other,
one image at a time. Ours is once `ddad score`, a row of scores in a table for each file, and once
the whole intake of the app: reading in child processes, looking for text, freeing the file of
identity, keeping it, scoring with the model that the app would choose, maps, database. All have
the same files, models in memory and all cores. Rounds alternate.

*Reading alone* is what the same child processes do if nothing but a checked radiograph is asked
of them; it is what decoding allows on these cores.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import torch
from PIL import Image
from pydicom.uid import JPEG2000Lossless

from app.bootstrap import build_services
from app.services.container import Services
from app.services.intake import UPLOAD
from app.services.people import Person
from app.settings import load_settings
from benchmarks.figures import Figure, show, spread
from benchmarks.scoring import published_loop
from benchmarks.serving import REPOSITORY
from benchmarks.synthetic_dicom import write_synthetic
from ddad_core.card import DEFAULT_MODEL
from ddad_core.imaging import read_radiograph
from ddad_core.imaging.burned_in import text_warning
from ddad_core.imaging.deidentify import deidentify
from ddad_core.imaging.geometry import to_network_greys
from ddad_core.imaging.prepare import Wanted
from ddad_core.imaging.sandbox import Sandbox
from ddad_core.imaging.sources import FileSource
from ddad_core.imaging.stored import thumbnail
from ddad_core.inference.parity import plausible_grey
from ddad_core.parallel import in_order, processors
from ddad_core.registry import Model, load_model
from ddad_core.scorefiles import score_paths
from ddad_core.scoring import Scorer

COMMAND = "python -m benchmarks.intake"
FILES = {"uncompressed": 64, "JPEG 2000 (lossless)": 12}
ROUNDS = 3
SIZES = ((1955, 1841), (3000, 2500))
ENCODINGS = {"uncompressed": "", "JPEG 2000 (lossless)": JPEG2000Lossless}
TARGETS = {"uncompressed": 4.0, "JPEG 2000 (lossless)": 2.0}
SHARE_TARGET = 0.7
SIDES = {"score": "`ddad score`", "intake": "Whole intake"}
READER = Person.named("Benchmark")
PUBLISHED_SIDES = (512, 64)


def published_path(paths: Sequence[Path], model: Model, folder: Path) -> None:
    """Each file through the published preparation and networks, one at a time."""
    for path in paths:
        pixels = pydicom.dcmread(path).pixel_array.astype(np.float64)
        scaled = (pixels - pixels.min()) / (pixels.max() - pixels.min()) * 255
        large, small = PUBLISHED_SIDES
        png = folder / f"{path.stem}.png"
        image = Image.fromarray(scaled.astype(np.uint8))
        image.resize((large, large), Image.Resampling.BILINEAR).save(png)
        with Image.open(png) as again:
            grey = np.asarray(again.resize((small, small), Image.Resampling.BILINEAR))
        published_loop(model, grey[None], torch.device("cpu"))


def whole_intake(paths: Sequence[Path], services: Services) -> None:
    """Each file into the app."""
    pairs = ((FileSource(path), UPLOAD) for path in paths)
    outcomes = list(services.intake.take_many(READER, pairs))
    assert all(outcome.image_id for outcome in outcomes), outcomes


def score_to_table(paths: Sequence[Path], sandbox: Sandbox, scorer: Scorer, table: Path) -> None:
    """Each file to a row of `ddad score`."""
    tally = score_paths(
        paths,
        weights=REPOSITORY / "weights",
        model=DEFAULT_MODEL,
        device="cpu",
        output=table,
        sandbox=sandbox,
        scorers={DEFAULT_MODEL: scorer},
    )
    assert tally.statuses["refused"] == 0, tally.lines(())


def reading_alone(paths: Sequence[Path], sandbox: Sandbox) -> None:
    """Each file to a checked radiograph in a child process."""

    def work(path: Path) -> object:
        return sandbox.prepare(path.read_bytes(), Wanted())

    for _ in in_order(work, paths, sandbox.workers):
        pass


def run(rounds: int = ROUNDS, files: int | None = None) -> list[Figure]:
    own = torch.get_num_threads()
    model = load_model(REPOSITORY / "weights" / DEFAULT_MODEL)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="ddad-bench-") as name, Sandbox(processors()) as box:
        folder = Path(name)
        for rows, columns in SIZES:
            for words, syntax in ENCODINGS.items():
                paths = [
                    write_synthetic(
                        folder / f"{rows}-{i}-{bool(syntax)}.dcm",
                        i,
                        rows=rows,
                        columns=columns,
                        syntax=syntax,
                    )
                    for i in range(files or FILES[words])
                ]
                kind = f"{columns} x {rows}, {words}"
                figures += _compare(kind, TARGETS[words], paths, model, box, folder, rounds)
                figures += [_steps(kind, paths[0], Scorer(model, "cpu"))]
                for path in paths:
                    path.unlink()
    torch.set_num_threads(own)
    return figures


def _compare(
    kind: str,
    target: float,
    paths: Sequence[Path],
    model: Model,
    sandbox: Sandbox,
    folder: Path,
    rounds: int,
) -> list[Figure]:
    times: dict[str, list[float]] = {
        side: [] for side in ("published", "score", "intake", "reading")
    }
    scorer = Scorer(model, "cpu")
    for i in range(rounds):
        home = folder / f"home-{i}"
        environ = {"DDAD_HOME": str(home), "DDAD_DEVICE": "cpu"}
        services = build_services(load_settings(environ))
        try:
            services.models.load(DEFAULT_MODEL)
            services.sandbox.warm_up(wait=True)
            sandbox.warm_up(wait=True)
            times["published"].append(_seconds(lambda: published_path(paths, model, folder)))
            table = folder / f"scores-{i}.csv"
            times["score"].append(
                _seconds(lambda t=table: score_to_table(paths, sandbox, scorer, t))
            )
            times["intake"].append(_seconds(lambda s=services: whole_intake(paths, s)))
            times["reading"].append(_seconds(lambda: reading_alone(paths, sandbox)))
        finally:
            services.close()
    figures = []
    for side, words in SIDES.items():
        ratios = [a / b for a, b in zip(times["published"], times[side], strict=True)]
        shares = [a / b for a, b in zip(times["reading"], times[side], strict=True)]
        figures += [
            Figure(
                f"{words}, {kind}: throughput against the published path",
                f"at least {target:g} times",
                spread(ratios, "times", 1),
                COMMAND,
                statistics.median(ratios) >= target,
            ),
            Figure(
                f"{words}, {kind}: share of the throughput of reading alone",
                f"at least {SHARE_TARGET:g}",
                spread(shares, "of it"),
                COMMAND,
                statistics.median(shares) >= SHARE_TARGET,
            ),
        ]
    rates = {side: len(paths) / statistics.median(found) for side, found in times.items()}
    return [
        *figures,
        Figure(
            f"Files a second, {kind}",
            "",
            f"`ddad score` {rates['score']:.1f}, whole intake {rates['intake']:.1f}, "
            f"published path {rates['published']:.1f}, reading alone {rates['reading']:.1f} "
            f"(n = {rounds})",
            COMMAND,
        ),
    ]


def _steps(kind: str, path: Path, scorer: Scorer) -> Figure:
    """Where the time of one file goes, on one core."""
    data = path.read_bytes()
    radiograph = read_radiograph(data)
    batch = plausible_grey(16, scorer.card.input_size)
    steps: dict[str, Callable[[], object]] = {
        "pydicom's decoding": lambda: pydicom.dcmread(io.BytesIO(data)).pixel_array,
        "reading, that included": lambda: read_radiograph(data),
        "search for text": lambda: text_warning(radiograph.pixels),
        "network inputs": lambda: to_network_greys(radiograph, (64, 128)),
        "thumbnail": lambda: thumbnail(radiograph),
        "freeing of identity": lambda: deidentify(data, key=bytes(32), site=""),
        "digest of the file": lambda: hashlib.sha256(data).digest(),
        "of the pixels": lambda: hashlib.sha256(radiograph.pixels.data).digest(),
    }
    times = {step: min(_seconds(work) for _ in range(5)) for step, work in steps.items()}
    networks = min(_seconds(lambda: scorer.score_prepared(batch)) for _ in range(5))
    times["networks, one of a batch"] = networks / len(batch)
    found = ", ".join(f"{step} {seconds * 1000:.0f} ms" for step, seconds in times.items())
    return Figure(f"Steps for one file, {kind}, one core", "", found, COMMAND)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--files", type=int, help="default: fewer where decoding is slow")
    options = parser.parse_args()
    show(run(options.rounds, options.files))
