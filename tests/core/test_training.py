from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ddad_core.errors import TrainingError
from ddad_core.training import loop
from ddad_core.training.loop import TrainingConfig, train
from tests.core.synthetic import random_grey

CONFIG = TrainingConfig(size=32, members=2, epochs=3, batch_size=4, seed=7)
NORMAL, UNLABELED = random_grey(9, 32, 1), random_grey(6, 32, 2)


def _weights(trained):
    return {f"{m}.{n}": t for m in "ab" for n, t in getattr(trained, m).state_dict().items()}


def _same(first, second):
    first, second = _weights(first), _weights(second)
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small wait longer for a second thread than it saves on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(CONFIG, NORMAL, UNLABELED, run=tmp_path_factory.mktemp("run"))


def test_same_seed_gives_the_same_weights_to_the_bit(trained, tmp_path):
    torch.manual_seed(12345)  # the global generator plays no part
    before = torch.random.get_rng_state()
    assert _same(train(CONFIG, NORMAL, UNLABELED, run=tmp_path), trained)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_seed_gives_other_weights(trained, tmp_path):
    other = train(replace(CONFIG, seed=8), NORMAL, UNLABELED, run=tmp_path)
    assert not _same(other, trained)


def test_members_and_modules_start_and_end_differently(trained):
    networks = [*trained.a.networks, *trained.b.networks]
    ends = [torch.cat([p.flatten() for p in n.parameters()]) for n in networks]
    seeds = {loop._member_seed(7, m, k) for m in range(2) for k in range(3)}
    assert len(seeds) == 6
    for i, first in enumerate(ends):
        assert not any(torch.allclose(first, second) for second in ends[i + 1 :])


def test_result_is_in_evaluation_mode_with_a_loss_for_every_epoch(trained):
    assert not trained.a.training and not trained.b.networks[0].encoder.training
    assert set(trained.losses) == {"a-0", "a-1", "b-0", "b-1"}
    assert all(len(values) == 3 for values in trained.losses.values())
    assert trained.seconds > 0


@pytest.mark.parametrize("stop", [("a-0", 1), ("a-1", 2), ("a-1", 3), ("b-0", 1), ("b-1", 2)])
def test_interrupted_and_resumed_equals_uninterrupted(trained, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 1)

    def interrupt(name, epoch, loss):
        if (name, epoch) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=interrupt)
    seen = []
    resumed = train(
        CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=lambda *step: seen.append(step[:2])
    )
    assert _same(resumed, trained)
    assert resumed.losses == trained.losses
    assert stop not in seen and ("a-0", 1) not in seen  # it went on and did not start anew


def test_finished_run_is_not_trained_again(trained, tmp_path):
    train(CONFIG, NORMAL, UNLABELED, run=tmp_path)
    seen = []
    again = train(CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=lambda *s: seen.append(s))
    assert seen == [] and _same(again, trained)


def test_checkpoint_is_written_at_the_interval_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 2)
    at = []
    monkeypatch.setattr(loop, "_save", lambda progress, path, digest: at.append(progress.losses[:]))
    train(CONFIG, NORMAL, UNLABELED, run=tmp_path)
    assert [len(losses) for losses in at] == [2, 3] * 4


BRIEF = replace(CONFIG, members=1, epochs=1)


@pytest.mark.parametrize(
    ("config", "normal", "unlabeled"),
    [
        (replace(BRIEF, learning_rate=1e-3), NORMAL, UNLABELED),
        (replace(BRIEF, seed=8), NORMAL, UNLABELED),
        (replace(BRIEF, epochs=2), NORMAL, UNLABELED),
        (BRIEF, NORMAL[::-1], UNLABELED),
        (BRIEF, NORMAL, UNLABELED[1:]),
        (BRIEF, np.concatenate([NORMAL, UNLABELED[:1]]), UNLABELED[1:]),
    ],
    ids=["learning rate", "seed", "epochs", "order", "fewer", "other role"],
)
def test_checkpoint_of_another_configuration_or_images_is_refused(
    tmp_path, config, normal, unlabeled
):
    train(BRIEF, NORMAL, UNLABELED, run=tmp_path)
    with pytest.raises(TrainingError, match="another configuration or to other images"):
        train(config, normal, unlabeled, run=tmp_path)


def test_checkpoint_cut_short_is_an_error(tmp_path):
    train(BRIEF, NORMAL, UNLABELED, run=tmp_path)
    path = tmp_path / "a-0.checkpoint.pt"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(TrainingError, match="cannot be read"):
        train(BRIEF, NORMAL, UNLABELED, run=tmp_path)


def test_checkpoint_that_is_something_else_is_an_error(tmp_path):
    (tmp_path / "a-0.checkpoint.pt").write_text("not a checkpoint")
    with pytest.raises(TrainingError, match="cannot be read"):
        train(CONFIG, NORMAL, UNLABELED, run=tmp_path)


def _batches(monkeypatch, config, normal, unlabeled, run):
    sizes = []
    original = loop.reconstruction_loss

    def spy(network, images, out):
        sizes.append(images)
        return original(network, images, out)

    monkeypatch.setattr(loop, "reconstruction_loss", spy)
    train(config, normal, unlabeled, run=run)
    return sizes


def test_last_incomplete_batch_is_dropped(tmp_path, monkeypatch):
    config = BRIEF
    batches = _batches(monkeypatch, config, NORMAL, UNLABELED, tmp_path)
    assert [len(batch) for batch in batches] == [4] * (15 // 4 + 9 // 4)


def test_images_are_shuffled_anew_in_every_epoch_and_scaled(tmp_path, monkeypatch):
    config = replace(CONFIG, members=1, epochs=2)
    normal = random_grey(8, 32, 1)
    batches = _batches(monkeypatch, config, normal, random_grey(4, 32, 3), tmp_path)
    first, second = torch.cat(batches[-4:-2]), torch.cat(batches[-2:])  # module B, epochs 1 and 2
    assert first.shape == (8, 1, 32, 32)
    assert not torch.equal(first, second)

    def key(t):
        return sorted(t.sum(dim=(1, 2, 3)).tolist())

    assert key(first) == key(second)  # each image once an epoch
    expected = (torch.from_numpy(normal).float() / 255 - 0.5) / 0.5
    np.testing.assert_allclose(key(first), key(expected.unsqueeze(1)), rtol=1e-4)


def test_module_b_never_sees_unlabeled_images(tmp_path, monkeypatch):
    black, white = np.zeros((8, 32, 32), np.uint8), np.full((4, 32, 32), 255, np.uint8)
    config = BRIEF
    batches = _batches(monkeypatch, config, black, white, tmp_path)
    module_a, module_b = torch.cat(batches[:3]), torch.cat(batches[3:])
    assert (module_a == 1).all(dim=(1, 2, 3)).sum() == 4
    assert (module_b == -1).all() and len(module_b) == 8


@pytest.mark.parametrize(
    ("normal", "unlabeled", "words"),
    [
        (NORMAL[:0], UNLABELED, "no known normal images"),
        (NORMAL, UNLABELED[:0], "no unlabeled images"),
        (NORMAL[:3], UNLABELED, "3 known normal images do not fill one batch of 4"),
    ],
)
def test_too_few_images_are_an_error(tmp_path, normal, unlabeled, words):
    with pytest.raises(TrainingError, match=words):
        train(CONFIG, normal, unlabeled, run=tmp_path)


@pytest.mark.parametrize("network", ["ae", "ae-u", "memae"])
def test_loss_falls_on_an_easy_set(tmp_path, network):
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    easy = np.stack([np.tile(ramp, (32, 1)), np.tile(ramp[:, None], (1, 32))] * 4)
    config = replace(CONFIG, network=network, members=1, epochs=8)
    losses = train(config, easy, easy[:4], run=tmp_path).losses
    for values in losses.values():
        assert values[-1] < values[0] - 0.1


def test_optimiser_is_adam_as_published():
    progress = loop._start(CONFIG, seed=1, device=torch.device("cpu"))
    assert type(progress.optimiser) is torch.optim.Adam
    (group,) = progress.optimiser.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (5e-4, (0.5, 0.999), 0)
    assert not group["amsgrad"]
    assert len(group["params"]) == len(list(progress.network.parameters()))
    assert progress.network.training


def test_published_settings_are_the_defaults():
    config = TrainingConfig()
    assert (config.size, config.members, config.epochs, config.batch_size) == (64, 3, 250, 64)
    assert config.learning_rate == 5e-4


def test_loss_that_is_not_finite_is_an_error(tmp_path):
    config = replace(CONFIG, learning_rate=1e12)
    with pytest.raises(TrainingError, match=r"loss of network a-0 is (nan|inf) in epoch \d"):
        train(config, NORMAL, UNLABELED, run=tmp_path)
