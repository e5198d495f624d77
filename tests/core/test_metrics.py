from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sklearn_metrics

from ddad_core.errors import MetricError
from ddad_core.evaluation import metrics


def _case(seed, n=60, ties=True):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    labels[:2] = 0, 1
    scores = generator.normal(labels, 1.5)
    return labels, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ties", [True, False])
def test_auc_equals_scikit_learn(seed, ties):
    labels, scores = _case(seed, ties=ties)
    expected = sklearn_metrics.roc_auc_score(labels, scores)
    assert metrics.auc(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_auc_counts_ties_half_and_a_higher_score_as_abnormal():
    assert metrics.auc(np.array([0, 1]), np.array([1.0, 1.0])) == 0.5
    assert metrics.auc(np.array([0, 1]), np.array([1.0, 2.0])) == 1.0
    assert metrics.auc(np.array([0, 1]), np.array([2.0, 1.0])) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_metrics_do_not_depend_on_order(seed):
    labels, scores = _case(seed)
    order = np.random.default_rng(99).permutation(len(labels))
    assert metrics.auc(labels[order], scores[order]) == metrics.auc(labels, scores)
    first, second = (
        metrics.roc_curve(labels, scores),
        metrics.roc_curve(labels[order], scores[order]),
    )
    np.testing.assert_array_equal(first.sensitivity, second.sensitivity)
    np.testing.assert_array_equal(first.specificity, second.specificity)


def test_auc_is_invariant_under_monotone_maps():
    labels, scores = _case(3)
    assert metrics.auc(labels, np.exp(scores)) == metrics.auc(labels, scores)
    assert metrics.auc(labels, -scores) == pytest.approx(1 - metrics.auc(labels, scores))


FUNCTIONS = (
    metrics.auc,
    metrics.auc_with_interval,
    metrics.roc_curve,
    metrics.average_precision,
    metrics.average_precision_with_interval,
    lambda labels, scores: metrics.sensitivity_at_specificity(labels, scores, 0.9),
    lambda labels, scores: metrics.auc_difference(labels, scores, scores),
)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_an_error_and_never_a_half(function, label):
    with pytest.raises(MetricError, match="needs both"):
        function(np.full(4, label), np.arange(4.0))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_an_error(function, bad):
    with pytest.raises(MetricError, match="not finite"):
        function(np.array([0, 1, 1]), np.array([0.0, 1.0, bad]))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_other_labels_and_shapes_are_errors(function):
    with pytest.raises(MetricError, match="other than 0 and 1"):
        function(np.array([0, 1, 2]), np.arange(3.0))
    with pytest.raises(MetricError, match="do not match"):
        function(np.array([0, 1]), np.arange(3.0))


@pytest.mark.parametrize("seed", range(5))
def test_interval_contains_the_value_and_is_reproducible(seed):
    labels, scores = _case(seed)
    estimate = metrics.auc_with_interval(labels, scores)
    assert estimate.value == metrics.auc(labels, scores)
    assert 0 <= estimate.low < estimate.value < estimate.high <= 1
    assert metrics.auc_with_interval(labels, scores) == estimate


def test_interval_narrows_with_more_cases():
    narrow, wide = (metrics.auc_with_interval(*_case(1, n=n)) for n in (1000, 40))
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


def test_interval_agrees_with_the_normal_approximation():
    labels, scores = _case(7, n=400, ties=False)
    estimate = metrics.auc_with_interval(labels, scores)
    # DeLong's variance from the placement values.
    normal, abnormal = scores[labels == 0], scores[labels == 1]
    above = (abnormal[:, None] > normal[None, :]).astype(float)
    variance = above.mean(axis=1).var(ddof=1) / len(abnormal)
    variance += above.mean(axis=0).var(ddof=1) / len(normal)
    half = 1.96 * variance**0.5
    assert (estimate.high - estimate.low) / 2 == pytest.approx(half, rel=0.1)


def test_difference_of_a_score_with_itself_is_exactly_zero():
    labels, scores = _case(2)
    assert metrics.auc_difference(labels, scores, scores) == metrics.Estimate(0.0, 0.0, 0.0)


def test_difference_is_paired_and_signed():
    labels, scores = _case(4, n=200, ties=False)
    worse = scores + np.random.default_rng(5).normal(0, 0.3, len(scores))
    forward = metrics.auc_difference(labels, scores, worse)
    back = metrics.auc_difference(labels, worse, scores)
    assert forward.value == metrics.auc(labels, scores) - metrics.auc(labels, worse)
    assert (back.low, back.high) == pytest.approx((-forward.high, -forward.low))
    single = metrics.auc_with_interval(labels, scores)
    assert forward.high - forward.low < 0.5 * (single.high - single.low)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ties", [True, False])
def test_average_precision_equals_scikit_learn(seed, ties):
    labels, scores = _case(seed, ties=ties)
    expected = sklearn_metrics.average_precision_score(labels, scores)
    assert metrics.average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_average_precision_of_a_constant_score_is_the_share_of_abnormal_cases():
    assert metrics.average_precision(np.array([0, 0, 0, 1]), np.ones(4)) == 0.25


def _best_sensitivity(labels, scores, specificity, weights):
    """Every threshold tried, the one that flags nobody first; weights stand for repeated cases."""
    best = 0.0
    for threshold in np.unique(scores):
        flagged = scores >= threshold
        kept = weights[~flagged & (labels == 0)].sum() / weights[labels == 0].sum()
        if kept >= specificity - 1e-12:
            found = weights[flagged & (labels == 1)].sum() / weights[labels == 1].sum()
            best = max(best, found)
    return best


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("specificity", [0.0, 0.5, 0.9, 1.0])
def test_sensitivity_is_that_of_the_best_threshold_allowed(seed, specificity):
    labels, scores = _case(seed)
    estimate = metrics.sensitivity_at_specificity(labels, scores, specificity)
    expected = _best_sensitivity(labels, scores, specificity, np.ones(len(labels)))
    assert estimate.value == pytest.approx(expected, abs=1e-12)


def test_sensitivity_needs_a_threshold_that_exists():
    labels = np.repeat([0, 1], [10, 4])
    scores = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 7.5, 9, 9, 10.0])
    # One of ten normals may be flagged: 9 is the lowest threshold, and its ties come with it.
    assert metrics.sensitivity_at_specificity(labels, scores, 0.9).value == 0.75
    # None may be flagged: the two abnormal cases tied with the highest normal are lost.
    assert metrics.sensitivity_at_specificity(labels, scores, 0.91).value == 0.25
    assert metrics.sensitivity_at_specificity(labels, -scores, 1.0).value == 0.0


@pytest.mark.parametrize("specificity", [-0.1, 1.1, np.nan])
def test_specificity_that_is_no_share_is_an_error(specificity):
    with pytest.raises(MetricError, match="is not a share"):
        metrics.sensitivity_at_specificity(*_case(0), specificity)


def test_intervals_are_those_of_resamples_drawn_within_each_class(monkeypatch):
    monkeypatch.setattr(metrics, "BOOTSTRAP_SAMPLES", 120)
    monkeypatch.setattr(metrics, "CHUNK", 50)
    metrics._resamples.cache_clear()
    labels, scores = _case(3)
    generator = np.random.default_rng(metrics.BOOTSTRAP_SEED)
    weights = np.zeros((120, len(labels)))
    for label in (1, 0):
        n = np.sum(labels == label)
        weights[:, labels == label] = generator.multinomial(n, np.full(n, 1 / n), 120)
    pairs = (
        (metrics.auc_with_interval, sklearn_metrics.roc_auc_score),
        (metrics.average_precision_with_interval, sklearn_metrics.average_precision_score),
    )
    found = [ours(labels, scores) for ours, _ in pairs]
    found.append(metrics.sensitivity_at_specificity(labels, scores, 0.8))
    metrics._resamples.cache_clear()
    samples = [[theirs(labels, scores, sample_weight=w) for w in weights] for _, theirs in pairs]
    samples.append([_best_sensitivity(labels, scores, 0.8, w) for w in weights])
    for estimate, values in zip(found, samples, strict=True):
        expected = np.percentile(values, [2.5, 97.5])
        np.testing.assert_allclose([estimate.low, estimate.high], expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_roc_curve_equals_scikit_learn(seed):
    labels, scores = _case(seed)
    curve = metrics.roc_curve(labels, scores)
    fpr, tpr, thresholds = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    np.testing.assert_allclose(curve.sensitivity, tpr, atol=1e-12)
    np.testing.assert_allclose(1 - curve.specificity, fpr, atol=1e-12)


def test_roc_curve_runs_from_nobody_to_everybody():
    curve = metrics.roc_curve(*_case(0))
    assert (curve.sensitivity[0], curve.specificity[0]) == (0, 1)
    assert (curve.sensitivity[-1], curve.specificity[-1]) == (1, 0)
    assert curve.thresholds[0] == np.inf and np.all(np.diff(curve.thresholds) < 0)


@pytest.mark.parametrize(
    ("count", "n"), [(0, 1), (1, 1), (0, 7), (7, 7), (3, 7), (50, 100), (1, 390), (359, 390)]
)
def test_proportion_is_the_exact_interval(count, n):
    exact = binomtest(count, n).proportion_ci(confidence_level=0.95, method="exact")
    estimate = metrics.proportion(count, n)
    assert estimate.value == count / n
    assert (estimate.low, estimate.high) == pytest.approx((exact.low, exact.high), abs=1e-12)


@pytest.mark.parametrize(("count", "n"), [(0, 0), (-1, 3), (4, 3), (0, -1)])
def test_proportion_of_nothing_is_an_error(count, n):
    with pytest.raises(MetricError, match="is not a share"):
        metrics.proportion(count, n)


def test_estimate_is_shown_with_its_interval():
    assert str(metrics.Estimate(0.9, 0.85, 0.95)) == "0.900 (0.850 to 0.950)"
