"""`python -m benchmarks.ratio`: what A_ratio is worth, what moves it and what it costs.

Needs the images, under ``DDAD_SHARED_DATA``. Each part is kept in ``runs/ratio/PART.json``, so
that parts can be measured one at a time: `python -m benchmarks.ratio choice sweep`. Nothing was
chosen by a figure of a test part.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import rotate
from scipy.stats import norm

from benchmarks.page import write_part
from benchmarks.ratio_place import place
from benchmarks.ratio_table import ratio_part
from benchmarks.serving import REPOSITORY
from ddad_core.calibration import NormalReference
from ddad_core.card import estimate_to
from ddad_core.evaluation.delong import delong_test
from ddad_core.evaluation.metrics import auc_with_interval
from ddad_core.imaging.geometry import normalise
from ddad_core.inference.choice import choose_engine, choose_ratio_engine
from ddad_core.networks import build_network, reconstruction_loss
from ddad_core.registry import Model, load_model
from ddad_core.scoring import Scorer
from ddad_core.training import ratio_report
from ddad_core.training.images import load_roles
from ddad_core.training.manifest import Manifest, load_manifest
from ddad_core.training.matching import matching_weights
from ddad_core.training.ratio_train import RatioConfig, RatioSets, TrainedRatio, train_ratio

COMMAND = "python -m benchmarks.ratio"
RUNS = REPOSITORY / "runs" / "ratio"
MANIFESTS = REPOSITORY / "data" / "manifests"
FOLDERS = {"kermany": "kermany/train", "nih": "nih/images"}
MODELS = ("kermany-ae-u-128", "nih-ae-u")
SWEEP_SIZE = 400
RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
CONFIG = RatioConfig(members=3, epochs=15)
"""Of the sweep, the label noise and the planted mark: 64 x 64, as the smaller models."""
ROUNDS = 5


def images_of(name: str) -> Path:
    shared = Path(os.environ.get("DDAD_SHARED_DATA", REPOSITORY / "shared" / "data"))
    return shared / FOLDERS[name.split("-")[0]]


@cache
def loaded(name: str, roles: tuple[str, ...], size: int) -> tuple[Manifest, dict[str, np.ndarray]]:
    manifest = load_manifest(MANIFESTS / f"{name}.csv")
    return manifest, load_roles(manifest, roles, images_of(name), size)


def labels_of(manifest: Manifest, role: str) -> np.ndarray:
    return np.array([row.label for row in manifest.role(role)])


def trained_on(
    normal: Sequence[Any], unlabeled: Sequence[Any], grey: tuple[np.ndarray, np.ndarray]
) -> TrainedRatio:
    weights, _ = matching_weights(normal, unlabeled)
    sets = RatioSets.of_rows(normal, unlabeled, *grey, weights)
    with tempfile.TemporaryDirectory() as run:
        return train_ratio(replace(CONFIG, size=grey[0].shape[-1]), sets, run=Path(run))


def shipped(role: str) -> Iterator[tuple[Model, Manifest, np.ndarray, np.ndarray]]:
    """Each model with the manifest, images and labels of one of its parts."""
    for name in MODELS:
        model = load_model(REPOSITORY / "weights" / name)
        manifest, grey = loaded(
            Path(model.card.raw["data"]["manifest"]).stem, (role,), model.card.input_size
        )
        yield model, manifest, grey[role], labels_of(manifest, role)


def counted(labels: np.ndarray) -> list[int]:
    """Normal and abnormal images."""
    return [int(np.sum(labels == 0)), int(np.sum(labels == 1))]


def combined(reference: NormalReference, scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean over scores of the normal quantile of 1 - p among the calibration normals."""
    columns = [
        [norm.isf(min(max(reference.p_value(n, float(v)), 1e-4), 0.9999)) for v in scores[n]]
        for n in scores
    ]
    return np.mean(columns, axis=0)


def choice() -> dict[str, Any]:
    """Each score, and their combination without labels, on the validation part."""
    found = {}
    for model, _, grey, labels in shipped("validation"):
        values = Scorer(model, "cpu").scores(grey).scores
        wanted = [n for n in ("a_inter", "c_inter", "r_dual", "a_ratio") if n in values]
        joined = [n for n in ("a_inter", "a_intra", "r_dual", "a_ratio") if n in values]
        pairs = {n: values[n] for n in wanted}
        pairs["combined"] = combined(model.card.reference, {n: values[n] for n in joined})
        found[model.card.name] = {
            "n": counted(labels),
            "auc": {n: estimate_to(auc_with_interval(labels, v)) for n, v in pairs.items()},
        }
    return found


def _pool(size: int) -> tuple[Manifest, np.ndarray, np.ndarray]:
    """D_u of kermany.csv with the labels that only experiments may see."""
    manifest, grey = loaded("kermany", ("normal", "unlabeled", "test"), size)
    with (MANIFESTS / "kermany.unlabeled.csv").open(newline="", encoding="utf-8") as file:
        of = {row["path"]: int(row["label"]) for row in csv.DictReader(file)}
    return manifest, grey["unlabeled"], np.array([of[r.path] for r in manifest.role("unlabeled")])


def sweep() -> dict[str, Any]:
    """AUC and two-sample test by the anomaly rate of D_u, and with 5 % abnormal in D_n."""
    manifest, pool, of_pool = _pool(64)
    _, grey = loaded("kermany", ("normal", "unlabeled", "test"), 64)
    normal, unlabeled = manifest.role("normal"), manifest.role("unlabeled")
    test, labels = grey["test"], labels_of(manifest, "test")
    found: dict[str, Any] = {"n": counted(labels)}
    cases = [(f"{rate:.0%}", rate, 0.0) for rate in RATES]
    for name, rate, noise in [*cases, ("60%, 5% of D_n abnormal", 0.6, 0.05)]:
        abnormal = round(SWEEP_SIZE * rate)
        chosen = np.sort(
            np.concatenate(
                [
                    np.flatnonzero(of_pool == 0)[: SWEEP_SIZE - abnormal],
                    np.flatnonzero(of_pool == 1)[:abnormal],
                ]
            )
        )
        slipped = np.flatnonzero(of_pool == 1)[-round(len(normal) * noise) :] if noise else []
        rows = [*normal, *(unlabeled[i] for i in slipped)]
        known = np.concatenate([grey["normal"], pool[np.array(slipped, dtype=int)]])
        theirs = [unlabeled[i] for i in chosen]
        trained = trained_on(rows, theirs, (known, pool[chosen]))
        tested = ratio_report.difference_test(trained, rows, theirs)
        found[name] = {
            "auc": estimate_to(
                auc_with_interval(labels, ratio_report.scores_of(trained.networks, test))
            ),
            "held_apart": tested.auc,
            "p_value": tested.p_value,
            "seconds": trained.seconds,
        }
        print(name, found[name], flush=True)
    return found


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def _resampled(image: np.ndarray) -> np.ndarray:
    side = image.shape[0]
    small = Image.fromarray(image).resize((side * 3 // 4,) * 2, Image.Resampling.BILINEAR)
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))


def _noisy(image: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(int(image.sum())).normal(0, 5, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
    return np.clip((image.astype(float) - 128) * factor + 128, 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contrast x 0.8": lambda x: _contrast(x, 0.8),
    "contrast x 1.2, clipped": lambda x: _contrast(x, 1.2),
    "noise, SD 5 of 255": _noisy,
    "turned by 5 degrees": lambda x: rotate(x, 5, reshape=False, order=1, mode="nearest"),
    "JPEG, quality 75": lambda x: _jpeg(x, 75),
    "JPEG, quality 30": lambda x: _jpeg(x, 30),
    "resampled to 3/4 and back": _resampled,
}
"""Made on the networks' input, uint8 (S, S)."""


def robustness() -> dict[str, Any]:
    """By how much changes that are no finding move the score of test images."""
    found = {}
    for model, _, test, labels in shipped("test"):
        scorer = Scorer(model, "cpu")
        plain = scorer.scores(test).scores
        rows: dict[str, Any] = {"none": _moved(labels, plain, plain)}
        for name, change in CHANGES.items():
            changed = scorer.scores(np.stack([change(image) for image in test])).scores
            rows[name] = _moved(labels, plain, changed)
        found[model.card.name] = rows
    return found


def _moved(
    labels: np.ndarray, plain: Mapping[str, np.ndarray], changed: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    out = {}
    for name in ("a_inter", "a_ratio"):
        normals = plain[name][labels == 0]
        rise = float(np.mean(changed[name][labels == 0] - normals) / normals.std())
        out[name] = {"rise": rise, **estimate_to(auc_with_interval(labels, changed[name]))}
    return out


def against() -> dict[str, Any]:
    """A_ratio against A_inter on the test part, DeLong."""
    found = {}
    for model, manifest, grey, labels in shipped("test"):
        values = Scorer(model, "cpu").scores(grey).scores
        test = delong_test(labels, values["a_ratio"], values["a_inter"])
        views = np.array([row.view for row in manifest.role("test")])
        within = {
            view: estimate_to(
                auc_with_interval(labels[views == view], values["a_ratio"][views == view])
            )
            for view in sorted(set(views) - {""})
        }
        found[model.card.name] = {
            "n": counted(labels),
            "auc": {
                n: estimate_to(auc_with_interval(labels, values[n])) for n in ("a_inter", "a_ratio")
            },
            "difference": estimate_to(test.difference),
            "p_value": test.p_value,
            "within": within,
        }
    return found


def planted() -> dict[str, Any]:
    """Networks trained with a corner mark on half of D_u: what the mark does to normals."""
    manifest, grey = loaded("kermany", ("normal", "unlabeled", "calibration"), 64)
    normal, unlabeled = manifest.role("normal"), manifest.role("unlabeled")[:400]
    marked = grey["unlabeled"][:400].copy()
    marked[::2] = ratio_report.with_mark(marked[::2])
    trained = trained_on(normal, unlabeled, (grey["normal"], marked))
    return {
        "n": len(grey["calibration"]),
        "rise": ratio_report.planted_mark(trained.networks, grey["calibration"]),
    }


def source() -> dict[str, Any]:
    """D_u of another hospital and age: the networks can tell the two apart by that alone."""
    manifest, grey = loaded("kermany", ("normal", "unlabeled", "test"), 64)
    other, theirs = loaded("nih-large", ("unlabeled",), 64)
    normal, unlabeled = manifest.role("normal"), other.role("unlabeled")
    trained = trained_on(normal, unlabeled, (grey["normal"], theirs["unlabeled"]))
    labels = labels_of(manifest, "test")
    return {
        "n": counted(labels),
        "auc": estimate_to(
            auc_with_interval(labels, ratio_report.scores_of(trained.networks, grey["test"]))
        ),
        "held_apart": auc_of(trained),
        "within_views": ratio_report.difference_test(trained, normal, unlabeled).p_value,
    }


def auc_of(trained: TrainedRatio) -> float:
    """How well the held-apart scores tell D_u from D_n, whatever the views."""
    return auc_with_interval(trained.of_unlabeled.astype(int), trained.held).value


def cost() -> dict[str, Any]:
    """Training and scoring beside the paper's networks, in turns, by the processor's time.

    Seconds of the processor, so that what else the machine does is not counted.
    """
    manifest, grey = loaded("kermany", ("normal", "unlabeled"), 64)
    normal, unlabeled = manifest.role("normal"), manifest.role("unlabeled")
    images = torch.from_numpy(normalise(grey["unlabeled"][:64])).unsqueeze(1)
    paper = build_network("ae-u", 64)
    optimiser = torch.optim.Adam(paper.parameters(), lr=5e-4, betas=(0.5, 0.999), fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        reconstruction_loss(paper, images, paper(images)).backward()
        optimiser.step()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    scoring = {name: _scoring(name) for name in MODELS}
    steps = [_seconds(step) for _ in range(ROUNDS)]
    torch.set_num_threads(threads)
    started = time.process_time()
    trained_on(normal, unlabeled, (grey["normal"], grey["unlabeled"]))
    ratio_seconds = time.process_time() - started
    a, b = (len(normal) + len(unlabeled)) // 64, len(normal) // 64
    return {
        "ddad_seconds": float(np.median(steps)) * 250 * 3 * (a + b),
        "ratio_seconds": ratio_seconds,
        "scoring": scoring,
    }


@torch.inference_mode()
def _scoring(model_name: str) -> dict[str, float]:
    """Milliseconds an image in a batch of 64, A_ratio and the modules in turns.

    Each by the engine that scores with it; an AE-U's share is that of modules A and B.
    """
    model = load_model(REPOSITORY / "weights" / model_name)
    size, cpu = model.card.input_size, torch.device("cpu")
    images = torch.rand(64, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    modules = choose_engine(model.a, model.b, size, cpu)
    every, one = (choose_ratio_engine(n, cpu) for n in (model.ratio, model.ratio[:1]))
    scored: dict[str, Callable[[], Any]] = {
        "a_ratio": lambda: every.maps(images),
        "one_of_a_ratio": lambda: one.maps(images),
        "one_of_ddad": lambda: modules.reconstruct(images),
    }
    took = {n: [_seconds(work) for _ in range(ROUNDS)] for n, work in scored.items()}
    milliseconds = {n: float(np.median(times)) / len(images) * 1000 for n, times in took.items()}
    milliseconds["one_of_ddad"] /= len(model.a.networks) + len(model.b.networks)
    return {"size": size, "members": len(model.ratio), **milliseconds}


def _seconds(work: Callable[[], Any]) -> float:
    """Of the processor, for one call, over four."""
    started = time.process_time()
    for _ in range(4):
        work()
    return (time.process_time() - started) / 4


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "choice": choice,
    "against": against,
    "sweep": sweep,
    "planted": planted,
    "source": source,
    "robustness": robustness,
    "place": lambda: place(images_of("nih")),
    "cost": cost,
}


def main() -> None:
    """Measure the parts asked for, or all, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), help="default: all")
    wanted = parser.parse_args().parts or list(PARTS)
    RUNS.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        found = PARTS[name]()
        (RUNS / f"{name}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        print(name, json.dumps(found), flush=True)
    there = {n: RUNS / f"{n}.json" for n in PARTS if (RUNS / f"{n}.json").is_file()}
    found = {n: json.loads(path.read_text(encoding="utf-8")) for n, path in there.items()}
    write_part("ratio", ratio_part(found))


if __name__ == "__main__":
    main()
