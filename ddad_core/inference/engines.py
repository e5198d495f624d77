"""What runs modules A and B on a batch: the seam, and the engines that need torch alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from torch import nn

from ddad_core.ensemble import Ensemble, EnsembleReconstruction
from ddad_core.inference.folding import fold_ensemble, fold_ratio
from ddad_core.ratio import RatioNetwork, ratio_maps

_Module = TypeVar("_Module", bound=nn.Module)
Reconstructions = tuple[EnsembleReconstruction, EnsembleReconstruction]
"""Of module A and of module B."""


class Engine(Protocol):
    """Runs modules A and B; safe to share between threads.

    Attributes:
        name: One of ``ddad_core.inference.choice.ENGINES``.
        note: Why this engine and no other, in words; set by the choice.
    """

    name: str
    note: str

    def reconstruct(self, images: torch.Tensor) -> Reconstructions:
        """Reconstruct a batch, (B, 1, S, S) in [-1, 1], by every network of both modules.

        Module A's log variances are left out where that saves work: no score needs them.
        """


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep CUDA from rounding factors to TF32 (10 bits), which moves scores by 1e-3."""
    convolutions = torch.backends.cudnn.allow_tf32
    products = torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


def _keep_thread_limit() -> None:
    """Make a thread that has not run torch before keep to ``torch.set_num_threads``.

    Some libraries under torch ask OpenMP, which counts per thread, and it learns the limit when
    torch is first asked for it: another count is another order of summing, so another last bit.
    """
    torch.get_num_threads()


class EagerEngine:
    """The modules as they were trained: what every other engine is held against."""

    name = "eager"

    def __init__(self, a: Ensemble, b: Ensemble, device: torch.device) -> None:
        self.note = ""
        self._a, self._b = a.to(device), b.to(device)

    @torch.inference_mode()
    def reconstruct(self, images: torch.Tensor) -> Reconstructions:
        """Reconstruct a batch, (B, 1, S, S)."""
        _keep_thread_limit()
        with full_precision():
            return self._a(images), self._b(images)


class FoldedEngine:
    """The modules with batch norm folded away; on a CPU with channels innermost in memory."""

    name = "folded"

    def __init__(self, a: Ensemble, b: Ensemble, device: torch.device) -> None:
        self.note = ""
        self._a, self._b = (_folded(module, device) for module in (a, b))

    @torch.inference_mode()
    def reconstruct(self, images: torch.Tensor) -> Reconstructions:
        """Reconstruct a batch, (B, 1, S, S)."""
        _keep_thread_limit()
        with full_precision():
            return self._a(images), self._b(images)


class CudaGraphEngine:
    """The folded modules recorded once on a CUDA device and replayed as a whole.

    At 64 x 64 a kernel takes less time than its launch, so launches decide. A recording has fixed
    shapes: a batch is padded to the next recorded size, a longer one goes in pieces.
    """

    name = "cuda-graph"
    SIZES = (1, 64)

    def __init__(self, a: Ensemble, b: Ensemble, device: torch.device, size: int) -> None:
        assert device.type == "cuda", device
        self.note = ""
        self._replaying = threading.Lock()  # a recording has one set of buffers
        modules = (_folded(a, device), _folded(b, device))
        with torch.inference_mode(), full_precision():
            self._recordings = {n: _Recording(modules, n, size, device) for n in self.SIZES}

    @torch.inference_mode()
    def reconstruct(self, images: torch.Tensor) -> Reconstructions:
        """Reconstruct a batch, (B, 1, S, S) on the engine's device."""
        with self._replaying:
            parts = [self._replay(part) for part in images.split(max(self.SIZES))]
        a, b = (joined([part[i] for part in parts]) for i in (0, 1))
        return a, b

    def _replay(self, images: torch.Tensor) -> Reconstructions:
        fitting = min(n for n in self.SIZES if n >= len(images))
        return self._recordings[fitting].replay(images)


class _Recording:
    """One CUDA graph with its input and output buffers."""

    def __init__(
        self, modules: tuple[Ensemble, Ensemble], n: int, size: int, device: torch.device
    ) -> None:
        self._modules = modules  # the recording reads their weights where they lie
        self._images = torch.zeros(n, 1, size, size, device=device)
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):  # the libraries set themselves up before the recording
            for _ in range(3):
                for module in modules:
                    module(self._images)
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outs = tuple(module(self._images) for module in modules)

    def replay(self, images: torch.Tensor) -> Reconstructions:
        """Run on (B, 1, S, S), B at most the recorded size; what is left of it stays stale."""
        n = len(images)
        self._images[:n].copy_(images)
        self._graph.replay()
        a, b = (
            EnsembleReconstruction(
                means=out.means[:, :n].clone(),
                log_vars=None if out.log_vars is None else out.log_vars[:, :n].clone(),
            )
            for out in self._outs
        )
        return a, b


class RatioEngine(Protocol):
    """Runs the networks of A_ratio; safe to share between threads.

    Attributes:
        name: One of ``ddad_core.inference.choice.RATIO_ENGINES``.
    """

    name: str

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Mean evidence of all networks, (B, 1, S, S) in [-1, 1] -> (B, S, S)."""


class EagerRatio:
    """The networks of A_ratio as they were trained."""

    name = "eager"

    def __init__(self, networks: Sequence[RatioNetwork], device: torch.device) -> None:
        self._networks = [network.to(device) for network in networks]

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """As ``ddad_core.ratio.ratio_maps``."""
        _keep_thread_limit()
        with full_precision():
            return ratio_maps(self._networks, images)


class FoldedRatio(EagerRatio):
    """The networks of A_ratio with batch norm folded away."""

    name = "folded"

    def __init__(self, networks: Sequence[RatioNetwork], device: torch.device) -> None:
        super().__init__([_laid_out(fold_ratio(network), device) for network in networks], device)


def joined(parts: list[EnsembleReconstruction]) -> EnsembleReconstruction:
    """Put the pieces of a batch together, each (K, B_i, 1, S, S)."""
    if len(parts) == 1:
        return parts[0]
    log_vars = [part.log_vars for part in parts if part.log_vars is not None]
    return EnsembleReconstruction(
        means=torch.cat([part.means for part in parts], dim=1),
        log_vars=torch.cat(log_vars, dim=1) if log_vars else None,
    )


def _folded(module: Ensemble, device: torch.device) -> Ensemble:
    return _laid_out(fold_ensemble(module), device)


def _laid_out(folded: _Module, device: torch.device) -> _Module:
    """On the device; on a CPU with channels innermost in memory."""
    folded.to(device)
    if device.type == "cpu":
        folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return folded
