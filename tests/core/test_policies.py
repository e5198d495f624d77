from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from ddad_core.errors import MetricError
from ddad_core.evaluation import policies
from ddad_core.evaluation.policies import Known


def known(seed=0, n=400, m=200, scored=2000):
    generator = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [n, m])
    scores = generator.normal(size=n + m) + 1.5 * labels
    return Known(
        labels,
        scores,
        np.concatenate([scores, generator.normal(size=scored)]),
        generator.normal(size=300),
    )


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.333])
def test_p_values_of_what_is_flagged_keep_the_rate(rate):
    normals = known().normals
    found = policies.at_most_normals(Known(normals=normals), rate)
    n = len(normals)
    scores = np.linspace(-4, 6, 4001)
    p_values = (1 + (normals >= scores[:, None]).sum(axis=1)) / (n + 1)
    flagged = scores >= found.threshold
    assert (p_values[flagged] <= rate + 1e-12).all()
    # As many as allowed: one more normal flagged would break it.
    k = int((normals >= found.threshold).sum())
    assert (k + 1) / (n + 1) <= rate + 1e-12 < (k + 2) / (n + 1)
    assert found.normal_rate.value == k / n
    assert (found.n_normals, found.sensitivity, found.flag_rate) == (300, None, None)
    assert f"{rate:.1%}" in found.guarantee


def test_rate_with_confidence_is_wilks_and_flags_less():
    normals = known().normals
    average = policies.at_most_normals(Known(normals=normals), 0.1)
    sure = policies.at_most_normals(Known(normals=normals), 0.1, confidence=0.95)
    assert sure.threshold > average.threshold
    k = int((normals >= sure.threshold).sum())
    # Among 300 normals of which a tenth lies above, k or fewer do in at most 5 % of sets.
    assert binom.cdf(k, 300, 0.1) <= 0.05 < binom.cdf(k + 1, 300, 0.1)


@pytest.mark.parametrize(("confidence", "least"), [(None, 99), (0.95, 299)])
def test_too_few_normals_say_how_many_it_takes(confidence, least):
    def choose(n):
        return policies.at_most_normals(
            Known(normals=np.arange(float(n))), 0.01, confidence=confidence
        )

    few = choose(least - 1)
    assert few.threshold is None
    assert f"it takes {least}" in few.why_not
    assert choose(least).threshold is not None


def test_ties_at_the_threshold_are_not_flagged():
    normals = np.repeat([1.0, 2.0], [90, 10])
    found = policies.at_most_normals(Known(normals=normals), 0.05)
    assert found.threshold > 2
    assert found.normal_rate.value == 0


def test_sensitivity_has_its_lower_bound_and_no_more():
    data = known()
    found = policies.at_least_sensitivity(data, 0.9)
    abnormal = data.scores[data.labels == 1]
    missed = int((abnormal < found.threshold).sum())
    # So many misses or fewer come with a chance of 5 % at the most if one in
    # ten is missed, one more would not.
    assert binom.cdf(missed, 200, 0.1) <= 0.05 < binom.cdf(missed + 1, 200, 0.1)
    assert found.threshold in abnormal
    assert found.sensitivity.value == 1 - missed / 200
    few = policies.at_least_sensitivity(Known(np.ones(58), np.arange(58.0)), 0.95)
    assert "it takes 59" in few.why_not
    enough = policies.at_least_sensitivity(Known(np.ones(59), np.arange(59.0)), 0.95)
    assert enough.threshold == 0


def test_stricter_promises_move_thresholds_one_way():
    data = known()
    rates = [policies.at_most_normals(data, r).threshold for r in (0.02, 0.05, 0.1, 0.3)]
    assert (np.diff(rates) < 0).all()
    targets = [policies.at_least_sensitivity(data, t).threshold for t in (0.6, 0.8, 0.9, 0.95)]
    assert (np.diff(targets) < 0).all()
    misses = [
        policies.cost_ratio(data, miss=m, prevalence=0.1).threshold for m in (0.5, 3, 20, 200)
    ]
    assert (np.diff(misses) <= 0).all()
    assert misses[0] > misses[-1]


def plain_best(labels, scores, of_miss, of_alarm):
    costs = {}
    for t in [*np.unique(scores), np.inf]:
        missed = np.mean(scores[labels == 1] < t)
        alarms = np.mean(scores[labels == 0] >= t)
        costs[t] = round(of_miss * missed + of_alarm * alarms, 12)
    return max(t for t, cost in costs.items() if cost == min(costs.values()))


@pytest.mark.parametrize("seed", range(4))
def test_youden_and_cost_are_the_best_of_all_thresholds(seed):
    data = known(seed, 60, 40)
    for found, costs in (
        (policies.youden(data), (1, 1)),
        (policies.cost_ratio(data, miss=5, prevalence=0.2), (1.0, 0.8)),
    ):
        best = plain_best(data.labels, data.scores, *costs)
        np.testing.assert_array_equal(data.scores >= found.threshold, data.scores >= best)
    apparent = policies.by_hand(data, policies.youden(data).threshold)
    honest = policies.youden(data)
    youden = [c.sensitivity.value + c.specificity.value for c in (apparent, honest)]
    assert youden[1] < youden[0]


def test_costs_at_the_ends_flag_nothing_or_everything():
    data = known()
    labels, scores = np.repeat([0, 1], 20), np.r_[np.arange(1.0, 21), np.arange(20.0)]
    nothing = policies.cost_ratio(Known(labels, scores), miss=1e-6, prevalence=0.01)
    everything = policies.cost_ratio(data, miss=1e6, prevalence=0.5)
    assert nothing.threshold > 20
    assert everything.threshold <= data.scores[data.labels == 1].min()
    few = policies.youden(Known(np.repeat([0, 1], [50, 9]), np.arange(59.0)))
    assert "50 normal and 9 abnormal" in few.why_not


def test_workload_flags_no_more_than_can_be_read():
    data = known()
    found = policies.workload(data, flagged_a_day=12, cases_a_day=80)
    flagged = int((data.all_scores >= found.threshold).sum())
    assert flagged / len(data.all_scores) <= 12 / 80
    assert (flagged + 2) / (len(data.all_scores) + 1) > 12 / 80
    days = found.flagged_a_day
    assert days.low < days.value <= 12 < days.high
    assert found.flag_rate.value == flagged / len(data.all_scores)
    assert policies.workload(data, flagged_a_day=90, cases_a_day=80).threshold is None
    assert "it takes" in policies.workload(Known(), flagged_a_day=1, cases_a_day=80).why_not


def test_by_hand_says_what_is_known_and_nothing_else():
    found = policies.by_hand(known(), 1.0)
    assert found.sensitivity.low < found.sensitivity.value < found.sensitivity.high
    assert (found.n_abnormal, found.n_normal, found.n_scored) == (200, 400, 2600)
    empty = policies.by_hand(Known(), 1.0)
    assert (empty.sensitivity, empty.flag_rate, empty.measured) == (None, None, "")


@pytest.mark.parametrize(
    "call",
    [
        lambda: policies.at_most_normals(known(), 0),
        lambda: policies.at_least_sensitivity(known(), 1),
        lambda: policies.cost_ratio(known(), miss=0, prevalence=0.1),
        lambda: policies.cost_ratio(known(), miss=1, prevalence=1),
        lambda: policies.workload(known(), flagged_a_day=0, cases_a_day=3),
    ],
)
def test_what_is_no_policy_is_refused(call):
    with pytest.raises(MetricError):
        call()
