"""Is there a difference between two sets of images at all? A permutation test of held-apart scores.

Source: the classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017), with the AUC as its
statistic and whole patients permuted, within strata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

PERMUTATIONS = 2000
LEVEL = 0.01
LEAST = 20
"""Images of either set without which nothing is tested."""


@dataclass(frozen=True)
class TwoSampleTest:
    """What the test says.

    Attributes:
        auc: Chance that a score of the second set is above one of the first, within strata.
        p_value: Share of permutations with an AUC at least as high, the observed one included.
        n_first: Images of the first set.
        n_second: Images of the second.
        permutations: Drawn.
    """

    auc: float
    p_value: float
    n_first: int
    n_second: int
    permutations: int

    @property
    def differ(self) -> bool:
        """Whether the sets are taken to differ."""
        return self.p_value <= LEVEL


def two_sample_test(
    scores: np.ndarray,
    second: np.ndarray,
    *,
    groups: Sequence[str],
    strata: Sequence[str],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> TwoSampleTest:
    """Test whether the second set's scores are higher.

    Args:
        scores: (N,), each by a rule that was not made with its group.
        second: bool (N,), true for images of the second set.
        groups: (N,) patients: they keep together, and belong to one set.
        strata: (N,) names; scores are compared within one stratum only.
        permutations: How many to draw.
        seed: Of the draws.
    """
    ranks, second = np.asarray(scores, float), np.asarray(second, bool)
    places = []
    for name in sorted(set(strata)):
        inside = np.flatnonzero(np.asarray(strata) == name)
        _, patient = np.unique(np.asarray(groups)[inside], return_inverse=True)
        places.append((inside, rankdata(ranks[inside]), patient))
    generator = np.random.default_rng(seed)
    observed = _auc(places, [second[inside] for inside, _, _ in places])
    at_least = 0
    for _ in range(permutations):
        drawn = []
        for inside, _, patient in places:
            of_patient = np.zeros(patient.max() + 1, bool)
            of_patient[patient] = second[inside]
            drawn.append(generator.permutation(of_patient)[patient])
        at_least += _auc(places, drawn) >= observed
    return TwoSampleTest(
        auc=observed,
        p_value=(1 + int(at_least)) / (permutations + 1),
        n_first=int(np.sum(~second)),
        n_second=int(np.sum(second)),
        permutations=permutations,
    )


def _auc(
    places: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], chosen: Sequence[np.ndarray]
) -> float:
    """Mann and Whitney's U over all strata, as a share of the pairs within strata; 0.5 of none."""
    above = pairs = 0.0
    for (_, ranks, _), second in zip(places, chosen, strict=True):
        m = int(second.sum())
        above += ranks[second].sum() - m * (m + 1) / 2
        pairs += m * (len(second) - m)
    return above / pairs if pairs else 0.5
