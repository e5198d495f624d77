"""N networks of one architecture as one: stacked parameters, one kernel where there were N.

Convolutions become grouped ones, linear layers batched matrix products, and BatchNorm works on N
times the channels; each network keeps its own images and its own statistics, so the arithmetic is
that of N networks apart, up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ddad_core.networks.ae import AE, AEU
from ddad_core.networks.build import Network
from ddad_core.networks.memae import MemAE, Memory
from ddad_core.types import Reconstruction

_LOSS = {AE: AE.losses, AEU: AEU.losses, MemAE: MemAE.losses}


class StackedLinear(nn.Module):
    """(N, B, in) -> (N, B, out)."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Apply each network's layer to its own rows."""
        return torch.baddbmm(self.bias.unsqueeze(1), rows, self.weight.transpose(1, 2))


class StackedRowNorm(nn.Module):
    """BatchNorm of rows, (N, B, F) -> (N, B, F), as one BatchNorm1d of N F features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Normalise each network's features over its own rows."""
        count, batch, features = rows.shape
        flat = rows.transpose(0, 1).reshape(batch, count * features)
        return self.norm(flat).view(batch, count, features).transpose(0, 1)


class StackedMemory(nn.Module):
    """The memories of N MemAE."""

    def __init__(self, memories: Sequence[Memory]) -> None:
        super().__init__()
        self.slots = nn.Parameter(torch.stack([memory.slots.detach() for memory in memories]))

    def forward(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Address the memories, (N, B, 16) -> mixed latents and weights (N, B, 25)."""
        attention = torch.softmax(latent @ self.slots.transpose(1, 2), dim=2)
        return attention @ self.slots, attention


class StackedNetwork(nn.Module):
    """N networks trained side by side, each on its own images.

    Args:
        networks: Of one kind and size; their weights are copied.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        first = networks[0]
        assert all(type(network) is type(first) for network in networks)
        self.count = len(networks)
        self.grid = first.grid
        self.losses = _LOSS[type(first)]
        self.encoder = _stack([network.encoder for network in networks])
        self.squeeze = _stack([network.squeeze for network in networks])
        self.expand = _stack([network.expand for network in networks])
        self.decoder = _stack([network.decoder for network in networks])
        memories = [network.memory for network in networks if isinstance(network, MemAE)]
        self.memory = StackedMemory(memories) if memories else None
        self.uncertain = isinstance(first, AEU)

    def forward(self, images: torch.Tensor) -> Reconstruction:
        """Reconstruct (B, N, S, S), network n its channel n; gives (N, B, 1, S, S)."""
        batch = len(images)
        latent = self.squeeze(self.encoder(images).reshape(batch, self.count, -1).transpose(0, 1))
        attention = None
        if self.memory is not None:
            latent, attention = self.memory(latent)
        rows = self.expand(latent).transpose(0, 1)  # (B, N, features)
        channels, height, width = self.grid
        out = self.decoder(rows.reshape(batch, self.count * channels, height, width))
        out = (
            out.to(torch.promote_types(out.dtype, torch.float32))
            .unflatten(1, (self.count, -1))
            .transpose(0, 1)
        )  # (N, B, 1 or 2, S, S)
        if not self.uncertain:
            return Reconstruction(mean=out, attention=attention)
        mean, log_var = out.chunk(2, dim=2)
        return Reconstruction(mean=mean, log_var=log_var)

    @torch.no_grad()
    def copy_to(self, networks: Sequence[Network]) -> None:
        """Write the weights and statistics back into networks of the same kind and size."""
        for part in ("encoder", "squeeze", "expand", "decoder"):
            _unstack(getattr(self, part), [getattr(network, part) for network in networks])
        if self.memory is not None:
            for index, network in enumerate(networks):
                assert isinstance(network, MemAE)
                network.memory.slots.copy_(self.memory.slots[index])


def _stack(layers: Sequence[nn.Module]) -> nn.Module:
    """One layer that does what N layers of the same kind do."""
    first, count = layers[0], len(layers)
    if isinstance(first, nn.Sequential):
        return nn.Sequential(*(_stack(list(steps)) for steps in zip(*layers, strict=True)))
    if isinstance(first, nn.Linear):
        return StackedLinear(layers)  # type: ignore[arg-type]
    if isinstance(first, nn.ReLU):
        return nn.ReLU(inplace=True)
    if isinstance(first, nn.BatchNorm1d):
        rows = StackedRowNorm(count * first.num_features)
        _copy_norms(rows.norm, layers)
        return rows
    if isinstance(first, nn.BatchNorm2d):
        norm = nn.BatchNorm2d(count * first.num_features)
        _copy_norms(norm, layers)
        return norm
    assert isinstance(first, nn.Conv2d | nn.ConvTranspose2d) and first.bias is None
    grouped = type(first)(
        count * first.in_channels,
        count * first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        groups=count,
        bias=False,
    )
    with torch.no_grad():
        grouped.weight.copy_(torch.cat([layer.weight for layer in layers]))  # type: ignore[misc]
    return grouped


def _copy_norms(norm: nn.BatchNorm1d | nn.BatchNorm2d, layers: Sequence[nn.Module]) -> None:
    state = norm.state_dict()
    for name, values in state.items():
        parts = [layer.state_dict()[name] for layer in layers]
        values.copy_(torch.cat(parts) if values.ndim else parts[0])


def _unstack(stacked: nn.Module, layers: Sequence[nn.Module]) -> None:
    """Copy a stacked layer's state into the N layers it was made of."""
    first, count = layers[0], len(layers)
    if isinstance(first, nn.Sequential):
        assert isinstance(stacked, nn.Sequential)
        for step, steps in zip(stacked, zip(*layers, strict=True), strict=True):
            _unstack(step, list(steps))
        return
    source = stacked.norm if isinstance(stacked, StackedRowNorm) else stacked
    for name, values in source.state_dict().items():
        if isinstance(stacked, StackedLinear):
            parts: Sequence[torch.Tensor] = values.unbind(0)
        else:
            parts = values.chunk(count) if values.ndim else [values] * count
        for layer, part in zip(layers, parts, strict=True):
            layer.state_dict()[name].copy_(part)
