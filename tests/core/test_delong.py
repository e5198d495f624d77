from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from ddad_core.errors import MetricError
from ddad_core.evaluation import metrics
from ddad_core.evaluation.delong import delong_test
from tests.reference.asah_ranks import MARKERS, POOR_OUTCOME
from tests.reference.delong_plain import delong_plain

# What pROC's own tests expect of roc.test on its data set aSAH: Z, p, 95 % interval
# (tests/testthat/test-roc.test.R of pROC).
PROC = {
    ("wfns", "s100b"): (
        2.20898359144091, 0.0271757822291882, 0.0104061769564846, 0.174214419249478
    ),
    ("wfns", "ndka"): (
        2.79777591868904, 0.00514557970691098, 0.0634011709339876, 0.3600405634833566
    ),
    ("ndka", "s100b"): (
        -1.39077002573558, 0.164295175223054, -0.2876917446341914, 0.0488706064228094
    ),
}  # fmt: skip
# AUCs that pROC's manual states, to the digits it prints, and the variances its tests expect
# (test-var.R).
PROC_AUC = {"wfns": 0.8237, "s100b": 0.7314, "ndka": 0.6120}
PROC_VARIANCE = {
    "wfns": 0.00146991470882363,
    "ndka": 0.0031908105493913,
    "s100b": 0.00266868245717244,
}


@pytest.mark.parametrize("pair", PROC, ids="-".join)
def test_published_figures_of_proc_are_met(pair):
    found = delong_test(POOR_OUTCOME, *(MARKERS[name] for name in pair))
    z, p, low, high = PROC[pair]
    assert (found.z, found.p_value) == pytest.approx((z, p), rel=1e-9)
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high), rel=1e-9)
    for name, estimate in zip(pair, (found.first, found.second), strict=True):
        assert round(estimate.value, 4) == PROC_AUC[name]
        half = 1.959963984540054 * math.sqrt(PROC_VARIANCE[name])
        assert estimate.low == pytest.approx(estimate.value - half, rel=1e-9)
        assert estimate.high == pytest.approx(min(estimate.value + half, 1.0), rel=1e-9)


def test_small_example_worked_by_hand():
    labels = np.array([1, 1, 0, 0])
    first, second = np.array([3, 1, 2, 0]), np.array([2, 2, 1, 2])
    # First: case 3 beats both controls, case 1 beats one: 3 of 4. Components (1, 1/2), (1/2, 1):
    # variance 1/8 each, over two: 1/16 + 1/16. Second: each case beats one and ties one: 3 of 4;
    # cases do not differ, controls (1, 1/2): variance 1/16. Covariance: 1/2 * -1/8 = -1/16.
    assert delong_plain(labels, first, second) == (
        Fraction(3, 4), Fraction(3, 4), Fraction(1, 8), Fraction(1, 16), Fraction(-1, 16), 0.0
    )  # fmt: skip
    found = delong_test(labels, first, second)
    assert (found.first.value, found.second.value) == (0.75, 0.75)
    assert (found.z, found.p_value) == (0.0, 1.0)
    half = 1.959963984540054 * math.sqrt(1 / 8 + 1 / 16 + 2 / 16)
    assert found.difference.high == pytest.approx(half, rel=1e-12)


def _case(seed, n=40):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    labels[:4] = 0, 0, 1, 1
    scores = generator.normal(labels, 1.5)
    return labels, np.round(scores, 1), np.round(scores + generator.normal(0, 1, n), 0)


@pytest.mark.parametrize("seed", range(8))
def test_midranks_give_what_all_pairs_give(seed):
    labels, first, second = _case(seed)
    auc_1, auc_2, var_1, _, _, z = delong_plain(labels, first, second)
    found = delong_test(labels, first, second)
    assert found.first.value == pytest.approx(float(auc_1), abs=1e-12)
    assert found.second.value == pytest.approx(metrics.auc(labels, second), abs=1e-12)
    assert found.difference.value == pytest.approx(float(auc_1 - auc_2), abs=1e-12)
    half = 1.959963984540054 * math.sqrt(var_1)
    assert found.first.low == pytest.approx(float(auc_1) - half, abs=1e-12)
    assert found.z == pytest.approx(z, rel=1e-9)


def test_order_of_scores_and_cases_changes_the_sign_only():
    labels, first, second = _case(1)
    forward, back = delong_test(labels, first, second), delong_test(labels, second, first)
    assert back.z == -forward.z and back.p_value == forward.p_value
    order = np.random.default_rng(0).permutation(len(labels))
    again = delong_test(labels[order], first[order], second[order])
    assert again.z == pytest.approx(forward.z, rel=1e-12)


def test_scores_that_order_the_cases_alike_do_not_differ():
    labels, first, _ = _case(2)
    for same in (first, 3 * first - 7, np.exp(first)):
        found = delong_test(labels, first, same)
        assert (found.z, found.p_value) == (0.0, 1.0)
        assert found.difference == metrics.Estimate(0.0, 0.0, 0.0)


def test_difference_without_variance_is_infinitely_many_standard_errors():
    labels = np.repeat([0, 1], 5)
    separating, constant = np.arange(10.0), np.ones(10)
    found = delong_test(labels, constant, separating)
    assert (found.z, found.p_value) == (-math.inf, 0.0)
    assert found.difference == metrics.Estimate(-0.5, -0.5, -0.5)


def test_test_holds_its_level_where_nothing_differs():
    generator = np.random.default_rng(4)
    labels = np.repeat([0, 1], 60)
    p_values = []
    for _ in range(400):
        signal = generator.normal(labels, 1.0)
        first, second = (signal + generator.normal(0, 0.7, 120) for _ in range(2))
        p_values.append(delong_test(labels, first, second).p_value)
    # Binomial(400, 0.05): 8 to 34 with probability 0.998.
    assert 8 <= np.sum(np.array(p_values) < 0.05) <= 34


def test_interval_agrees_with_the_paired_bootstrap():
    labels, first, second = _case(5, n=300)
    found = delong_test(labels, first, second).difference
    bootstrap = metrics.auc_difference(labels, first, second)
    assert found.value == pytest.approx(bootstrap.value, abs=1e-12)
    assert found.high - found.low == pytest.approx(bootstrap.high - bootstrap.low, rel=0.1)


@pytest.mark.parametrize(
    ("labels", "words"),
    [([0, 0, 0, 0], "needs both"), ([0, 0, 0, 1], "two of each"), ([0, 0, 1, 2], "other than")],
)
def test_too_few_cases_are_an_error(labels, words):
    with pytest.raises(MetricError, match=words):
        delong_test(np.array(labels), np.arange(4.0), np.arange(4.0))


def test_score_that_is_not_finite_is_an_error():
    with pytest.raises(MetricError, match="not finite"):
        delong_test(np.array([0, 0, 1, 1]), np.arange(4.0), np.array([0, 1, np.nan, 3]))


def test_result_is_told_in_a_line():
    found = delong_test(POOR_OUTCOME, MARKERS["wfns"], MARKERS["s100b"])
    assert str(found) == "+0.092 (+0.010 to +0.174), z = 2.21, p = 0.027"
