from __future__ import annotations

import numpy as np
import pytest

from ddad_core.errors import MetricError
from ddad_core.evaluation.metrics import auc
from ddad_core.evaluation.multireader import compare_aided


def study(seed=0, n=80, readers=4, gain=0.6):
    generator = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [n // 2, n // 2])
    case = generator.normal(size=(n, 1))
    reads = [
        labels[:, None] * (1 + more) + 0.8 * case + 0.5 * generator.normal(size=(n, readers))
        for more in (0, gain)
    ]
    return labels, reads[0], reads[1]


def test_figures_are_the_readers_means():
    labels, before, after = study()
    found = compare_aided(labels, before, after, measure="auc")
    by_reader = [
        [auc(labels, reads[:, r]) for reads in (before, after)] for r in range(before.shape[1])
    ]
    np.testing.assert_allclose(found.by_reader, by_reader, atol=1e-12)
    means = np.mean(by_reader, axis=0)
    assert (found.unaided.value, found.aided.value) == pytest.approx(tuple(means))
    assert found.difference.value == pytest.approx(means[1] - means[0])
    calls = before > 0.5, after > 0.5
    sensitivity = compare_aided(labels, *calls, measure="sensitivity")
    assert sensitivity.unaided.value == pytest.approx(calls[0][labels == 1].mean())
    specificity = compare_aided(labels, *calls, measure="specificity")
    assert specificity.aided.value == pytest.approx(1 - calls[1][labels == 0].mean())
    assert (sensitivity.n_readers, sensitivity.n_abnormal, sensitivity.n_normal) == (4, 40, 0)


def test_error_of_a_share_is_that_of_the_two_way_analysis_of_variance():
    labels, before, after = study(n=400, readers=6)
    gained = ((after > 0.8).astype(float) - (before > 0.8))[labels == 1]
    n, r = gained.shape
    rest = gained - gained.mean(1, keepdims=True) - gained.mean(0) + gained.mean()
    noise = (rest**2).sum() / (n - 1) / (r - 1)
    cases, readers = gained.mean(1).var(ddof=1) / n, gained.mean(0).var(ddof=1) / r
    variance = cases + readers - noise / n / r
    found = compare_aided(labels, before > 0.8, after > 0.8, measure="sensitivity").difference
    degrees = (r - 1) * (variance / readers) ** 2
    from scipy.stats import t

    expected = t.ppf(0.975, degrees) * np.sqrt(variance)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.12)


def test_real_help_is_seen_and_none_is_not():
    labels, before, after = study(gain=1.5)
    helped = compare_aided(labels, before, after, measure="auc")
    assert helped.difference.low > 0
    assert helped.p_value < 0.05
    same = compare_aided(labels, before, before, measure="auc")
    assert (same.difference.low, same.difference.value, same.difference.high) == (0, 0, 0)
    assert same.p_value == 1


def test_swapping_unaided_and_aided_turns_the_difference():
    labels, before, after = study()
    one = compare_aided(labels, before, after, measure="auc").difference
    other = compare_aided(labels, after, before, measure="auc").difference
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low))


def test_fewer_readers_make_a_wider_interval():
    labels, before, after = study(n=200, readers=12)
    many = compare_aided(labels, before, after, measure="auc").difference
    few = compare_aided(labels, before[:, :2], after[:, :2], measure="auc").difference
    assert few.high - few.low > many.high - many.low


def test_reads_without_their_other_half_play_no_part():
    labels, before, after = study()
    lost = before.copy()
    lost[:10, 0] = np.nan
    other = after.copy()
    other[:10, 0] = np.nan
    found = compare_aided(labels, lost, after, measure="auc")
    assert found.left_out == 10
    assert found.aided.value == compare_aided(labels, lost, other, measure="auc").aided.value
    lost[:, 1] = np.nan
    assert compare_aided(labels, lost, after, measure="auc").n_readers == 3


def test_what_cannot_be_compared_is_refused():
    labels, before, after = study()
    for call in (
        lambda: compare_aided(labels, before[:, :1], after[:, :1], measure="auc"),
        lambda: compare_aided(labels, before, after, measure="sensitivity"),
        lambda: compare_aided(labels[:-1], before, after, measure="auc"),
        lambda: compare_aided(labels + 1, before, after, measure="auc"),
        lambda: compare_aided(labels, before, after, measure="kappa"),
    ):
        with pytest.raises(MetricError):
            call()
