"""`ddad`: manifest, train, evaluate, score, render, models."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ddad_core import commands
from ddad_core.errors import DdadError

EXIT_ERROR = 1
REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_WEIGHTS = REPOSITORY / "weights"
DEFAULT_MANIFESTS = REPOSITORY / "data" / "manifests"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 success; 1 an error, told in one sentence; 2 wrong usage; 3 a file was refused (`score`).
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except DdadError as error:
        print(f"ddad: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("ddad: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ddad", description="Dual-distribution discrepancy for chest X-rays."
    )
    sub = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_manifest(sub)
    _add_train(sub)
    _add_evaluate(sub)
    _add_score(sub)
    _add_render(sub)
    models = sub.add_parser("models", help="list the models, their population and figures")
    _weights_option(models)
    models.set_defaults(command=commands.models)
    return parser


def _add_manifest(sub: argparse._SubParsersAction) -> None:
    manifest = sub.add_parser("manifest", help="describe a data set as a manifest")
    manifest.add_argument("kind", choices=("kermany", "nih", "folder"))
    manifest.add_argument("--images", type=Path, required=True, help="folder of the images")
    manifest.add_argument("--out", type=Path, required=True, help="CSV file to write")
    manifest.add_argument("--labels", type=Path, help="nih: labels.csv")
    manifest.add_argument("--boxes", type=Path, help="nih: boxes.csv, left out with its patients")
    manifest.add_argument(
        "--leave-out", nargs="*", default=[], metavar="PATIENT", help="nih: patients to leave out"
    )
    manifest.add_argument("--seed", type=int, default=2022, help="decides who goes where")
    manifest.set_defaults(command=commands.manifest)


def _add_train(sub: argparse._SubParsersAction) -> None:
    train = sub.add_parser("train", help="train modules A and B and pack a calibrated model")
    train.add_argument("manifest", type=Path)
    train.add_argument("--images", type=Path, required=True, help="folder the paths start from")
    train.add_argument("--name", required=True, help="of the model")
    train.add_argument("--title", default="", help="of the model, for people")
    train.add_argument("--network", default="ae-u", choices=("ae", "ae-u", "memae"))
    train.add_argument("--size", type=int, default=64, help="side of the input, times 16")
    train.add_argument("--members", type=int, default=3, help="K, networks a module")
    train.add_argument("--epochs", type=int, default=250)
    train.add_argument("--batch-size", type=int, default=64)
    train.add_argument("--learning-rate", type=float, default=5e-4)
    train.add_argument("--seed", type=int, default=2022)
    train.add_argument("--run", type=Path, help="checkpoint folder (default: runs/NAME)")
    _weights_option(train)
    _device_option(train)
    train.set_defaults(command=commands.train)


def _add_evaluate(sub: argparse._SubParsersAction) -> None:
    evaluate = sub.add_parser("evaluate", help="measure a model on a manifest's test part")
    evaluate.add_argument("model", help="name of a model")
    evaluate.add_argument("--images", type=Path, required=True, help="folder the paths start from")
    evaluate.add_argument(
        "--manifest", type=Path, help=f"default: the card's own, from {DEFAULT_MANIFESTS}"
    )
    evaluate.add_argument("--role", default="test", choices=("test", "validation"))
    evaluate.add_argument("--json", type=Path, help="write the figures here, too")
    evaluate.add_argument(
        "--write-card", action="store_true", help="state the figures in a card that has none yet"
    )
    evaluate.set_defaults(manifests=DEFAULT_MANIFESTS)
    _weights_option(evaluate)
    _device_option(evaluate)
    evaluate.set_defaults(command=commands.evaluate)


def _add_score(sub: argparse._SubParsersAction) -> None:
    score = sub.add_parser("score", help="score files and folders, one row a file")
    score.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    score.add_argument("--model", help="default: by the patient's age, else nih-ae-u")
    score.add_argument("--output", type=Path, help="FILE.csv, .json or .parquet (default: stdout)")
    _weights_option(score)
    _device_option(score)
    score.set_defaults(command=commands.score)


def _add_render(sub: argparse._SubParsersAction) -> None:
    render = sub.add_parser("render", help="write the picture the viewer shows by default")
    render.add_argument("file", type=Path)
    render.add_argument("--out", type=Path, required=True, help="PNG file to write")
    render.add_argument("--map", default="inter", choices=("inter", "intra", "rec"))
    render.add_argument("--model", help="default: by the patient's age, else nih-ae-u")
    _weights_option(render)
    _device_option(render)
    render.set_defaults(command=commands.render)


def _weights_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", type=Path, default=DEFAULT_WEIGHTS, help="folder of the models"
    )


def _device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))


if __name__ == "__main__":
    sys.exit(main())
