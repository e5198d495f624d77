from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ddad_core.errors import MetricError
from ddad_core.evaluation import curves, metrics
from ddad_core.evaluation.delong import delong_auc, delong_test


def case(n=120, seed=0, digits=1):
    generator = np.random.default_rng(seed)
    labels = (generator.random(n) < 0.4).astype(int)
    return labels, np.round(generator.normal(size=n) + 1.2 * labels, digits)


def test_points_are_scikit_learns():
    labels, scores = case()
    found = curves.precision_recall(labels, scores)
    precision, recall, thresholds = sklearn_metrics.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(found.thresholds, thresholds[::-1])
    np.testing.assert_allclose(found.precision, precision[:-1][::-1], atol=1e-12)
    np.testing.assert_allclose(found.recall, recall[:-1][::-1], atol=1e-12)
    expected = sklearn_metrics.average_precision_score(labels, scores)
    assert found.average_precision.value == pytest.approx(expected, abs=1e-12)
    roc = curves.roc_with_band(labels, scores)
    assert roc.auc.value == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert (roc.n_normal, roc.n_abnormal) == (int((labels == 0).sum()), int(labels.sum()))


def test_band_is_that_of_sensitivity_at_specificity():
    labels, scores = case(digits=6)
    band = curves.roc_with_band(labels, scores).band
    for place in (5, 10, 20, 40):
        expected = metrics.sensitivity_at_specificity(labels, scores, 1 - place / 100)
        assert band.value[place] == pytest.approx(expected.value, abs=1e-12)
        # Two draws of the same bootstrap: a step of one case apart at the most.
        assert band.low[place] == pytest.approx(expected.low, abs=0.045)
        assert band.high[place] == pytest.approx(expected.high, abs=0.045)


def test_bands_hold_their_curves_rise_and_end_at_one():
    labels, scores = case()
    for band in (
        curves.roc_with_band(labels, scores).band,
        curves.precision_recall(labels, scores).band,
    ):
        assert ((0 <= band.low) & (band.low <= band.value)).all()
        assert ((band.value <= band.high) & (band.high <= 1)).all()
    roc = curves.roc_with_band(labels, scores).band
    for ends in (roc.low, roc.value, roc.high):
        assert (np.diff(ends) >= 0).all()
        assert ends[-1] == 1


def test_thinning_leaves_curves_alone_and_hardly_moves_bands(monkeypatch):
    labels, scores = case(n=900, digits=6)
    thin = curves.roc_with_band(labels, scores)
    monkeypatch.setattr(curves, "MAX_SCORES", 10_000)
    whole = curves.roc_with_band(labels, scores)
    np.testing.assert_array_equal(thin.curve.sensitivity, whole.curve.sensitivity)
    np.testing.assert_array_equal(thin.band.value, whole.band.value)
    np.testing.assert_allclose(thin.band.low[5:], whole.band.low[5:], atol=0.03)


def test_precision_at_a_stated_prevalence_is_that_of_cases_in_that_mix():
    labels, scores = case()
    # Each abnormal case three times over: the same as a prevalence that much higher.
    many = np.concatenate([labels, np.ones(2 * labels.sum(), int)])
    more = np.concatenate([scores, np.repeat(scores[labels == 1], 2)])
    prevalence = float(many.mean())
    found = curves.precision_recall(labels, scores, prevalence=prevalence)
    expected = curves.precision_recall(many, more)
    np.testing.assert_allclose(found.precision, expected.precision, atol=1e-12)
    assert found.average_precision.value == pytest.approx(expected.average_precision.value)
    assert found.stated
    assert not expected.stated
    own = curves.precision_recall(labels, scores, prevalence=float(labels.mean()))
    assert own.average_precision.value == pytest.approx(metrics.average_precision(labels, scores))
    with pytest.raises(MetricError):
        curves.precision_recall(labels, scores, prevalence=1.0)


def test_auc_on_the_logit_scale_has_delongs_value_and_stays_inside():
    labels, scores = case()
    found, plain = delong_auc(labels, scores), delong_test(labels, scores, -scores).first
    assert found.value == pytest.approx(plain.value, abs=1e-12)
    # On the logit scale the interval reaches further towards a half.
    assert found.low < plain.low
    assert found.high < plain.high
    turned = delong_auc(labels, -scores)
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_fully_separated_classes_are_not_certain():
    found = delong_auc(np.repeat([0, 1], [30, 10]), np.arange(40.0))
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(10 / (10 + 1.959964**2), abs=1e-6)  # Wilson, 10 of 10
    with pytest.raises(MetricError, match="two of each"):
        delong_auc(np.array([0, 0, 1]), np.arange(3.0))
