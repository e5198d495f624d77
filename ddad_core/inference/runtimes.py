"""Engines on libraries that are installed as extras: ONNX Runtime and OpenVINO, on the CPU.

Both take as many threads as torch has when the engine is made (``scoring.limit_threads``).
"""

from __future__ import annotations

import threading

import numpy as np
import torch

from ddad_core.ensemble import Ensemble, EnsembleReconstruction
from ddad_core.inference.engines import Reconstructions
from ddad_core.inference.onnx_layers import INPUT, networks_to_onnx


class OnnxRuntimeEngine:
    """ONNX Runtime; its sessions may be run by many threads at once."""

    name = "onnxruntime"

    def __init__(self, a: Ensemble, b: Ensemble, size: int) -> None:
        import onnxruntime  # noqa: PLC0415

        self.note = ""
        self._members = (len(a.networks), len(b.networks))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        # Threads that wait for each other actively are a little faster alone and several times
        # slower as soon as another program wants a core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            networks_to_onnx(a, b, size), options, providers=["CPUExecutionProvider"]
        )

    def reconstruct(self, images: torch.Tensor) -> Reconstructions:
        """Reconstruct a batch, (B, 1, S, S) on the CPU."""
        outs = self._session.run(None, {INPUT: images.contiguous().numpy()})
        return _modules(outs, self._members)


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
