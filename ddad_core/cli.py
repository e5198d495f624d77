"""`ddad`: its commands and their options; what each does lies in ``ddad_core.commands``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ddad_core.commands import (
    calibrate,
    evaluate,
    experiment,
    export,
    familiarity,
    localize,
    manifest,
    models,
    render,
    score,
    train,
)
from ddad_core.errors import DdadError
from ddad_core.vocabulary import MAP_TITLES, SCORE_TITLES

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
    _add_calibrate(sub)
    _add_familiarity(sub)
    _add_evaluate(sub)
    _add_localize(sub)
    _add_experiment(sub)
    _add_score(sub)
    _add_render(sub)
    _add_models(sub)
    _add_export(sub)
    return parser


def _add_models(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser("models", help="list the models, their population and figures")
    _weights_option(parser)
    parser.set_defaults(command=models.run)


def _add_manifest(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser("manifest", help="describe a data set as a manifest")
    parser.add_argument("kind", choices=manifest.PUBLISHED + manifest.OWN)
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument("--out", type=Path, required=True, help="CSV file to write")
    number = {"type": int, "metavar": "N"}
    parser.add_argument("--unlabeled", **number, help="size of D_u, 0 for none (published: 4000)")
    parser.add_argument(
        "--anomaly-rate", type=float, metavar="R", help="abnormal share of D_u (default: 0.6)"
    )
    own = parser.add_argument_group("kermany, nih, folder")
    own.add_argument("--normal", **number, help="size of D_n")
    own.add_argument("--seed", type=int, help="decides who goes where (default: 2022)")
    own.add_argument("--labels", type=Path, help="nih: labels.csv")
    own.add_argument("--boxes", type=Path, help="nih: boxes.csv, left out with its patients")
    own.add_argument("--leave-out", nargs="*", metavar="PATIENT", help="nih: patients to leave out")
    published = parser.add_argument_group("rsna, vinbigdata: parts that were not published")
    published.add_argument(
        "--calibration", **number, help="normals that D_u leaves over (default: 500)"
    )
    published.add_argument(
        "--validation", **number, help="normals and abnormals that D_u leaves over (default: 150)"
    )
    for part in ("calibration", "validation"):
        published.add_argument(
            f"--{part}-from-normal", **number, help=f"hold back N of D_n for {part}"
        )
    published.add_argument(
        "--missing", type=Path, help="where to list missing files (default: beside --out)"
    )
    parser.set_defaults(command=manifest.run, manifests=DEFAULT_MANIFESTS)


def _add_train(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser("train", help="train modules A and B and pack a calibrated model")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="folder the paths start from")
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--title", default="", help="of the model, for people")
    parser.add_argument(
        "--network",
        default="ae-u",
        choices=("ae", "ae-u", "memae", "ratio"),
        help="ratio: add A_ratio to the model given with --beside",
    )
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help="model that gets A_ratio")
    parser.add_argument(
        "--size", type=int, help="side of the input, times 16 (64; A_ratio: the model's own)"
    )
    parser.add_argument("--members", type=int, help="K, networks a module, 3; of A_ratio 5")
    parser.add_argument("--epochs", type=int, help="250, of A_ratio 25")
    parser.add_argument("--batch-size", type=int, help="64, of A_ratio 32 of each set")
    parser.add_argument("--learning-rate", type=float, help="5e-4, of A_ratio 4e-3")
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument(
        "--refine",
        type=_epochs,
        nargs="?",
        const=100,
        default=0,
        metavar="EPOCHS",
        help="also train R_dual and R_intra (100 epochs unless given)",
    )
    _calibration_options(parser)
    parser.add_argument("--run", type=Path, help="checkpoint folder (default: runs/NAME)")
    _weights_option(parser)
    _device_option(parser)
    parser.set_defaults(command=train.run)


def _epochs(text: str) -> int:
    """A whole number of epochs, 1 or more."""
    epochs = int(text)
    if epochs < 1:
        message = f"{text} is not 1 or more"
        raise argparse.ArgumentTypeError(message)
    return epochs


def _add_calibrate(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser("calibrate", help="write a model anew with another calibration")
    parser.add_argument("model", help="name of a model, calibrated or not")
    parser.add_argument("--name", required=True, help="of the new model")
    parser.add_argument("--images", type=Path, required=True, help="folder the paths start from")
    parser.add_argument("--manifest", type=Path, help="default: the card's own")
    _calibration_options(parser)
    parser.set_defaults(manifests=DEFAULT_MANIFESTS)
    _weights_option(parser)
    parser.set_defaults(command=calibrate.run)


def _add_familiarity(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser(
        "familiarity", help="teach a model which pictures are unlike its training normals"
    )
    parser.add_argument("model", help="name of a model")
    parser.add_argument("--images", type=Path, required=True, help="folder the paths start from")
    parser.add_argument("--manifest", type=Path, help="default: the card's own")
    parser.add_argument(
        "--measure", action="store_true", help="state its rates on the test part in the card"
    )
    parser.add_argument(
        "--other",
        nargs=2,
        action="append",
        metavar=("MANIFEST", "FOLDER"),
        help="also count false alarms on the test part of another data set",
    )
    parser.set_defaults(manifests=DEFAULT_MANIFESTS, command=familiarity.run)
    _weights_option(parser)


def _calibration_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--primary", choices=tuple(SCORE_TITLES), help="score that judges (a_inter, or a_ratio)"
    )
    parser.add_argument(
        "--default-map", default="", choices=("", *MAP_TITLES), help="map shown first"
    )


def _add_evaluate(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser("evaluate", help="measure a model on a manifest's test part")
    parser.add_argument("model", help="name of a model")
    parser.add_argument("--images", type=Path, required=True, help="folder the paths start from")
    parser.add_argument(
        "--manifest", type=Path, help=f"default: the card's own, from {DEFAULT_MANIFESTS}"
    )
    parser.add_argument("--role", default="test", choices=("test", "validation"))
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument(
        "--write-card", action="store_true", help="state the figures in a card that has none yet"
    )
    parser.set_defaults(manifests=DEFAULT_MANIFESTS)
    _weights_option(parser)
    _device_option(parser)
    parser.set_defaults(command=evaluate.run)


def _add_localize(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser("localize", help="measure how well a model's maps find boxed findings")
    parser.add_argument("model", help="name of a model")
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    findings = parser.add_mutually_exclusive_group(required=True)
    findings.add_argument("--boxes", type=Path, help="CSV: image, finding, x, y, width, height")
    findings.add_argument("--masks", type=Path, help="folder of PNG masks named like the images")
    parser.add_argument(
        "--frame", type=int, default=512, help="side in pixels of the images the boxes are drawn on"
    )
    parser.add_argument(
        "--normals",
        default="none",
        choices=("none", "calibration", "validation", "test"),
        help="count false regions on the normal images of this part of the manifest",
    )
    parser.add_argument(
        "--manifest", type=Path, help=f"default: the card's own, from {DEFAULT_MANIFESTS}"
    )
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.set_defaults(manifests=DEFAULT_MANIFESTS, command=localize.run)
    _weights_option(parser)
    _device_option(parser)


def _add_experiment(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser(
        "experiment", help="train and measure a table of networks, seeds and sweeps, with a report"
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.yaml")
    parser.add_argument("--images", type=Path, help="folder the manifest's paths start from")
    parser.add_argument("--out", type=Path, help="folder of the cells and the report")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--seeds", type=_seed, nargs="+", metavar="SEED")
    parser.add_argument("--check", action="store_true", help="check all, list the cells and stop")
    parser.set_defaults(command=experiment.run)


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        message = f"a seed of {seed}"
        raise argparse.ArgumentTypeError(message)
    return seed


def _add_score(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser("score", help="score files, folders and ZIP archives, one row a file")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--model", help="default: by the patient's age, else nih-ae-u")
    parser.add_argument("--output", type=Path, help="FILE.csv, .json or .parquet (default: stdout)")
    parser.add_argument("--workers", type=_whole, help="processes that read (default: all cores)")
    _weights_option(parser)
    _device_option(parser)
    parser.set_defaults(command=score.run)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:5]) <= 256):
        message = f"{text!r} is not a whole number from 1 to 256"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _add_render(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser("render", help="write the picture the viewer shows by default")
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--map", choices=tuple(MAP_TITLES), help="default: the model's own")
    parser.add_argument("--model", help="default: by the patient's age, else nih-ae-u")
    _weights_option(parser)
    _device_option(parser)
    parser.set_defaults(command=render.run)


def _add_export(sub: argparse._SubParsersAction) -> None:
    parser = sub.add_parser("export", help="write a model as one ONNX file, checked")
    parser.add_argument("model", help="name of a model")
    parser.add_argument("--onnx", type=Path, required=True, help="ONNX file to write")
    _weights_option(parser)
    parser.set_defaults(command=export.run)


def _weights_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", type=Path, default=DEFAULT_WEIGHTS, help="folder of the models"
    )


def _device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))


if __name__ == "__main__":
    sys.exit(main())
