"""Training restated plainly: networks one after the other, in torch's own Adam, image by image.

Written from the method's description (loss, optimiser, shuffling without the last incomplete
batch) and independent of ``ddad_core.training.lanes`` and ``branches``; only the seeds and the
networks themselves are the core's.
"""

from __future__ import annotations

import numpy as np
import torch

from ddad_core.networks import build_network
from ddad_core.training.loop import TrainingConfig


def loss_of(name: str, images: torch.Tensor, out: object) -> torch.Tensor:
    """The published losses: mean squared error, Gaussian likelihood, error and entropy."""
    squared = (images - out.mean) ** 2
    if name == "ae-u":
        return (torch.exp(-out.log_var) * squared + out.log_var).mean()
    if name == "memae":
        weights = out.attention
        entropy = -(weights * torch.log(weights + 1e-12)).sum(dim=-1)
        return squared.mean() + 0.0002 * entropy.mean()
    return squared.mean()


def train(
    config: TrainingConfig, normal: np.ndarray, unlabeled: np.ndarray
) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, list[float]]]:
    """State of each network, and its mean loss of each epoch, by name."""
    weights, losses = {}, {}
    pools = {"a": [*normal, *unlabeled], "b": [*normal]}
    for m, (module, images) in enumerate(pools.items()):
        for k in range(config.members):
            name = f"{module}-{k}"
            weights[name], losses[name] = _train_one(config, images, [config.seed, m, k])
    return weights, losses


def _train_one(
    config: TrainingConfig, images: list[np.ndarray], entropy: list[int]
) -> tuple[dict[str, torch.Tensor], list[float]]:
    seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    torch.manual_seed(seed)
    network = build_network(config.network, config.size)
    network.train()
    shuffle = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, betas=(0.5, 0.999), foreach=False
    )
    inputs = [
        (torch.from_numpy(image).to(torch.get_default_dtype()) / 255 - 0.5) / 0.5
        for image in images
    ]
    losses = []
    for _ in range(config.epochs):
        order = torch.randperm(len(inputs), generator=shuffle).tolist()
        of_steps = []
        while len(order) >= config.batch_size:
            chosen, order = order[: config.batch_size], order[config.batch_size :]
            batch = torch.stack([inputs[i] for i in chosen])[:, None]
            optimiser.zero_grad()
            loss = loss_of(config.network, batch, network(batch))
            loss.backward()
            optimiser.step()
            of_steps.append(loss.item())
        losses.append(sum(of_steps) / len(of_steps))
    return network.state_dict(), losses
