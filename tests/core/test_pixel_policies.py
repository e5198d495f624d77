from __future__ import annotations

import numpy as np
import pytest

from ddad_core.errors import MetricError
from ddad_core.evaluation.froc import trace
from ddad_core.evaluation.pixel_policies import (
    at_least_lesion_sensitivity,
    at_level,
    at_most_false_regions,
)


@pytest.fixture(scope="module")
def traced():
    """40 maps with one or two findings and 60 normal ones: peaks alone above 0."""
    generator = np.random.default_rng(0)
    maps, regions = np.zeros((40, 16, 16)), []
    for image in maps:
        places = [(3, 3), (11, 11)][: generator.integers(1, 3)]
        own = np.zeros((len(places), 16, 16), bool)
        for finding, (row, column) in zip(own, places, strict=True):
            finding[row - 1 : row + 2, column - 1 : column + 2] = True
            image[row, column] = generator.uniform(0.3, 1)
        regions.append(own)
    normal = np.zeros((60, 16, 16))
    for image in normal:
        for place in range(generator.integers(0, 4)):
            image[4 * place, 4 * place] = generator.uniform(0, 0.6)
    return trace(maps + 1e-9, regions, normal + 1e-9), maps, normal


def test_a_level_counts_what_lies_above_it(traced):
    found, maps, normal = traced
    level = 0.45
    choice = at_level(found, level)
    hits = int((maps >= level).sum())
    assert choice.n_findings == int((maps > 0).sum())
    assert choice.lesion_sensitivity.value == pytest.approx(hits / choice.n_findings)
    assert choice.false_regions.value == pytest.approx((normal >= level).sum() / 60)
    assert choice.lesion_sensitivity.low < choice.lesion_sensitivity.value
    assert (choice.n_images, choice.n_counted, choice.counted_on) == (40, 60, "normal images")
    nothing = at_level(found, 2.0)
    assert (nothing.lesion_sensitivity.value, nothing.false_regions.value) == (0, 0)
    assert nothing.false_regions.high == pytest.approx(3.689 / 60, abs=1e-4)


def test_false_regions_stay_within_the_allowance_and_no_lower_level_would(traced):
    found, _, normal = traced
    choice = at_most_false_regions(found, 0.25)
    assert choice.false_regions.value <= 0.25
    lower = found.levels[found.levels < choice.level]
    assert (normal + 1e-9 >= lower[0]).sum() / 60 > 0.25
    assert "0.25 false regions" in choice.policy
    levels = [at_most_false_regions(found, a).level for a in (0.1, 0.25, 0.5, 1.0)]
    assert (np.diff(levels) <= 0).all()


def test_lesion_sensitivity_is_shown_by_its_lower_end_at_the_highest_level(traced):
    found = traced[0]
    choice = at_least_lesion_sensitivity(found, 0.5)
    assert choice.lesion_sensitivity.low >= 0.5
    higher = found.levels[found.levels > choice.level]
    assert all(at_level(found, level).lesion_sensitivity.low < 0.5 for level in higher[-3:])
    assert at_least_lesion_sensitivity(found, 0.7).level < choice.level


def test_what_cannot_be_had_is_said(traced):
    found = traced[0]
    impossible = at_least_lesion_sensitivity(found, 0.999)
    assert impossible.level is None
    assert "more boxes" in impossible.why_not
    few = trace(np.eye(4)[None].repeat(3, 0), [np.ones((1, 4, 4), bool)] * 3, None)
    assert "3 images only" in at_most_false_regions(few, 1.0).why_not
    for call in (
        lambda: at_most_false_regions(found, 0),
        lambda: at_least_lesion_sensitivity(found, 1),
        lambda: at_level(found, -1.0),
    ):
        with pytest.raises(MetricError):
            call()
