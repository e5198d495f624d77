"""The plain autoencoder (AE) and the one with per-pixel uncertainty (AE-U)."""

from __future__ import annotations

import torch

from ddad_core.networks.blocks import IMAGES, ReconstructionNetwork
from ddad_core.types import Reconstruction


class AE(ReconstructionNetwork):
    """Autoencoder trained on the squared error (method, "Networks")."""

    def __init__(self, size: int = 64) -> None:
        super().__init__(size, channels_out=1)

    def forward(self, images: torch.Tensor) -> Reconstruction:
        """Reconstruct a batch, (B, 1, S, S) in [-1, 1]."""
        return Reconstruction(mean=self.decode(self.encode(images)))

    @staticmethod
    def losses(images: torch.Tensor, out: Reconstruction) -> torch.Tensor:
        """Mean squared error over the last four dimensions: (..., B, 1, S, S) -> (...)."""
        return torch.mean((out.mean - images) ** 2, dim=IMAGES)


class AEU(ReconstructionNetwork):
    """Autoencoder that also predicts the log variance of its own error per pixel."""

    def __init__(self, size: int = 64) -> None:
        super().__init__(size, channels_out=2)

    def forward(self, images: torch.Tensor) -> Reconstruction:
        """Reconstruct a batch, (B, 1, S, S) in [-1, 1]."""
        mean, log_var = self.decode(self.encode(images)).chunk(2, dim=1)
        return Reconstruction(mean=mean, log_var=log_var)

    @staticmethod
    def losses(images: torch.Tensor, out: Reconstruction) -> torch.Tensor:
        """Gaussian negative log likelihood without its constants: (..., B, 1, S, S) -> (...)."""
        assert out.log_var is not None
        weighted = torch.exp(-out.log_var) * (out.mean - images) ** 2
        return torch.mean(weighted, dim=IMAGES) + torch.mean(out.log_var, dim=IMAGES)
