"""AUPRO: the share of each finding that is covered, against the share covered elsewhere.

Source: Bergmann et al., "Uninformed Students", CVPR 2020. At a level t a cell is covered if its
value is >= t. The per-region overlap (PRO) is the mean over findings of the share of their cells
covered; it is integrated over the false-positive rate of all cells outside findings from 0 to 0.3,
and divided by 0.3. A blind map has 0.15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

AUPRO_LIMIT = 0.3
CHANCE_AUPRO = AUPRO_LIMIT / 2
GRID = 250
"""Levels by false positives at which resamples are measured; the value is measured at all."""


def aupro(
    maps: np.ndarray,
    regions: Sequence[np.ndarray],
    normal_maps: np.ndarray | None,
    weights: tuple[np.ndarray, np.ndarray | None],
) -> tuple[float, np.ndarray]:
    """AUPRO of all images and of resamples of them.

    Args:
        maps: (N, S, S) of images with findings.
        regions: N arrays, bool (R, S, S): the findings of each image.
        normal_maps: (M, S, S) of normal images, whose cells are all outside findings, or None.
        weights: How often each image is drawn in each resample: (B, N) and (B, M).

    Returns:
        The value, and (B,) values of the resamples.
    """
    outside = [m[~r.any(axis=0)] for m, r in zip(maps, regions, strict=True)]
    healthy = [] if normal_maps is None else [m.reshape(-1) for m in normal_maps]
    pooled = np.sort(np.concatenate([*outside, *healthy]))
    levels = np.unique(np.concatenate([maps.reshape(-1), pooled]))[::-1]
    rate = _covered(pooled, levels) / len(pooled)
    overlap = np.zeros(len(levels))
    for m, r in zip(maps, regions, strict=True):
        overlap += _overlaps(m, r, levels)
    n_regions = np.array([len(r) for r in regions])
    value = _area(rate[None, :], overlap[None, :] / n_regions.sum())[0]

    # Levels lie closer where the curve is steep, at few false positives; those of the findings'
    # own cells see to the part that lies above everything outside.
    shares = 1 - np.linspace(0, 1, GRID) ** 2
    inside = np.concatenate([m[r.any(axis=0)] for m, r in zip(maps, regions, strict=True)])
    own = np.quantile(inside, np.linspace(0, 1, GRID // 4))
    grid = np.unique(np.concatenate([np.quantile(pooled, shares), own]))[::-1]
    false = np.zeros((len(weights[0]), len(grid)))
    total = np.zeros((len(weights[0]), 1))
    for parts, drawn in ((outside, weights[0]), (healthy, weights[1])):
        if parts and drawn is not None:
            counts = np.stack([_covered(np.sort(cells), grid) for cells in parts])
            false += drawn @ counts.astype(np.float64)
            total += (drawn @ np.array([float(len(cells)) for cells in parts]))[:, None]
    overlaps = np.stack([_overlaps(m, r, grid) for m, r in zip(maps, regions, strict=True)])
    shares_covered = (weights[0] @ overlaps) / (weights[0] @ n_regions)[:, None]
    return float(value), _area(false / total, shares_covered)


def _covered(ascending: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Number of values at or above each level, (T,)."""
    return len(ascending) - np.searchsorted(ascending, levels, side="left")


def _overlaps(values: np.ndarray, regions: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Shares of an image's findings covered at each level, summed over the findings, (T,)."""
    shares = [_covered(np.sort(values[r]), levels) / r.sum() for r in regions]
    return np.sum(shares, axis=0)


def _area(rate: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """Area under rows of curves from (0, 0) up to the limit, by trapezoids, over the limit."""
    zero = np.zeros((len(rate), 1))
    rate, overlap = np.hstack([zero, rate]), np.hstack([zero, overlap])
    step = np.diff(rate, axis=1)
    used = np.clip(AUPRO_LIMIT - rate[:, :-1], 0, step)  # of each trapezoid, the part below
    slope = np.diff(overlap, axis=1) / np.where(step > 0, step, 1)
    return (used * (overlap[:, :-1] + 0.5 * slope * used)).sum(axis=1) / AUPRO_LIMIT
