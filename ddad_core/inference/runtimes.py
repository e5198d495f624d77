"""Engines on libraries that are installed as extras: ONNX Runtime and OpenVINO, on the CPU.

Both take as many threads as torch has when the engine is made (``scoring.limit_threads``).
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from ddad_core.ensemble import Ensemble, EnsembleReconstruction
from ddad_core.inference.engines import Reconstructions, joined
from ddad_core.inference.onnx_layers import INPUT, networks_to_onnx


class OnnxRuntimeEngine:
    """ONNX Runtime: a batch in pieces, each by one thread.

    Threads that share one piece have to wait for each other at every layer: actively, which a
    busy machine punishes, or asleep, which is slower than one thread alone. The pieces do not
    depend on the number of threads, so neither do the scores, to the bit.
    """

    name = "onnxruntime"
    PIECE = 16

    def __init__(self, a: Ensemble, b: Ensemble, size: int) -> None:
        import onnxruntime  # noqa: PLC0415

        self.note = ""
        self._members = (len(a.networks), len(b.networks))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            networks_to_onnx(a, b, size), options, providers=["CPUExecutionProvider"]
        )
        # It keeps the model's 100 MB, beside its own weights, for a try with other providers.
        self._session.disable_fallback()
        self._session._model_bytes = None
        self._pool = ThreadPoolExecutor(torch.get_num_threads(), "onnxruntime")

    def reconstruct(self, images: torch.Tensor) -> Reconstructions:
        """Reconstruct a batch, (B, 1, S, S) on the CPU."""
        pieces = images.contiguous().split(self.PIECE)
        if len(pieces) == 1:
            return self._run(pieces[0])
        done = list(self._pool.map(self._run, pieces))
        a, b = (joined([module[i] for module in done]) for i in (0, 1))
        return a, b

    def _run(self, images: torch.Tensor) -> Reconstructions:
        """A session may be run by many threads at once."""
        return _modules(self._session.run(None, {INPUT: images.numpy()}), self._members)


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
