"""Weights that give D_n the make-up of D_u in what is recorded of the patients.

Where the views, ages or sexes of the two differ, telling them apart is no finding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ddad_core.training.manifest import ManifestRow

AGE_BOUNDS = (18, 40, 60)
"""Years at which the age bands begin."""
LARGEST_WEIGHT = 4.0
ROUNDS = 20
LEAST = 5
"""Images of both sets that a value needs to be weighted by."""


def strata_of(rows: Sequence[ManifestRow]) -> dict[str, np.ndarray]:
    """What is recorded, as names (N,) by covariate; blank where it is unknown."""
    bands = [
        "" if row.age is None else f"age band {int(np.searchsorted(AGE_BOUNDS, row.age, 'right'))}"
        for row in rows
    ]
    return {
        "view": np.array([row.view for row in rows]),
        "age": np.array(bands),
        "sex": np.array([row.sex for row in rows]),
    }


def matching_weights(
    normal: Sequence[ManifestRow], unlabeled: Sequence[ManifestRow]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Weight D_n so that each covariate's shares are those of D_u (raking).

    Args:
        normal: Rows of D_n.
        unlabeled: Rows of D_u.

    Returns:
        float64 (N,) with mean 1, at most ``LARGEST_WEIGHT`` before that, and the covariates that
        were matched.
    """
    weights = np.ones(len(normal))
    ours, theirs = strata_of(normal), strata_of(unlabeled)
    usable: dict[str, list[str]] = {}
    for name, values in ours.items():
        both = sorted(set(values) & set(theirs[name]) - {""})
        both = [v for v in both if min(np.sum(values == v), np.sum(theirs[name] == v)) >= LEAST]
        if len(both) > 1:
            usable[name] = both
    for _ in range(ROUNDS):
        for name, both in usable.items():
            wanted_of = np.array([np.sum(theirs[name] == v) for v in both], float)
            there = np.isin(ours[name], both)
            total = weights[there].sum()
            for value, wanted in zip(both, wanted_of / wanted_of.sum(), strict=True):
                mine = ours[name] == value
                weights[mine] *= wanted * total / weights[mine].sum()
        weights = np.clip(weights, 1 / LARGEST_WEIGHT, LARGEST_WEIGHT)
    return weights / weights.mean() if len(weights) else weights, tuple(usable)
