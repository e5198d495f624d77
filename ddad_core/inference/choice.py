"""The engine for a model on this machine: the first of a fixed order that keeps the scores.

The order is fixed, not timed at each start, so that a machine gives the same scores to the bit
today and tomorrow. It was measured on two x86 cores with three AE-U networks a module; docs/
results.md has the figures. torch.compile is not in it: on a CPU it takes most of a minute to
compile and gains nothing, on CUDA a recorded graph has its gain without the wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch

from ddad_core.ensemble import Ensemble
from ddad_core.errors import ModelError
from ddad_core.imaging.geometry import normalise
from ddad_core.inference.engines import (
    CudaGraphEngine,
    EagerEngine,
    EagerRatio,
    Engine,
    FoldedEngine,
    FoldedRatio,
    RatioEngine,
)
from ddad_core.inference.parity import TOLERANCE, largest_difference, plausible_grey, scores_by
from ddad_core.inference.runtimes import OnnxRuntimeEngine, OnnxRuntimeRatio, OpenVinoEngine
from ddad_core.ratio import RatioNetwork, pooled

PARITY_IMAGES = 3

Maker = Callable[[Ensemble, Ensemble, int, torch.device], Engine]


@dataclass(frozen=True)
class Candidate:
    """An engine that could be made.

    Attributes:
        devices: Kinds of device it runs on.
        make: From modules A and B, S and the device.
        packages: What it needs beside torch.
        extra: The optional dependencies that bring them.
    """

    devices: tuple[str, ...]
    make: Maker
    packages: tuple[str, ...] = ()
    extra: str = ""

    def lacks(self, device: torch.device) -> str:
        """Why it cannot be made here, in words, or an empty string."""
        if device.type not in self.devices:
            return f"it does not run on {device.type}"
        missing = [package for package in self.packages if find_spec(package) is None]
        return f"{' and '.join(missing)} not installed" if missing else ""


ENGINES: dict[str, Candidate] = {
    "cuda-graph": Candidate(("cuda",), lambda a, b, s, d: CudaGraphEngine(a, b, d, s)),
    "onnxruntime": Candidate(
        ("cpu",), lambda a, b, s, _: OnnxRuntimeEngine(a, b, s), ("onnx", "onnxruntime"), "onnx"
    ),
    "openvino": Candidate(
        ("cpu",), lambda a, b, s, _: OpenVinoEngine(a, b, s), ("onnx", "openvino"), "openvino"
    ),
    "folded": Candidate(("cpu", "cuda"), lambda a, b, _, d: FoldedEngine(a, b, d)),
    "eager": Candidate(("cpu", "cuda"), lambda a, b, _, d: EagerEngine(a, b, d)),
}
"""Fastest first; the last is the reference itself and always there."""


RATIO_ENGINES: dict[str, Callable[[Sequence[RatioNetwork], torch.device], RatioEngine]] = {
    "onnxruntime": lambda networks, _: OnnxRuntimeRatio(networks),
    "folded": FoldedRatio,
    "eager": EagerRatio,
}
"""The same for the networks of A_ratio."""


def choose_engine(
    a: Ensemble, b: Ensemble, size: int, device: torch.device, *, prefer: str | None = None
) -> Engine:
    """Make the fastest engine that is installed and keeps every score within 1e-4.

    Args:
        a: Module A in evaluation mode; moved to the device.
        b: Module B, likewise.
        size: S.
        device: Where to run.
        prefer: Name of an engine that must be taken.

    Returns:
        The engine; its note says what was passed over, and why.

    Raises:
        ModelError: The engine asked for is unknown, is not installed or changes the scores.
    """
    if prefer is not None and prefer not in ENGINES:
        problem = f"There is no engine called {prefer!r}."
        raise ModelError(problem, f"Use one of: {', '.join(ENGINES)}.")
    eager = EagerEngine(a, b, device)
    if prefer == "eager":
        eager.note = "asked for"
        return eager
    grey = plausible_grey(PARITY_IMAGES, size)
    images = torch.from_numpy(normalise(grey)).unsqueeze(1).to(device)  # (B, 1, S, S)
    expected = scores_by(eager.reconstruct, images)
    skipped: list[str] = []
    for name in [prefer] if prefer else [n for n in ENGINES if n != "eager"]:
        found, reason = _tried(ENGINES[name], (a, b), size, images, expected)
        if found:
            found.note = "; ".join([f"scores {reason}", *skipped])
            return found
        if device.type in ENGINES[name].devices:
            skipped.append(f"{name} skipped: {reason}")
        if prefer:
            raise _refused(name, reason)
    eager.note = "; ".join(skipped)
    return eager


def choose_ratio_engine(
    networks: Sequence[RatioNetwork], device: torch.device, *, prefer: str | None = None
) -> RatioEngine:
    """Make the fastest engine for A_ratio that keeps scores and maps within 1e-4, of logarithms.

    Args:
        networks: In evaluation mode; moved to the device.
        device: Where to run.
        prefer: Name of the engine that was asked for; of no account if it is for A and B alone.

    Returns:
        The engine; the networks themselves if no other can be used.
    """
    eager = EagerRatio(networks, device)
    grey = plausible_grey(PARITY_IMAGES, networks[0].size)
    images = torch.from_numpy(normalise(grey)).unsqueeze(1).to(device)  # (B, 1, S, S)
    expected = eager.maps(images)
    for name in [prefer] if prefer in RATIO_ENGINES else RATIO_ENGINES:
        if name == "eager" or ENGINES[name].lacks(device):
            continue
        try:
            engine = RATIO_ENGINES[name](networks, device)
            found = engine.maps(images)
        except Exception:  # noqa: BLE001, S112 - each library has errors of its own; others follow
            continue
        if float((pooled(found) - pooled(expected)).abs().max()) > TOLERANCE:
            continue
        if torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
            return engine
    return eager


def _tried(
    candidate: Candidate,
    modules: tuple[Ensemble, Ensemble],
    size: int,
    images: torch.Tensor,
    expected: dict[str, np.ndarray],
) -> tuple[Engine | None, str]:
    """The engine, if it can be made and keeps the scores, and what was found, in words."""
    lacks = candidate.lacks(images.device)
    if lacks:
        return None, lacks
    try:
        engine = candidate.make(*modules, size, images.device)
        difference = largest_difference(scores_by(engine.reconstruct, images), expected)
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        return None, f"it failed: {str(error).strip() or type(error).__name__}"
    if not difference <= TOLERANCE:
        return None, f"its scores differ by {difference:.0e}, more than {TOLERANCE:.0e}"
    return engine, f"within {difference:.0e} of the modules' own"


def _refused(name: str, reason: str) -> ModelError:
    extra = ENGINES[name].extra
    step = "Leave the choice of the engine to the program."
    if extra and "not installed" in reason:
        step = f"Install it with `pip install '.[{extra}]'`, or leave the choice to the program."
    return ModelError(f"The engine {name} cannot be used: {reason}.", step)
