"""A training step as a CUDA graph: one launch for hundreds of small kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM_UP = 3
"""Steps run the usual way first: libraries choose their kernels, the optimiser makes its state."""


class GraphedStep:
    """Runs a step on CUDA, first as it is, then as a graph captured from it.

    The warm-up steps are real ones on real batches, so nothing has to be undone after them.

    Args:
        step: Takes a batch and leaves its results in tensors that live on. It must not copy
            anything to the host, and every batch must have the same shapes.
    """

    def __init__(self, step: Callable[[torch.Tensor, torch.Tensor], None]) -> None:
        self._step = step
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs = self._targets = torch.empty(0)

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Run one step on the current CUDA stream."""
        self._calls += 1
        if self._calls <= WARM_UP:
            self._run_aside(inputs, targets)
            return
        if self._graph is None:
            self._inputs, self._targets = inputs.clone(), targets.clone()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records; runs nothing
                self._step(self._inputs, self._targets)
        self._inputs.copy_(inputs)
        self._targets.copy_(targets)
        self._graph.replay()

    def _run_aside(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """On a stream of its own, as capture asks of what it will record."""
        aside, current = torch.cuda.Stream(), torch.cuda.current_stream()
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            self._step(inputs, targets)
        current.wait_stream(aside)
