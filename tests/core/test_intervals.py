from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from ddad_core.errors import MetricError
from ddad_core.evaluation import intervals
from ddad_core.evaluation.metrics import proportion

# Newcombe, Statistics in Medicine 17 (1998) 857-872, Table I: methods 3 (score), 5
# (Clopper-Pearson) and 6 (mid-P) for these shares.
NEWCOMBE = {
    (81, 263): {
        "wilson": (0.2553, 0.3662),
        "clopper-pearson": (0.2527, 0.3676),
        "mid-p": (0.2544, 0.3658),
    },
    (15, 148): {
        "wilson": (0.0624, 0.1605),
        "clopper-pearson": (0.0578, 0.1617),
        "mid-p": (0.0601, 0.1581),
    },
    (0, 20): {
        "wilson": (0.0, 0.1611),
        "clopper-pearson": (0.0, 0.1684),
        "mid-p": (0.0, 0.1391),
    },
    (1, 29): {
        "wilson": (0.0061, 0.1718),
        "clopper-pearson": (0.0009, 0.1776),
        "mid-p": (0.0017, 0.1585),
    },
}


@pytest.mark.parametrize("case", NEWCOMBE, ids=str)
@pytest.mark.parametrize("method", intervals.METHODS)
def test_published_intervals_of_newcombe_are_met(case, method):
    found = intervals.share_of(*case, method=method)
    assert (found.low, found.high) == pytest.approx(NEWCOMBE[case][method], abs=6e-5)


@pytest.mark.parametrize(("method", "name"), [("wilson", "wilson"), ("clopper-pearson", "exact")])
def test_scipy_gives_the_same(method, name):
    for n in (1, 2, 7, 50, 400):
        table = intervals.METHODS[method](np.arange(n + 1), n)
        for k in range(0, n + 1, max(n // 7, 1)):
            expected = binomtest(k, n).proportion_ci(method=name)
            assert table.low[k] == pytest.approx(expected.low, abs=1e-12)
            assert table.high[k] == pytest.approx(expected.high, abs=1e-12)


def test_exact_interval_is_that_of_the_model_cards():
    expected = proportion(17, 40)
    found = intervals.share_of(17, 40, method="clopper-pearson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_mid_p_ends_solve_their_equations():
    n = 37
    table = intervals.mid_p(np.arange(1, n), n)
    k = np.arange(1, n)
    upper_tail = binom.sf(k, n, table.low) + binom.pmf(k, n, table.low) / 2
    lower_tail = binom.cdf(k - 1, n, table.high) + binom.pmf(k, n, table.high) / 2
    np.testing.assert_allclose(upper_tail, 0.025, atol=1e-12)
    np.testing.assert_allclose(lower_tail, 0.025, atol=1e-12)


@pytest.mark.parametrize("method", intervals.METHODS)
def test_shares_are_bounded_mirrored_monotone_and_narrow_with_n(method):
    function = intervals.METHODS[method]
    n = 60
    table = function(np.arange(n + 1), n)
    assert (table.low >= 0).all()
    assert (table.high <= 1).all()
    assert ((table.low <= table.value) & (table.value <= table.high)).all()
    np.testing.assert_allclose(table.low, 1 - table.high[::-1], atol=1e-12)
    assert (np.diff(table.low) > 0).all()
    assert (np.diff(table.high) > 0).all()
    few, many = function(6, 10).at(), function(600, 1000).at()
    assert few.low < many.low < many.high < few.high
    wide = function(6, 10, confidence=0.99).at()
    assert wide.low < few.low
    assert few.high < wide.high


def exact_coverage(method, n, p):
    """By summing over all counts, not by simulation."""
    k = np.arange(n + 1)
    table = intervals.METHODS[method](k, n)
    return float(binom.pmf(k, n, p)[(table.low <= p) & (p <= table.high)].sum())


def test_mid_p_covers_within_the_limits_where_wilson_does_not():
    for n in (50, 75, 100, 150, 200, 300, 500, 1000):
        for p in (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
            assert 0.93 <= exact_coverage("mid-p", n, p) <= 0.97, (n, p)
            assert exact_coverage("clopper-pearson", n, p) >= 0.95, (n, p)
    assert exact_coverage("wilson", 50, 0.9) == pytest.approx(0.9703, abs=5e-5)


# riskscoreci of the R package PropCIs, as statsmodels' tests quote it, and Koopman's own example
# (Biometrics 40, 1984, 513-517).
@pytest.mark.parametrize(
    ("counts", "expected", "tolerance"),
    [
        ((7, 34, 1, 34), (7.0, 1.220853, 42.575718), 5e-6),
        ((36, 40, 16, 80), (4.5, 2.94, 7.15), 5e-3),
    ],
)
def test_published_ratios_are_met(counts, expected, tolerance):
    found = intervals.ratio_of_shares(*counts).at()
    assert (found.value, found.low, found.high) == pytest.approx(expected, abs=tolerance)


def test_ratio_turned_round_is_its_inverse_and_bears_zeros():
    one, other = (
        intervals.ratio_of_shares(12, 40, 7, 60).at(),
        intervals.ratio_of_shares(7, 60, 12, 40).at(),
    )
    assert other.low == pytest.approx(1 / one.high, rel=1e-9)
    assert other.high == pytest.approx(1 / one.low, rel=1e-9)
    none = intervals.ratio_of_shares(0, 40, 7, 60).at()
    assert (none.value, none.low) == (0, 0)
    assert 0 < none.high < 1.5
    all_of = intervals.ratio_of_shares(12, 40, 0, 60).at()
    assert (all_of.value, all_of.high) == (np.inf, np.inf)
    assert all_of.low > 1
    neither = intervals.ratio_of_shares(0, 40, 0, 60).at()
    assert np.isnan(neither.value)
    assert (neither.low, neither.high) == (0, np.inf)


def test_logit_interval_stays_inside_and_falls_back_at_the_ends():
    found = intervals.on_logit(0.98, 0.02, effective_n=40)
    assert 0.85 < found.low < 0.98 < found.high < 1
    assert intervals.on_logit(0.98, 0.02, effective_n=40, degrees=5).low < found.low
    top = intervals.on_logit(1.0, 0.0, effective_n=40)
    assert (top.value, top.high) == (1, 1)
    assert top.low == pytest.approx(intervals.wilson(40, 40).at().low)


@pytest.mark.parametrize(("count", "n"), [(1, 0), (-1, 5), (6, 5)])
@pytest.mark.parametrize("method", intervals.METHODS)
def test_what_is_no_share_is_refused(count, n, method):
    with pytest.raises(MetricError):
        intervals.share_of(count, n, method=method)


def test_unknown_method_is_refused():
    with pytest.raises(MetricError, match=r"mid-p, wilson"):
        intervals.share_of(1, 2, method="wald")
