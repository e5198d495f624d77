from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from ddad_core.errors import TrainingError
from ddad_core.training import branches, lanes, loop
from ddad_core.training.loop import TrainingConfig, train
from tests.core.synthetic import random_grey
from tests.reference import training_plain

SIDE = 16
CONFIG = TrainingConfig(size=SIDE, members=2, epochs=3, batch_size=4, seed=7)
NORMAL, UNLABELED = random_grey(9, SIDE, 1), random_grey(6, SIDE, 2)


def _weights(trained):
    return {f"{m}.{n}": t for m in "ab" for n, t in getattr(trained, m).state_dict().items()}


def _same(first, second):
    first, second = _weights(first), _weights(second)
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.fixture(scope="module", autouse=True)
def thread_count():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def one_thread(thread_count):
    """One lane after the other, unless a test asks for more."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, thread_count):
    return train(CONFIG, NORMAL, UNLABELED, run=tmp_path_factory.mktemp("run"))


def on_branches(monkeypatch):
    """Train as on a GPU, but without a graph."""
    monkeypatch.setattr(lanes, "train_lanes", branches.train_branches)


@pytest.fixture(scope="module")
def trained_on_branches(tmp_path_factory, thread_count):
    with pytest.MonkeyPatch.context() as monkeypatch:
        on_branches(monkeypatch)
        run = tmp_path_factory.mktemp("branches")
        trained = train(CONFIG, NORMAL, UNLABELED, run=run)
    assert [path.name for path in run.iterdir()] == ["branches.checkpoint.pt"]
    return trained


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_weights_do_not_depend_on_the_number_of_threads(trained, tmp_path, threads):
    torch.set_num_threads(threads)
    found = train(CONFIG, NORMAL, UNLABELED, run=tmp_path)
    assert _same(found, trained) and found.losses == trained.losses
    assert torch.get_num_threads() == threads


def test_lanes_train_side_by_side_and_tell_one_at_a_time(tmp_path):
    torch.set_num_threads(2)
    threads, inside, at_once = set(), [], []

    def told(name, epoch, loss):
        inside.append(name)
        at_once.append(len(inside))
        threads.add(threading.get_ident())
        time.sleep(0.002)
        inside.remove(name)

    train(CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=told)
    assert len(threads) == 2 and set(at_once) == {1} and len(at_once) == 12


def test_branches_give_the_weights_of_lanes(trained, trained_on_branches):
    """To the bit: on one thread the order of every sum is the same."""
    assert _same(trained_on_branches, trained)
    for name, losses in trained.losses.items():
        assert trained_on_branches.losses[name] == pytest.approx(losses, rel=1e-6)


@pytest.mark.parametrize("network", ["ae", "ae-u", "memae"])
def test_branches_and_lanes_agree_for_every_network(tmp_path, monkeypatch, network):
    config = replace(CONFIG, network=network, epochs=2)
    first = train(config, NORMAL, UNLABELED, run=tmp_path)
    on_branches(monkeypatch)
    assert _same(train(config, NORMAL, UNLABELED, run=tmp_path), first)


@pytest.fixture
def double(monkeypatch):
    """Double precision throughout, so that the order of sums leaves no trace worth naming."""
    monkeypatch.setattr(lanes, "normalise", lambda grey: (grey / 255.0 - 0.5) / 0.5)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("network", ["ae", "ae-u", "memae"])
def test_weights_are_those_of_a_plain_loop(tmp_path, double, network):
    """Within 1e-8, after ten steps in double precision; a step moves a weight by up to 5e-4."""
    config = replace(CONFIG, network=network, members=1)
    found = train(config, NORMAL, UNLABELED, run=tmp_path)
    weights, losses = training_plain.train(config, NORMAL, UNLABELED)
    for name, expected in weights.items():
        module, member = name.split("-")
        state = getattr(found, module).networks[int(member)].state_dict()
        assert state.keys() == expected.keys()
        for tensor_name, values in expected.items():
            torch.testing.assert_close(state[tensor_name], values, rtol=0, atol=1e-8)
        assert found.losses[name] == pytest.approx(losses[name], rel=1e-9)


def test_first_losses_in_single_precision_are_those_of_a_plain_loop(trained):
    """Within 1e-3 over the first epoch. Adam divides each gradient by its size, so that in single
    precision rounding alone soon takes two right answers apart."""
    _, losses = training_plain.train(replace(CONFIG, epochs=1), NORMAL, UNLABELED)
    for name, expected in losses.items():
        assert trained.losses[name][:1] == pytest.approx(expected, rel=1e-3)


def test_without_unlabeled_images_module_a_sees_the_normals(tmp_path, monkeypatch):
    config = replace(CONFIG, members=1)
    found = train(config, NORMAL, UNLABELED[:0], run=tmp_path)
    seen = train(config, NORMAL[:8], NORMAL[8:], run=tmp_path / "other")
    assert _same_networks(found.a.networks[0], seen.a.networks[0])
    assert not _same_networks(found.a.networks[0], found.b.networks[0])  # seeds of their own
    on_branches(monkeypatch)
    assert _same(train(config, NORMAL, UNLABELED[:0], run=tmp_path), found)


def _same_networks(first, second):
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


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


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("stop", [("a-0", 1), ("a-1", 2), ("a-1", 3), ("b-0", 1), ("b-1", 2)])
def test_interrupted_and_resumed_equals_uninterrupted(
    trained, tmp_path, monkeypatch, stop, threads
):
    """With several threads the other lanes are anywhere, some in the middle of an epoch."""
    monkeypatch.setattr(lanes, "CHECKPOINT_EVERY", 1)
    torch.set_num_threads(threads)

    def interrupt(name, epoch, loss):
        if (name, epoch) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=interrupt)
    assert torch.get_num_threads() == threads  # as the caller had it
    seen = []
    resumed = train(
        CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=lambda *step: seen.append(step[:2])
    )
    assert _same(resumed, trained)
    assert resumed.losses == trained.losses
    assert stop not in seen  # it went on and did not start anew
    if threads == 1:
        assert ("a-0", 1) not in seen


@pytest.mark.parametrize("stop", [("a-0", 1), ("b-1", 1), ("a-1", 2), ("b-1", 3)])
def test_branches_interrupted_and_resumed_equal_uninterrupted(
    trained_on_branches, tmp_path, monkeypatch, stop
):
    on_branches(monkeypatch)
    monkeypatch.setattr(branches, "CHECKPOINT_SECONDS", -1.0)

    def interrupt(name, epoch, loss):
        if (name, epoch) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=interrupt)
    seen = []
    resumed = train(
        CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=lambda *step: seen.append(step[1])
    )
    assert _same(resumed, trained_on_branches)
    assert resumed.losses == trained_on_branches.losses
    assert seen == [e for e in range(stop[1] + 1, 4) for _ in range(4)]


def test_killed_without_a_checkpoint_starts_anew_and_ends_the_same(trained, tmp_path):
    def interrupt(name, epoch, loss):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=interrupt)
    assert list(tmp_path.iterdir()) == []
    assert _same(train(CONFIG, NORMAL, UNLABELED, run=tmp_path), trained)


def test_finished_run_is_not_trained_again(trained, tmp_path):
    train(CONFIG, NORMAL, UNLABELED, run=tmp_path)
    seen = []
    again = train(CONFIG, NORMAL, UNLABELED, run=tmp_path, on_epoch=lambda *s: seen.append(s))
    assert seen == [] and _same(again, trained)


def test_checkpoint_is_written_at_the_interval_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(lanes, "CHECKPOINT_EVERY", 2)
    at = []
    monkeypatch.setattr(lanes, "_save", lambda lane, *_: at.append((lane.name, len(lane.losses))))
    train(CONFIG, NORMAL, UNLABELED, run=tmp_path)
    assert at == [(name, done) for name in ("a-0", "a-1", "b-0", "b-1") for done in (2, 3)]


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
    original = lanes.reconstruction_loss

    def spy(network, images, out):
        sizes.append(images)
        return original(network, images, out)

    monkeypatch.setattr(lanes, "reconstruction_loss", spy)
    train(config, normal, unlabeled, run=run)
    return sizes


def test_last_incomplete_batch_is_dropped(tmp_path, monkeypatch):
    config = BRIEF
    batches = _batches(monkeypatch, config, NORMAL, UNLABELED, tmp_path)
    assert [len(batch) for batch in batches] == [4] * (15 // 4 + 9 // 4)


def test_images_are_shuffled_anew_in_every_epoch_and_scaled(tmp_path, monkeypatch):
    config = replace(CONFIG, members=1, epochs=2)
    normal = random_grey(8, SIDE, 1)
    batches = _batches(monkeypatch, config, normal, random_grey(4, SIDE, 3), tmp_path)
    first, second = torch.cat(batches[-4:-2]), torch.cat(batches[-2:])  # module B, epochs 1 and 2
    assert first.shape == (8, 1, SIDE, SIDE)
    assert not torch.equal(first, second)

    def key(t):
        return sorted(t.sum(dim=(1, 2, 3)).tolist())

    assert key(first) == key(second)  # each image once an epoch
    expected = (torch.from_numpy(normal).float() / 255 - 0.5) / 0.5
    np.testing.assert_allclose(key(first), key(expected.unsqueeze(1)), rtol=1e-4)


def test_module_b_never_sees_unlabeled_images(tmp_path, monkeypatch):
    black, white = np.zeros((8, SIDE, SIDE), np.uint8), np.full((4, SIDE, SIDE), 255, np.uint8)
    config = BRIEF
    batches = _batches(monkeypatch, config, black, white, tmp_path)
    module_a, module_b = torch.cat(batches[:3]), torch.cat(batches[3:])
    assert (module_a == 1).all(dim=(1, 2, 3)).sum() == 4
    assert (module_b == -1).all() and len(module_b) == 8


@pytest.mark.parametrize(
    ("normal", "unlabeled", "words"),
    [
        (NORMAL[:0], UNLABELED, "no known normal images"),
        (NORMAL[:3], UNLABELED, "3 known normal images do not fill one batch of 4"),
    ],
)
def test_too_few_images_are_an_error(tmp_path, normal, unlabeled, words):
    with pytest.raises(TrainingError, match=words):
        train(CONFIG, normal, unlabeled, run=tmp_path)


@pytest.mark.parametrize("network", ["ae", "ae-u", "memae"])
def test_loss_falls_on_an_easy_set(tmp_path, network):
    ramp = np.linspace(0, 255, SIDE).astype(np.uint8)
    easy = np.stack([np.tile(ramp, (SIDE, 1)), np.tile(ramp[:, None], (1, SIDE))] * 4)
    config = replace(CONFIG, network=network, members=1, epochs=8)
    losses = train(config, easy, easy[:4], run=tmp_path).losses
    for values in losses.values():
        assert values[-1] < values[0] - 0.1


def test_optimiser_is_adam_as_published(tmp_path, monkeypatch):
    made = []
    original = torch.optim.Adam

    def spy(parameters, **settings):
        made.append(original(parameters, **settings))
        return made[-1]

    monkeypatch.setattr(torch.optim, "Adam", spy)
    train(BRIEF, NORMAL, UNLABELED, run=tmp_path)
    on_branches(monkeypatch)
    train(BRIEF, NORMAL, UNLABELED, run=tmp_path / "other")
    assert len(made) == 4  # two lanes, two modules
    for optimiser in made:
        (group,) = optimiser.param_groups
        assert (group["lr"], group["betas"], group["eps"]) == (5e-4, (0.5, 0.999), 1e-8)
        assert group["weight_decay"] == 0 and not group["amsgrad"]


def test_published_settings_are_the_defaults():
    config = TrainingConfig()
    assert (config.size, config.members, config.epochs, config.batch_size) == (64, 3, 250, 64)
    assert config.learning_rate == 5e-4


def test_loss_that_is_not_finite_is_an_error(tmp_path):
    config = replace(CONFIG, learning_rate=1e12)
    with pytest.raises(TrainingError, match=r"loss of network a-0 is (nan|inf) in epoch \d"):
        train(config, NORMAL, UNLABELED, run=tmp_path)
