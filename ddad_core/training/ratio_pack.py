"""A_ratio beside modules A and B: the networks, their calibration and their card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ddad_core.evaluation.two_sample import TwoSampleTest
from ddad_core.ratio import RATIO, RATIO_FILE, mapping_by, pack_ratio
from ddad_core.registry import Model
from ddad_core.scoring import BatchScores, Extras, score_grey
from ddad_core.training.folder import file_facts, write_folder
from ddad_core.training.manifest import Manifest
from ddad_core.training.pack import check_new, map_displays, operating_point
from ddad_core.training.ratio_report import statement_of
from ddad_core.training.ratio_train import TrainedRatio
from ddad_core.vocabulary import map_of_score

ESTIMAND = "log p_u(x) / p_n(x); the score is the mean of the map"
WITHOUT_UNLABELED = "a_rec"
"""Judges where there is no difference between D_u and D_n to find: A_rec needs D_n alone."""


def pack_with_ratio(
    folder: Path,
    model: Model,
    calibration: np.ndarray,
    *,
    trained: TrainedRatio | None,
    test: TwoSampleTest | None,
    manifest: Manifest,
    shortcuts: dict[str, Any] | None = None,
    primary: str = "a_ratio",
    default_map: str = "",
    title: str = "",
) -> None:
    """Write a model anew with A_ratio; its modules and what it had stay as they are.

    Where no difference was found, the operating point is that of ``WITHOUT_UNLABELED`` whatever
    was asked for, and the card says so.

    Args:
        folder: ``weights/<name>`` of the new model; must not exist.
        model: The model as it is.
        calibration: Calibration normals, uint8 (N, S, S).
        trained: The networks, or None where D_u was too small to train any.
        test: Of held-apart scores, or None likewise.
        manifest: What D_n and D_u are, and no patient of the model's own test part in them.
        shortcuts: The shortcut report.
        primary: The score the operating point is stated for.
        default_map: The map a reader is shown first; that of the primary score if empty.
        title: For people; the model's own if empty.

    Raises:
        ModelError: The folder exists.
    """
    check_new(folder)
    raw = model.card.raw
    files = {name: (model.folder / name).read_bytes() for name in raw["files"]}
    files.pop(RATIO_FILE, None)
    networks = trained.networks if trained else ()
    found = score_grey(
        model.a,
        model.b,
        calibration,
        extras=Extras(model.refiners, model.places, mapping_by(networks)),
    )
    reference = {name: list(values) for name, values in raw["reference"]["scores"].items()}
    reference.pop("a_ratio", None)
    displays = dict(raw["maps"])
    if networks:
        files[RATIO_FILE] = pack_ratio(networks)
        reference["a_ratio"] = np.sort(found.scores["a_ratio"]).tolist()
        own = BatchScores({}, {RATIO: found.maps[RATIO]})
        displays |= map_displays(own, raw["network"])
    useful = test is not None and test.differ
    judged = primary if useful else WITHOUT_UNLABELED
    card = {
        **raw,
        "name": folder.name,
        "title": title or raw["title"],
        "files": file_facts(files),
        "reference": {**raw["reference"], "scores": reference},
        "maps": displays,
        "default_map": (default_map if useful else "") or map_of_score(judged),
        "operating_point": operating_point(judged, np.asarray(reference[judged])),
        "ratio": {
            "estimand": ESTIMAND,
            "statement": statement_of(test, len(manifest.role("unlabeled"))),
            "manifest": f"{manifest.name}.csv",
            "manifest_sha256": manifest.sha256,
            "counts": manifest.counts(),
            "two_sample": None if test is None else {**asdict(test), "differ": test.differ},
            "training": _training(trained),
            "shortcuts": shortcuts,
        },
        "evaluation": None,
    }
    write_folder(folder, files, card)


def _training(trained: TrainedRatio | None) -> dict[str, Any] | None:
    if trained is None:
        return None
    return {
        **asdict(trained.config),
        "seconds": round(trained.seconds, 1),
        "final_risk": {name: round(values[-1], 5) for name, values in trained.losses.items()},
    }
