"""A small seeded share of `python -m benchmarks.coverage`, with margins for its few runs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import coverage, simulated, simulated_designs

RUNS = 150


@pytest.mark.parametrize(
    "settings",
    [
        lambda: simulated.aucs(RUNS, ((50, 50),)),
        lambda: simulated.agreement(RUNS, (50,)),
        lambda: simulated.readers(40, ((50, 5),)),
    ],
    ids=["aucs", "agreement", "readers"],
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(settings):
    for setting in settings():
        if setting.figure != "AUC, DeLong as published":
            # Four standard errors of the runs around 95 %.
            margin = 4 * np.sqrt(0.05 * 0.95 / setting.runs)
            assert setting.coverage >= 0.95 - margin, setting


def test_shares_and_predictive_values_hold_within_the_limits():
    settings = [*simulated.shares(40_000, (50, 100)), *simulated.predictive(40_000, (50,))]
    for setting in settings:
        if setting.figure == "Share, clopper-pearson":
            assert setting.coverage >= 0.947, setting
        elif setting.figure != "Share, wilson":
            assert 0.93 <= setting.coverage <= 0.97, setting


def test_a_correction_that_does_nothing_would_be_seen():
    settings, (bias,) = simulated_designs.verification(40, simulated_designs.DESIGNS[1:2])
    assert abs(bias.naive) > 0.03
    assert abs(bias.corrected) < 0.015
    assert all(setting.coverage > 0.8 for setting in settings)


def test_guarantees_are_kept():
    assert all(kept.met for kept in simulated_designs.guarantees(80))


def test_slider_has_its_figures_at_once():
    assert coverage.slider(5).met


def test_figures_are_judged_by_the_worst_setting():
    good = simulated.Setting("A", "n = 1", 0.95, 10)
    (row,) = coverage._by_figure([good, simulated.Setting("A", "n = 2", 0.92, 10)])
    assert not row.met
    assert "92.0% (n = 2) to 95.0% (n = 1); 2 settings of 10 runs" in row.measured
    assert coverage._by_figure([good])[0].met
    assert "| A | 93 to 97 %: met |" in coverage.part(coverage._by_figure([good]))
