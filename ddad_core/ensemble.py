"""K networks as one: modules A and B are instances of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ddad_core.networks.build import Network
from ddad_core.types import Reconstruction


@dataclass(frozen=True, eq=False)
class EnsembleReconstruction:
    """What the K networks of a module give back.

    Attributes:
        means: (K, B, 1, S, S).
        log_vars: (K, B, 1, S, S) for AE-U, else None.
    """

    means: torch.Tensor
    log_vars: torch.Tensor | None


class Ensemble(nn.Module):
    """K networks of one architecture, applied to the same batch."""

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        assert networks, "an ensemble needs at least one network"
        self.networks = nn.ModuleList(networks)

    def forward(self, images: torch.Tensor) -> EnsembleReconstruction:
        """Reconstruct a batch, (B, 1, S, S) in [-1, 1], by every network."""
        outs: list[Reconstruction] = [network(images) for network in self.networks]
        log_vars = [out.log_var for out in outs if out.log_var is not None]
        return EnsembleReconstruction(
            means=torch.stack([out.mean for out in outs]),  # (K, B, 1, S, S)
            log_vars=torch.stack(log_vars) if log_vars else None,
        )
