"""Levels of a map by policy, from readers' boxes: false regions allowed, or findings to be hit.

A region is a connected part of the map at or above the level, and hits a finding if its highest
cell lies in it (``froc.py``). Intervals are those of the bootstrap over images, at the level
chosen, because findings of one image are hit or missed together. The level itself is chosen on
the same images, so what it promises looks a little better than it will be; choose on some images
and measure on others (:func:`at_level`) where there are enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ddad_core.errors import MetricError
from ddad_core.evaluation.froc import Trace
from ddad_core.evaluation.intervals import CONFIDENCE, on_logit
from ddad_core.evaluation.metrics import BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED, Estimate

LEAST_IMAGES = 10


@dataclass(frozen=True)
class LevelChoice:
    """A level and what to expect of it.

    Attributes:
        policy: In words, with its figures.
        level: Regions are cells with values >= level; None where the policy cannot be met.
        lesion_sensitivity: Share of findings hit.
        false_regions: False regions an image.
        n_findings: Findings the sensitivity rests on.
        n_images: Images with findings.
        n_counted: Images that false regions were counted on.
        counted_on: Which these are, in words.
        why_not: Why there is no level; empty if there is one.
    """

    policy: str
    level: float | None
    lesion_sensitivity: Estimate | None
    false_regions: Estimate | None
    n_findings: int
    n_images: int
    n_counted: int
    counted_on: str
    why_not: str = ""


def at_level(traced: Trace, level: float, *, policy: str = "") -> LevelChoice:
    """What a level does.

    Raises:
        MetricError: The level lies below those that were traced.
    """
    if level < traced.levels[-1]:
        problem = f"The level {level:.4g} lies below {traced.levels[-1]:.4g}, the lowest traced."
        raise MetricError(problem, "Below it there are more false regions than anyone would read.")
    # At a level between two traced ones the regions are those of the upper of the two.
    reached = int((traced.levels >= level).sum()) - 1
    if reached < 0:
        hits, falses = np.zeros(len(traced.hits)), np.zeros(len(traced.falses))
    else:
        hits, falses = traced.hits[:, reached], traced.falses[:, reached]
    return LevelChoice(
        policy=policy or f"By hand: {level:.4g}",
        level=float(level),
        lesion_sensitivity=_sensitivity(hits, traced.n_regions),
        false_regions=_rate(falses),
        n_findings=int(traced.n_regions.sum()),
        n_images=len(traced.hits),
        n_counted=len(traced.falses),
        counted_on=traced.counted_on,
    )


def at_most_false_regions(traced: Trace, allowed: float) -> LevelChoice:
    """The lowest level down to which false regions never exceed so many an image.

    Args:
        traced: By ``froc.trace``.
        allowed: False regions an image, above 0.

    Raises:
        MetricError: The number is not above 0.
    """
    if not allowed > 0:
        problem = f"{allowed} false regions an image are no allowance."
        raise MetricError(problem, "Give a number above 0, such as 0.5.")
    policy = f"At most {allowed:g} false regions an image"
    if why_not := _too_few(traced):
        return _cannot(traced, policy, why_not)
    rate = np.maximum.accumulate(traced.falses.mean(axis=0))
    reached = int((rate <= allowed).sum())
    if not reached:
        return _cannot(
            traced, policy, f"Even at the highest level there are {rate[0]:.2f} an image."
        )
    return at_level(traced, float(traced.levels[reached - 1]), policy=policy)


def at_least_lesion_sensitivity(traced: Trace, target: float) -> LevelChoice:
    """The highest level at which the interval of the share of findings hit starts at the target.

    Args:
        traced: By ``froc.trace``.
        target: Share of findings, between 0 and 1.

    Raises:
        MetricError: The target is not between 0 and 1.
    """
    if not 0 < target < 1:
        problem = f"{target} is not between 0 and 1."
        raise MetricError(problem, "Give a share such as 0.8.")
    policy = f"At least {target:.0%} of findings hit, by the interval's lower end"
    if why_not := _too_few(traced):
        return _cannot(traced, policy, why_not)
    low = np.array([_sensitivity(column, traced.n_regions).low for column in traced.hits.T])
    enough = np.flatnonzero(low >= target)
    if not len(enough):
        best = int(low.argmax())
        share = traced.hits[:, best].sum() / traced.n_regions.sum()
        return _cannot(
            traced,
            policy,
            f"At best {share:.0%} of {int(traced.n_regions.sum())} findings are hit, and no less "
            f"than {low[best]:.0%} are shown to be; more boxes narrow that, a better map moves it.",
        )
    return at_level(traced, float(traced.levels[enough[0]]), policy=policy)


def _too_few(traced: Trace) -> str:
    least = min(len(traced.hits), len(traced.falses))
    if least >= LEAST_IMAGES:
        return ""
    return f"There are boxes or counts on {least} images only; it takes {LEAST_IMAGES}."


def _cannot(traced: Trace, policy: str, why_not: str) -> LevelChoice:
    return LevelChoice(
        policy, None, None, None, int(traced.n_regions.sum()), len(traced.hits),
        len(traced.falses), traced.counted_on, why_not,
    )  # fmt: skip


def _sensitivity(hits: np.ndarray, n_regions: np.ndarray) -> Estimate:
    """Findings hit of all, the bootstrap's error on the logit scale."""
    value = float(hits.sum() / n_regions.sum())
    spread = float(_drawn(hits, n_regions).std(ddof=1))
    return on_logit(value, spread, effective_n=len(hits), degrees=len(hits) - 1)


def _rate(falses: np.ndarray) -> Estimate:
    """False regions an image; where there are none, as many as a Poisson count of none allows."""
    value = float(falses.mean())
    if value == 0:
        return Estimate(0.0, 0.0, -math.log((1 - CONFIDENCE) / 2) / len(falses))
    low, high = np.percentile(_drawn(falses, np.ones(len(falses))), [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def _drawn(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Sum of counts over sum of sizes, images drawn anew, (2000,)."""
    # Images alike in both are drawn together, which is the same and quick.
    kinds, times = np.unique(np.stack([counts, sizes]), axis=1, return_counts=True)
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = generator.multinomial(len(counts), times / len(counts), BOOTSTRAP_SAMPLES)
    return (drawn @ kinds[0]) / (drawn @ kinds[1])
