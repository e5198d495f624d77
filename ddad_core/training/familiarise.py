"""Learn from the training normals what is familiar to a model."""

from __future__ import annotations

import numpy as np

from ddad_core.familiarity import Familiarity, describe, to_side
from ddad_core.training.drawn import drawn_abdomens, drawn_laterals
from ddad_core.training.patterns import patterns
from ddad_core.training.unfamiliar import like_laterals, spoiled, varied

LEAST_NORMALS = 50
"""Training normals needed to learn what is familiar."""
LEAST_HELD_APART = 20
"""Calibration normals needed to set the limit."""
MAX_FLAGGED = 0.02
"""Share of the calibration normals that may be called unlike."""
LEAST_LIMIT = 2.8
"""Standard deviations of the training normals; no limit is set below."""
MAX_NORMALS = 400
"""Training normals that are varied; more add nothing but time."""
VARIED, SPOILED, MADE_UP, LATERALS, ABDOMENS = 2000, 1800, 1800, 900, 300
COMPONENTS = 60
RIDGE = 3e-3
LATERAL_SHARE = 0.5
"""Of the mean that the lateral rule gives to drawn laterals: above, a picture looks lateral."""
SEED = 2022
NEEDS = f"{LEAST_NORMALS} known normals and {LEAST_HELD_APART} calibration normals are the least"


def learn_familiarity(normals: np.ndarray, calibration: np.ndarray) -> Familiarity | None:
    """Learn what is familiar, or nothing where there are too few images.

    Args:
        normals: D_n, uint8 (N, S, S).
        calibration: Calibration normals, uint8 (M, S, S).
    """
    if len(normals) < LEAST_NORMALS or len(calibration) < LEAST_HELD_APART:
        return None
    return fit_familiarity(normals, calibration)


def fit_familiarity(
    normals: np.ndarray, held_apart: np.ndarray, *, seed: int = SEED
) -> Familiarity:
    """Learn what is familiar, and set the limit on normals held apart.

    Args:
        normals: D_n, uint8 (N, S, S), ``LEAST_NORMALS`` or more.
        held_apart: Calibration normals, uint8 (M, S, S), ``LEAST_HELD_APART`` or more.
        seed: Of the variants and made-up pictures.
    """
    assert len(normals) >= LEAST_NORMALS and len(held_apart) >= LEAST_HELD_APART
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(normals))[:MAX_NORMALS]
    base = np.stack([to_side(normals[i]) for i in order])
    familiar = describe(varied(base, -(-VARIED // len(base)) - 1, generator))
    made = [
        spoiled(base, SPOILED, generator),
        patterns(MADE_UP, generator),
        drawn_abdomens(ABDOMENS, generator),
    ]
    others = describe(np.concatenate(made))
    overlaid = describe(like_laterals(base, LATERALS, generator))
    laterals = describe(drawn_laterals(LATERALS, generator))
    others = np.concatenate([others, overlaid])
    centre, weights = _linear_rule(others, familiar, RIDGE)
    lateral = _linear_rule(laterals, np.concatenate([others, familiar]), RIDGE, centre)[1]
    normal_centre = familiar.mean(axis=0)
    components = _principal(familiar - normal_centre)
    linear = (familiar - centre) @ weights
    rest = familiar - normal_centre
    left = np.log(np.maximum((rest**2).sum(1) - ((rest @ components.T) ** 2).sum(1), 1e-6))
    scale = np.array([linear.mean(), linear.std(), left.mean(), left.std()], np.float32)
    open_ended = Familiarity(
        centre, weights, lateral, components, normal_centre, scale, np.zeros(2, np.float32)
    )
    apart = open_ended.distance(describe(np.stack([to_side(image) for image in held_apart])))
    lateral_limit = LATERAL_SHARE * float(open_ended.laterality(laterals).mean())
    limits = np.array([limit_of(apart), lateral_limit], np.float32)
    return Familiarity(centre, weights, lateral, components, normal_centre, scale, limits)


def limit_of(distances: np.ndarray) -> float:
    """The distance that at most ``MAX_FLAGGED`` of held-apart normals exceed, or the least limit.

    Args:
        distances: (M,) of the held-apart normals.
    """
    allowed = int(MAX_FLAGGED * len(distances))
    return max(LEAST_LIMIT, float(np.sort(distances)[::-1][allowed]))


def _linear_rule(
    high: np.ndarray, low: np.ndarray, ridge: float, centre: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression to +1/2 and -1/2, both sides weighing the same."""
    features = np.concatenate([high, low]).astype(np.float64)
    middle = features.mean(axis=0) if centre is None else centre.astype(np.float64)
    features -= middle
    share = np.repeat([0.5 / len(high), 0.5 / len(low)], [len(high), len(low)])
    wanted = np.repeat([0.5, -0.5], [len(high), len(low)])
    square = (features * share[:, None]).T @ features
    square += ridge * np.eye(features.shape[1])
    weights = np.linalg.solve(square, (features * share[:, None]).T @ wanted)
    return middle.astype(np.float32), weights.astype(np.float32)


def _principal(rest: np.ndarray) -> np.ndarray:
    """The directions of most variance, float32 (COMPONENTS, F)."""
    values, vectors = np.linalg.eigh(rest.T.astype(np.float64) @ rest)
    assert np.all(np.diff(values) >= 0)
    return np.ascontiguousarray(vectors[:, ::-1][:, :COMPONENTS].T, dtype=np.float32)
