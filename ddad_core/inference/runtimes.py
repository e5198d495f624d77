"""Engines on libraries that are installed as extras: ONNX Runtime and OpenVINO, on the CPU.

Both take as many threads as torch has when the engine is made (``scoring.limit_threads``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import torch

from ddad_core.ensemble import Ensemble, EnsembleReconstruction
from ddad_core.inference.engines import Reconstructions, joined
from ddad_core.inference.onnx_layers import INPUT, networks_to_onnx, ratio_to_onnx
from ddad_core.ratio import RatioNetwork


class OnnxRuntimeEngine:
    """Modules A and B by ONNX Runtime."""

    name = "onnxruntime"

    def __init__(self, a: Ensemble, b: Ensemble, size: int) -> None:
        self.note = ""
        self._members = (len(a.networks), len(b.networks))
        self._session = _InPieces(networks_to_onnx(a, b, size))

    def reconstruct(self, images: torch.Tensor) -> Reconstructions:
        """Reconstruct a batch, (B, 1, S, S) on the CPU."""
        done = [_modules(outs, self._members) for outs in self._session.run(images)]
        a, b = (joined([module[i] for module in done]) for i in (0, 1))
        return a, b


class OnnxRuntimeRatio:
    """The networks of A_ratio by ONNX Runtime."""

    name = "onnxruntime"

    def __init__(self, networks: Sequence[RatioNetwork]) -> None:
        self._first = networks[0]  # all look at the same and spread alike
        self._session = _InPieces(ratio_to_onnx(networks))

    @torch.inference_mode()
    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """As ``ddad_core.ratio.ratio_maps``, of a batch on the CPU."""
        found = self._session.run(self._first.seen(images))
        return self._first.spread(torch.from_numpy(np.concatenate([outs[0] for outs in found])))


class _InPieces:
    """A session of ONNX Runtime that takes a batch in pieces, each by one thread.

    Threads that share one piece have to wait for each other at every layer: actively, which a
    busy machine punishes, or asleep, which is slower than one thread alone. The pieces do not
    depend on the number of threads, so neither do the results, to the bit.

    Args:
        model: A serialised ModelProto.
    """

    PIECE = 16

    def __init__(self, model: bytes) -> None:
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        # It keeps the model's 100 MB, beside its own weights, for a try with other providers.
        self._session.disable_fallback()
        self._session._model_bytes = None
        self._pool = ThreadPoolExecutor(torch.get_num_threads(), "onnxruntime")

    def run(self, images: torch.Tensor) -> list[list[np.ndarray]]:
        """Run it on a batch on the CPU; the outputs of each piece."""
        pieces = images.contiguous().split(self.PIECE)
        if len(pieces) == 1:
            return [self._run(pieces[0])]
        return list(self._pool.map(self._run, pieces))

    def _run(self, images: torch.Tensor) -> list[np.ndarray]:
        """A session may be run by many threads at once."""
        return cast("list[np.ndarray]", self._session.run(None, {INPUT: images.numpy()}))


class OpenVinoEngine:
    """OpenVINO in full precision; one batch at a time, as one request has one set of buffers."""

    name = "openvino"

    def __init__(self, a: Ensemble, b: Ensemble, size: int) -> None:
        import openvino  # noqa: PLC0415

        self.note = ""
        self._members = (len(a.networks), len(b.networks))
        self._running = threading.Lock()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # bfloat16, its default where there is AMX
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
        }
        core = openvino.Core()
        model = core.read_model(networks_to_onnx(a, b, size))
        self._request = core.compile_model(model, "CPU", settings).create_infer_request()

    def reconstruct(self, images: torch.Tensor) -> Reconstructions:
        """Reconstruct a batch, (B, 1, S, S) on the CPU."""
        with self._running:
            outs = self._request.infer({INPUT: images.contiguous().numpy()})
            arrays = [np.array(outs[i]) for i in range(sum(self._members))]
        return _modules(arrays, self._members)


def _modules(outs: list[np.ndarray], members: tuple[int, int]) -> Reconstructions:
    """Sort the outputs, (B, 1 or 2, S, S) each, into what modules A and B give back."""
    a, b = outs[: members[0]], outs[members[0] :]
    return _ensemble(a), _ensemble(b)


def _ensemble(outs: list[np.ndarray]) -> EnsembleReconstruction:
    stacked = torch.from_numpy(np.stack(outs))  # (K, B, 1 or 2, S, S)
    return EnsembleReconstruction(
        means=stacked[:, :, :1],
        log_vars=stacked[:, :, 1:] if stacked.shape[2] == 2 else None,
    )
