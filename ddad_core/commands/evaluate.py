"""`ddad evaluate`."""

from __future__ import annotations

import math
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddad_core.card import Card
from ddad_core.commands.output import write_json
from ddad_core.errors import ManifestError, ModelError, RequestError
from ddad_core.evaluation import report
from ddad_core.vocabulary import SCORE_TITLES

if TYPE_CHECKING:
    from ddad_core.training.manifest import Manifest


def run(arguments: Namespace) -> int:
    """`ddad evaluate`."""
    from ddad_core.registry import load_model
    from ddad_core.scoring import Scorer
    from ddad_core.training.images import load_roles
    from ddad_core.training.pack import add_evaluation

    model = load_model(arguments.weights / arguments.model)
    data = _manifest(arguments, model.card)
    path = data.path or Path(data.name)
    rows = data.role(arguments.role)
    if not rows:
        problem = f"{path} has no {arguments.role} images."
        raise ManifestError(problem, "Give a manifest with that part.")
    _check_write_card(arguments, model.card, data)
    scorer = Scorer(model, arguments.device)
    grey = load_roles(data, [arguments.role], arguments.images, model.card.input_size)
    found = scorer.scores(grey[arguments.role])
    result = report.evaluate(
        np.array([row.label for row in rows]),
        found.scores,
        primary=model.card.primary,
        threshold=model.card.operating_point.threshold,
        strata=np.array([row.view for row in rows]),
    )
    if arguments.json:
        write_json(arguments.json, _figures(result))
    if arguments.write_card:
        add_evaluation(arguments.weights / arguments.model, result, data)
    _print_evaluation(model.card, result, f"{path.name}, {arguments.role} part")
    return 0


def _manifest(arguments: Namespace, card: Card) -> Manifest:
    """The manifest that was given, or the model's own."""
    from ddad_core.training.manifest import load_model_manifest

    own = card.raw["data"]
    data = load_model_manifest(arguments.manifest, own, arguments.manifests)
    if data.sha256 != own["manifest_sha256"]:
        print(
            f"Note: {arguments.manifest} is not the manifest {card.name} was trained with; make "
            "sure that none of its images or patients were used for training.",
            file=sys.stderr,
        )
    return data


def _figures(result: report.Evaluation) -> dict[str, Any]:
    figures = asdict(result)
    for test in figures["delong"].values():
        if not math.isfinite(test["z"]):
            test["z"] = None  # JSON knows no infinity
    return figures


def _check_write_card(arguments: Namespace, card: Card, data: Manifest) -> None:
    if not arguments.write_card:
        return
    if data.sha256 != card.raw["data"]["manifest_sha256"] or arguments.role != "test":
        problem = "A card states figures of the test part of the model's own manifest only."
        raise RequestError(problem, "Leave --write-card out, and use --json.")
    if card.raw.get("evaluation"):
        problem = f"The card of {card.name} already states an evaluation."
        raise ModelError(problem, "Leave --write-card out, and use --json.")


def _print_evaluation(card: Card, result: report.Evaluation, part: str) -> None:
    n = result.n_normal + result.n_abnormal
    share = f"a useless score: {result.n_abnormal / n:.3f}"
    print(f"{card.name} on {part}: {result.n_normal} normal, {result.n_abnormal} abnormal")
    for heading, figures in (
        ("AUC", result.auc),
        (f"Average precision ({share})", result.average_precision),
        (f"Sensitivity at specificity {report.SPECIFICITY:g}", result.sensitivity),
    ):
        print(f"{heading}, with 95 % CI (stratified bootstrap)")
        for name, estimate in figures.items():
            print(f"  {SCORE_TITLES[name]:36} {estimate}")
    print("AUC less that of A_rec (ensemble), DeLong's paired test")
    for name, test in result.delong.items():
        print(f"  {SCORE_TITLES[name]:36} {test}")
    print(f"  {'A_inter less A_rec, bootstrap':36} {result.inter_minus_rec}")
    title = SCORE_TITLES[card.primary]
    for name, (normal, abnormal, estimate) in result.by_stratum.items():
        print(f"  {f'{title} within {name} ({normal} + {abnormal})':36} {estimate}")
    counts = result.at_threshold
    print(f"At {card.primary} >= {result.threshold:g} (95 % CI Clopper-Pearson)")
    print(f"  {'sensitivity':36} {counts.sensitivity}")
    print(f"  {'specificity':36} {counts.specificity}")
    print(result.statement)
