"""Whether another way of running a model gives the scores of the modules themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn.functional import interpolate

from ddad_core.discrepancy import discrepancy_maps, image_scores
from ddad_core.ensemble import EnsembleReconstruction

TOLERANCE = 1e-4
"""Largest relative difference of an image score that is let pass."""

FLOOR = 1e-7
"""Added to the limit, in units of the score: module A equal to B has the score 0 exactly."""

Reconstruct = Callable[[torch.Tensor], tuple[EnsembleReconstruction, EnsembleReconstruction]]


def plausible_grey(n: int, size: int, seed: int = 2022) -> np.ndarray:
    """Made-up images with the brightness, shades and grain of a radiograph; always the same.

    Returns:
        uint8 (n, S, S), each from 0 to 255.
    """
    generator = torch.Generator().manual_seed(seed)
    shades = torch.rand(n, 1, 5, 5, generator=generator)
    images = interpolate(shades, size=(size, size), mode="bicubic", align_corners=False)
    images = images + 0.05 * torch.randn(images.shape, generator=generator)
    images = images - images.amin(dim=(2, 3), keepdim=True)
    images = images / images.amax(dim=(2, 3), keepdim=True)
    return (images.squeeze(1) * 255).round().byte().numpy()


@torch.inference_mode()
def scores_by(reconstruct: Reconstruct, images: torch.Tensor) -> dict[str, np.ndarray]:
    """The four image scores, float64 (B,), of images (B, 1, S, S) in [-1, 1]."""
    scores = image_scores(discrepancy_maps(images, *reconstruct(images)))
    return {name: values.double().cpu().numpy() for name, values in scores.items()}


def largest_difference(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> float:
    """The largest relative difference of any score of any image.

    Args:
        found: Scores (B,) by name.
        expected: Of the modules themselves; the same names and shapes.

    Returns:
        Infinity if a score is not finite on either side.
    """
    assert found.keys() == expected.keys()
    worst = 0.0
    for name, right in expected.items():
        if not (np.isfinite(found[name]).all() and np.isfinite(right).all()):
            return float("inf")
        off = np.maximum(np.abs(found[name] - right) - FLOOR, 0.0)
        relative = np.divide(off, np.abs(right), out=np.full_like(off, np.inf), where=right != 0)
        worst = max(worst, float(np.where(off == 0, 0.0, relative).max()))
    return worst
