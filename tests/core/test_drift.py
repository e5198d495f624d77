from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp, mannwhitneyu

from ddad_core.errors import MetricError
from ddad_core.evaluation.drift import score_drift


def months(shifts, n=300):
    generator = np.random.default_rng(0)
    scores = np.concatenate([generator.normal(shift, 1, n) for shift in shifts])
    when = np.repeat(np.arange("2026-01", "2027-01", dtype="datetime64[M]")[: len(shifts)], n)
    return generator.normal(size=500), scores, when.astype("datetime64[D]") + 9


def test_only_the_month_that_moved_is_called_drifted():
    reference, scores, when = months([0, 0, 0.8, 0])
    order = np.random.default_rng(1).permutation(len(scores))
    found = score_drift(reference, scores[order], when[order], threshold=1.0)
    assert [m.month for m in found.months] == ["2026-01", "2026-02", "2026-03", "2026-04"]
    assert found.drifted == ("2026-03",)
    assert [m.verdict for m in found.months] == ["steady", "steady", "drifted", "steady"]
    assert found.months[2].flagged.low > found.reference_flagged.high


def test_figures_are_scipys():
    reference, scores, when = months([0.3])
    (found,) = score_drift(reference, scores, when).months
    u = mannwhitneyu(scores, reference).statistic
    assert found.higher.value == pytest.approx(u / len(scores) / len(reference), abs=1e-12)
    expected = ks_2samp(scores, reference, method="asymp")
    assert (found.distance, found.p_value) == (expected.statistic, expected.pvalue)
    assert found.median == np.median(scores)


def test_more_months_make_wider_intervals_and_few_scores_no_verdict():
    reference, scores, when = months([0, 0, 0, 0, 0, 0])
    alone = score_drift(reference, scores[:300], when[:300]).months[0].higher
    among = score_drift(reference, scores, when).months[0].higher
    assert among.low < alone.low < alone.value < alone.high < among.high
    few = score_drift(reference, np.array([9.0, 9.5]), when[:2]).months[0]
    assert few.verdict == "too few"
    single = score_drift(reference, np.array([9.0]), when[:1]).months[0]
    assert (single.verdict, single.higher) == ("too few", None)
    assert score_drift(reference, np.empty(0), when[:0]).months == ()


def test_a_downward_shift_is_drift_too_and_complete_separation_is_borne():
    reference, scores, when = months([-9.0])
    assert score_drift(reference, scores, when).months[0].verdict == "drifted"


def test_bad_input_is_refused():
    reference, scores, when = months([0])
    for call in (
        lambda: score_drift(reference, scores[:-1], when),
        lambda: score_drift(reference[:1], scores, when),
        lambda: score_drift(reference, scores, when, limit=0.5),
        lambda: score_drift(reference, scores * np.nan, when),
        lambda: score_drift(reference, scores, np.full(300, "NaT", "datetime64[D]")),
    ):
        with pytest.raises(MetricError):
            call()
