from __future__ import annotations

import csv
import json
import time
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from sklearn.datasets import load_sample_images

from ddad_core import familiarity as fam
from ddad_core.errors import ModelError
from ddad_core.imaging import read_radiograph_file
from ddad_core.imaging.geometry import to_network_grey
from ddad_core.registry import load_model
from ddad_core.scorefiles import score_paths
from ddad_core.scoring import Scorer
from ddad_core.training import familiarise, familiarity_card
from ddad_core.training.drawn import drawn_abdomens, drawn_laterals
from ddad_core.training.patterns import patterns
from ddad_core.training.strangers import NAMED, strangers
from ddad_core.training.unfamiliar import like_laterals, spoiled, varied
from tests.core.synthetic import GALLERY, WEIGHTS, radiograph


@pytest.fixture(scope="module")
def adult():
    """The default model's check."""
    return load_model(WEIGHTS / "nih-ae-u").familiarity


@pytest.fixture(scope="module")
def gallery():
    """The gallery's forty radiographs as the networks see them, uint8 (40, 64, 64)."""
    with (GALLERY / "gallery.csv").open(encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["file"].endswith(".png")]
    grey = [to_network_grey(read_radiograph_file(GALLERY / name), 64) for name in names]
    assert len(grey) == 40
    return np.stack(grey)


def chest(generator):
    """A made-up frontal chest: two dark lungs beside a bright middle, bright below."""
    rows, columns = np.mgrid[0:64, 0:64]
    values = np.full((64, 64), 150.0) + generator.normal(0, 4)
    for middle in (20, 44):
        middle, wide = middle + generator.normal(0, 1), 9 + generator.normal(0, 0.7)
        values -= 110 * np.exp(-(((columns - middle) / wide) ** 4) - ((rows - 28) / 20) ** 4)
    values += 40 * np.exp(-(((columns - 32) / 4) ** 2)) + 1.2 * np.maximum(rows - 46, 0)
    return np.clip(values + generator.normal(0, 2, values.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def made_up():
    generator = np.random.default_rng(0)
    return np.stack([chest(generator) for _ in range(110)])


@pytest.fixture(scope="module")
def learnt(made_up):
    return familiarise.fit_familiarity(made_up[:60], made_up[60:90])


def test_what_is_learnt_knows_its_own_and_names_what_was_done(learnt, made_up):
    for picture in made_up[90:]:
        assert learnt.judge(picture) == ()
        assert learnt.judge(255 - picture) == (fam.INVERTED,)
        assert learnt.judge(picture[::-1]) == (fam.UPSIDE_DOWN,)
        assert learnt.judge(np.rot90(picture)) == (fam.TURNED,)
        assert learnt.judge(np.rot90(picture, 3)) == (fam.TURNED,)
        assert learnt.judge(picture[:, ::-1]) == ()  # a mirrored chest is a chest
    strange = patterns(60, np.random.default_rng(9))
    assert sum(bool(learnt.judge(picture)) for picture in strange) >= 58


def test_exposure_and_display_curve_play_no_part(learnt, made_up):
    picture = made_up[95]
    curve = np.rint(255 * (np.arange(256) / 255) ** 0.5).astype(np.uint8)
    plain, lighter = (fam.describe(p[None]) for p in (picture, curve[picture]))
    assert abs(learnt.distance(plain) - learnt.distance(lighter)) < 0.5
    darker = (picture // 2).astype(np.uint8)
    assert learnt.judge(darker) == ()


def test_what_is_learnt_from_depends_on_the_seed_alone(made_up):
    def made(seed):
        generator = np.random.default_rng(seed)
        return [
            varied(made_up[:3], 2, generator),
            spoiled(made_up[:3], 24, generator),
            patterns(12, generator),
            like_laterals(made_up[:3], 6, generator),
            drawn_laterals(4, generator),
            drawn_abdomens(4, generator),
        ]

    first, again, other = made(1), made(1), made(2)
    for part, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(part, same)
        assert not np.array_equal(part, different)


def test_too_few_normals_learn_nothing(made_up):
    assert familiarise.learn_familiarity(made_up[:49], made_up[:30]) is None
    assert familiarise.learn_familiarity(made_up[:60], made_up[:19]) is None


def test_limit_lets_through_all_but_two_per_cent_and_never_falls_below_the_least():
    distances = np.arange(100.0)
    assert familiarise.limit_of(distances) == 97  # 98 and 99 lie above
    assert np.mean(distances > familiarise.limit_of(distances)) == 0.02
    assert familiarise.limit_of(distances[:49]) == 48  # of fewer than fifty none may
    assert familiarise.limit_of(np.zeros(50)) == familiarise.LEAST_LIMIT


def test_distance_is_counted_in_deviations_of_the_varied_normals(learnt, made_up):
    linear = (fam.describe(made_up[:60]) - learnt.centre) @ learnt.weights
    mean, deviation = learnt.scale[:2]
    rest = fam.describe(made_up[:60]) - learnt.normal_centre
    left = np.log((rest**2).sum(1) - ((rest @ learnt.components.T) ** 2).sum(1))
    expected = (linear - mean) / deviation + 0.3 * (left - learnt.scale[2]) / learnt.scale[3]
    np.testing.assert_allclose(
        learnt.distance(fam.describe(made_up[:60])), expected, rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(
        learnt.components @ learnt.components.T, np.eye(familiarise.COMPONENTS), atol=1e-5
    )


def test_features_of_a_ramp_point_along_it():
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    cells = fam.describe(ramp[None])[0, : 8 * 64].reshape(8, 8, 8)
    assert cells[0].sum() > 0 and np.allclose(cells[4], 0)  # to the right, not to the left
    turned = fam.describe(np.rot90(ramp, 3)[None])[0, : 8 * 64].reshape(8, 8, 8)
    assert turned[2].sum() == pytest.approx(cells[0].sum(), rel=1e-5)  # downwards
    assert fam.describe(ramp[None]).shape == (1, fam.N_FEATURES)


def test_larger_inputs_are_brought_to_one_side():
    picture = np.zeros((128, 128), np.uint8)
    picture[:, 64:] = 200
    small = fam.to_side(picture)
    assert small.shape == (64, 64) and small[0, 31] == 0 and small[0, 32] == 200
    assert fam.to_side(small) is small
    assert fam.to_side(picture[::4, ::4]).shape == (64, 64)


def test_pictures_to_learn_from_are_what_they_say(made_up):
    generator = np.random.default_rng(3)
    shape = (fam.SIDE, fam.SIDE)
    variants = varied(made_up[:2], 3, generator)
    assert variants.shape == (8, *shape)
    assert np.array_equal(variants[0], made_up[0]) and np.array_equal(variants[4], made_up[1])
    for made in (
        spoiled(made_up, 24, generator),
        like_laterals(made_up, 6, generator),
        drawn_laterals(6, generator),
        drawn_abdomens(6, generator),
        patterns(12, generator),
    ):
        assert made.dtype == np.uint8 and made.shape[1:] == shape
        assert len({picture.tobytes() for picture in made}) == len(made)
        assert all(np.ptp(picture) > 20 for picture in made)


def test_a_check_survives_its_file_and_a_damaged_file_is_refused(learnt):
    data = fam.pack_familiarity(learnt)
    again = fam.unpack_familiarity(data)
    np.testing.assert_array_equal(again.weights, learnt.weights)
    np.testing.assert_array_equal(again.limits, learnt.limits)
    broken = [
        data[:100],
        fam.pack_familiarity(replace(learnt, weights=learnt.weights[:-1])),
        fam.pack_familiarity(replace(learnt, scale=np.full(4, np.nan))),
        fam.pack_familiarity(replace(learnt, limits=np.zeros(3))),
    ]
    for bytes_ in broken:
        with pytest.raises(ModelError, match=r"familiarity.safetensors is damaged"):
            fam.unpack_familiarity(bytes_)


def test_no_gallery_image_is_called_unlike_by_the_default_model(adult, gallery):
    assert [adult.judge(grey) for grey in gallery] == [()] * 40


def test_gallery_images_turned_and_inverted_are_named(adult, gallery):
    said = {
        fam.INVERTED: [adult.judge(255 - grey) for grey in gallery],
        fam.UPSIDE_DOWN: [adult.judge(grey[::-1]) for grey in gallery],
        fam.TURNED: [adult.judge(np.rot90(grey)) for grey in gallery],
    }
    for sentence, found in said.items():
        assert sum(sentences == (sentence,) for sentences in found) >= 39
        assert all(len(sentences) == 1 for sentences in found)


@pytest.mark.parametrize("name", ["nih-ae-u", "kermany-ae-u", "kermany-ae-u-128"])
def test_shipped_models_warn_of_what_is_no_chest(name):
    model = load_model(WEIGHTS / name)
    size = model.card.input_size

    def judge(pixels):
        return model.familiarity.judge(to_network_grey(radiograph(pixels), size))

    photographs = [image.mean(axis=2) for image in load_sample_images().images]
    slices = [
        pydicom.dcmread(get_testdata_file(file, download=False)).pixel_array
        for file in ("CT_small.dcm", "MR_small.dcm", "693_J2KI.dcm")
    ]
    generator = np.random.default_rng(5)
    noise = [generator.normal(size=(300, 300)), generator.uniform(size=(200, 250)) > 0.5]
    ramp = np.add.outer(np.arange(100.0), np.arange(120.0))
    for pixels in (*photographs, *slices, *noise, ramp):
        sentences = judge(pixels)
        assert len(sentences) == 1
        assert "score means little" in sentences[0]
    laterals = drawn_laterals(40, np.random.default_rng(77))
    assert all(judge(picture) for picture in laterals)
    assert sum(judge(picture) == (fam.LATERAL,) for picture in laterals) >= 20


@pytest.mark.parametrize("name", ["nih-ae-u", "kermany-ae-u", "kermany-ae-u-128"])
def test_cards_state_limits_and_at_most_five_per_cent_of_false_alarms(name):
    model = load_model(WEIGHTS / name)
    section = model.card.raw["familiarity"]
    counts = model.card.raw["data"]["counts"]
    assert section["learnt_from"]["normal"] == counts["normal"]["normal"]
    assert section["learnt_from"]["calibration"] == counts["calibration"]["normal"]
    np.testing.assert_allclose(model.familiarity.limits[0], section["limit"], rtol=1e-5)
    rates = section["rates"]
    for label in ("normal", "abnormal"):
        found = rates["false_alarms"][f"own test part, {label}"]
        assert found["n"] == counts["test"][label] and found["value"] <= 0.05
        assert found["value"] == pytest.approx(found["warned"] / found["n"], abs=1e-6)
    for kind in ("inverted", "upside down", "turned by a quarter", "photographs"):
        assert rates["caught"][kind]["value"] > 0.98
    assert set(NAMED) <= set(rates["caught"])


def test_scores_come_with_the_warnings_and_are_what_they_were(gallery):
    model = load_model(WEIGHTS / "nih-ae-u")
    pictures = np.stack([gallery[0], 255 - gallery[0], np.zeros((64, 64), np.uint8)])
    results = Scorer(model, "cpu").score_prepared(pictures)
    assert [r.warnings for r in results] == [(), (fam.INVERTED,), (fam.UNLIKE,)]
    without = Scorer(replace(model, familiarity=None), "cpu").score_prepared(pictures)
    assert [r.warnings for r in without] == [()] * 3
    assert [r.scores for r in without] == [r.scores for r in results]


def test_judging_is_quick(adult, gallery):
    started = time.perf_counter()
    for grey in gallery:
        adult.judge(grey)
    assert (time.perf_counter() - started) / len(gallery) < 0.02  # some 0.3 ms on an idle core


def test_strangers_are_made_from_every_image_or_drawn(gallery):
    kinds = strangers(gallery[:3])
    assert np.array_equal(kinds["inverted"], 255 - gallery[:3])
    assert len(kinds["photographs"]) == 30 and len(kinds["CT and MR slices"]) == 20
    assert all(made.shape[1:] == (64, 64) for made in kinds.values())
    assert set(NAMED) < set(kinds)


def test_rates_count_warnings_and_names(adult, gallery):
    pictures = np.stack([gallery[0], 255 - gallery[1]])
    rates = familiarity_card.measure(
        adult, {"both": pictures}, {"inverted": pictures, "photographs": pictures}
    )
    assert rates["false_alarms"]["both"] == {
        "n": 2,
        "warned": 1,
        "value": 0.5,
        "ci95": [0.012579, 0.987421],
        "called_lateral": 0,
    }
    assert rates["caught"]["inverted"]["named"] == 1
    assert "named" not in rates["caught"]["photographs"]


def test_a_model_gets_its_check_once(tmp_path, adult, learnt):
    folder = tmp_path / "mine"
    folder.mkdir()
    raw = json.loads((WEIGHTS / "nih-ae-u" / "card.json").read_text(encoding="utf-8"))
    del raw["files"][fam.FAMILIARITY_FILE], raw["familiarity"]
    raw["name"] = "mine"
    (folder / "card.json").write_text(json.dumps(raw), encoding="utf-8")
    familiarity_card.add_familiarity(folder, adult, {"limit": 1})
    written = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert written["familiarity"] == {"limit": 1}
    shipped = load_model(WEIGHTS / "nih-ae-u").card
    assert written["files"][fam.FAMILIARITY_FILE]["sha256"] == shipped.files[fam.FAMILIARITY_FILE]
    assert written["evaluation"] == raw["evaluation"]
    familiarity_card.add_familiarity(folder, adult, {"limit": 2})  # more is said of the same check
    before = (folder / "card.json").read_bytes()
    with pytest.raises(ModelError, match="never edited in place"):
        familiarity_card.add_familiarity(folder, learnt, {"limit": 3})
    assert (folder / "card.json").read_bytes() == before
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["card.json", fam.FAMILIARITY_FILE]


def test_scored_files_are_warned_and_keep_their_scores(tmp_path, gallery):
    names = ("plain.png", "inverted.png")
    for name, grey in zip(names, (gallery[3], 255 - gallery[3]), strict=True):
        Image.fromarray(np.kron(grey, np.ones((4, 4), np.uint8))).save(tmp_path / name)
    output = tmp_path / "out.json"
    score_paths(
        [tmp_path / name for name in names],
        weights=WEIGHTS,
        model="nih-ae-u",
        device="cpu",
        output=output,
    )
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert [row["status"] for row in rows] == ["scored", "warned"]
    assert [row["warnings"] for row in rows] == ["", fam.INVERTED]
    assert all(row["a_inter"] > 0 and row["abnormal"] is not None for row in rows)
    assert rows[0]["score"] == rows[0]["a_ratio"]
