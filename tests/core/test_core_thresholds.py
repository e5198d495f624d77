from __future__ import annotations

import numpy as np
import pytest

from ddad_core.errors import MetricError
from ddad_core.evaluation.metrics import proportion
from ddad_core.evaluation.thresholds import confusion, is_flagged, threshold_for_normal_rate

RATES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.3, 0.5, 0.9, 0.99)


def _flagged(scores, threshold):
    return sum(is_flagged(float(s), threshold) for s in scores)


def _allowed(rate, n):
    """Largest count whose share does not exceed the rate, free of rounding (0.1 of 30 is 3)."""
    return int(np.floor(round(rate * 1000) * n / 1000 + 1e-12))


@pytest.mark.parametrize("seed", range(60))
def test_threshold_flags_as_many_normals_as_the_rate_allows_and_no_more(seed):
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 60))
    scores = generator.normal(0, 1, n)
    if seed % 3 == 0:
        scores = np.round(scores)  # many ties
    elif seed % 3 == 1:
        scores = np.round(scores, 1)
    for rate in RATES:
        threshold = threshold_for_normal_rate(scores, rate)
        flagged = _flagged(scores, threshold)
        assert flagged <= _allowed(rate, n)
        below = scores[scores < threshold]  # the next value down would be flagged with its ties
        assert _flagged(scores, below.max()) > _allowed(rate, n)


def test_threshold_does_not_depend_on_order():
    scores = np.random.default_rng(0).normal(size=50)
    expected = threshold_for_normal_rate(scores, 0.1)
    assert threshold_for_normal_rate(scores[::-1], 0.1) == expected


def test_threshold_lies_halfway_between_the_last_flagged_and_the_first_not():
    assert threshold_for_normal_rate(np.arange(10.0), 0.2) == 7.5


def test_ties_at_the_barrier_are_not_flagged():
    scores = np.array([1.0, 5.0, 5.0, 5.0])
    assert _flagged(scores, threshold_for_normal_rate(scores, 0.25)) == 0


@pytest.mark.parametrize(("rate", "n", "allowed"), [(0.29, 100, 29), (0.1, 30, 3), (0.07, 100, 7)])
def test_rate_is_not_lost_to_the_rounding_of_a_product(rate, n, allowed):
    scores = np.arange(float(n))
    assert _flagged(scores, threshold_for_normal_rate(scores, rate)) == allowed


def test_rate_of_zero_flags_no_normal():
    scores = np.array([0.3, 0.1, 0.2])
    threshold = threshold_for_normal_rate(scores, 0.0)
    assert _flagged(scores, threshold) == 0
    assert threshold == pytest.approx(0.3)


def test_neighbouring_floats_are_told_apart():
    scores = np.array([1.0] * 9 + [np.nextafter(1.0, 2)])
    assert _flagged(scores, threshold_for_normal_rate(scores, 0.1)) <= 1


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, np.nan])
def test_rate_outside_its_range_is_an_error(rate):
    with pytest.raises(MetricError, match="give no threshold"):
        threshold_for_normal_rate(np.arange(3.0), rate)


def test_no_scores_are_an_error():
    with pytest.raises(MetricError, match="0 normal scores"):
        threshold_for_normal_rate(np.array([]), 0.1)


def test_score_at_the_threshold_is_flagged():
    assert is_flagged(1.0, 1.0)
    assert not is_flagged(np.nextafter(1.0, 0), 1.0)


def test_confusion_counts_each_case_once():
    labels = np.array([1, 1, 1, 0, 0, 0, 0])
    scores = np.array([3.0, 2.0, 1.0, 2.0, 1.0, 0.0, 0.0])
    counts = confusion(labels, scores, 2.0)
    assert (counts.true_positive, counts.false_negative) == (2, 1)
    assert (counts.false_positive, counts.true_negative) == (1, 3)
    assert counts.flagged == 3
    assert counts.sensitivity == proportion(2, 3)
    assert counts.specificity == proportion(3, 4)


def test_missing_class_leaves_its_share_undefined():
    counts = confusion(np.zeros(3, int), np.arange(3.0), 1.0)
    assert counts.sensitivity is None and counts.specificity == proportion(1, 3)
    counts = confusion(np.ones(3, int), np.arange(3.0), 1.0)
    assert counts.specificity is None and counts.sensitivity == proportion(2, 3)
