from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from ddad_core.card import (
    CARD_FILE,
    DEFAULT_MODEL,
    PREFERRED,
    Population,
    choose_card,
    list_cards,
    load_card,
)
from ddad_core.errors import ModelError, UncalibratedError
from ddad_core.evaluation.thresholds import confusion, threshold_for_normal_rate
from ddad_core.imaging.geometry import PUBLISHED_PIXELS
from ddad_core.scoring import MAP_NAMES, SCORE_NAMES
from tests.core.synthetic import WEIGHTS

PLACED = tuple(f"c_{name}" for name in MAP_NAMES)
NAMES = ("kermany-ae-u", "kermany-ae-u-128", "nih-ae-u")


@pytest.fixture(scope="module", params=NAMES)
def card(request):
    return load_card(WEIGHTS / request.param)


@pytest.fixture
def folder(tmp_path):
    """A folder with a copy of a shipped card."""
    folder = tmp_path / "nih-ae-u"
    folder.mkdir()
    (folder / CARD_FILE).write_bytes((WEIGHTS / "nih-ae-u" / CARD_FILE).read_bytes())
    return folder


def _change(folder, change):
    path = folder / CARD_FILE
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


def test_shipped_models_are_found():
    assert tuple(card.name for card in list_cards(WEIGHTS)) == NAMES


def test_shipped_card_is_complete(card):
    large = card.name == "kermany-ae-u-128"
    side = 128 if large else 64
    assert (card.network, card.input_size, card.members) == ("ae-u", side, 3)
    published = card.name == "kermany-ae-u"  # no more than the paper has
    assert card.primary == ("a_inter" if published else "a_ratio")
    assert card.default_map == ("inter" if published else "ratio")
    refined = {"r_dual", "r_intra"} if large else set()
    ratio = (set(), set()) if published else ({"a_ratio"}, {"ratio"})
    assert set(card.reference.scores) == {*SCORE_NAMES, *PLACED} | refined | ratio[0]
    assert set(card.maps) == {*MAP_NAMES, *PLACED} | refined | ratio[1]
    for name, display in card.maps.items():
        assert (display.threshold > 0 or name == "ratio") and display.threshold >= 0
        assert display.threshold < display.maximum
    assert card.pixels == PUBLISHED_PIXELS.replace("S x S", f"{side} x {side}")
    assert "Not a medical device" in card.raw["use"]
    assert card.population.description and card.raw["data"]["licence"]


def test_operating_point_agrees_with_the_reference_scores(card):
    point = card.operating_point
    scores = card.reference.of_score(point.score)
    flagged = confusion(np.zeros(len(scores)), scores, point.threshold).flagged
    assert (flagged, len(scores)) == (point.flagged, point.n)
    assert flagged <= 0.10 * len(scores)
    assert point.threshold == pytest.approx(threshold_for_normal_rate(scores, 0.10), rel=1e-8)


def test_operating_point_rate_has_the_exact_interval(card):
    point = card.operating_point
    exact = binomtest(point.flagged, point.n).proportion_ci(method="exact")
    assert point.rate.value == point.flagged / point.n
    assert (point.rate.low, point.rate.high) == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_stated_sensitivity_and_specificity_follow_from_the_counts(card):
    stated = card.raw["evaluation"]["at_operating_point"]
    counts = stated["counts"]
    pairs = {
        "sensitivity": (counts["true_positive"], counts["false_negative"]),
        "specificity": (counts["true_negative"], counts["false_positive"]),
    }
    for name, (right, wrong) in pairs.items():
        exact = binomtest(right, right + wrong).proportion_ci(method="exact")
        assert stated[name]["value"] == pytest.approx(right / (right + wrong), abs=1e-6)
        assert stated[name]["ci95"] == pytest.approx([exact.low, exact.high], abs=1e-6)
    assert sum(pairs["sensitivity"]) == card.raw["evaluation"]["n_abnormal"]
    assert sum(pairs["specificity"]) == card.raw["evaluation"]["n_normal"]


def test_stated_aucs_lie_in_their_intervals(card):
    evaluation = card.raw["evaluation"]
    for figure in (*evaluation["auc"].values(), evaluation["auc_inter_minus_rec"]):
        low, high = figure["ci95"]
        assert low <= figure["value"] <= high
    auc = {name: figure["value"] for name, figure in evaluation["auc"].items()}
    difference = evaluation["auc_inter_minus_rec"]["value"]
    assert difference == pytest.approx(auc["a_inter"] - auc["a_rec"], abs=2e-6)


@pytest.mark.parametrize(
    ("age", "name"),
    [
        (3, "kermany-ae-u-128"),
        (1, "kermany-ae-u-128"),
        (5.5, "kermany-ae-u-128"),
        (5.99, "kermany-ae-u-128"),
        (6, "nih-ae-u"),
        (0.5, "nih-ae-u"),
        (10, "nih-ae-u"),
        (17.9, "nih-ae-u"),
        (18, "nih-ae-u"),
        (50, "nih-ae-u"),
        (120, "nih-ae-u"),
        (None, "nih-ae-u"),
    ],
)
def test_model_is_chosen_by_age(age, name):
    cards = list_cards(WEIGHTS)
    assert choose_card(cards, age).name == name
    assert choose_card(cards[::-1], age).name == name


def test_preferred_models_are_asked_first():
    cards = list_cards(WEIGHTS)
    rival = replace(cards[0], name="aaa")  # for children, too, and first by name
    assert choose_card([rival, *cards], 3).name == PREFERRED[1]
    everybody = replace(rival, population=Population("all", None, None))
    assert choose_card([everybody, *cards], 3).name == PREFERRED[1]
    assert choose_card([everybody, *cards], None).name == DEFAULT_MODEL == PREFERRED[0]
    assert choose_card([everybody, *cards], 10).name == "aaa"  # no preferred one was made for 10
    small = [card for card in cards if card.name not in PREFERRED]
    assert choose_card([*small, cards[-1]], 3).name == "kermany-ae-u"


def test_only_model_at_hand_is_chosen_at_any_age():
    (kermany,) = (card for card in list_cards(WEIGHTS) if card.name == "kermany-ae-u")
    assert choose_card([kermany], 50) is kermany
    assert choose_card([kermany], None) is kermany


def test_population_without_bounds_includes_everybody():
    assert Population("all", None, None).includes(0)
    assert Population("all", None, 5).includes(5.9) and not Population("all", None, 5).includes(6)
    assert Population("all", 18, None).includes(99) and not Population("all", 18, None).includes(17)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "ae"},
        {"input_size": 32},
        {"members": 2},
        {"pixels": "otherwise"},
        {"files": {"module_a.safetensors": "0" * 64}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_model_hash_changes_with_all_that_decides_a_score(card, change):
    assert replace(card, **change).model_hash != card.model_hash


def test_model_hash_does_not_change_with_the_rest(card):
    assert replace(card, title="Another", raw={}).model_hash == card.model_hash
    assert len(card.model_hash) == 64


@pytest.mark.parametrize(
    "field",
    [
        "schema", "name", "title", "network", "input_size", "members", "pixels", "files",
        "population", "maps",
    ],
)  # fmt: skip
def test_missing_field_is_named(folder, field):
    _change(folder, lambda raw: raw.pop(field))
    with pytest.raises(ModelError, match=f"lacks the field '{field}'"):
        load_card(folder)


UNCALIBRATED = {
    "neither": lambda raw: (raw.pop("reference"), raw.pop("operating_point")),
    "no reference": lambda raw: raw.pop("reference"),
    "no operating point": lambda raw: raw.pop("operating_point"),
    "null": lambda raw: raw.update(reference=None, operating_point=None),
    "no scores": lambda raw: raw["reference"].update(scores={}),
}


@pytest.mark.parametrize("change", UNCALIBRATED.values(), ids=UNCALIBRATED)
def test_uncalibrated_model_calls_nothing_abnormal(folder, change):
    _change(folder, change)
    card = load_card(folder)
    for ask in (lambda: card.operating_point, lambda: card.primary):
        with pytest.raises(UncalibratedError, match="nih-ae-u is not calibrated"):
            ask()
    assert card.default_map == "ratio"  # what is shown needs no calibration


@pytest.mark.parametrize("named", [None, "", "r_dual"])
def test_map_shown_first_is_one_that_the_model_has(folder, named):
    _change(folder, lambda raw: raw.update(default_map=named))
    of_its_score = "ratio" if not named else "inter"  # of a map it lacks: its first
    assert load_card(folder).default_map == of_its_score
    _change(folder, lambda raw: raw.update(operating_point=None))
    assert load_card(folder).default_map == "inter"  # its first map


def test_missing_threshold_is_an_error(folder):
    _change(folder, lambda raw: raw["operating_point"].pop("threshold"))
    with pytest.raises(ModelError, match="lacks the field 'threshold'"):
        load_card(folder)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b'{"schema": 2}', b"\xff\xfe", b'"card"']
)
def test_damaged_card_is_an_error_that_names_the_file(folder, text):
    (folder / CARD_FILE).write_bytes(text)
    with pytest.raises(ModelError, match="is damaged") as caught:
        load_card(folder)
    assert str(folder / CARD_FILE) in caught.value.problem


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.update(members="three"),
        lambda raw: raw.update(population="adults"),
        lambda raw: raw["population"].update(height=1),
        lambda raw: raw.update(files=[]),
        lambda raw: raw["operating_point"].update(rate={"value": 1, "ci95": [0]}),
        lambda raw: raw["reference"]["scores"].update(a_inter=["high"]),
    ],
)
def test_field_of_another_kind_is_an_error(folder, change):
    _change(folder, change)
    with pytest.raises(ModelError, match="is damaged"):
        load_card(folder)


def test_schema_of_another_version_is_an_error(folder):
    _change(folder, lambda raw: raw.update(schema=2))
    with pytest.raises(ModelError, match="schema 2 is not 1"):
        load_card(folder)


def test_missing_card_and_empty_weights_are_errors(tmp_path):
    with pytest.raises(ModelError, match=r"card\.json is missing"):
        load_card(tmp_path / "none")
    with pytest.raises(ModelError, match="no model under"):
        list_cards(tmp_path)
