from __future__ import annotations

import math

import numpy as np
import pytest

from ddad_core.errors import MetricError
from ddad_core.evaluation.predictive import predictive_values
from ddad_core.evaluation.thresholds import Confusion

# Mercaldo, Lau and Zhou, Statistics in Medicine 26 (2007) 2170-2183: APOE e4 and Alzheimer's
# disease, as the R package bdpv has it: 240 of 418 cases positive, 87 of 375 controls.
ALZHEIMER = Confusion(240, 178, 87, 288)


def mercaldo(counts, prevalence):
    """Their standard logit intervals, equations 8 to 11."""
    n1 = counts.true_positive + counts.false_negative
    n0 = counts.false_positive + counts.true_negative
    se, sp = counts.true_positive / n1, counts.true_negative / n0
    found = []
    for odds, variance in (
        (se * prevalence / ((1 - sp) * (1 - prevalence)), (1 - se) / se / n1 + sp / (1 - sp) / n0),
        (sp * (1 - prevalence) / ((1 - se) * prevalence), se / (1 - se) / n1 + (1 - sp) / sp / n0),
    ):
        half = 1.959964 * math.sqrt(variance)
        found.append([1 / (1 + math.exp(-(math.log(odds) + shift))) for shift in (0, -half, half)])
    return found


def test_published_example_is_met():
    found = predictive_values(ALZHEIMER, prevalence=0.03)
    for estimate, (value, low, high) in zip(
        (found.ppv, found.npv), mercaldo(ALZHEIMER, 0.03), strict=True
    ):
        assert estimate.value == pytest.approx(value, rel=1e-9)
        # Score against normal interval: alike with hundreds of cases.
        assert (estimate.low, estimate.high) == pytest.approx((low, high), rel=0.02)
    assert found.ppv.value == pytest.approx(0.0711, abs=5e-5)
    assert found.stated


def test_without_a_prevalence_the_cases_own_mix_counts():
    found = predictive_values(Confusion(30, 10, 5, 55))
    assert found.ppv.value == pytest.approx(30 / 35)
    assert found.npv.value == pytest.approx(55 / 65)
    assert (found.prevalence, found.stated) == (0.4, False)
    stated = predictive_values(Confusion(30, 10, 5, 55), prevalence=0.4)
    assert stated.ppv.value == pytest.approx(found.ppv.value)
    assert stated.npv.value == pytest.approx(found.npv.value)


def test_ppv_rises_and_npv_falls_with_prevalence():
    found = [predictive_values(ALZHEIMER, prevalence=p) for p in (0.01, 0.1, 0.5, 0.9)]
    for part in ("value", "low", "high"):
        assert (np.diff([getattr(f.ppv, part) for f in found]) > 0).all()
        assert (np.diff([getattr(f.npv, part) for f in found]) < 0).all()


def test_no_false_alarm_is_not_certainty():
    found = predictive_values(Confusion(20, 5, 0, 40), prevalence=0.1)
    assert (found.ppv.value, found.ppv.high) == (1, 1)
    assert 0.3 < found.ppv.low < 0.9


def test_nothing_flagged_has_no_ppv_and_missing_classes_are_refused():
    assert predictive_values(Confusion(0, 5, 0, 40), prevalence=0.1).ppv is None
    assert predictive_values(Confusion(0, 5, 0, 40)).ppv is None
    with pytest.raises(MetricError, match="both"):
        predictive_values(Confusion(3, 5, 0, 0), prevalence=0.1)
    with pytest.raises(MetricError, match="between 0 and 1"):
        predictive_values(ALZHEIMER, prevalence=0)
    with pytest.raises(MetricError):
        predictive_values(Confusion(0, 0, 0, 0))
