from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ddad_core.errors import TrainingError
from ddad_core.evaluation.two_sample import two_sample_test
from ddad_core.imaging.geometry import normalise
from ddad_core.ratio import field_of
from ddad_core.training import ratio_report, ratio_train
from ddad_core.training.manifest import ManifestRow
from ddad_core.training.matching import matching_weights
from ddad_core.training.ratio_augment import augment
from ddad_core.training.ratio_train import RatioConfig, RatioSets, folds_of, train_ratio

CONFIG = RatioConfig(size=16, members=2, epochs=2, batch_size=8, seed=7)


def _sets(n=24, m=24, shift=120, size=16):
    """D_u is D_n with a blob in the middle of half of its images."""
    generator = np.random.default_rng(1)
    normal = generator.integers(0, 120, (n, size, size), dtype=np.uint8)
    unlabeled = generator.integers(0, 120, (m, size, size), dtype=np.uint8)
    quarter = size // 4
    unlabeled[: m // 2, quarter:-quarter, quarter:-quarter] += np.uint8(shift)
    names = [f"p{i // 2}" for i in range(n)], [f"q{i // 2}" for i in range(m)]
    return RatioSets(normal, unlabeled, *names, np.ones(n))


def _weights(trained):
    return [t for network in trained.networks for t in network.state_dict().values()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_ratio(CONFIG, _sets(), run=tmp_path_factory.mktemp("ratio"))


def test_same_seed_gives_the_same_weights_to_the_bit(trained, tmp_path):
    torch.manual_seed(99)  # the global generators play no part
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        again = train_ratio(CONFIG, _sets(), run=tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(_weights(again), _weights(trained), strict=True))
    assert again.losses == trained.losses
    np.testing.assert_array_equal(again.held_unlabeled, trained.held_unlabeled)


def test_every_network_is_centred_on_d_n(trained):
    images = torch.from_numpy(normalise(_sets().normal)).unsqueeze(1)
    inside = field_of(16) > 0
    for network in trained.networks:
        usual = network(images).mean(dim=0)[inside]
        assert network.usual is not None and float(usual.std()) < 1e-4


def test_another_seed_gives_other_weights(trained, tmp_path):
    other = train_ratio(replace(CONFIG, seed=8), _sets(), run=tmp_path)
    assert not all(map(torch.equal, _weights(other), _weights(trained)))


def test_interrupted_and_resumed_equals_uninterrupted(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(ratio_train, "CHECKPOINT_EVERY", 1)

    def stop(name, epoch, _):
        if (name, epoch) == ("ratio-1", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_ratio(CONFIG, _sets(), run=tmp_path, on_epoch=stop)
    again = train_ratio(CONFIG, _sets(), run=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(_weights(again), _weights(trained), strict=True))
    assert again.losses == trained.losses


def test_checkpoint_of_other_images_is_refused(tmp_path):
    train_ratio(replace(CONFIG, epochs=1), _sets(), run=tmp_path)
    with pytest.raises(TrainingError, match="belongs to"):
        train_ratio(replace(CONFIG, epochs=1), _sets(shift=50), run=tmp_path)


def test_patients_stay_within_one_fold():
    patients = [f"p{i // 3}" for i in range(31)]
    folds = folds_of(patients, 4, 1)
    assert {len(set(folds[[p == q for p in patients]])) for q in patients} == {1}
    assert set(folds) == {0, 1, 2, 3}


def test_too_small_a_set_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="D_u has 2 images"):
        train_ratio(CONFIG, _sets(m=2), run=tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("members", 1), ("epochs", 0), ("batch_size", 1), ("learning_rate", 0), ("floor_share", 1)],
)
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(TrainingError):
        replace(CONFIG, **{name: value})


def test_corner_mark_on_half_of_d_u_changes_no_weight(tmp_path):
    """Trained with the mark, the networks are the very ones trained without it."""
    config = replace(CONFIG, size=64, epochs=1)
    sets = _sets(n=16, m=16, size=64)
    sets.unlabeled[:, 30, 30] = 255  # the largest value is there anyhow
    marked = sets.unlabeled.copy()
    marked[::2] = ratio_report.with_mark(marked[::2])
    plain = train_ratio(config, sets, run=tmp_path / "plain")
    planted = train_ratio(config, replace(sets, unlabeled=marked), run=tmp_path / "planted")
    assert all(map(torch.equal, _weights(plain), _weights(planted)))
    rise = ratio_report.planted_mark(planted.networks, sets.normal)
    assert rise == {"white": 0.0, "black": 0.0}


def test_variants_follow_from_the_generator_and_differ():
    images = torch.rand(6, 1, 32, 32) * 2 - 1
    one, two = (augment(images, torch.Generator().manual_seed(5)) for _ in range(2))
    other = augment(images, torch.Generator().manual_seed(6))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == images.shape and torch.isfinite(one).all()


def _rows(views, name):
    return [ManifestRow(f"{name}{i}", "normal", 0, f"{name}{i}", view=v) for i, v in views]


def test_weights_give_d_n_the_views_of_d_u():
    normal = _rows(enumerate(["AP"] * 60 + ["PA"] * 20), "n")
    unlabeled = _rows(enumerate(["AP"] * 30 + ["PA"] * 30), "u")
    weights, matched = matching_weights(normal, unlabeled)
    assert matched == ("view",) and weights.mean() == pytest.approx(1)
    assert weights[:60].sum() == pytest.approx(weights[60:].sum())


def test_nothing_recorded_weighs_nothing():
    rows = _rows(enumerate([""] * 12), "n")
    weights, matched = matching_weights(rows, rows)
    assert matched == () and np.array_equal(weights, np.ones(12))


def test_two_samples_of_one_kind_are_not_told_apart_and_others_are():
    generator = np.random.default_rng(0)
    second = np.arange(80) >= 40
    names = [str(i // 2) for i in range(80)]
    same = two_sample_test(
        generator.normal(size=80), second, groups=names, strata=["a", "b"] * 40, permutations=200
    )
    apart = two_sample_test(
        generator.normal(size=80) + second, second, groups=names, strata=["a"] * 80
    )
    assert not same.differ and same.p_value > 0.01
    assert apart.differ and apart.auc > 0.65 and (apart.n_first, apart.n_second) == (40, 40)


def test_scores_of_different_strata_are_not_compared():
    """All of the second set is in the higher stratum, and within it there is no difference."""
    scores = np.array([0.0, 0.0, 0.0, 10.0, 10.0, 10.0])
    second = np.array([False, False, False, False, True, True])
    found = two_sample_test(scores, second, groups=list("abcdef"), strata=list("xxxyyy"))
    assert found.auc == 0.5 and not found.differ


def test_permuted_p_values_keep_their_level():
    generator = np.random.default_rng(3)
    second = np.arange(24) >= 12
    names = [str(i) for i in range(24)]
    p = [
        two_sample_test(
            generator.normal(size=24), second, groups=names, strata=["a"] * 24, permutations=99,
            seed=i,
        ).p_value
        for i in range(200)
    ]  # fmt: skip
    assert np.mean(np.array(p) <= 0.05) < 0.1 and 0.4 < np.mean(p) < 0.6


def test_shortcut_report_tells_strata_and_places(trained):
    sets = _sets()
    rows = [_rows(((i, "AP" if i % 2 else "PA") for i in range(24)), name) for name in ("n", "u")]
    found = ratio_report.shortcut_report(trained, *rows, sets.unlabeled, sets.normal, ("view",))
    assert set(found["auc_of_unlabeled_within"]) == {"view AP", "view PA"}
    assert found["auc_of_unlabeled_within"]["view AP"]["n_unlabeled"] == 12
    assert found["matched_on"] == ["view"] and set(found["planted_mark"]) == {"white", "black"}
    assert 0 < found["evidence"]["area_of_middle"] < 1
