"""Training on a GPU: the K networks of a module as stacked parameters, A beside B.

A single network of this size leaves a GPU idle between hundreds of small kernels. Stacked, each
kernel does the work of K; captured in a CUDA graph, a step is one launch; and the steps of module
B run on a stream beside those of module A.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ddad_core.networks.stack import StackedNetwork
from ddad_core.training.checkpoints import load_checkpoint, save_checkpoint
from ddad_core.training.loop import Lane, OnEpoch, TrainingConfig

CHECKPOINT_EVERY = 50
"""Epochs between checkpoints; an epoch takes a fraction of a second."""
WARM_UP_STEPS = 3
HALF = True


class Stack:
    """The networks of one module in training on a GPU.

    Args:
        config: Hyperparameters.
        lanes: One for each network, all on the same images.
        device: A CUDA device; without capturing, any other.
    """

    def __init__(self, config: TrainingConfig, lanes: Sequence[Lane], device: torch.device) -> None:
        self.lanes = lanes
        self.steps = len(lanes[0].images) // config.batch_size
        self._config = config
        self._images = lanes[0].images.to(device)  # (M, S, S)
        captures = device.type == "cuda"
        layout = torch.channels_last if captures else torch.contiguous_format
        network = StackedNetwork([lane.network for lane in lanes]).to(device).train()
        self.network: StackedNetwork = network.to(memory_format=layout)  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(
            self.network.parameters(),
            lr=config.learning_rate,
            betas=(0.5, 0.999),
            fused=True,
            capturable=captures,
        )
        self._chosen = torch.zeros(
            config.batch_size, len(lanes), dtype=torch.long, device=device
        )  # (B, K)
        self._total = torch.zeros(len(lanes), device=device)
        self._orders = torch.zeros(0)
        self._device = device
        self._stream = torch.cuda.Stream(device) if captures else None
        self._graph: torch.cuda.CUDAGraph | None = None

    def capture(self) -> None:
        """Record a step as a CUDA graph; weights and optimiser are as before afterwards."""
        assert self._stream is not None
        # Detached: a clone that autograd knows of would tie the weights to the default stream.
        before = [tensor.detach().clone() for tensor in self._state()]
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UP_STEPS):
                self._step()
        self._stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            self._step()
        with torch.no_grad():
            for tensor, value in zip(self._state(), before, strict=True):
                tensor.copy_(value)
            for state in self.optimiser.state.values():
                for tensor in state.values():
                    tensor.zero_()
        torch.cuda.synchronize(self._device)

    def start_epoch(self) -> None:
        """Shuffle the images of every network anew."""
        size = self.steps * self._config.batch_size
        orders = torch.stack([lane.order()[:size] for lane in self.lanes], dim=1)  # (size, K)
        with torch.cuda.stream(self._stream):  # None: no stream of its own
            self._orders = orders.to(self._device).view(self.steps, self._config.batch_size, -1)
            self._total.zero_()

    def step(self, index: int) -> None:
        """Carry out one step of the epoch; on a GPU it is only launched."""
        if self._graph is None:
            self._chosen.copy_(self._orders[index])
            self._step()
            return
        with torch.cuda.stream(self._stream):
            self._chosen.copy_(self._orders[index])
            self._graph.replay()

    def finish_epoch(self) -> None:
        """Wait for the steps and note each network's loss.

        Raises:
            TrainingError: A loss is not finite.
        """
        if self._stream is not None:
            self._stream.synchronize()
        for lane, loss in zip(self.lanes, (self._total / self.steps).tolist(), strict=True):
            lane.finish_epoch(loss, self._config)

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint needs."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shuffle": [lane.shuffle.get_state() for lane in self.lanes],
            "losses": [lane.losses for lane in self.lanes],
            "seconds": [lane.seconds for lane in self.lanes],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint, in place, so that a captured graph stays valid."""
        self.network.load_state_dict(state["network"])
        if self._graph is None:
            self.optimiser.load_state_dict(state["optimiser"])
        else:
            self._load_optimiser(state["optimiser"])
        for lane, shuffle, losses, seconds in zip(
            self.lanes, state["shuffle"], state["losses"], state["seconds"], strict=True
        ):
            lane.shuffle.set_state(shuffle)
            lane.losses[:] = losses
            lane.seconds = seconds

    def hand_back(self) -> None:
        """Write the weights into the lanes' own networks, in evaluation mode."""
        self.network.copy_to([lane.network for lane in self.lanes])
        for lane in self.lanes:
            lane.network.eval()

    def _load_optimiser(self, saved: dict[str, Any]) -> None:
        for parameter, values in zip(
            self.network.parameters(), saved["state"].values(), strict=True
        ):
            for name, value in values.items():
                self.optimiser.state[parameter][name].copy_(value)

    def _state(self) -> list[torch.Tensor]:
        return [*self.network.parameters(), *self.network.buffers(), self._total]

    def _step(self) -> None:
        grey = self._images[self._chosen]  # (B, K, S, S)
        images = (grey.float() / 255.0 - 0.5) / 0.5
        layout = images.contiguous(memory_format=torch.channels_last)
        self.optimiser.zero_grad(set_to_none=True)
        half = HALF and self._device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16, enabled=half, cache_enabled=False):
            out = self.network(layout)
        targets = images.transpose(0, 1).unsqueeze(2)  # (K, B, 1, S, S)
        losses = self.network.losses(targets, out)
        losses.sum().backward()
        self.optimiser.step()
        self._total += losses.detach()


def train_stacks(
    config: TrainingConfig,
    lanes: Mapping[str, Sequence[Lane]],
    *,
    run: Path,
    digest: str,
    device: torch.device,
    bar: tqdm,
    on_epoch: OnEpoch | None,
) -> None:
    """Train module A's stack and module B's side by side to the last epoch.

    Raises:
        TrainingError: As :func:`ddad_core.training.loop.train`.
    """
    stacks = {module: Stack(config, group, device) for module, group in lanes.items()}
    if device.type == "cuda":
        for stack in stacks.values():
            stack.capture()
    path = run / "stacks.checkpoint.pt"
    state = load_checkpoint(path, digest)
    for module, stack in stacks.items() if state else ():
        stack.load_state_dict(state[module])  # type: ignore[index]  # there is a state here
    every = [lane for group in lanes.values() for lane in group]
    steps = sum(stack.steps * len(stack.lanes) for stack in stacks.values())
    bar.update(len(every[0].losses) * steps)
    while len(every[0].losses) < config.epochs:
        started = time.perf_counter()
        _train_epoch(list(stacks.values()))
        seconds = (time.perf_counter() - started) / len(every)
        bar.update(steps)
        for lane in every:
            lane.seconds += seconds
        done = len(every[0].losses)
        if done % CHECKPOINT_EVERY == 0 or done == config.epochs:
            save_checkpoint({m: s.state_dict() for m, s in stacks.items()}, path, digest)
        for lane in every if on_epoch else ():
            on_epoch(lane.name, done, lane.losses[-1])  # type: ignore[misc]
    for stack in stacks.values():
        stack.hand_back()


def _train_epoch(stacks: Sequence[Stack]) -> None:
    for stack in stacks:
        stack.start_epoch()
    for step in range(max(stack.steps for stack in stacks)):
        for stack in stacks:
            if step < stack.steps:
                stack.step(step)
    for stack in stacks:
        stack.finish_epoch()
