from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from ddad_core.errors import MetricError
from ddad_core.evaluation.calibration_curve import cross_fitted, normal_rates, reliability


def simulated(n=2000, seed=0, stretch=1.0):
    generator = np.random.default_rng(seed)
    odds = generator.normal(-1, 1.3, n)
    labels = (generator.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    return labels, 1 / (1 + np.exp(-stretch * odds))


def test_bins_and_brier_are_scikit_learns():
    labels, probabilities = simulated()
    found = reliability(labels, probabilities)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=10, strategy="quantile")
    np.testing.assert_allclose([b.observed.value for b in found.bins], observed, atol=0.006)
    np.testing.assert_allclose([b.predicted for b in found.bins], predicted, atol=0.002)
    assert found.brier == pytest.approx(brier_score_loss(labels, probabilities), abs=1e-12)
    assert sum(b.n for b in found.bins) == 2000
    assert all(b.observed.low < b.observed.value < b.observed.high for b in found.bins)


def test_slope_is_scikit_learns_fit_and_tells_too_extreme_from_right():
    labels, probabilities = simulated(stretch=2.0)
    odds = np.log(probabilities / (1 - probabilities))
    expected = LogisticRegression(C=1e9, tol=1e-8).fit(odds[:, None], labels).coef_[0, 0]
    found = reliability(labels, probabilities)
    assert found.slope.value == pytest.approx(expected, rel=1e-4)
    assert found.slope.high < 0.8
    good = reliability(*simulated())
    assert good.slope.low < 1 < good.slope.high
    assert good.intercept.low < 0 < good.intercept.high
    assert good.expected_error < found.expected_error


def test_tied_probabilities_share_a_bin_and_separation_has_no_slope():
    labels = np.array([0, 0, 1, 1])
    found = reliability(labels, np.array([0.2, 0.2, 0.7, 0.7]))
    assert [b.n for b in found.bins] == [2, 2]
    assert found.slope is None
    with pytest.raises(MetricError):
        reliability(labels, np.array([0.2, 0.2, 0.7, 1.7]))


def test_cross_fitted_probabilities_know_nothing_of_their_own_case():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 200)
    scores = generator.normal(size=200) + labels
    found = cross_fitted(labels, scores)
    assert ((0 < found) & (found < 1)).all()
    assert reliability(labels, found).slope.low < 1
    # A case's own score, however wild, moves the others' curve only, never lifts its own label.
    useless = cross_fitted(labels, generator.normal(size=200))
    assert np.corrcoef(useless, labels)[0, 1] < 0.1
    np.testing.assert_allclose(cross_fitted(labels, 3 * scores - 7), found, atol=1e-9)
    with pytest.raises(MetricError, match="folds"):
        cross_fitted(np.repeat([0, 1], [50, 3]), np.arange(53.0))


def test_normals_like_the_calibration_ones_keep_the_promise_and_others_do_not():
    generator = np.random.default_rng(0)
    calibration = generator.normal(size=500)
    for rate in normal_rates(calibration, generator.normal(size=1000)):
        assert rate.kept
    moved = {r.promised: r for r in normal_rates(calibration, generator.normal(0.7, 1, 1000))}
    assert not moved[0.1].kept
    assert moved[0.1].observed.low > 0.15
    p_values = [(1 + (calibration >= s).sum()) / 501 for s in (0.0, 3.0)]
    (found,) = normal_rates(calibration, np.array([0.0, 3.0]), rates=(p_values[1],))
    assert found.observed.value == 0.5
    with pytest.raises(MetricError):
        normal_rates(calibration, np.empty(0))
