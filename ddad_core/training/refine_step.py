"""One optimiser step of the refinement networks.

Source: method, "The extension".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from ddad_core.refinement import INPUT_MAPS, RefinementNetwork, build_refinement
from ddad_core.training.graphed import GraphedStep

BATCH_MAPS = INPUT_MAPS["r_dual"]
"""The channels of a batch; each kind picks its own."""

GAMMA = 2
"""Of the focal loss."""

Step = Callable[[torch.Tensor, torch.Tensor], None]


@dataclass
class Learner:
    """One network's state between steps.

    Attributes:
        network: In training mode.
        optimiser: Its own.
        total: Sum of the losses of this epoch's steps, on the device.
        losses: Mean loss of each epoch that is over.
    """

    network: RefinementNetwork
    optimiser: torch.optim.Adam
    total: torch.Tensor
    losses: list[float]


def focal_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Focal loss with gamma 2 on the softmax of two channels, the mean over pixels, a scalar.

    No class weights, and no smoothing of the target: the published 1e-5 shifts the loss by as
    much and stands in for the logarithm being taken of a probability, not of a logit.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.

    Args:
        logits: (B, 2, S, S), "normal" and "anomalous".
        masks: bool (B, S, S), true where anomalous.
    """
    margin = logits[:, 1] - logits[:, 0]
    margin = torch.where(masks, margin, -margin)  # in favour of the true class
    return -(torch.sigmoid(-margin) ** GAMMA * functional.logsigmoid(margin)).mean()


def start_learner(
    kind: str, *, seed: int, learning_rate: float, weight_decay: float, device: torch.device
) -> Learner:
    """Make a network and its optimiser; its weights follow from the seed and its kind alone."""
    own = list(INPUT_MAPS).index(kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([seed, own]).generate_state(1)[0]))
        network = build_refinement(kind).to(device).train()
    optimiser = torch.optim.Adam(
        network.parameters(),
        lr=learning_rate,
        betas=(0.5, 0.999),
        weight_decay=weight_decay,
        fused=True,
        capturable=device.type == "cuda",
    )
    return Learner(network, optimiser, torch.zeros((), device=device), [])


def stepper(learners: dict[str, Learner], device: torch.device) -> Step:
    """Make the function that runs one optimiser step of every network.

    It takes the maps (B, 2, S, S) and the masks (B, S, S) of a batch. On the CPU everything is
    float32. On CUDA the convolutions run in bfloat16, channels last, and all kernels of the step
    in one graph: at eight images a batch launching them takes longer than running them.
    """
    cuda = device.type == "cuda"
    layout = torch.channels_last if cuda else torch.contiguous_format

    def step(inputs: torch.Tensor, masks: torch.Tensor) -> None:
        for kind, learner in learners.items():
            read = [inputs[:, BATCH_MAPS.index(name)] for name in INPUT_MAPS[kind]]
            own = torch.stack(read, dim=1).contiguous(memory_format=layout)  # (B, C, S, S)
            # The cache of cast weights would outlive a captured graph's memory.
            with torch.autocast(device.type, torch.bfloat16, cuda, cache_enabled=False):
                logits = learner.network(own)
            loss = focal_loss(logits.float(), masks)
            loss.backward()
            learner.optimiser.step()
            learner.optimiser.zero_grad(set_to_none=True)
            learner.total += loss.detach()

    return GraphedStep(step) if cuda else step
