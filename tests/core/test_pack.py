from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from ddad_core.calibration import PlaceReference
from ddad_core.card import CARD_FILE, load_card
from ddad_core.errors import ModelError, TrainingError
from ddad_core.evaluation import report
from ddad_core.evaluation.thresholds import confusion
from ddad_core.registry import MODULE_FILES, PLACES_FILE, load_model
from ddad_core.scoring import MAP_NAMES, SCORE_NAMES, BatchScores, Scorer, score_grey
from ddad_core.training import pack
from ddad_core.training.loop import TrainedModules, TrainingConfig
from ddad_core.training.manifest import Manifest, ManifestRow
from tests.core.synthetic import random_ensemble, random_grey

CALIBRATION = random_grey(21, 32, 5)
PLACED = tuple(f"c_{name}" for name in MAP_NAMES)
MANIFEST = Manifest(
    "made-up",
    (ManifestRow("1.png", "normal", 0, "p1"), ManifestRow("2.png", "unlabeled", None, "p2")),
    {"title": "Made up", "population": "nobody", "age_min": 2, "licence": "none"},
    "f" * 64,
)


def _pack(folder, network="ae-u", calibration=CALIBRATION, members=2, **choices):
    trained = TrainedModules(
        a=random_ensemble(network, 32, 1, members),
        b=random_ensemble(network, 32, 2, members),
        seconds=1.23,
        losses={"a-0": [2.0, 1.0]},
    )
    config = TrainingConfig(network=network, size=32, members=members, epochs=2)
    pack.pack_model(
        folder,
        config=config,
        trained=trained,
        manifest=MANIFEST,
        calibration=calibration,
        **choices,
    )
    return trained


def _raw(folder):
    return json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["ae", "ae-u", "memae"])
def packed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "deep" / "mine"
    _pack(folder, request.param)
    return folder, request.param


def test_packed_model_loads_and_its_reference_is_its_own_scores(packed):
    folder, network = packed
    model = load_model(folder)
    assert (model.card.name, model.card.network, model.card.members) == ("mine", network, 2)
    found = score_grey(model.a, model.b, CALIBRATION)
    for name in SCORE_NAMES:
        expected = np.sort(found.scores[name])
        np.testing.assert_allclose(model.card.reference.of_score(name), expected, rtol=1e-6)


def test_operating_point_flags_a_tenth_of_the_calibration_normals(packed):
    folder, network = packed
    card = load_card(folder)
    point = card.operating_point
    scores = card.reference.of_score("a_inter")
    assert (point.score, point.n) == ("a_inter", 21)
    if network == "memae":  # an untrained memory answers all images alike, so scores may tie
        assert point.flagged <= 2
    else:
        assert point.flagged == confusion(np.zeros(21), scores, point.threshold).flagged == 2
    assert point.policy == "Flags at most 10% of the calibration normals"


def test_card_states_data_training_and_display(packed):
    folder, network = packed
    raw = _raw(folder)
    assert raw["title"] == f"{network.upper()}, Made up"
    assert raw["population"] == {"description": "nobody", "age_min": 2, "age_max": None}
    assert raw["data"]["manifest_sha256"] == "f" * 64
    counts = {"normal": {"normal": 1}, "unlabeled": {"unlabeled": 1}}
    assert raw["data"]["counts"] == counts
    assert raw["training"]["epochs"] == 2 and raw["training"]["final_loss"] == {"a-0": 1.0}
    assert raw["evaluation"] is None
    assert "32 x 32" in raw["pixels"] and "S x S" not in raw["pixels"]
    units = {name: display["unit"] for name, display in raw["maps"].items()}
    plain = "σ" if network == "ae-u" else "grey"
    own = {"rec": f"{plain}²", "intra": plain, "inter": plain}
    assert units == own | dict.fromkeys(PLACED, "SD")
    model = load_model(folder)
    values = score_grey(model.a, model.b, CALIBRATION).maps
    for name in MAP_NAMES:
        assert raw["maps"][name]["threshold"] == pytest.approx(
            np.percentile(values[name], 95), rel=1e-3
        )


def test_nothing_unfinished_is_left_behind(packed):
    folder, _ = packed
    assert {p.name for p in folder.iterdir()} == {
        CARD_FILE,
        PLACES_FILE,
        *MODULE_FILES.values(),
    }
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]


def test_scores_by_place_are_referred_to_normals_that_the_statistics_have_not_seen(packed):
    folder, _ = packed
    model = load_model(folder)
    own = score_grey(model.a, model.b, CALIBRATION).maps
    for name in MAP_NAMES:
        alone = PlaceReference.of({name: own[name][::2]})
        np.testing.assert_allclose(model.places.mean[name], alone.mean[name], rtol=1e-5)
        placed = alone.calibrate({name: own[name][1::2]})[f"c_{name}"]
        expected = np.sort(placed.mean(axis=(1, 2), dtype=np.float64))
        found = model.card.reference.of_score(f"c_{name}")
        assert len(found) == 10
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert all(len(model.card.reference.of_score(name)) == 21 for name in SCORE_NAMES)


def test_few_normals_calibrate_scores_but_not_places(tmp_path):
    few = CALIBRATION[: pack.LEAST_FOR_PLACES - 1]
    _pack(tmp_path / "m", "ae", few)
    model = load_model(tmp_path / "m")
    assert model.places is None and not (tmp_path / "m" / PLACES_FILE).exists()
    assert set(model.card.reference.scores) == set(SCORE_NAMES)
    with pytest.raises(TrainingError, match="no score c_inter"):
        _pack(tmp_path / "other", "ae", few, primary="c_inter")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("primary", ["a_rec", "c_inter"])
def test_chosen_score_judges_and_chosen_map_is_shown_first(tmp_path, primary):
    _pack(tmp_path / "m", "ae", primary=primary, default_map="c_rec")
    model = load_model(tmp_path / "m")
    assert model.card.primary == primary and model.card.default_map == "c_rec"
    (result,) = Scorer(model, "cpu").score_prepared(CALIBRATION[1:2])
    assert (result.primary, result.score) == (primary, result.scores[primary])
    assert set(result.maps) == {*MAP_NAMES, *PLACED}
    reference = model.card.reference.of_score(primary)
    assert np.abs(reference - result.score).min() < 1e-4 * np.abs(reference).max()


def test_recalibrated_model_keeps_its_networks(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    _pack(old, "ae-u", CALIBRATION[:12])
    pack.add_evaluation(old, _evaluation(), MANIFEST)
    before = _raw(old)
    model = load_model(old)
    normals = random_grey(24, 32, 99)
    pack.recalibrate(new, model, normals, primary="c_inter", default_map="inter")
    for name in MODULE_FILES.values():
        assert (new / name).read_bytes() == (old / name).read_bytes()
    again, raw = load_model(new), _raw(new)
    assert (raw["name"], raw["evaluation"]) == ("new", None)
    assert again.card.primary == "c_inter" and again.card.default_map == "inter"
    assert (again.card.operating_point.n, raw["reference"]["n"]) == (12, 24)
    expected = np.sort(score_grey(model.a, model.b, normals).scores["a_inter"])
    np.testing.assert_allclose(again.card.reference.of_score("a_inter"), expected, rtol=1e-6)
    same = ("title", "network", "input_size", "members", "pixels", "population", "training")
    assert all(raw[field] == before[field] for field in same)
    assert again.card.model_hash != model.card.model_hash  # other places, other scores
    assert _raw(old) == before


def test_model_can_be_recalibrated_from_a_calibrated_one(packed):
    folder, _ = packed
    model = load_model(folder)
    pack.recalibrate(folder.with_name("twice"), model, CALIBRATION, primary="a_inter")
    twice = load_model(folder.with_name("twice"))
    shutil.rmtree(folder.with_name("twice"))
    assert twice.card.files[PLACES_FILE] == model.card.files[PLACES_FILE]
    assert twice.card.own_point == model.card.own_point


def test_recalibration_refuses_an_existing_folder_few_normals_and_unknown_scores(packed):
    folder, _ = packed
    model = load_model(folder)
    before = _raw(folder)
    with pytest.raises(ModelError, match="never edited in place"):
        pack.recalibrate(folder, model, CALIBRATION, primary="a_inter")
    assert _raw(folder) == before
    new = folder.with_name("new")
    with pytest.raises(TrainingError, match="19 calibration normals are too few"):
        pack.recalibrate(new, model, CALIBRATION[:19], primary="a_inter")
    with pytest.raises(TrainingError, match="no score r_dual"):
        pack.recalibrate(new, model, CALIBRATION, primary="r_dual")
    assert not new.exists()


def _matrix_types(folder):
    tensors = load_file(folder / "module_a.safetensors")
    return {str(t.dtype) for t in tensors.values() if t.ndim == 2}


def test_half_precision_is_chosen_where_it_changes_little(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "HALF_PRECISION_TOLERANCE", 0.5)
    _pack(tmp_path / "m")
    assert _matrix_types(tmp_path / "m") == {"float16"}
    assert _raw(tmp_path / "m")["precision"].startswith("float16 (linear layers)")


def test_full_precision_is_kept_where_half_changes_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "HALF_PRECISION_TOLERANCE", 1e-12)
    trained = _pack(tmp_path / "m")
    assert _matrix_types(tmp_path / "m") == {"float32"}
    assert _raw(tmp_path / "m")["precision"] == "float32"
    expected = score_grey(trained.a, trained.b, CALIBRATION).scores["a_inter"]
    found = load_card(tmp_path / "m").reference.of_score("a_inter")
    np.testing.assert_allclose(found, np.sort(expected), rtol=1e-8)


@pytest.mark.parametrize(("change", "half"), [(0.99e-3, True), (1.01e-3, False)])
@pytest.mark.parametrize("score", SCORE_NAMES)
def test_one_score_of_one_image_decides_the_precision(tmp_path, monkeypatch, score, change, half):
    """A relative change below a thousandth is taken, at or above it is not."""
    ones = {name: np.linspace(1.0, 2.0, 20) for name in SCORE_NAMES}
    nudged = {name: values.copy() for name, values in ones.items()}
    nudged[score][7] *= 1 - change
    maps = {name: np.ones((20, 32, 32), np.float32) for name in MAP_NAMES}
    answers = [ones, nudged, ones]  # as trained, in half, in full
    monkeypatch.setattr(pack, "score_grey", lambda *_, **__: BatchScores(answers.pop(0), maps))
    _pack(tmp_path / "m")
    assert _matrix_types(tmp_path / "m") == {"float16" if half else "float32"}


def test_tolerance_of_zero_keeps_full_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "HALF_PRECISION_TOLERANCE", 0)
    _pack(tmp_path / "m")
    assert _matrix_types(tmp_path / "m") == {"float32"}


def test_existing_folder_is_never_touched(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    with pytest.raises(ModelError, match="never edited in place"):
        _pack(folder)
    assert list(folder.iterdir()) == []


def test_no_calibration_normals_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="no calibration normals"):
        _pack(tmp_path / "m", calibration=CALIBRATION[:0])
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "top",
    [
        0.4,
        0.123456789012,
        0.987654321987,
    ],
)
def test_few_normals_are_not_flagged_by_rounding(top):
    scores = np.array([0.1, 0.2, top])  # three normals: a tenth allows none
    point = pack.operating_point("a_inter", scores)
    assert point["flagged"] == 0
    assert confusion(np.zeros(3), scores, point["threshold"]).flagged == 0


def test_threshold_flags_as_many_stored_scores_as_the_card_states(tmp_path, monkeypatch):
    tied = np.concatenate([np.linspace(0.05, 0.1, 15), np.full(5, 0.10233050584793091)])
    scores = dict.fromkeys(SCORE_NAMES, tied)
    maps = {name: np.ones((20, 32, 32), np.float32) for name in MAP_NAMES}
    monkeypatch.setattr(pack, "score_grey", lambda *_, **__: BatchScores(scores, maps))
    _pack(tmp_path / "m")
    card = load_card(tmp_path / "m")
    point, stored = card.operating_point, card.reference.of_score("a_inter")
    assert confusion(np.zeros(20), stored, point.threshold).flagged == point.flagged


def _evaluation(n=40):
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], n // 2)
    scores = {name: generator.normal(labels, 1.0) for name in SCORE_NAMES}
    return report.evaluate(
        labels,
        scores,
        primary="a_inter",
        threshold=0.5,
        strata=np.array(["PA"] * 5 + ["AP"] * (n - 10) + [""] * 5),
    )


def test_evaluation_is_written_once(tmp_path):
    folder = tmp_path / "m"
    _pack(folder)
    before = _raw(folder)
    evaluation = _evaluation()
    pack.add_evaluation(folder, evaluation, MANIFEST)
    raw = _raw(folder)
    stated = raw["evaluation"]
    assert stated["auc"]["a_inter"]["value"] == round(evaluation.auc["a_inter"].value, 6)
    assert stated["statement"] == evaluation.statement
    assert stated["at_operating_point"]["counts"]["true_positive"] > 0
    assert set(stated["auc_within"]) == {"AP"}
    assert {**raw, "evaluation": None} == before
    with pytest.raises(ModelError, match="already states an evaluation"):
        pack.add_evaluation(folder, evaluation, MANIFEST)
    assert _raw(folder) == raw
    load_model(folder)


def test_report_names_what_it_finds():
    labels = np.repeat([0, 1], 50)
    noise = np.random.default_rng(1).normal(size=100)
    good, poor = labels * 5 + noise, noise
    better = report.evaluate(
        labels,
        dict.fromkeys(SCORE_NAMES, poor) | {"a_inter": good},
        primary="a_inter",
        threshold=2.5,
    )
    assert "better than reconstruction error" in better.statement
    assert better.by_stratum == {}
    assert math.isclose(
        better.inter_minus_rec.value, better.auc["a_inter"].value - better.auc["a_rec"].value
    )
    worse = report.evaluate(
        labels,
        dict.fromkeys(SCORE_NAMES, good) | {"a_inter": poor},
        primary="a_inter",
        threshold=2.5,
    )
    assert "not reliably better" in worse.statement
    assert "not shown to be better than chance" in worse.statement
    assert (worse.n_normal, worse.n_abnormal) == (50, 50)
