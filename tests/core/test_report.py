from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ddad_core.card import load_card
from ddad_core.commands.evaluate import _figures
from ddad_core.errors import MetricError
from ddad_core.evaluation import metrics, report
from ddad_core.evaluation.delong import delong_test
from ddad_core.training import pack
from ddad_core.training.manifest import load_manifest
from ddad_core.vocabulary import SCORE_TITLES
from tests.core.synthetic import REPOSITORY, WEIGHTS

LABELS = np.repeat([0, 1], [60, 40])
NOISE = np.random.default_rng(1).normal(size=(len(SCORE_TITLES), 100))


def _scores(**strength):
    """Scores by name, each with this many standard deviations between the classes."""
    return {
        name: strength[name] * LABELS + noise
        for name, noise in zip(SCORE_TITLES, NOISE, strict=True)
        if name in strength
    }


def _evaluate(scores, primary="a_inter", threshold=0.5):
    return report.evaluate(LABELS, scores, primary=primary, threshold=threshold)


def test_every_given_score_has_every_figure_in_the_order_of_the_vocabulary():
    scores = _scores(r_dual=2.0, a_inter=1.5, a_rec=0.5, c_inter=1.0)
    found = _evaluate(dict(reversed(scores.items())))
    for figures in (found.auc, found.average_precision, found.sensitivity):
        assert list(figures) == ["a_rec", "a_inter", "r_dual", "c_inter"]
    for name, values in scores.items():
        assert found.auc[name] == metrics.auc_with_interval(LABELS, values)
        assert found.average_precision[name] == metrics.average_precision_with_interval(
            LABELS, values
        )
        assert found.sensitivity[name] == metrics.sensitivity_at_specificity(LABELS, values, 0.9)


@pytest.mark.parametrize(
    ("primary", "given", "tested"),
    [
        ("a_inter", ["a_rec", "a_inter"], ["a_inter"]),
        ("a_inter", ["a_rec", "a_intra", "a_inter", "r_dual"], ["a_inter", "r_dual"]),
        ("c_inter", ["a_rec", "a_inter", "c_inter"], ["a_inter", "c_inter"]),
        ("a_rec", ["a_rec", "a_inter"], ["a_inter"]),
    ],
)
def test_delong_sets_the_scores_that_matter_against_a_rec(primary, given, tested):
    scores = _scores(**dict.fromkeys(given, 1.0))
    found = _evaluate(scores, primary)
    assert list(found.delong) == tested
    for name, test in found.delong.items():
        assert test == delong_test(LABELS, scores[name], scores["a_rec"])
        assert test.first.value == pytest.approx(found.auc[name].value, abs=1e-12)


def test_statement_is_about_the_primary_score():
    better = _evaluate(_scores(a_rec=0.0, a_inter=0.1, r_dual=3.0), "r_dual", 1.5)
    assert better.primary == "r_dual"
    assert better.statement.startswith(
        "R_dual tells abnormal from normal better than reconstruction error: "
        f"its AUC of {better.auc['r_dual'].value:.2f}"
    )
    assert better.at_threshold.sensitivity.value > 0.8
    near = _evaluate(_scores(a_rec=0.0, a_inter=0.1, r_dual=5.0), "r_dual", 1.5)
    value = near.auc["r_dual"].value
    assert 0.995 < value < 1 and f"its AUC of {value:.3f} is" in near.statement
    worse = _evaluate(_scores(a_rec=1.0, a_inter=3.0, r_dual=0.0), "r_dual")
    assert "R_dual (AUC" in worse.statement and "not reliably better" in worse.statement
    assert "not shown to be better than chance" in worse.statement
    hint = _evaluate(_scores(a_rec=0.0, a_inter=0.6), "a_inter")
    assert "weak hint" in hint.statement


def test_statement_of_a_model_that_goes_by_a_rec_sets_nothing_against_itself():
    found = _evaluate(_scores(a_rec=2.0, a_inter=0.0), "a_rec")
    low = f"{found.auc['a_rec'].low:.2f}"
    assert found.statement.startswith("A_rec (ensemble) tells abnormal from normal with an AUC of")
    assert low in found.statement and "better than reconstruction error" not in found.statement


@pytest.mark.parametrize(
    ("given", "primary", "words"),
    [
        (["a_rec"], "a_rec", "a_inter are missing"),
        (["a_inter"], "a_inter", "a_rec are missing"),
        (["a_rec", "a_inter"], "r_dual", "r_dual are missing"),
    ],
)
def test_missing_score_is_named(given, primary, words):
    with pytest.raises(MetricError, match=words):
        _evaluate(_scores(**dict.fromkeys(given, 1.0)), primary)


def test_unknown_score_is_named():
    with pytest.raises(MetricError, match="mine are unknown"):
        _evaluate(_scores(a_rec=1.0, a_inter=1.0) | {"mine": NOISE[0]})


def _card_without_figures(tmp_path):
    """A shipped card, as `ddad train` leaves it."""
    folder = tmp_path / "nih-ae-u"
    folder.mkdir()
    raw = json.loads((WEIGHTS / "nih-ae-u" / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({**raw, "evaluation": None}), encoding="utf-8")
    return folder


def test_card_states_the_new_figures_beside_the_old_ones(tmp_path):
    folder = _card_without_figures(tmp_path)
    found = _evaluate(_scores(a_rec=0.5, a_inter=1.5, r_dual=2.0))
    pack.add_evaluation(folder, found, load_manifest(REPOSITORY / "data/manifests/nih.csv"))
    stated = load_card(folder).raw["evaluation"]
    assert {"auc", "auc_inter_minus_rec", "at_operating_point", "auc_within"} <= set(stated)
    for key, figures in (
        ("average_precision", found.average_precision),
        ("sensitivity_at_specificity_90", found.sensitivity),
    ):
        assert stated[key]["r_dual"]["value"] == round(figures["r_dual"].value, 6)
        assert stated[key]["r_dual"]["ci95"][0] == round(figures["r_dual"].low, 6)
    test = stated["delong"]["r_dual"]
    assert test["auc_minus_rec"]["value"] == round(found.delong["r_dual"].difference.value, 6)
    assert test["z"] == pytest.approx(found.delong["r_dual"].z, abs=1e-4)
    assert test["p_value"] == pytest.approx(found.delong["r_dual"].p_value, rel=1e-3)


def test_infinite_z_leaves_no_infinity_in_json(tmp_path):
    scores = {"a_rec": np.ones(100), "a_inter": np.arange(100.0)}
    found = _evaluate(scores, threshold=60)
    assert math.isinf(found.delong["a_inter"].z)
    assert (
        json.loads(json.dumps(_figures(found), allow_nan=False))["delong"]["a_inter"]["z"] is None
    )
    folder = _card_without_figures(tmp_path)
    pack.add_evaluation(folder, found, load_manifest(REPOSITORY / "data/manifests/nih.csv"))
    assert load_card(folder).raw["evaluation"]["delong"]["a_inter"]["z"] is None
