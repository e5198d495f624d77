from __future__ import annotations

import numpy as np
import pytest

from ddad_core.calibration import NormalReference
from ddad_core.errors import UncalibratedError
from tests.reference import ddad_numpy as reference


@pytest.mark.parametrize("seed", range(10))
def test_p_value_equals_the_reference(seed):
    generator = np.random.default_rng(seed)
    scores = np.round(generator.normal(size=25), 1)  # with ties
    normal = NormalReference.of({"a_inter": scores})
    for score in [*scores, *generator.normal(size=10), -99.0, 99.0]:
        assert normal.p_value("a_inter", score) == reference.p_value(scores, score)


def test_p_value_at_the_ends():
    normal = NormalReference.of({"a": np.array([3.0, 1.0, 2.0])})
    assert normal.p_value("a", 9.0) == 1 / 4
    assert normal.p_value("a", 3.0) == 2 / 4
    assert normal.p_value("a", 0.0) == 1.0


def test_percentile_counts_the_normals_below():
    normal = NormalReference.of({"a": np.array([1.0, 2.0, 2.0, 3.0])})
    found = [normal.percentile("a", v) for v in (0.5, 1.0, 2.0, 2.5, 9.0)]
    assert found == [0, 0, 25, 75, 100]


def test_p_value_is_valid_for_exchangeable_scores():
    """P(p <= alpha) <= alpha, and not idle: with ties and without."""
    generator = np.random.default_rng(1)
    trials, n = 4000, 19
    for decimals in (8, 0):
        draws = np.round(generator.normal(size=(trials, n + 1)), decimals)
        p = np.array([NormalReference.of({"a": d[:n]}).p_value("a", d[n]) for d in draws])
        for alpha in (0.05, 0.1, 0.25, 0.5):
            noise = 3.5 * np.sqrt(alpha * (1 - alpha) / trials)
            assert np.mean(p <= alpha) <= alpha + noise
            if decimals:
                assert np.mean(p <= alpha) >= alpha - noise


def test_score_without_normals_is_an_error():
    empty = NormalReference.of({"a_inter": np.array([])})
    for normal, name in ((empty, "a_inter"), (NormalReference.of({}), "a_inter")):
        assert normal.n == 0
        with pytest.raises(UncalibratedError, match=f"no calibration normals for {name}"):
            normal.p_value(name, 1.0)
        with pytest.raises(UncalibratedError):
            normal.percentile(name, 1.0)


def test_reference_sorts_a_copy():
    scores = np.array([2.0, 1.0])
    normal = NormalReference.of({"a": scores})
    assert scores.tolist() == [2.0, 1.0]
    assert normal.of_score("a").tolist() == [1.0, 2.0] and normal.n == 2
