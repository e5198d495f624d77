from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from ddad_core.calibration import NormalReference
from ddad_core.errors import ModelError, RefusedImageError, UncalibratedError
from ddad_core.imaging import read_radiograph_file
from ddad_core.registry import Model, load_model
from ddad_core.scoring import (
    BATCH_SIZE,
    MAP_NAMES,
    SCORE_NAMES,
    Scorer,
    resolve_device,
    score_grey,
)
from tests.core.synthetic import (
    GALLERY,
    WEIGHTS,
    arrays,
    radiograph,
    random_ensemble,
    random_grey,
)
from tests.reference import ddad_numpy as reference


@pytest.fixture(scope="module")
def model():
    return load_model(WEIGHTS / "nih-ae-u")


@pytest.fixture(scope="module")
def scorer(model):
    return Scorer(model, "cpu")


@pytest.fixture(scope="module")
def images():
    with (GALLERY / "gallery.csv").open(encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["file"].endswith(".png")]
    return [read_radiograph_file(GALLERY / name) for name in (names[0], names[-1])]


def test_gallery_images_score_as_the_reference_says(model, scorer, images):
    grey = np.stack([reference.published_grey(image.pixels, 64) for image in images])
    batch = reference.network_input(grey)
    a, b = ([reference.forward(arrays(n), batch) for n in m.networks] for m in (model.a, model.b))
    maps = reference.maps(batch, a, b)
    expected = reference.scores(maps)
    calibration = model.card.reference.of_score("a_ratio")
    for i, result in enumerate(scorer.score_many(images)):
        placed = {f"c_{name}" for name in MAP_NAMES}
        assert set(result.scores) == {*placed, *SCORE_NAMES, "a_ratio"}
        assert set(result.maps) == {*placed, *MAP_NAMES, "ratio"}
        for name in SCORE_NAMES:
            assert result.scores[name] == pytest.approx(expected[name][i], rel=1e-4)
        for name in MAP_NAMES:
            assert result.maps[name].shape == (64, 64)
            assert result.maps[name].dtype == np.float32
            top = maps[name][i].max()
            np.testing.assert_allclose(result.maps[name] / top, maps[name][i] / top, atol=1e-4)
            by_place = maps[name][i] - model.places.mean[name]
            by_place /= model.places.deviation[name]
            np.testing.assert_allclose(result.maps[f"c_{name}"], by_place, rtol=1e-2, atol=1e-2)
            assert result.scores[f"c_{name}"] == pytest.approx(by_place.mean(), abs=1e-3)
        assert result.model == "nih-ae-u" and result.primary == "a_ratio"
        assert result.score == result.scores["a_ratio"]
        assert result.score == pytest.approx(result.maps["ratio"].mean(), abs=1e-4)
        assert result.p_value == reference.p_value(calibration, result.score)
        assert result.percentile == 100 * np.mean(calibration < result.score)


def test_reconstructions_are_the_means_of_the_references(model, scorer, images):
    grey = reference.published_grey(images[0].pixels, 64)
    batch = reference.network_input(grey[None])
    found = scorer.reconstruct(grey)
    for module, shown in zip((model.a, model.b), found, strict=True):
        means = [reference.forward(arrays(n), batch).mean.reshape(64, 64) for n in module.networks]
        expected = np.clip((np.mean(means, axis=0) + 1) * 127.5, 0, 255)
        assert shown.dtype == np.uint8 and shown.shape == (64, 64)
        np.testing.assert_allclose(shown, expected, atol=0.51)
    assert not np.array_equal(*found)


def test_many_equal_one_by_one(scorer, images):
    images = [*images, radiograph(random_grey(1, 80)[0]), radiograph(random_grey(1, 70, 1)[0])]
    for together, image in zip(scorer.score_many(images), images, strict=True):
        alone = scorer.score(image)
        for name in SCORE_NAMES:
            assert together.scores[name] == pytest.approx(alone.scores[name], rel=1e-5)
        assert together.p_value == alone.p_value


def test_order_is_kept_across_the_batch_boundary():
    a, b = random_ensemble("ae-u", 32, 1, members=2), random_ensemble("ae-u", 32, 2, members=2)
    grey = random_grey(70, 32)
    assert BATCH_SIZE == 64
    together = score_grey(a, b, grey)
    assert all(len(values) == 70 for values in together.scores.values())
    assert all(values.shape == (70, 32, 32) for values in together.maps.values())
    for i in (0, 63, 64, 69):
        alone = score_grey(a, b, grey[i : i + 1])
        for name in SCORE_NAMES:
            np.testing.assert_allclose(together.scores[name][i], alone.scores[name][0], rtol=1e-5)
        for name in MAP_NAMES:
            top = alone.maps[name].max()
            np.testing.assert_allclose(
                together.maps[name][i] / top, alone.maps[name][0] / top, atol=1e-5
            )


def test_nothing_to_score_gives_nothing(scorer):
    assert scorer.score_many([]) == []


def test_scoring_is_reproducible_to_the_bit(scorer, images):
    first, second = scorer.score_many(images), scorer.score_many(images)
    for one, other in zip(first, second, strict=True):
        assert one.scores == other.scores
        assert all(np.array_equal(one.maps[name], other.maps[name]) for name in MAP_NAMES)


def test_display_windows_play_no_part(scorer, images):
    windowed = replace(images[0], windows=())
    assert scorer.score(windowed).scores == scorer.score(images[0]).scores


def test_blank_image_is_refused(scorer, images):
    with pytest.raises(RefusedImageError, match="nothing to judge"):
        scorer.score_many([images[0], radiograph(np.full((64, 64), 9))])


def test_model_without_a_reference_calls_nothing_abnormal(model, images):
    bare = Model(replace(model.card, reference=NormalReference.of({})), model.a, model.b)
    with pytest.raises(UncalibratedError):
        Scorer(bare, "cpu").score(images[0])


def test_model_without_an_operating_point_calls_nothing_abnormal(model, images):
    bare = Model(replace(model.card, own_point=None), model.a, model.b)
    scorer = Scorer(bare, "cpu")
    with pytest.raises(UncalibratedError, match="calls nothing abnormal"):
        scorer.score(images[0])
    grey = random_grey(2, 64)
    assert set(scorer.scores(grey).scores) == set(SCORE_NAMES)  # it may be measured


def test_cuda_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="No CUDA device"):
        resolve_device("cuda")
    assert resolve_device("auto").type == resolve_device("cpu").type == "cpu"


def test_cuda_is_taken_where_it_is_unless_the_cpu_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [resolve_device(n).type for n in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
