from __future__ import annotations

import numpy as np
import pytest

from ddad_core.errors import MetricError
from ddad_core.evaluation.delong import delong_auc
from ddad_core.evaluation.metrics import roc_curve
from ddad_core.evaluation.verification import ScoredCases, verified_figures
from ddad_core.evaluation.verified_roc import verified_roc, weighted_auc, weighted_roc

# Drum and Christacopoulos, Journal of Nuclear Medicine 13 (1972) 908-915, the example of Begg and
# Greenes (1983): liver scans of 650 patients. Corrected sensitivity 0.836, specificity 0.738; as
# they come 231 of 258 and 54 of 86 (Altman and Bland, BMJ 308, 1994, 1552: 0.90 and 0.63).
LIVER = ((1.0, 231, 32, 166), (0.0, 27, 54, 140))


def liver():
    scores, labels, chances = [], [], []
    for score, abnormal, normal, unread in LIVER:
        n = abnormal + normal + unread
        scores += [score] * n
        labels += [1] * abnormal + [0] * normal + [-1] * unread
        chances += [(abnormal + normal) / n] * n
    return ScoredCases(np.array(scores), np.array(labels), np.array(chances))


def simulated(seed, n=3000, audit=0.2, prevalence=0.2):
    generator = np.random.default_rng(seed)
    labels = (generator.random(n) < prevalence).astype(int)
    scores = generator.normal(size=n) + 1.2 * labels
    chance = np.where(scores >= 1.2, 1.0, audit)
    read = generator.random(n) < chance
    return labels, ScoredCases(scores, np.where(read, labels, -1), chance)


def test_published_example_is_met():
    found = verified_figures(liver(), 0.5)
    assert round(found.sensitivity.begg_greenes.value, 3) == 0.836
    assert round(found.specificity.begg_greenes.value, 3) == 0.738
    assert round(found.sensitivity.naive.value, 2) == 0.90
    assert round(found.specificity.naive.value, 2) == 0.63
    # One chance within each flag: both corrections are one.
    for figure in (found.sensitivity, found.specificity, found.ppv, found.npv, found.prevalence):
        assert figure.weighted.value == pytest.approx(figure.begg_greenes.value, abs=1e-12)
        assert figure.begg_greenes.low < figure.begg_greenes.value < figure.begg_greenes.high
    assert (found.flagged, found.flagged_read) == (429, 263)
    assert (found.unflagged, found.unflagged_read, found.unflagged_abnormal) == (221, 81, 27)
    assert found.too_few == ""


def test_begg_greenes_error_is_that_of_their_delta_method():
    # Begg and Greenes (1983), section 4: on the logit scale.
    (_, a, b, u1), (_, c, d, u0) = LIVER
    n1, n0 = a + b + u1, c + d + u0
    p1, p0 = a / (a + b), c / (c + d)
    variance = (n1 + n0) / (n1 * n0) + (1 - p1) / (p1 * (a + b)) + (1 - p0) / (p0 * (c + d))
    logit = np.log(n1 * p1 / (n0 * p0))
    ends = 1 / (1 + np.exp(-(logit + np.array([-1.96, 1.96]) * np.sqrt(variance))))
    found = verified_figures(liver(), 0.5).sensitivity.begg_greenes
    assert (found.low, found.high) == pytest.approx(ends, abs=0.008)


def test_corrected_figures_hit_the_truth_where_naive_ones_do_not():
    errors = []
    for seed in range(30):
        labels, cases = simulated(seed)
        flagged = cases.scores >= 0.8  # not the threshold that cases were read by
        truth = flagged[labels == 1].mean(), (~flagged)[labels == 0].mean()
        found = verified_figures(cases, 0.8)
        errors.append(
            [
                getattr(figure, kind).value - true
                for figure, true in zip((found.sensitivity, found.specificity), truth, strict=True)
                for kind in ("naive", "weighted", "begg_greenes")
            ]
        )
    naive_se, weighted_se, greenes_se, naive_sp, weighted_sp, greenes_sp = np.mean(errors, axis=0)
    assert naive_se > 0.1
    assert naive_sp < -0.1
    assert max(map(abs, (weighted_se, greenes_se, weighted_sp, greenes_sp))) < 0.012


def test_corrected_auc_is_unbiased_where_the_naive_one_is_not():
    truth = 0.8019  # Phi(1.2 / sqrt 2)
    found = [verified_roc(simulated(seed, audit=0.1)[1]).auc for seed in range(60)]
    naive, weighted, greenes = (
        np.mean([getattr(auc, kind).value for auc in found]) - truth
        for kind in ("naive", "weighted", "begg_greenes")
    )
    assert naive < -0.03
    assert abs(weighted) < 0.01
    assert abs(greenes) < 0.01
    held = [auc.weighted.low <= truth <= auc.weighted.high for auc in found]
    assert np.mean(held) > 0.85


def test_equal_weights_are_no_weights():
    labels, cases = simulated(3, n=300)
    weights = np.full(300, 7.0)
    found, plain = weighted_auc(labels, cases.scores, weights), delong_auc(labels, cases.scores)
    assert found.value == pytest.approx(plain.value, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.002)
    curve, expected = weighted_roc(labels, cases.scores, weights), roc_curve(labels, cases.scores)
    np.testing.assert_allclose(curve.sensitivity, expected.sensitivity, atol=1e-12)
    np.testing.assert_allclose(curve.specificity, expected.specificity, atol=1e-12)


def test_weights_are_as_if_cases_were_there_so_often():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 60)
    scores = np.round(generator.normal(size=60) + labels, 1)
    weights = generator.integers(1, 5, 60)
    many, more = np.repeat(labels, weights), np.repeat(scores, weights)
    found = weighted_auc(labels, scores, weights.astype(float))
    assert found.value == pytest.approx(delong_auc(many, more).value, abs=1e-12)
    curve = weighted_roc(labels, scores, weights.astype(float))
    np.testing.assert_allclose(curve.sensitivity, roc_curve(many, more).sensitivity, atol=1e-12)


def test_a_sample_without_abnormal_reads_is_not_certainty():
    scores = np.concatenate([np.ones(100), np.zeros(2000)])
    labels = np.concatenate([np.repeat([1, 0], [60, 40]), np.zeros(100), np.full(1900, -1)])
    cases = ScoredCases(scores, labels.astype(int), np.where(scores > 0, 1.0, 0.05))
    found = verified_figures(cases, 0.5)
    assert found.sensitivity.begg_greenes.value == 1
    assert found.sensitivity.begg_greenes.low < 0.75
    assert "sensitivity lies anywhere" in found.too_few


def test_too_few_unflagged_reads_are_said():
    scores = np.concatenate([np.ones(100), np.zeros(900)])
    chance = np.where(scores > 0, 1.0, 0.01)
    flagged_only = np.concatenate([np.repeat([1, 0], [60, 40]), np.full(900, -1)])
    found = verified_figures(ScoredCases(scores, flagged_only, chance), 0.5)
    assert found.sensitivity.begg_greenes is None
    assert found.npv.naive is None
    assert "nothing is known of what was missed" in found.too_few
    assert found.reads_needed == 20
    few = flagged_only.copy()
    few[100:109] = 0
    few[109] = 1
    found = verified_figures(ScoredCases(scores, few, chance), 0.5)
    assert "Only 10 of 900" in found.too_few
    assert 20 <= found.reads_needed <= 900
    with_roc = verified_roc(ScoredCases(scores, few, chance))
    assert "only 1 are abnormal" in with_roc.too_few


def test_chances_that_cannot_be_are_refused():
    cases = liver()
    for chance in (np.zeros(650), np.full(650, 1.5)):
        with pytest.raises(MetricError, match="chance"):
            verified_figures(ScoredCases(cases.scores, cases.labels, chance), 0.5)
    with pytest.raises(MetricError, match="labels"):
        verified_figures(ScoredCases(cases.scores, cases.labels + 1, cases.chance), 0.5)
    with pytest.raises(MetricError, match="match"):
        verified_figures(ScoredCases(cases.scores[:5], cases.labels, cases.chance), 0.5)


def test_order_of_cases_plays_no_part():
    _, cases = simulated(5)
    order = np.random.default_rng(0).permutation(len(cases.scores))
    turned = ScoredCases(cases.scores[order], cases.labels[order], cases.chance[order])
    one, other = verified_figures(cases, 1.0), verified_figures(turned, 1.0)
    assert one.sensitivity.weighted.value == pytest.approx(other.sensitivity.weighted.value)
    assert one.sensitivity.begg_greenes == other.sensitivity.begg_greenes


def test_a_part_without_reads_hides_nothing_and_widens_the_interval():
    _, cases = simulated(6)
    read_by = 1.2
    just_below = np.sort(cases.scores[(cases.scores < read_by) & (cases.labels < 0)])[-1]
    lone = verified_figures(cases, float(just_below))
    assert lone.sensitivity.begg_greenes is not None
    labels = np.where((cases.scores > 0) & (cases.scores < read_by), -1, cases.labels)
    hidden = ScoredCases(cases.scores, labels, cases.chance)
    found, whole = (verified_figures(c, 0.0).sensitivity.begg_greenes for c in (hidden, cases))
    assert found.high - found.low > 1.5 * (whole.high - whole.low)


def test_no_cases_are_refused():
    with pytest.raises(MetricError, match="none"):
        verified_figures(ScoredCases(np.empty(0), np.empty(0, int), np.empty(0)), 0.5)
