"""What each `ddad` command does. Torch is imported only by those that need it."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ddad_core.card import Card, choose_card, estimate_from, list_cards, load_card
from ddad_core.errors import ManifestError, ModelError, RequestError, TrainingError
from ddad_core.evaluation import report

if TYPE_CHECKING:
    from ddad_core.training.manifest import Manifest

EXIT_REFUSED = 3


def manifest(arguments: Namespace) -> int:
    """`ddad manifest`."""
    from ddad_core.training import partition
    from ddad_core.training.manifest import save_manifest

    if arguments.kind == "nih":
        if arguments.labels is None:
            problem = "The NIH set needs its labels."
            raise RequestError(problem, "Give --labels labels.csv.")
        built = partition.build_nih(
            arguments.images,
            seed=arguments.seed,
            labels=arguments.labels,
            boxes=arguments.boxes,
            left_out=arguments.leave_out,
        )
    else:
        build = {"kermany": partition.build_kermany, "folder": partition.build_folder}
        built = build[arguments.kind](arguments.images, seed=arguments.seed)
    save_manifest(built, arguments.out)
    for role, counts in built.counts().items():
        print(f"{role:12} " + ", ".join(f"{n} {label}" for label, n in counts.items()))
    return 0


def train(arguments: Namespace) -> int:
    """`ddad train`."""
    from ddad_core.scoring import resolve_device
    from ddad_core.training import images, loop, pack
    from ddad_core.training.manifest import load_manifest

    folder = arguments.weights / arguments.name
    if folder.exists():
        problem = f"{folder} exists, and a model is never edited in place."
        raise ModelError(problem, "Give another --name, or remove the folder yourself.")
    config = loop.TrainingConfig(
        network=arguments.network,
        size=arguments.size,
        members=arguments.members,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
    )
    if config.members < 2:
        problem = f"--members is {config.members}; one network alone has no A_intra."
        raise TrainingError(problem, "Train 2 or more networks a module; the method has 3.")
    data = load_manifest(arguments.manifest)
    device = resolve_device(arguments.device)
    parts = ("normal", "unlabeled", "calibration")
    for part in parts:
        if not data.role(part):
            problem = f"{arguments.manifest} has no {part} images."
            raise ManifestError(problem, "Training needs normal, unlabeled and calibration rows.")
        images.check_files(data.role(part), arguments.images)
    grey = {p: images.load_grey(data.role(p), arguments.images, config.size) for p in parts}
    trained = loop.train(
        config,
        grey["normal"],
        grey["unlabeled"],
        run=arguments.run or Path("runs") / arguments.name,
        device=device,
    )
    pack.pack_model(
        folder,
        config=config,
        trained=trained,
        manifest=data,
        calibration=grey["calibration"],
        title=arguments.title,
    )
    print(f"{folder}: trained in {trained.seconds:.0f} s and calibrated.")
    print(f"Measure it: ddad evaluate {arguments.name} --images {arguments.images} --write-card")
    return 0


def evaluate(arguments: Namespace) -> int:
    """`ddad evaluate`."""
    from ddad_core.registry import load_model
    from ddad_core.scoring import resolve_device, score_grey
    from ddad_core.training.images import load_grey
    from ddad_core.training.manifest import load_manifest
    from ddad_core.training.pack import add_evaluation

    model = load_model(arguments.weights / arguments.model)
    path = arguments.manifest or arguments.manifests / model.card.raw["data"]["manifest"]
    data = load_manifest(path)
    rows = data.role(arguments.role)
    if not rows:
        problem = f"{path} has no {arguments.role} images."
        raise ManifestError(problem, "Give a manifest with that part.")
    _check_write_card(arguments, model.card, data)
    device = resolve_device(arguments.device)
    grey = load_grey(rows, arguments.images, model.card.input_size)
    found = score_grey(model.a.to(device), model.b.to(device), grey, device=device)
    result = report.evaluate(
        np.array([row.label for row in rows]),
        found.scores,
        primary=model.card.primary,
        threshold=model.card.operating_point.threshold,
        strata=np.array([row.view for row in rows]),
    )
    if arguments.json:
        _write_json(arguments.json, asdict(result))
    if arguments.write_card:
        add_evaluation(arguments.weights / arguments.model, result, data)
    _print_evaluation(model.card, result, f"{path.name}, {arguments.role} part")
    return 0


def _write_json(path: Path, values: object) -> None:
    try:
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror}."
        raise RequestError(problem, "Give another --json.") from error


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
    print(f"{card.name} on {part}: {result.n_normal} normal, {result.n_abnormal} abnormal")
    print("AUC with 95 % CI (stratified bootstrap)")
    for name, title in report.SCORE_TITLES.items():
        print(f"  {title:36} {result.auc[name]}")
    print(f"  {'A_inter less A_rec (ensemble)':36} {result.inter_minus_rec}")
    for name, (normal, abnormal, estimate) in result.by_stratum.items():
        print(f"  {f'A_inter within {name} ({normal} + {abnormal})':36} {estimate}")
    counts = result.at_threshold
    print(f"At {card.primary} >= {result.threshold:g} (95 % CI Clopper-Pearson)")
    print(f"  {'sensitivity':36} {counts.sensitivity}")
    print(f"  {'specificity':36} {counts.specificity}")
    print(result.statement)


def score(arguments: Namespace) -> int:
    """`ddad score`."""
    from ddad_core import scorefiles

    rows = scorefiles.score_paths(
        arguments.paths,
        weights=arguments.weights,
        model=arguments.model,
        device=arguments.device,
        output=arguments.output,
    )
    outcomes = [row["status"] for row in rows]
    counts = ", ".join(f"{outcomes.count(s)} {s}" for s in scorefiles.STATUSES)
    print(f"{len(rows)} files: {counts}", file=sys.stderr)
    return EXIT_REFUSED if "refused" in outcomes else 0


def render(arguments: Namespace) -> int:
    """`ddad render`."""
    import cv2

    from ddad_core.imaging import read_radiograph_file
    from ddad_core.overlay import render_overlay
    from ddad_core.registry import load_model
    from ddad_core.scoring import Scorer

    if not arguments.file.is_file():
        problem = f"There is no file {arguments.file}."
        raise RequestError(problem, "Check the path.")
    radiograph = read_radiograph_file(arguments.file)
    if arguments.model:
        card = load_card(arguments.weights / arguments.model)
    else:
        card = choose_card(list_cards(arguments.weights), radiograph.facts.age_years)
    scorer = Scorer(load_model(arguments.weights / card.name), arguments.device)
    result = scorer.score(radiograph)
    display = card.maps[arguments.map]
    picture = render_overlay(
        radiograph,
        result.maps[arguments.map],
        threshold=display.threshold,
        maximum=display.maximum,
    )
    done, data = cv2.imencode(".png", picture[:, :, ::-1])
    assert done
    try:
        arguments.out.write_bytes(data.tobytes())
    except OSError as error:
        problem = f"{arguments.out} cannot be written: {error.strerror}."
        raise RequestError(problem, "Give another --out.") from error
    print(
        f"{arguments.out}: A_{arguments.map} by {card.name}, painted from {display.threshold:g} "
        f"{display.unit}; {card.primary} {result.score:.4g}, percentile "
        f"{result.percentile:.0f} among {card.reference.n} calibration normals"
    )
    return 0


def models(arguments: Namespace) -> int:
    """`ddad models`."""
    for card in list_cards(arguments.weights):
        point = card.operating_point
        print(f"{card.name}: {card.title}")
        print(f"  population       {card.population.description}")
        print(
            f"  networks         {card.members} + {card.members} {card.network}, "
            f"{card.input_size} x {card.input_size}"
        )
        print(
            f"  operating point  {point.score} >= {point.threshold:g}: {point.policy}; "
            f"flags {point.flagged} of {point.n}, rate {point.rate}"
        )
        evaluation = card.raw.get("evaluation")
        if evaluation:
            n = f"{evaluation['n_normal']} normal + {evaluation['n_abnormal']} abnormal"
            print(f"  test part        {n}; AUC with 95 % CI")
            for name, title in report.SCORE_TITLES.items():
                print(f"    {title:36} {estimate_from(evaluation['auc'][name])}")
            print(f"  {evaluation['statement']}")
        else:
            print("  test part        not measured")
        print(f"  use              {card.raw['use']}")
    return 0
