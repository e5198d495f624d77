from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from ddad_core.discrepancy import discrepancy_maps
from ddad_core.ensemble import Ensemble
from ddad_core.errors import TrainingError
from ddad_core.imaging.geometry import normalise
from ddad_core.refinement import refine
from ddad_core.training import refine as training
from ddad_core.training.refine import RefinementConfig, train_refinement
from ddad_core.training.refine_step import focal_loss, start_learner
from ddad_core.training.synthesis import synthesise
from ddad_core.types import Reconstruction
from tests.core.synthetic import random_ensemble, random_grey
from tests.reference import refinement_numpy

CONFIG = RefinementConfig(epochs=3, batch_size=4, seed=7)
NORMAL = random_grey(10, 16, 1)
A, B = random_ensemble("ae-u", 16, 1, members=2), random_ensemble("ae-u", 16, 2, members=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small wait longer for a second thread than it saves on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_refinement(CONFIG, A, B, NORMAL, run=tmp_path_factory.mktemp("run"))


def _weights(trained):
    return {
        f"{kind}.{name}": tensor
        for kind, network in trained.networks.items()
        for name, tensor in network.state_dict().items()
    }


def _same(first, second):
    first, second = _weights(first), _weights(second)
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_focal_loss_equals_the_reference():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 2, 8, 8, generator=generator) * 4
    masks = torch.rand(3, 8, 8, generator=generator) > 0.7
    expected = refinement_numpy.focal_loss(logits.numpy(), masks.numpy())
    assert focal_loss(logits, masks).item() == pytest.approx(expected, rel=1e-5)
    assert focal_loss(torch.zeros(1, 2, 4, 4), masks[:1, :4, :4]).item() == pytest.approx(
        0.25 * np.log(2)
    )


def test_focal_loss_of_a_certain_mistake_is_finite_and_has_a_gradient():
    logits = torch.tensor([200.0, -200.0]).view(1, 2, 1, 1).requires_grad_()
    loss = focal_loss(logits, torch.ones(1, 1, 1, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(400.0)
    assert logits.grad.flatten().tolist() == pytest.approx([1.0, -1.0])


def test_same_seed_gives_the_same_weights_to_the_bit(trained, tmp_path):
    torch.manual_seed(12345)  # the global generators play no part
    np.random.seed(3)
    before = torch.random.get_rng_state()
    again = train_refinement(CONFIG, A, B, NORMAL, run=tmp_path)
    assert _same(again, trained) and again.losses == trained.losses
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_seed_gives_other_weights(trained, tmp_path):
    other = train_refinement(replace(CONFIG, seed=8), A, B, NORMAL, run=tmp_path)
    assert not _same(other, trained)


@pytest.mark.parametrize("kind", ["r_dual", "r_intra"])
def test_a_kind_alone_gets_the_weights_it_gets_beside_the_other(trained, tmp_path, kind):
    alone = train_refinement(replace(CONFIG, kinds=(kind,)), A, B, NORMAL, run=tmp_path)
    assert list(alone.networks) == [kind]
    assert alone.losses[kind] == trained.losses[kind]
    for name, tensor in alone.networks[kind].state_dict().items():
        assert torch.equal(tensor, trained.networks[kind].state_dict()[name])


def test_result_is_in_evaluation_mode_with_a_loss_for_every_epoch(trained):
    assert list(trained.networks) == ["r_dual", "r_intra"]
    for kind, network in trained.networks.items():
        assert not network.training and not network.first_norm.training
        assert not any(p.requires_grad for p in network.parameters())
        assert len(trained.losses[kind]) == 3
    assert trained.seconds > 0


def test_modules_a_and_b_are_left_as_they_are(tmp_path):
    a, b = random_ensemble("ae", 16, 3, members=1), random_ensemble("ae", 16, 4, members=1)
    b.train().requires_grad_(True)  # even one that was not frozen
    before = {n: t.clone() for n, t in b.state_dict().items()}
    train_refinement(replace(CONFIG, epochs=1), a, b, NORMAL, run=tmp_path)
    assert all(torch.equal(t, before[n]) for n, t in b.state_dict().items())
    assert b.training and all(p.requires_grad and p.grad is None for p in b.parameters())


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 2])
def test_interrupted_and_resumed_equals_uninterrupted(trained, tmp_path, monkeypatch, stop, every):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", every)

    def interrupt(kind, epoch, loss):
        if (kind, epoch) == ("r_dual", stop):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_refinement(CONFIG, A, B, NORMAL, run=tmp_path, on_epoch=interrupt)
    seen = []
    resumed = train_refinement(
        CONFIG, A, B, NORMAL, run=tmp_path, on_epoch=lambda *step: seen.append(step[:2])
    )
    assert _same(resumed, trained)
    assert resumed.losses == trained.losses
    kept = stop if stop == 3 else stop // every * every  # the last epoch is always kept
    assert seen == [(k, e) for e in range(kept + 1, 4) for k in CONFIG.kinds]


def test_write_cut_short_leaves_the_checkpoint_before_it(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 1)
    original, writes = torch.save, []

    def dies_in_the_second(state, path):
        writes.append(path)
        if len(writes) == 2:
            path.write_bytes(b"half a check")
            raise KeyboardInterrupt
        original(state, path)

    monkeypatch.setattr(torch, "save", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train_refinement(CONFIG, A, B, NORMAL, run=tmp_path)
    assert _same(train_refinement(CONFIG, A, B, NORMAL, run=tmp_path), trained)


def test_finished_run_is_not_trained_again(trained, tmp_path):
    train_refinement(CONFIG, A, B, NORMAL, run=tmp_path)
    seen = []
    again = train_refinement(CONFIG, A, B, NORMAL, run=tmp_path, on_epoch=lambda *s: seen.append(s))
    assert seen == [] and _same(again, trained)


BRIEF = replace(CONFIG, epochs=1, kinds=("r_intra",))


def _other_module():
    module = random_ensemble("ae-u", 16, 2, members=2)
    next(module.parameters()).data[0, 0, 0, 0] += 1e-3
    return module


@pytest.mark.parametrize(
    ("config", "a", "b", "normal"),
    [
        (replace(BRIEF, learning_rate=1e-3), A, B, NORMAL),
        (replace(BRIEF, weight_decay=0.0), A, B, NORMAL),
        (replace(BRIEF, seed=8), A, B, NORMAL),
        (replace(BRIEF, epochs=2), A, B, NORMAL),
        (replace(BRIEF, kinds=("r_dual",)), A, B, NORMAL),
        (BRIEF, A, B, NORMAL[::-1]),
        (BRIEF, A, B, NORMAL[1:]),
        (BRIEF, A, _other_module(), NORMAL),
        (BRIEF, B, A, NORMAL),
    ],
    ids=[
        "learning rate",
        "weight decay",
        "seed",
        "epochs",
        "kinds",
        "order",
        "fewer",
        "module",
        "modules exchanged",
    ],
)
def test_checkpoint_of_another_run_is_refused(tmp_path, config, a, b, normal):
    train_refinement(BRIEF, A, B, NORMAL, run=tmp_path)
    with pytest.raises(TrainingError, match="another configuration, other images or other modules"):
        train_refinement(config, a, b, normal, run=tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:5000], lambda data: b"not a checkpoint"])
def test_damaged_checkpoint_is_an_error(tmp_path, damage):
    train_refinement(BRIEF, A, B, NORMAL, run=tmp_path)
    path = tmp_path / training.CHECKPOINT_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TrainingError, match="cannot be read"):
        train_refinement(BRIEF, A, B, NORMAL, run=tmp_path)


def _batches(config, normal, epoch=0):
    modules, device = (A, B), torch.device("cpu")
    return list(training._batches(config, epoch, modules, normal, device))


def test_batches_are_the_maps_of_synthetic_anomalies(monkeypatch):
    made = []

    def spy(*arguments):
        made.append(synthesise(*arguments))
        return made[-1]

    monkeypatch.setattr(training, "synthesise", spy)
    batches = _batches(CONFIG, NORMAL)
    assert [len(maps) for maps, _ in batches] == [4, 4]  # of 10; the incomplete one is dropped
    images = torch.from_numpy(np.concatenate([m.images for m in made])).unsqueeze(1)
    found = discrepancy_maps(images, A(images), B(images))
    maps, masks = (torch.cat(parts) for parts in zip(*batches, strict=True))
    torch.testing.assert_close(maps[:, 0], found.inter)
    torch.testing.assert_close(maps[:, 1], found.intra)
    assert not maps.requires_grad
    assert np.array_equal(masks.numpy(), np.concatenate([m.masks for m in made]))


def test_each_image_is_taken_once_an_epoch_in_an_order_of_its_own(monkeypatch):
    orders = []

    def spy(grey, generator, chosen):
        orders.append(chosen.tolist())
        return synthesise(grey, generator, chosen)

    monkeypatch.setattr(training, "synthesise", spy)
    monkeypatch.setattr(training, "IMAGES_AT_ONCE", 9)  # two batches of four
    normal = random_grey(12, 16, 1)
    _batches(CONFIG, normal, 0)
    _batches(CONFIG, normal, 1)
    assert [len(part) for part in orders] == [8, 4, 8, 4]
    first, second = orders[0] + orders[1], orders[2] + orders[3]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second and first != sorted(first)


def test_anomalies_are_fresh_in_every_epoch(monkeypatch):
    (first, again), second = (
        (_batches(CONFIG, NORMAL, 0) for _ in range(2)),
        _batches(CONFIG, NORMAL, 1),
    )
    masks = [torch.cat([mask for _, mask in batches]) for batches in (first, again, second)]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_optimiser_is_adam_as_published():
    config = RefinementConfig()
    assert (config.epochs, config.batch_size, config.kinds) == (100, 8, ("r_dual", "r_intra"))
    learner = training._start(config, "r_dual", torch.device("cpu"))
    assert type(learner.optimiser) is torch.optim.Adam
    (group,) = learner.optimiser.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-4, (0.5, 0.999), 1e-4)
    assert len(group["params"]) == 10 and learner.network.training


def test_kinds_start_differently():
    weights = [
        start_learner(
            kind, seed=1, learning_rate=1e-4, weight_decay=0.0, device=torch.device("cpu")
        ).network.second.weight
        for kind in ("r_dual", "r_intra")
    ]
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs is 0; it must be 1 or more"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": -1e-4}, "weight_decay is -0.0001; it must be 0 or more"),
        ({"weight_decay": float("inf")}, "weight_decay is inf"),
        ({"seed": -1}, "seed is -1"),
        ({"kinds": ()}, "one or more of r_dual, r_intra"),
        ({"kinds": ("r_inter",)}, "kinds is"),
        ({"kinds": ("r_dual", "r_dual")}, "kinds is"),
    ],
)
def test_configuration_that_cannot_be_trained_is_refused(change, words):
    with pytest.raises(TrainingError, match=words):
        replace(CONFIG, **change)


@pytest.mark.parametrize(("n", "batch_size"), [(0, 4), (3, 4), (1, 1)])
def test_too_few_images_are_an_error(tmp_path, n, batch_size):
    config = replace(CONFIG, batch_size=batch_size)
    with pytest.raises(TrainingError, match=f"^{n} known normal images; the refinement needs"):
        train_refinement(config, A, B, NORMAL[:n], run=tmp_path)


def test_loss_that_is_not_finite_is_an_error_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 1)
    spoilt = random_ensemble("ae-u", 16, 2, members=2)
    next(spoilt.parameters()).data[0, 0, 0, 0] = float("nan")
    with pytest.raises(TrainingError, match="loss of the refinement r_intra is nan in epoch 1"):
        train_refinement(BRIEF, A, spoilt, NORMAL, run=tmp_path)
    assert not list(tmp_path.iterdir())


class _Smoothing(nn.Module):
    """Stands for a network: what it gives back is the image without its fine detail."""

    def __init__(self, width):
        super().__init__()
        self.pool = nn.AvgPool2d(width, stride=1, padding=width // 2, count_include_pad=False)

    def forward(self, images):
        return Reconstruction(mean=self.pool(images))


def test_refined_maps_are_higher_inside_an_unseen_patch(tmp_path):
    a, b = Ensemble([_Smoothing(7)]).eval(), Ensemble([_Smoothing(1), _Smoothing(3)]).eval()
    levels = np.linspace(40, 210, 24)[:, None, None]
    slope = np.linspace(-30, 30, 16)[None, :, None]
    normal = np.broadcast_to(levels + slope, (24, 16, 16)).astype(np.uint8)
    config = RefinementConfig(epochs=10, batch_size=4, learning_rate=2e-3, seed=1)
    result = train_refinement(config, a, b, normal, run=tmp_path)
    made = synthesise(normal, np.random.default_rng(99), np.tile(np.arange(24), 4))
    with torch.inference_mode():
        images = torch.from_numpy(made.images).unsqueeze(1)
        refined = refine(result.networks, discrepancy_maps(images, a(images), b(images)))
    strong = np.abs(made.images - normalise(np.tile(normal, (4, 1, 1)))).max(axis=(1, 2)) > 0.3
    assert strong.sum() >= 10
    for kind, values in refined.items():
        losses = result.losses[kind]
        assert losses[-1] < 0.5 * losses[0]
        found = values.numpy()
        inside, outside = found[strong][made.masks[strong]], found[~made.masks]
        assert inside.mean() > outside.mean() + 0.2
        assert roc_auc_score(made.masks[strong].ravel(), found[strong].ravel()) > 0.9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_as_the_cpu_does_and_resumes(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 1)
    cuda, config = torch.device("cuda"), replace(CONFIG, epochs=4)
    here = train_refinement(config, A, B, NORMAL, run=tmp_path / "cpu")
    there = train_refinement(config, A, B, NORMAL, run=tmp_path / "cuda", device=cuda)
    for kind in here.losses:  # eight steps: three as they are, five in the graph
        assert there.losses[kind] == pytest.approx(here.losses[kind], rel=0.1)
        assert next(there.networks[kind].parameters()).device.type == "cpu"

    def interrupt(kind, epoch, loss):
        if epoch == 3:
            raise KeyboardInterrupt

    run = tmp_path / "resumed"
    with pytest.raises(KeyboardInterrupt):
        train_refinement(config, A, B, NORMAL, run=run, device=cuda, on_epoch=interrupt)
    resumed = train_refinement(config, A, B, NORMAL, run=run, device=cuda)
    for kind in there.losses:
        assert resumed.losses[kind] == pytest.approx(there.losses[kind], rel=0.02)
