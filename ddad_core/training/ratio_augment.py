"""Variants of images that are the same chest: position, exposure, grain, blur, hidden places.

What a network could tell two archives apart by, but a reader would not call a finding, is varied
until it tells nothing. Every draw comes from the generator that is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional

Drawn = Callable[..., torch.Tensor]
"""Further dimensions -> (B, ...) of numbers uniform in -1 to 1."""

TURN = math.radians(10)
SCALE = 0.12
SHIFT = 0.06
"""Of the image's half side: the coordinates of the grid go from -1 to 1."""
GAMMA = 0.4
NOISE = 0.08
HIDDEN = 0.5
"""Chance that a rectangle is hidden."""


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Vary a batch, (B, 1, S, S) in [-1, 1] -> the same shape, each image in its own way."""
    n, side = len(images), images.shape[-1]

    def drawn(*shape: int) -> torch.Tensor:
        return torch.rand(n, *shape, generator=generator) * 2 - 1  # uniform in -1 to 1

    moved = _moved(images, drawn)
    grey = ((moved + 1) / 2).clamp(0, 1)
    grey = grey ** torch.exp(drawn(1, 1, 1) * GAMMA)
    contrast = torch.exp(drawn(1, 1, 1) * 0.3)
    varied = (2 * grey - 1) * contrast + drawn(1, 1, 1) * 0.2
    varied = _blurred(varied, drawn)
    strength = NOISE * drawn(1, 1, 1).abs()
    varied = varied + strength * torch.randn(varied.shape, generator=generator)
    return _hidden(varied, drawn, side)


def _moved(images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
    angle, scale = drawn() * TURN, torch.exp(drawn() * SCALE)
    mirror = torch.where(drawn() < 0, -1.0, 1.0)
    turn = torch.stack(
        [
            torch.stack([scale * angle.cos() * mirror, -scale * angle.sin(), drawn() * SHIFT], 1),
            torch.stack([scale * angle.sin() * mirror, scale * angle.cos(), drawn() * SHIFT], 1),
        ],
        dim=1,
    )  # (B, 2, 3)
    grid = functional.affine_grid(turn, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _blurred(images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
    """Half of the images mixed with their 3 x 3 mean, as coarser sampling or compression does."""
    share = drawn(1, 1, 1).clamp(min=0)
    smooth = functional.avg_pool2d(
        functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1
    )
    return images + share * (smooth - images)


def _hidden(images: torch.Tensor, drawn: Drawn, side: int) -> torch.Tensor:
    at = (torch.arange(side) + 0.5) * (2 / side) - 1
    half_height, half_width = (0.1 + 0.2 * drawn(1, 1).abs() for _ in range(2))
    rows = ((at.view(1, -1, 1) - drawn(1, 1)).abs() < half_height).float()
    columns = ((at.view(1, 1, -1) - drawn(1, 1)).abs() < half_width).float()
    chosen = (drawn(1, 1) < 2 * HIDDEN - 1).float()
    mask = (rows * columns * chosen).unsqueeze(1)  # (B, 1, S, S)
    mean = images.mean(dim=(2, 3), keepdim=True)
    return images + mask * (mean - images)
