from __future__ import annotations

import numpy as np
import pytest

from ddad_core.calibration import NormalReference, PlaceReference
from ddad_core.errors import UncalibratedError
from ddad_core.scoring import MAP_NAMES, BatchScores
from ddad_core.training.pack import calibrate_places
from tests.reference import ddad_numpy as reference
from tests.reference import places_numpy


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


def _maps(n, side, seed=0):
    """Maps whose mean and spread differ from place to place."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    noise = generator.gamma(2.0, size=(n, side, side))
    return (rows + (0.2 + columns) * noise).astype(np.float32)


@pytest.mark.parametrize("side", [16, 64, 128])
@pytest.mark.parametrize("n", [2, 9])
def test_calibration_by_place_equals_the_reference(n, side):
    normals, new = _maps(n, side), _maps(3, side, 1)
    places = PlaceReference.of({"inter": normals, "rec": 100 * normals})
    found = places.calibrate({"inter": new, "intra": new})
    assert set(found) == {"c_inter"}  # rec was not given, and intra has no reference
    assert found["c_inter"].dtype == np.float32
    expected = [places_numpy.calibrated(normals, one) for one in new]
    np.testing.assert_allclose(found["c_inter"], expected, rtol=1e-4, atol=1e-4)
    (alone,) = places.calibrate({"inter": new[1]}).values()
    assert np.array_equal(alone, found["c_inter"][1])


def test_calibration_by_place_does_not_depend_on_the_unit_of_a_map():
    normals, new = _maps(8, 32), _maps(1, 32, 1)
    plain = PlaceReference.of({"a": normals}).calibrate({"a": new})["c_a"]
    scaled = PlaceReference.of({"a": 50 * normals + 7}).calibrate({"a": 50 * new + 7})["c_a"]
    np.testing.assert_allclose(scaled, plain, rtol=1e-2, atol=1e-3)


def test_next_to_nothing_in_an_even_corner_is_no_finding():
    normals = _maps(8, 32)
    normals[:, :8, :8] = 0.0
    new = normals[:1].copy()
    new[0, 2, 2] = 0.01
    places = PlaceReference.of({"a": normals})
    assert places.calibrate({"a": new})["c_a"][0, 2, 2] < 0.2
    still = PlaceReference.of({"a": np.ones((3, 32, 32), np.float32)})
    assert np.isfinite(still.calibrate({"a": np.ones((32, 32), np.float32)})["c_a"]).all()


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_normals_tell_no_spread(n):
    with pytest.raises(UncalibratedError, match=f"{n} calibration normals tell no spread"):
        PlaceReference.of({"a": _maps(n, 16)})


def _by_place(maps):
    scores = {"a_inter": maps.mean(axis=(1, 2), dtype=np.float64)}
    return calibrate_places(BatchScores(scores, dict.fromkeys(MAP_NAMES, maps)))


def test_places_learn_from_one_half_and_scores_from_the_other():
    maps = _maps(21, 16)
    places, found = _by_place(maps)
    assert np.array_equal(found.scores["a_inter"], maps.mean(axis=(1, 2), dtype=np.float64))
    for changed, same_statistics in ((4, False), (5, True)):
        other = maps.copy()
        other[changed] += 3.0
        places_other, found_other = _by_place(other)
        equal = np.array_equal(places.mean["inter"], places_other.mean["inter"])
        assert equal == same_statistics
        differs = found_other.scores["c_inter"] != found.scores["c_inter"]
        if same_statistics:
            assert differs.tolist() == [i == changed // 2 for i in range(10)]
    expected = [places_numpy.calibrated(maps[::2], one).mean() for one in maps[1::2]]
    np.testing.assert_allclose(found.scores["c_inter"], expected, rtol=1e-4, atol=1e-5)


def test_p_value_of_a_score_by_place_is_valid():
    """P(p <= alpha) <= alpha, though the statistics come from four normals only.

    The last lines show what the halves are for: referred to the very normals that gave the
    statistics, the same score flags too many.
    """
    generator = np.random.default_rng(3)
    trials, n, side = 1500, 8, 4
    own_half, same_half = [], []
    for _ in range(trials):
        maps = generator.lognormal(0.0, 1.5, (n + 1, side, side)).astype(np.float32)
        places, found = _by_place(maps[:n])
        score = places.calibrate({"inter": maps[n]})["c_inter"].mean(dtype=np.float64)
        own_half.append(NormalReference.of(found.scores).p_value("c_inter", score))
        seen = places.calibrate({"inter": maps[:n:2]})["c_inter"].mean(axis=(1, 2))
        same_half.append(NormalReference.of({"c_inter": seen}).p_value("c_inter", score))
    for alpha in (1 / 5, 2 / 5):
        noise = 3.5 * np.sqrt(alpha * (1 - alpha) / trials)
        assert abs(np.mean(np.array(own_half) <= alpha + 1e-9) - alpha) <= noise
        assert np.mean(np.array(same_half) <= alpha + 1e-9) > alpha + noise
