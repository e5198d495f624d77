"""The memory-augmented autoencoder (MemAE) as the published DDAD uses it.

Source: Gong et al., ICCV 2019, without hard shrinkage and with a plain dot product.
"""

from __future__ import annotations

import torch
from torch import nn

from ddad_core.networks.blocks import IMAGES, LATENT, ReconstructionNetwork
from ddad_core.types import Reconstruction

SLOTS = 25
ENTROPY_WEIGHT = 0.0002


class Memory(nn.Module):
    """Replace a latent by a convex mix of learnt slots."""

    def __init__(self) -> None:
        super().__init__()
        bound = LATENT**-0.5
        self.slots = nn.Parameter(torch.empty(SLOTS, LATENT).uniform_(-bound, bound))

    def forward(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Address the memory, (B, 16) -> mixed latent (B, 16) and weights (B, 25)."""
        attention = torch.softmax(latent @ self.slots.T, dim=1)
        return attention @ self.slots, attention


class MemAE(ReconstructionNetwork):
    """Autoencoder whose latent passes through a memory of normal prototypes."""

    def __init__(self, size: int = 64) -> None:
        super().__init__(size, channels_out=1)
        self.memory = Memory()

    def forward(self, images: torch.Tensor) -> Reconstruction:
        """Reconstruct a batch, (B, 1, S, S) in [-1, 1]."""
        latent, attention = self.memory(self.encode(images))
        return Reconstruction(mean=self.decode(latent), attention=attention)

    @staticmethod
    def losses(images: torch.Tensor, out: Reconstruction) -> torch.Tensor:
        """Mean squared error plus the weighted entropy of the memory weights: -> (...)."""
        assert out.attention is not None
        entropy = -torch.sum(out.attention * torch.log(out.attention + 1e-12), dim=-1)  # (..., B)
        error = torch.mean((out.mean - images) ** 2, dim=IMAGES)
        return error + ENTROPY_WEIGHT * torch.mean(entropy, dim=-1)
