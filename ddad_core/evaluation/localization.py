"""Do maps point at the findings? Pointing, pixel AUC, AUPRO and FROC, with intervals.

A "pixel" is a map cell: a map holds no more than its S x S values. Intervals of means are those of
the bootstrap over images; several images of one patient count as if they were of several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ddad_core.errors import MetricError
from ddad_core.evaluation.aupro import CHANCE_AUPRO, aupro
from ddad_core.evaluation.froc import Froc, froc
from ddad_core.evaluation.metrics import (
    BOOTSTRAP_SAMPLES,
    BOOTSTRAP_SEED,
    Estimate,
    percentile_interval,
    proportion,
)
from ddad_core.evaluation.regions import Box, regions_of_boxes, regions_of_mask

CHANCE_PIXEL_AUC = 0.5


@dataclass(frozen=True)
class Gain:
    """What a map is worth beyond one fixed picture laid over every image.

    Attributes:
        pointing: Pointing accuracy of the fixed picture.
        pixel_auc: Its mean pixel AUC.
        aupro: Its AUPRO.
        pixel_auc_gain: Mean pixel AUC of the map less that of the picture, paired by image.
        aupro_gain: AUPRO of the map less that of the picture, paired by image.
    """

    pointing: Estimate
    pixel_auc: Estimate
    aupro: Estimate
    pixel_auc_gain: Estimate
    aupro_gain: Estimate


@dataclass(frozen=True)
class LocalizationResult:
    """How well one kind of map finds the findings.

    Attributes:
        n_images: Images with findings.
        n_regions: Findings.
        n_normal: Normal images given, 0 if none.
        pointing: Share of images whose highest cell lies in a finding, exact interval. With ties
            for the highest, all tied cells must.
        chance_pointing: What a cell drawn blindly would reach: the mean share of cells inside.
        pixel_auc: Mean over images of the AUC of cells inside against outside; chance is 0.5.
        aupro: Mean share of each finding covered, against the share of cells covered outside
            findings (normal images' too), integrated up to 0.3 of the latter and divided by it
            (Bergmann et al., CVPR 2020); chance is 0.15.
        froc: Findings hit against false regions an image.
        gains: By the name of a fixed picture: what the map is worth beyond it.
    """

    n_images: int
    n_regions: int
    n_normal: int
    pointing: Estimate
    chance_pointing: float
    pixel_auc: Estimate
    aupro: Estimate
    froc: Froc
    gains: dict[str, Gain]


def localize(
    maps: Mapping[str, np.ndarray],
    boxes: Sequence[Sequence[Box]],
    *,
    frame: tuple[int, int],
    normal_maps: Mapping[str, np.ndarray] | None = None,
    baselines: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> dict[str, LocalizationResult]:
    """Compare maps with readers' boxes.

    Args:
        maps: (N, S, S) by map name, of images with boxes; higher is more abnormal.
        boxes: The N images' boxes, at least one each; where boxes overlap each is a finding.
        frame: (H, W) in pixels of the images the boxes were drawn on.
        normal_maps: (M, S, S) by map name, of normal images; if given, their cells count for
            AUPRO, and false regions are counted on them alone.
        baselines: By map name, fixed pictures (S, S) by their own names, such as
            :func:`centre_prior` or the mean of normal maps.

    Returns:
        Results by map name.

    Raises:
        MetricError: Shapes do not fit, a map is not finite, an image has no box or boxes
            everywhere.
    """
    return _results(
        maps,
        lambda size: [regions_of_boxes(b, frame=frame, size=size) for b in boxes],
        normal_maps,
        baselines,
    )


def localize_masks(
    maps: Mapping[str, np.ndarray],
    masks: Sequence[np.ndarray],
    *,
    normal_maps: Mapping[str, np.ndarray] | None = None,
    baselines: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> dict[str, LocalizationResult]:
    """Compare maps with masks; each connected part of a mask is a finding.

    Args:
        maps: As for :func:`localize`.
        masks: N arrays (H, W) covering the whole image, non-zero on findings.
        normal_maps: As for :func:`localize`.
        baselines: As for :func:`localize`.

    Returns:
        Results by map name.

    Raises:
        MetricError: As :func:`localize`, or a mask is empty or coarser than the map.
    """
    return _results(
        maps,
        lambda size: [regions_of_mask(mask, size=size) for mask in masks],
        normal_maps,
        baselines,
    )


def centre_prior(size: int) -> np.ndarray:
    """A fixed picture that is brightest in the middle: less the distance from it, (S, S)."""
    offset = (np.arange(size) + 0.5) / size - 0.5
    return -np.hypot(offset[:, None], offset[None, :])


def state(title: str, result: LocalizationResult) -> str:
    """What the figures say of a map, in one plain sentence.

    It beats a rival, or loses to it, where the interval leaves out a tie.

    Args:
        title: The map's name for people.
        result: Its figures.
    """
    chance = {
        "pointing": (result.pointing, result.chance_pointing),
        "pixel AUC": (result.pixel_auc, CHANCE_PIXEL_AUC),
        "AUPRO": (result.aupro, CHANCE_AUPRO),
    }
    parts = [_against("chance", chance)]
    for name, gain in result.gains.items():
        gained = {"pixel AUC": (gain.pixel_auc_gain, 0.0), "AUPRO": (gain.aupro_gain, 0.0)}
        parts.append(_against(name, gained))
    return f"{title} {'; it '.join(parts)}."


def _against(rival: str, figures: Mapping[str, tuple[Estimate, float]]) -> str:
    won = [name for name, (found, tie) in figures.items() if found.low > tie]
    lost = [name for name, (found, tie) in figures.items() if found.high < tie]
    words = [
        f"{verb} {rival} in {' and '.join(names)}"
        for verb, names in (("beats", won), ("loses to", lost))
        if names
    ]
    if not words:
        return f"is not told apart from {rival}"
    open_ = [name for name in figures if name not in won + lost]
    return " and ".join(words) + (f", open in {' and '.join(open_)}" if open_ else "")


def _results(
    maps: Mapping[str, np.ndarray],
    regions_at: Callable[[int], list[np.ndarray]],
    normal_maps: Mapping[str, np.ndarray] | None,
    baselines: Mapping[str, Mapping[str, np.ndarray]] | None,
) -> dict[str, LocalizationResult]:
    found = {}
    for name, values in maps.items():
        normals = None if normal_maps is None else normal_maps[name]
        regions = regions_at(values.shape[-1])
        _check(name, values, regions, normals)
        found[name] = _result(values, regions, normals, (baselines or {}).get(name, {}))
    return found


def _result(
    maps: np.ndarray,
    regions: list[np.ndarray],
    normals: np.ndarray | None,
    baselines: Mapping[str, np.ndarray],
) -> LocalizationResult:
    inside = np.stack([r.any(axis=0) for r in regions])  # (N, S, S)
    weights = _weights(len(maps), 0 if normals is None else len(normals))
    found = _Measured.of(maps, regions, inside, normals, weights)
    gains = {}
    for title, picture in baselines.items():
        if picture.shape != maps.shape[1:]:
            problem = f"The baseline {title} is {picture.shape}, the maps are {maps.shape[1:]}."
            raise MetricError(problem, "Give it at the maps' size.")
        fixed = np.broadcast_to(picture, maps.shape)
        fixed_normals = None if normals is None else np.broadcast_to(picture, normals.shape)
        other = _Measured.of(fixed, regions, inside, fixed_normals, weights)
        gains[title] = other.as_baseline_of(found)
    return LocalizationResult(
        n_images=len(maps),
        n_regions=sum(len(r) for r in regions),
        n_normal=0 if normals is None else len(normals),
        pointing=found.pointing,
        chance_pointing=float(inside.mean()),
        pixel_auc=percentile_interval(*found.pixel_auc),
        aupro=percentile_interval(*found.aupro),
        froc=froc(maps, regions, normals, weights),
        gains=gains,
    )


def _check(
    name: str, maps: np.ndarray, regions: list[np.ndarray], normals: np.ndarray | None
) -> None:
    if maps.ndim != 3 or maps.shape[1] != maps.shape[2] or len(maps) != len(regions):
        problem = f"Maps {name} of shape {maps.shape} do not fit the findings of {len(regions)}."
        raise MetricError(problem, "Give one square map an image.")
    if not len(maps):
        problem = "There are no images with findings."
        raise MetricError(problem)
    if normals is not None and (normals.shape[1:] != maps.shape[1:] or not len(normals)):
        problem = f"Normal maps {name} are {normals.shape}, the others {maps.shape}."
        raise MetricError(problem, "Give them at the same size, at least one.")
    for values in (maps, normals):
        if values is not None and not np.isfinite(values).all():
            problem = f"Some values of the maps {name} are not finite."
            raise MetricError(problem, "Find the images they come from.")
    for i, found in enumerate(regions):
        if found.any(axis=0).all():
            problem = f"The findings of image {i} (counted from 0) cover all of the map."
            raise MetricError(problem, "Leave it out: nothing can be told apart in it.")


def _weights(n: int, normal: int) -> tuple[np.ndarray, np.ndarray | None]:
    """How often each image is drawn in each resample: (2000, N) and (2000, M); always the same."""
    generator = np.random.default_rng(BOOTSTRAP_SEED)

    def draw(images: int) -> np.ndarray:
        drawn = generator.multinomial(images, np.full(images, 1 / images), BOOTSTRAP_SAMPLES)
        return drawn.astype(np.float64)  # products of integers are slow

    first = draw(n)
    return first, draw(normal) if normal else None


@dataclass(frozen=True, eq=False)
class _Measured:
    """Figures of a map, or of a fixed picture, with their 2000 resamples."""

    pointing: Estimate
    pixel_auc: tuple[float, np.ndarray]
    aupro: tuple[float, np.ndarray]

    @classmethod
    def of(
        cls,
        maps: np.ndarray,
        regions: list[np.ndarray],
        inside: np.ndarray,
        normals: np.ndarray | None,
        weights: tuple[np.ndarray, np.ndarray | None],
    ) -> _Measured:
        aucs = np.array([_cell_auc(m, i) for m, i in zip(maps, inside, strict=True)])
        return cls(
            pointing=proportion(sum(map(_points_inside, maps, inside)), len(maps)),
            pixel_auc=(float(aucs.mean()), weights[0] @ aucs / len(maps)),
            aupro=aupro(maps, regions, normals, weights),
        )

    def as_baseline_of(self, found: _Measured) -> Gain:
        pairs = ((found.pixel_auc, self.pixel_auc), (found.aupro, self.aupro))
        gains = [percentile_interval(a[0] - b[0], a[1] - b[1]) for a, b in pairs]
        return Gain(
            pointing=self.pointing,
            pixel_auc=percentile_interval(*self.pixel_auc),
            aupro=percentile_interval(*self.aupro),
            pixel_auc_gain=gains[0],
            aupro_gain=gains[1],
        )


def _points_inside(values: np.ndarray, inside: np.ndarray) -> bool:
    return bool(inside[values == values.max()].all())


def _cell_auc(values: np.ndarray, inside: np.ndarray) -> float:
    """AUC of the cells inside against those outside, by ranks; ties count half."""
    n = int(inside.sum())
    ranks = rankdata(values.reshape(-1))[inside.reshape(-1)]
    return float((ranks.sum() - n * (n + 1) / 2) / (n * (inside.size - n)))
