"""The encoder, bottleneck and decoder that AE, AE-U and MemAE share.

Source: Cai et al., MICCAI 2022 (arXiv 2206.03935) and the authors' published model.
"""

from __future__ import annotations

import torch
from torch import nn

CHANNELS = (16, 32, 64, 64)
HIDDEN = 2048
LATENT = 16
STAGES = len(CHANNELS)


class Encoder(nn.Sequential):
    """(B, 1, S, S) -> (B, 64, S/16, S/16); four stride-2 stages with BatchNorm and ReLU."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        channels_in = 1
        for channels in CHANNELS:
            layers += [
                nn.Conv2d(channels_in, channels, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            channels_in = channels
        super().__init__(*layers)


class Decoder(nn.Sequential):
    """(B, 64, S/16, S/16) -> (B, channels_out, S, S); the last stage is linear."""

    def __init__(self, channels_out: int) -> None:
        layers: list[nn.Module] = []
        plan = (*reversed(CHANNELS), channels_out)  # 64-64-32-16-out
        for channels_in, channels in zip(plan[:-2], plan[1:-1], strict=True):
            layers += [
                nn.ConvTranspose2d(channels_in, channels, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
        layers.append(nn.ConvTranspose2d(plan[-2], plan[-1], 4, stride=2, padding=1, bias=False))
        super().__init__(*layers)


class Squeeze(nn.Sequential):
    """(B, features) -> (B, 16); the latent itself has no BatchNorm or activation."""

    def __init__(self, features: int) -> None:
        super().__init__(
            nn.Linear(features, HIDDEN),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, LATENT),
        )


class Expand(nn.Sequential):
    """(B, 16) -> (B, features); the output has no BatchNorm or activation."""

    def __init__(self, features: int) -> None:
        super().__init__(
            nn.Linear(LATENT, HIDDEN),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, features),
        )


class ReconstructionNetwork(nn.Module):
    """What the three networks have in common.

    Args:
        size: S, a multiple of 16.
        channels_out: Channels of the decoder's output.
    """

    def __init__(self, size: int, channels_out: int) -> None:
        super().__init__()
        side = size // 2**STAGES
        assert side * 2**STAGES == size, "the input size must be a multiple of 16"
        self.grid = (CHANNELS[-1], side, side)
        features = CHANNELS[-1] * side * side
        self.encoder = Encoder()
        self.squeeze = Squeeze(features)
        self.expand = Expand(features)
        self.decoder = Decoder(channels_out)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Compress a batch, (B, 1, S, S) -> (B, 16)."""
        return self.squeeze(self.encoder(images).flatten(1))

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Expand a latent, (B, 16) -> (B, channels_out, S, S)."""
        return self.decoder(self.expand(latent).unflatten(1, self.grid))
