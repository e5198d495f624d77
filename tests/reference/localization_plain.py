"""Localisation figures restated level by level, with every level relabelled from nothing."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def regions_at(values, level):
    """Peaks (row, column, value) of the connected parts of ``values >= level``."""
    parts, n = ndimage.label(values >= level, structure=np.ones((3, 3)))
    places = ndimage.maximum_position(values, parts, range(1, n + 1))
    return sorted((row, column, values[row, column]) for row, column in places)


def froc_plain(maps, regions, allowed, normal_maps=None):
    """Share of findings hit before false regions an image first exceed what is allowed."""
    counted = maps if normal_maps is None else normal_maps
    best = 0.0
    for level in np.unique(np.concatenate([maps.ravel(), counted.ravel()]))[::-1]:
        hit = false = 0
        for values, found in zip(maps, regions, strict=True):
            peaks = regions_at(values, level)
            hit += sum(any(r[i, j] for i, j, _ in peaks) for r in found)
            if normal_maps is None:
                false += sum(not found[:, i, j].any() for i, j, _ in peaks)
        if normal_maps is not None:
            false = sum(len(regions_at(values, level)) for values in normal_maps)
        if false / len(counted) > allowed:
            break
        best = max(best, hit / sum(len(found) for found in regions))
    return best


def aupro_plain(maps, regions, normal_maps=(), limit=0.3):
    """AUPRO from the whole curve, interpolated at the limit."""
    outside = np.concatenate(
        [m[~r.any(axis=0)] for m, r in zip(maps, regions, strict=True)]
        + [m.ravel() for m in normal_maps]
    )
    levels = np.unique(np.concatenate([m.ravel() for m in (*maps, *normal_maps)]))[::-1, None]
    shares = [
        (m[r] >= levels).mean(axis=1) for m, found in zip(maps, regions, strict=True) for r in found
    ]
    rate = np.append(0.0, (outside >= levels).mean(axis=1))
    overlap = np.append(0.0, np.mean(shares, axis=0))
    kept = rate <= limit
    x = np.append(rate[kept], limit)
    end = overlap[kept][-1]
    if not kept.all():
        after = np.argmin(kept)
        part = (limit - rate[after - 1]) / (rate[after] - rate[after - 1])
        end += part * (overlap[after] - end)
    return float(np.trapezoid(np.append(overlap[kept], end), x) / limit)
