"""Training on a GPU: the K networks of a module side by side in one CUDA graph, A beside B.

A single network of this size leaves a GPU idle between hundreds of small kernels. Here a step of
all K networks of a module is captured once, each network on a stream of its own, their weights
updated together, and launched as one graph; the steps of module B run beside those of module A.
Measured on one H100 this took 1.6 ms a step for K = 3, where grouped convolutions over stacked
parameters took 2.2 ms and the networks one after the other in one graph 3.1 ms
(``benchmarks/training.py`` measures against the plain loop).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ddad_core.networks import reconstruction_loss
from ddad_core.networks.build import Network
from ddad_core.training.checkpoints import load_checkpoint, save_checkpoint
from ddad_core.training.loop import Lane, OnEpoch, TrainingConfig
from ddad_core.types import Reconstruction

CHECKPOINT_SECONDS = 30.0
"""Time between checkpoints; an epoch takes a fraction of a second, and a checkpoint is large."""
WARM_UP_STEPS = 3


class Branches:
    """The networks of one module in training, one branch each.

    Args:
        config: Hyperparameters.
        lanes: One for each network, all on the same images.
        device: A CUDA device; any other carries out the same steps without a graph.
    """

    def __init__(self, config: TrainingConfig, lanes: Sequence[Lane], device: torch.device) -> None:
        self.lanes = lanes
        self.steps = len(lanes[0].images) // config.batch_size
        self._config = config
        self._device = device
        self._on_gpu = device.type == "cuda"
        self._images = lanes[0].images.to(device)  # (M, S, S)
        self._networks = [_prepared(lane.network, device) for lane in lanes]
        self._optimiser = torch.optim.Adam(
            [parameter for network in self._networks for parameter in network.parameters()],
            lr=config.learning_rate,
            betas=(0.5, 0.999),
            fused=True,
            capturable=self._on_gpu,
        )
        count = len(lanes)
        self._chosen = torch.zeros(count, config.batch_size, dtype=torch.long, device=device)
        self._total = torch.zeros(count, device=device)
        self._orders = torch.zeros(0)
        self._graph: torch.cuda.CUDAGraph | None = None
        streams = [torch.cuda.Stream(device) for _ in range(count + 1)] if self._on_gpu else []
        self._stream = streams[-1] if streams else None
        self._streams: Sequence[torch.cuda.Stream | None] = streams[:-1] or [None] * count

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
            for state in self._optimiser.state.values():
                for tensor in state.values():
                    tensor.zero_()
        torch.cuda.synchronize(self._device)

    def start_epoch(self) -> None:
        """Shuffle the images of every network anew."""
        size = self._config.batch_size
        orders = torch.stack([lane.order()[: self.steps * size] for lane in self.lanes])
        orders = orders.view(len(self.lanes), self.steps, size).transpose(0, 1).contiguous()
        with torch.cuda.stream(self._stream):  # None: no stream of its own
            self._orders = orders.to(self._device)  # (steps, K, B)
            self._total.zero_()

    def step(self, index: int) -> None:
        """Carry out one step of the epoch; on a GPU it is only launched."""
        with torch.cuda.stream(self._stream):
            self._chosen.copy_(self._orders[index])
            if self._graph is None:
                self._step()
            else:
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
            "networks": [network.state_dict() for network in self._networks],
            "optimiser": self._optimiser.state_dict(),
            "shuffle": [lane.shuffle.get_state() for lane in self.lanes],
            "losses": [lane.losses for lane in self.lanes],
            "seconds": [lane.seconds for lane in self.lanes],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint, in place, so that a captured graph stays valid."""
        for network, weights in zip(self._networks, state["networks"], strict=True):
            network.load_state_dict(weights)
        if self._graph is None:
            self._optimiser.load_state_dict(state["optimiser"])
        else:
            self._load_optimiser(state["optimiser"])
        for lane, shuffle, losses, seconds in zip(
            self.lanes, state["shuffle"], state["losses"], state["seconds"], strict=True
        ):
            lane.shuffle.set_state(shuffle)
            lane.losses[:] = losses
            lane.seconds = seconds

    def hand_back(self) -> None:
        """Give the lanes their trained networks, on the CPU and in evaluation mode."""
        for lane, network in zip(self.lanes, self._networks, strict=True):
            plain = network.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            lane.network = plain.eval()

    def _load_optimiser(self, saved: Mapping[str, Any]) -> None:
        assert self._optimiser.state.keys()  # made by the capture
        parameters = self._optimiser.param_groups[0]["params"]
        for parameter, values in zip(parameters, saved["state"].values(), strict=True):
            for name, value in values.items():
                self._optimiser.state[parameter][name].copy_(value)

    def _state(self) -> list[torch.Tensor]:
        networks = self._networks
        tensors = [t for network in networks for t in (*network.parameters(), *network.buffers())]
        return [*tensors, self._total]

    def _step(self) -> None:
        grey = self._images[self._chosen].unsqueeze(2)  # (K, B, 1, S, S)
        images = (grey.float() / 255.0 - 0.5) / 0.5
        self._optimiser.zero_grad(set_to_none=True)
        losses = [self._branch(k, images[k]) for k in range(len(self.lanes))]
        if self._on_gpu:
            here = torch.cuda.current_stream(self._device)
            for stream in self._streams:
                here.wait_stream(stream)  # type: ignore[arg-type]
        self._optimiser.step()
        self._total += torch.stack(losses)

    def _branch(self, k: int, images: torch.Tensor) -> torch.Tensor:
        """Forward and backward of network k, on its own stream; gives its loss."""
        network, stream = self._networks[k], self._streams[k]
        if stream is not None:
            stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            batch = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(
                self._device.type, torch.bfloat16, enabled=self._on_gpu, cache_enabled=False
            ):
                out = network(batch)
            loss = reconstruction_loss(network, batch, _in_full(out))
            loss.backward()
        return loss.detach()


def _prepared(network: Network, device: torch.device) -> Network:
    moved: Network = network.to(device).train()
    return moved.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _in_full(out: Reconstruction) -> Reconstruction:
    """The loss is taken in single precision: the uncertainty enters as an exponential."""
    return replace(
        out,
        mean=out.mean.float(),
        log_var=None if out.log_var is None else out.log_var.float(),
        attention=None if out.attention is None else out.attention.float(),
    )


def train_branches(
    config: TrainingConfig,
    lanes: Mapping[str, Sequence[Lane]],
    *,
    run: Path,
    digest: str,
    device: torch.device,
    bar: tqdm,
    on_epoch: OnEpoch | None,
) -> None:
    """Train modules A and B side by side to the last epoch.

    Raises:
        TrainingError: As :func:`ddad_core.training.loop.train`.
    """
    branches = {module: Branches(config, group, device) for module, group in lanes.items()}
    if device.type == "cuda":
        for module in branches.values():
            module.capture()
    path = run / "branches.checkpoint.pt"
    state = load_checkpoint(path, digest)
    for name, module in branches.items() if state else ():
        module.load_state_dict(state[name])  # type: ignore[index]  # there is a state here
    every = [lane for group in lanes.values() for lane in group]
    steps = sum(module.steps * len(module.lanes) for module in branches.values())
    bar.update(len(every[0].losses) * steps)
    saved = time.perf_counter()
    while len(every[0].losses) < config.epochs:
        started = time.perf_counter()
        _train_epoch(list(branches.values()))
        seconds = (time.perf_counter() - started) / len(every)
        bar.update(steps)
        for lane in every:
            lane.seconds += seconds
        done = len(every[0].losses)
        if time.perf_counter() - saved > CHECKPOINT_SECONDS or done == config.epochs:
            saved = time.perf_counter()
            save_checkpoint(
                {name: module.state_dict() for name, module in branches.items()}, path, digest
            )
        for lane in every if on_epoch else ():
            on_epoch(lane.name, done, lane.losses[-1])  # type: ignore[misc]
    for module in branches.values():
        module.hand_back()


def _train_epoch(branches: Sequence[Branches]) -> None:
    for module in branches:
        module.start_epoch()
    for step in range(max(module.steps for module in branches)):
        for module in branches:
            if step < module.steps:
                module.step(step)
    for module in branches:
        module.finish_epoch()
