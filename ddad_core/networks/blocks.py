"""The encoder, bottleneck and decoder that AE, AE-U and MemAE share.

Source: Cai et al., MICCAI 2022 (arXiv 2206.03935) and the authors' published model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

CHANNELS = (16, 32, 64, 64)
"""Of the published four stages; further stages, for larger inputs, have the last one's."""
HIDDEN = 2048
LATENT = 16
BOTTLENECK_SIDE = 4
"""The published 64 x 64 input reaches the linear layers as 4 x 4, and so do larger inputs."""
IMAGES = (-4, -3, -2, -1)
"""The dimensions (B, 1, S, S) that a loss is averaged over."""


def stage_channels(size: int) -> tuple[int, ...]:
    """Channels of the stride-2 stages for an input of side S: four, and more from 128 on."""
    channels: tuple[int, ...] = CHANNELS
    while size % 2 ** (len(channels) + 1) == 0 and size >> (len(channels) + 1) >= BOTTLENECK_SIDE:
        channels = (*channels, CHANNELS[-1])
    return channels


class Encoder(nn.Sequential):
    """(B, 1, S, S) -> (B, 64, S/16, S/16); stride-2 stages with BatchNorm and ReLU."""

    def __init__(self, plan: Sequence[int] = CHANNELS) -> None:
        layers: list[nn.Module] = []
        channels_in = 1
        for channels in plan:
            layers += [
                nn.Conv2d(channels_in, channels, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            channels_in = channels
        super().__init__(*layers)


class Decoder(nn.Sequential):
    """(B, 64, S/16, S/16) -> (B, channels_out, S, S); the last stage is linear."""

    def __init__(self, channels_out: int, stages: Sequence[int] = CHANNELS) -> None:
        layers: list[nn.Module] = []
        plan = (*reversed(stages), channels_out)  # 64-64-32-16-out
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
        plan = stage_channels(size)
        side = size // 2 ** len(plan)
        assert side * 2 ** len(plan) == size, "the input size must be a multiple of 16"
        self.grid = (plan[-1], side, side)
        features = plan[-1] * side * side
        self.encoder = Encoder(plan)
        self.squeeze = Squeeze(features)
        self.expand = Expand(features)
        self.decoder = Decoder(channels_out, plan)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Compress a batch, (B, 1, S, S) -> (B, 16)."""
        return self.squeeze(self.encoder(images).flatten(1))

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Expand a latent, (B, 16) -> (B, channels_out, S, S)."""
        return self.decoder(self.expand(latent).unflatten(1, self.grid))
