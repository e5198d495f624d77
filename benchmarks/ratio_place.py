"""Where A_ratio points, and what a smaller receptive field would gain or lose: a part of ratio."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving import REPOSITORY
from ddad_core.card import estimate_to
from ddad_core.evaluation.localization import localize
from ddad_core.evaluation.metrics import auc_with_interval
from ddad_core.evaluation.regions import Box, read_boxes, regions_of_boxes
from ddad_core.imaging import read_radiograph_file
from ddad_core.imaging.geometry import to_network_grey
from ddad_core.ratio import BLOCKS, RatioNetwork
from ddad_core.registry import load_model
from ddad_core.scoring import Scorer
from ddad_core.training import ratio_report
from ddad_core.training.images import load_roles
from ddad_core.training.manifest import load_manifest
from ddad_core.training.matching import matching_weights
from ddad_core.training.ratio_train import RatioConfig, RatioSets, train_ratio

MODEL = "nih-ae-u"
MANIFEST = REPOSITORY / "data" / "manifests" / "nih-large.csv"
FRAME = (512, 512)
SAMPLES = 2000
SEES = (15, 31, 55, 87)
"""Pixels of 64 that a place of the map sees, by the number of blocks."""
CONFIG = RatioConfig(members=3, epochs=20)


def place(images: Path) -> dict[str, Any]:
    """Pointing of the shipped A_ratio against A_inter, and the same by receptive field.

    Args:
        images: The NIH images; the boxes are looked for in ``boxes.csv`` of its parent.
    """
    boxes = read_boxes(images.parent / "boxes.csv", frame=FRAME)
    size = CONFIG.size
    grey = np.stack([to_network_grey(read_radiograph_file(images / n), size) for n in boxes])
    marked = list(boxes.values())
    maps = Scorer(load_model(REPOSITORY / "weights" / MODEL), "cpu").scores(grey).maps
    hits = {name: _hits(maps[name], marked) for name in ("inter", "ratio")}
    shipped = localize({n: maps[n] for n in hits}, marked, frame=FRAME)
    return {
        "n": len(marked),
        "pointing": {name: estimate_to(found.pointing) for name, found in shipped.items()},
        "pixel_auc": {name: estimate_to(found.pixel_auc) for name, found in shipped.items()},
        "chance": shipped["ratio"].chance_pointing,
        "difference": _paired(hits["ratio"], hits["inter"]),
        "by_field": _by_field(images, grey, marked),
    }


def _hits(maps: np.ndarray, boxes: list[tuple[Box, ...]]) -> np.ndarray:
    """Whether each image's highest cell lies in a box, (N,)."""
    size = maps.shape[-1]
    inside = []
    for values, mine in zip(maps, boxes, strict=True):
        covered = np.any(regions_of_boxes(mine, frame=FRAME, size=size), axis=0)
        inside.append(bool(covered[values == values.max()].all()))
    return np.array(inside)


def _paired(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Difference of two shares over the same images, percentile bootstrap over images."""
    random = np.random.default_rng(0)
    gain = first.astype(float) - second
    drawn = gain[random.integers(0, len(gain), (SAMPLES, len(gain)))].mean(axis=1)
    return {"value": float(gain.mean()), "ci95": np.percentile(drawn, [2.5, 97.5]).tolist()}


def _by_field(images: Path, grey: np.ndarray, boxes: list[tuple[Box, ...]]) -> dict[str, Any]:
    """Networks of 1 to 4 blocks, trained alike: AUC off the test part, and pointing."""
    manifest = load_manifest(MANIFEST)
    roles = ("normal", "unlabeled", "calibration", "validation")
    loaded = load_roles(manifest, roles, images, CONFIG.size)
    normal, unlabeled = manifest.role("normal"), manifest.role("unlabeled")
    weights, _ = matching_weights(normal, unlabeled)
    sets = RatioSets.of_rows(normal, unlabeled, loaded["normal"], loaded["unlabeled"], weights)
    apart = np.concatenate([loaded["calibration"], loaded["validation"]])
    rows = [*manifest.role("calibration"), *manifest.role("validation")]
    labels = np.array([row.label for row in rows])
    found: dict[str, Any] = {"n": [int(np.sum(labels == 0)), int(np.sum(labels == 1))]}
    for blocks in range(1, len(BLOCKS) + 1):
        with tempfile.TemporaryDirectory() as run:
            make = partial(RatioNetwork, blocks=blocks)
            trained = train_ratio(CONFIG, sets, run=Path(run), make=make)
        told = ratio_report.difference_test(trained, normal, unlabeled)
        scores = ratio_report.scores_of(trained.networks, apart)
        maps = ratio_report.maps_of(trained.networks, grey).numpy()
        pointing = localize({"ratio": maps}, boxes, frame=FRAME)["ratio"]
        found[str(SEES[blocks - 1])] = {
            "auc": estimate_to(auc_with_interval(labels, scores)),
            "held_apart": told.auc,
            "pointing": estimate_to(pointing.pointing),
            "pixel_auc": estimate_to(pointing.pixel_auc),
        }
        print(blocks, found[str(SEES[blocks - 1])], flush=True)
    return found
