"""Free-response ROC: findings hit against false regions an image.

At a level t the regions of a map are the connected parts (8 neighbours) of the cells with values
>= t. A region is judged by its peak, its highest cell: it is true if the peak lies in a finding,
and each finding that holds it is hit; otherwise it is false. Lowering t makes regions, and merges
them: a merged region keeps the higher peak. So a peak stands for a region at the levels from its
own value down to, but not at, the value at which it meets a higher one (its saddle).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddad_core.evaluation.metrics import Estimate, percentile_interval

ALLOWED = (0.25, 0.5, 1.0, 2.0)
"""False regions an image at which the share of findings hit is stated."""

CURVE = tuple(round(0.05 * i, 2) for i in range(81))
MAX_LEVELS = 1024


@dataclass(frozen=True, eq=False)
class Peaks:
    """The regions of a stack of maps at all levels.

    Attributes:
        image: (P,) index of the map.
        row: (P,).
        column: (P,).
        value: (P,) the highest level at which the region is there.
        saddle: (P,) the level at which it is there no more; -inf for a map's maximum.
    """

    image: np.ndarray
    row: np.ndarray
    column: np.ndarray
    value: np.ndarray
    saddle: np.ndarray


@dataclass(frozen=True)
class Froc:
    """Share of findings hit by the false regions allowed.

    The level is lowered from the top until false regions an image first exceed what is allowed;
    the share is the highest met on the way.

    Attributes:
        counted_on: The images that false regions were counted on, in words.
        at: By false regions an image: share of findings hit, bootstrap over images with the
            level chosen anew in each resample.
        false_regions: The curve's axis.
        hit_rate: Share of findings hit at each.
    """

    counted_on: str
    at: dict[float, Estimate]
    false_regions: tuple[float, ...]
    hit_rate: tuple[float, ...]


def find_peaks(maps: np.ndarray) -> Peaks:
    """Find the peaks of maps and the saddles at which they merge into higher ones.

    Every cell climbs to its highest neighbour until it is a peak; where two peaks' slopes touch,
    the lower cell of the highest such pair is a saddle between them. Of cells with equal values,
    the later one counts as higher.

    Args:
        maps: (N, S, S), finite.
    """
    n, height, width = maps.shape
    cells = n * height * width
    flat = np.asarray(maps, dtype=np.float64).reshape(-1)
    rank = np.empty(cells, dtype=np.int64)
    rank[np.argsort(flat, kind="stable")] = np.arange(cells)
    index = np.arange(cells).reshape(n, height, width)
    rank = rank.reshape(n, height, width)
    highest, target = rank.copy(), index.copy()
    pairs = []
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
        one = np.s_[:, : height - down, max(-right, 0) : width - max(right, 0)]
        other = np.s_[:, down:, max(right, 0) : width + min(right, 0)]
        pairs.append((index[one].reshape(-1), index[other].reshape(-1)))
        for here, there in ((one, other), (other, one)):
            better = rank[there] > highest[here]
            highest[here] = np.where(better, rank[there], highest[here])
            target[here] = np.where(better, index[there], target[here])
    peak_of = target.reshape(-1)
    while np.any(peak_of[peak_of] != peak_of):
        peak_of = peak_of[peak_of]
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    saddle = _merge(rank.reshape(-1), flat, peak_of, first, second)
    peaks = np.flatnonzero(saddle < flat)  # one that merges at its own value was never a region
    image, row, column = np.unravel_index(peaks, maps.shape)
    return Peaks(image, row, column, flat[peaks], saddle[peaks])


def _merge(
    rank: np.ndarray, flat: np.ndarray, peak_of: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Saddle of each peak by cell, (cells,); +inf for cells that are no peaks."""
    saddle = np.full(len(flat), np.inf)
    peaks = np.unique(peak_of)
    saddle[peaks] = -np.inf
    touching = peak_of[first] != peak_of[second]
    first, second = first[touching], second[touching]
    lower = np.where(rank[first] < rank[second], first, second)
    order = np.argsort(-rank[lower])
    links = np.stack([peak_of[first], peak_of[second]])[:, order]
    # The first link of two slopes is their highest; the others change nothing.
    _, keep = np.unique(links.min(axis=0) * len(flat) + links.max(axis=0), return_index=True)
    keep.sort()
    parent = {peak: peak for peak in peaks.tolist()}

    def root(peak: int) -> int:
        while parent[peak] != peak:
            parent[peak] = peak = parent[parent[peak]]
        return peak

    values = flat[lower[order[keep]]].tolist()
    for one, other, value in zip(*links[:, keep].tolist(), values, strict=True):
        a, b = root(one), root(other)
        if a != b:
            low, high = (a, b) if rank[a] < rank[b] else (b, a)
            parent[low] = high
            saddle[low] = value
    return saddle


@dataclass(frozen=True, eq=False)
class Trace:
    """What lowering the level does to each image.

    Attributes:
        levels: (T,) descending.
        hits: (N, T) findings hit in each image with findings.
        n_regions: (N,) findings in each.
        falses: (M, T) false regions in each image that they are counted on.
        counted_on: Which images these are, in words.
    """

    levels: np.ndarray
    hits: np.ndarray
    n_regions: np.ndarray
    falses: np.ndarray
    counted_on: str


def trace(maps: np.ndarray, regions: Sequence[np.ndarray], normal_maps: np.ndarray | None) -> Trace:
    """Count findings hit and false regions at each level.

    Args:
        maps: (N, S, S) of images with findings.
        regions: N arrays, bool (R, S, S): the findings of each image.
        normal_maps: (M, S, S) of normal images, or None; if given, false regions are counted on
            them alone.
    """
    found = find_peaks(maps)
    covered = np.stack([r.any(axis=0) for r in regions])  # (N, S, S)
    inside = covered[found.image, found.row, found.column]
    if normal_maps is None:
        false, n_false = _only(found, ~inside), len(maps)
    else:
        false, n_false = find_peaks(normal_maps), len(normal_maps)
    levels = _levels(found.value, false, n_false)
    return Trace(
        levels=levels,
        hits=np.stack([_hits(found, i, regions[i], levels) for i in range(len(maps))]),
        n_regions=np.array([len(r) for r in regions]),
        falses=np.stack([_alive(_only(false, false.image == i), levels) for i in range(n_false)]),
        counted_on="images with findings" if normal_maps is None else "normal images",
    )


def froc(
    maps: np.ndarray,
    regions: Sequence[np.ndarray],
    normal_maps: np.ndarray | None,
    weights: tuple[np.ndarray, np.ndarray | None],
) -> Froc:
    """Trace how many findings are hit by how many false regions.

    Args:
        maps: (N, S, S) of images with findings.
        regions: N arrays, bool (R, S, S): the findings of each image.
        normal_maps: (M, S, S) of normal images, or None; if given, false regions are counted on
            them alone.
        weights: How often each image is drawn in each resample: (B, N) and (B, M).
    """
    traced = trace(maps, regions, normal_maps)
    hits, falses, n_regions = traced.hits, traced.falses, traced.n_regions
    if normal_maps is None:
        weights_false = weights[0]
    else:
        assert weights[1] is not None
        weights_false = weights[1]

    def envelope(w: np.ndarray, w_false: np.ndarray, allowed: Sequence[float]) -> np.ndarray:
        """Best share hit at each allowed rate, (A, B)."""
        rate = np.maximum.accumulate(w_false @ falses / w_false.sum(axis=1)[:, None], axis=1)
        share = np.maximum.accumulate((w @ hits) / (w @ n_regions)[:, None], axis=1)
        share = np.concatenate([np.zeros((len(share), 1)), share], axis=1)  # nothing flagged yet
        reached = np.stack([(rate <= limit).sum(axis=1) for limit in allowed])
        return np.stack([share[np.arange(len(share)), r] for r in reached])

    once = np.ones((1, len(maps))), np.ones((1, len(falses)))
    values = envelope(*once, ALLOWED)[:, 0]
    samples = envelope(weights[0], weights_false, ALLOWED)
    return Froc(
        counted_on=traced.counted_on,
        at={
            allowed: percentile_interval(float(value), sample)
            for allowed, value, sample in zip(ALLOWED, values, samples, strict=True)
        },
        false_regions=CURVE,
        hit_rate=tuple(float(v) for v in envelope(*once, CURVE)[:, 0]),
    )


def _only(peaks: Peaks, chosen: np.ndarray) -> Peaks:
    return Peaks(
        peaks.image[chosen], peaks.row[chosen], peaks.column[chosen],
        peaks.value[chosen], peaks.saddle[chosen],
    )  # fmt: skip


def _alive(peaks: Peaks, levels: np.ndarray) -> np.ndarray:
    """Number of regions at each level, (T,)."""
    born = len(peaks.value) - np.searchsorted(np.sort(peaks.value), levels, side="left")
    merged = len(peaks.saddle) - np.searchsorted(np.sort(peaks.saddle), levels, side="left")
    return (born - merged).astype(np.float64)


def _levels(values: np.ndarray, false: Peaks, n_false: int) -> np.ndarray:
    """Levels to look at, from the top down: those at which regions appear.

    They end where false regions an image exceed twice the curve's end, far enough for every
    resample. If they are more than ``MAX_LEVELS``, the upper half of that number is kept whole
    and the rest thinned evenly.
    """
    levels = np.unique(np.concatenate([values, false.value]))[::-1]
    beyond = np.flatnonzero(_alive(false, levels) > 2 * CURVE[-1] * n_false)
    levels = levels[: beyond[0] + 1] if len(beyond) else levels
    if len(levels) > MAX_LEVELS:
        half = MAX_LEVELS // 2
        rest = np.linspace(half, len(levels) - 1, half).astype(int)
        levels = np.concatenate([levels[:half], levels[rest]])
    return levels


def _hits(peaks: Peaks, image: int, regions: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Number of an image's findings that hold a region's peak at each level, (T,)."""
    own = _only(peaks, peaks.image == image)
    alive = (own.saddle[:, None] < levels) & (levels <= own.value[:, None])  # (P, T)
    held = regions[:, own.row, own.column]  # (R, P)
    return (held.astype(np.float64) @ alive > 0).sum(axis=0).astype(np.float64)
