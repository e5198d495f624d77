"""A model as one ONNX file that other programs can run, checked before it is given away.

The graph takes what ``to_network_grey`` makes and gives maps and scores: normalisation, all
networks of both modules and the discrepancies are inside.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ddad_core.card import Card
from ddad_core.discrepancy import discrepancy_maps, image_scores
from ddad_core.ensemble import Ensemble
from ddad_core.errors import ModelError, RequestError
from ddad_core.inference.folding import fold_ensemble
from ddad_core.inference.parity import TOLERANCE, largest_difference, plausible_grey
from ddad_core.registry import Model
from ddad_core.scoring import MAP_NAMES, SCORE_NAMES, score_grey
from ddad_core.training.pack import PRIMARY, operating_point

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18
INPUT = "images"
CHECKED_IMAGES = 16


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: The file.
        size: Bytes.
        difference: Largest relative difference of a score from the modules' own.
        images: Made-up images it was checked on.
    """

    path: Path
    size: int
    difference: float
    images: int


class ScoringGraph(nn.Module):
    """Grey values in, maps and scores out, as one module."""

    def __init__(self, a: Ensemble, b: Ensemble) -> None:
        super().__init__()
        self.a, self.b = a, b

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Score uint8 (B, S, S): maps (B, S, S) and scores (B,) in the order of the names."""
        grey = (images.float() / 255.0 - 0.5) / 0.5
        batch = grey.unsqueeze(1)  # (B, 1, S, S)
        maps = discrepancy_maps(batch, self.a(batch), self.b(batch))
        scores = image_scores(maps)
        return (*(getattr(maps, n) for n in MAP_NAMES), *(scores[n] for n in SCORE_NAMES))


def export_onnx(model: Model, path: Path) -> Exported:
    """Write a model as ONNX after holding its scores against the modules' own.

    Args:
        model: From the registry, on the CPU.
        path: File to write; an older one is replaced, and only by a whole and checked one.

    Raises:
        RequestError: A package is not installed, or the file cannot be written.
        ModelError: ONNX Runtime's scores of the graph differ by more than 1e-4.
    """
    _check_packages()
    if not path.parent.is_dir() or path.is_dir():
        problem = f"{path} cannot be written: its folder is missing, or it is a folder."
        raise RequestError(problem, "Give another --onnx.")
    data = _described(_traced(model), model.card).SerializeToString()
    difference = _difference(model, data)
    if not difference <= TOLERANCE:
        problem = (
            f"The exported graph of {model.card.name} was not written: its scores differ from the "
            f"model's by {difference:.0e}, more than {TOLERANCE:.0e}."
        )
        raise ModelError(problem, "Install the pinned versions with `pip install '.[onnx]'`.")
    _write(path, data)
    return Exported(path, len(data), difference, CHECKED_IMAGES)


def metadata(card: Card) -> dict[str, str]:
    """What the file says of itself (ONNX metadata_props), every value a string."""
    point = card.raw["operating_point"]
    if point["score"] not in SCORE_NAMES:  # a threshold of what the graph does not give is no use
        point = operating_point(PRIMARY, card.reference.of_score(PRIMARY))
    essentials = {
        "title": card.title,
        "network": card.network,
        "members": card.members,
        "input_size": card.input_size,
        "population": card.raw["population"],
        "use": card.raw["use"],
        "operating_point": {name: point[name] for name in ("score", "threshold", "policy")},
        "licence": card.raw["data"].get("licence", "not stated"),
    }
    return {
        "model": card.name,
        "model_hash": card.model_hash,
        "pixels": card.pixels,
        "card": json.dumps(essentials, ensure_ascii=False),
    }


def _check_packages() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        problem = f"Exporting needs {' and '.join(missing)}, not installed."
        raise RequestError(problem, "Run `pip install '.[onnx]'`.")


def _traced(model: Model) -> onnx.ModelProto:
    size = model.card.input_size
    graph = ScoringGraph(fold_ensemble(model.a), fold_ensemble(model.b)).eval()
    with _quiet():
        program = torch.onnx.export(
            graph,
            (torch.from_numpy(plausible_grey(2, size)),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[*MAP_NAMES, *SCORE_NAMES],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _described(proto: onnx.ModelProto, card: Card) -> onnx.ModelProto:
    from onnx import helper  # noqa: PLC0415

    proto.producer_name = "ddad"
    proto.doc_string = f"{card.title}. {card.raw['use']}"
    helper.set_model_props(proto, metadata(card))
    return proto


def _difference(model: Model, data: bytes) -> float:
    """The largest relative difference of ONNX Runtime's scores, one image and many at once."""
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    worst = 0.0
    for n in (1, CHECKED_IMAGES):
        grey = plausible_grey(n, model.card.input_size)
        outs = session.run(list(SCORE_NAMES), {INPUT: grey})
        found = {k: np.asarray(v, np.float64) for k, v in zip(SCORE_NAMES, outs, strict=True)}
        worst = max(worst, largest_difference(found, score_grey(model.a, model.b, grey).scores))
    return worst


def _write(path: Path, data: bytes) -> None:
    """Write beside the file and move there, so that no half file is left."""
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
            whole = Path(folder) / path.name
            whole.write_bytes(data)
            whole.replace(path)
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror}."
        raise RequestError(problem, "Give another --onnx.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own packages from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
