"""Calibration of maps by place, restated in plain numpy: two passes of a Gaussian, by hand."""

from __future__ import annotations

import numpy as np


def smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian of (S, S), cut at four deviations; beyond the edge the edge's value goes on."""
    reach = int(4 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    side = image.shape[0]
    places = np.arange(side)
    down = sum(
        w * image[np.clip(places + o, 0, side - 1)] for w, o in zip(weights, offsets, strict=True)
    )
    return sum(
        w * down[:, np.clip(places + o, 0, side - 1)] for w, o in zip(weights, offsets, strict=True)
    )


def statistics(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation at each place of the maps (n, S, S) of normals."""
    maps = maps.astype(np.float64)
    n, side, _ = maps.shape
    mean = sum(maps) / n
    variance = sum((one - mean) ** 2 for one in maps) / (n - 1)
    deviation = np.sqrt(smooth(variance, side / 64))
    return smooth(mean, side / 64), deviation + 0.1 * np.mean(deviation)


def calibrated(normals: np.ndarray, image_map: np.ndarray) -> np.ndarray:
    """How many deviations a map (S, S) lies above the normals, pixel by pixel."""
    mean, deviation = statistics(normals)
    return (image_map - mean) / deviation
