from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from ddad_core.errors import MetricError
from ddad_core.evaluation.agreement import (
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    pairwise,
)

NAN = np.nan
# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C/D: four observers,
# twelve units, reads missing; nominal .743, ordinal .815.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T
# The worked example of Fleiss' kappa in Wikipedia: ten subjects, fourteen raters, 0.210.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
# Agresti, Categorical Data Analysis (2002), table 10.8: two pathologists, carcinoma of the cervix;
# section 10.5.4 has kappa 0.493 with standard error 0.057.
AGRESTI = np.array([[22, 2, 2, 0], [5, 7, 14, 0], [0, 2, 36, 0], [0, 1, 17, 10]])


def pair_of(table):
    rows, columns = np.indices(table.shape)
    return np.repeat(rows.ravel(), table.ravel()), np.repeat(columns.ravel(), table.ravel())


@pytest.mark.parametrize(("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815)])
def test_published_alpha_is_met(level, expected):
    found = krippendorff_alpha(KRIPPENDORFF, level=level)
    assert round(found.value.value, 3) == expected
    assert (found.n_cases, found.n_reads, found.left_out) == (11, 40, 1)
    assert 0 <= found.observed <= 1


def test_published_fleiss_kappa_is_met():
    found = fleiss_kappa(np.array([np.repeat(np.arange(5), row) for row in FLEISS]))
    assert round(found.value.value, 3) == 0.210
    assert (round(found.observed, 3), round(found.expected, 3)) == (0.378, 0.213)


def test_published_cohen_kappa_and_its_error_are_met():
    found = cohen_kappa(*pair_of(AGRESTI)).value
    assert round(found.value, 3) == 0.493
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(0.057, abs=0.003)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_cohen_kappa_equals_scikit_learn(seed, weights):
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 4, 80)
    second = np.where(generator.random(80) < 0.6, first, generator.integers(0, 4, 80))
    expected = cohen_kappa_score(first, second, weights=None if weights == "none" else weights)
    found = cohen_kappa(first, second, weights=weights).value
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low < found.value < found.high


def plain_alpha(reads, ordinal):
    """Krippendorff's alpha pair by pair, straight from its definition."""
    units = [[v for v in row if not np.isnan(v)] for row in reads]
    units = [unit for unit in units if len(unit) > 1]
    values = sorted(v for unit in units for v in unit)

    def cost(a, b):
        if not ordinal:
            return float(a != b)
        low, high = min(a, b), max(a, b)
        between = sum(low <= v <= high for v in values)
        return (between - (values.count(a) + values.count(b)) / 2) ** 2

    seen = sum(2 * cost(a, b) / (len(u) - 1) for u in units for a, b in combinations(u, 2))
    chance = sum(2 * cost(a, b) for a, b in combinations(values, 2))
    n = len(values)
    return 1 - (seen / n) / (chance / (n * (n - 1)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_alpha_equals_its_definition_pair_by_pair(seed, level):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 4, (30, 1))
    reads = np.where(
        generator.random((30, 4)) < 0.7, truth, generator.integers(0, 4, (30, 4))
    ).astype(float)
    reads[generator.random((30, 4)) < 0.3] = NAN
    expected = plain_alpha(reads, level == "ordinal")
    assert krippendorff_alpha(reads, level=level).value.value == pytest.approx(expected, abs=1e-12)


def test_order_of_cases_and_readers_plays_no_part():
    order, readers = np.random.default_rng(0).permutation(12), [2, 0, 3, 1]
    turned = KRIPPENDORFF[order][:, readers]
    assert krippendorff_alpha(turned).value.value == pytest.approx(
        krippendorff_alpha(KRIPPENDORFF).value.value
    )
    first, second = pair_of(AGRESTI)
    assert cohen_kappa(second, first).value.value == pytest.approx(
        cohen_kappa(first, second).value.value
    )


def test_full_agreement_is_one_and_still_not_certain():
    answers = np.array([0, 1] * 20)
    for found in (
        cohen_kappa(answers, answers),
        fleiss_kappa(np.column_stack([answers] * 3)),
        krippendorff_alpha(np.column_stack([answers] * 3)),
    ):
        assert found.value.value == pytest.approx(1)
        assert 0.5 < found.value.low < 0.95


def test_agreement_that_is_undefined_is_refused():
    with pytest.raises(MetricError, match="same answer"):
        cohen_kappa(np.ones(10), np.ones(10))
    with pytest.raises(MetricError, match="at least two"):
        fleiss_kappa(np.array([[1, NAN], [NAN, 0], [1, 0]]))
    with pytest.raises(MetricError, match="nominal or ordinal"):
        krippendorff_alpha(KRIPPENDORFF, level="ratio")
    with pytest.raises(MetricError, match="unknown"):
        cohen_kappa(*pair_of(AGRESTI), weights="cubic")


def test_readers_and_ai_are_compared_two_by_two():
    reads = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0], [1, NAN, 1]], float)
    found = pairwise(reads, ["ana", "ben", "AI"])
    assert [(p.first, p.second) for p in found] == [("ana", "ben"), ("ana", "AI"), ("ben", "AI")]
    assert found[0].kappa.n_cases == 4
    assert found[0].same.value == 0.75
    assert found[1].same.value == 0.8
    lonely = pairwise(np.column_stack([np.ones(3), np.ones(3)]), ["ana", "AI"])[0]
    assert lonely.kappa is None
    assert "undefined" in lonely.why_not
    assert lonely.same.value == 1
