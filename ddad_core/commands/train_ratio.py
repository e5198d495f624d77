"""`ddad train --network ratio`: A_ratio beside the modules of a model there is."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddad_core.errors import ModelError, TrainingError


def run(arguments: Namespace, given: Mapping[str, Any]) -> int:
    """Train the networks of A_ratio and write the model anew with them.

    Args:
        arguments: Of `ddad train`.
        given: Hyperparameters that are not left to their defaults.
    """
    from ddad_core.evaluation.two_sample import LEAST
    from ddad_core.registry import load_model
    from ddad_core.training import images, ratio_pack, ratio_report, ratio_train
    from ddad_core.training.manifest import load_manifest
    from ddad_core.training.matching import matching_weights

    folder = arguments.weights / arguments.name
    if arguments.beside is None:
        problem = "A_ratio stands beside A_inter and A_intra of a model there is."
        raise TrainingError(problem, "Give its folder with --beside, or train one first.")
    if folder.exists():
        problem = f"{folder} exists, and a model is never edited in place."
        raise ModelError(problem, "Give another --name or --weights, or remove it yourself.")
    model = load_model(arguments.beside)
    size = model.card.input_size
    if given.get("size", size) != size:
        problem = f"The model's input has a side of {size}, and A_ratio sees the same."
        raise TrainingError(problem, "Leave --size out.")
    config = ratio_train.RatioConfig(**{**given, "size": size})
    data = load_manifest(arguments.manifest)
    there = [role for role in ("unlabeled", "validation", "test") if data.role(role)]
    # The other parts are read, too, so that a picture under two roles is noticed; then dropped.
    loaded = images.load_roles(data, ("normal", "calibration", *there), arguments.images, size)
    normal, unlabeled = data.role("normal"), data.role("unlabeled")
    trained = test = shortcuts = None
    if min(len(normal), len(unlabeled)) >= LEAST:
        weights, matched = matching_weights(normal, unlabeled)
        sets = ratio_train.RatioSets.of_rows(
            normal, unlabeled, loaded["normal"], loaded["unlabeled"], weights
        )
        calibration = loaded["calibration"]
        del loaded["normal"]
        trained = ratio_train.train_ratio(
            config, sets, run=arguments.run or Path("runs") / arguments.name
        )
        test = ratio_report.difference_test(trained, normal, unlabeled)
        shortcuts = ratio_report.shortcut_report(
            trained, normal, unlabeled, sets.unlabeled, calibration, matched
        )
    ratio_pack.pack_with_ratio(
        folder,
        model,
        loaded["calibration"],
        trained=trained,
        test=test,
        manifest=data,
        shortcuts=shortcuts,
        primary=arguments.primary or "a_ratio",
        default_map=arguments.default_map,
        title=arguments.title,
    )
    print(ratio_report.statement_of(test, len(unlabeled)))
    seconds = f"trained in {trained.seconds:.0f} s of one core and " if trained else ""
    print(f"{folder}: {seconds}calibrated.")
    places = f"--images {arguments.images} --manifest {arguments.manifest}"
    print(f"Measure it: ddad evaluate {arguments.name} {places} --weights {arguments.weights}")
    return 0
