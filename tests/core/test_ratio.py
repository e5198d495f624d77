from __future__ import annotations

import numpy as np
import pytest
import torch

from ddad_core.errors import ModelError
from ddad_core.imaging.geometry import normalise
from ddad_core.ratio import (
    RatioNetwork,
    field_of,
    mapping_by,
    pack_ratio,
    pooled,
    ratio_maps,
    unpack_ratio,
)
from ddad_core.scoring import BatchScores, Extras, score_grey
from ddad_core.training.pack import LEAST_EVIDENCE, map_displays
from ddad_core.training.ratio_report import with_mark
from ddad_core.training.ratio_risk import ratio_risk
from tests.core.synthetic import random_ensemble, random_grey
from tests.reference import ratio_numpy


def _networks(size, members=2):
    torch.manual_seed(3)
    return [RatioNetwork(size).eval().requires_grad_(False) for _ in range(members)]


def _images(grey):
    return torch.from_numpy(normalise(grey)).unsqueeze(1)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_risk_equals_the_reference_and_is_never_negative(share):
    generator = np.random.default_rng(4)
    for shift in (0.0, 3.0, 9.0):  # the last: overfitted
        normal = generator.normal(-shift, 1, 20)
        unlabeled = generator.normal(shift, 1, 30)
        weights = generator.uniform(0.5, 2, 20)
        found, _ = ratio_risk(*map(torch.from_numpy, (normal, unlabeled, weights)), share)
        expected = ratio_numpy.non_negative_risk(normal, unlabeled, weights, share)
        assert float(found) == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert float(found) >= 0


def test_an_overfitted_batch_is_stepped_back_and_a_fair_one_descended():
    z = torch.tensor([-9.0, -9.0], requires_grad=True)
    unlabeled = torch.tensor([9.0, 9.0], requires_grad=True)
    _, descent = ratio_risk(z, unlabeled, torch.ones(2), 0.2)
    descent.backward()
    assert (unlabeled.grad > 0).all()  # a step down the gradient lowers the ratio of D_u again
    fair = torch.tensor([0.0, 0.0], requires_grad=True)
    risk, descent = ratio_risk(torch.zeros(2), fair, torch.ones(2), 0.2)
    descent.backward()
    assert float(risk) == pytest.approx(float(descent)) and (fair.grad < 0).all()


def test_minimum_of_the_risk_is_the_log_ratio():
    """Two kinds of image: z of each kind ends at log p_u / p_n of that kind."""
    p_n, p_u = np.array([0.8, 0.2]), np.array([0.3, 0.7])
    z = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([z], max_iter=200)
    normal, unlabeled = np.repeat([0, 1], (8, 2)), np.repeat([0, 1], (3, 7))

    def closure():
        optimiser.zero_grad()
        risk, descent = ratio_risk(z[normal], z[unlabeled], torch.ones(10), 0.2)
        descent.backward()
        return risk

    optimiser.step(closure)
    np.testing.assert_allclose(z.detach().numpy(), np.log(p_u / p_n), atol=1e-3)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_score_is_the_pooled_map(size):
    grey = random_grey(3, size, 1)
    networks = _networks(size)
    a, b = random_ensemble("ae", size, 1, 1), random_ensemble("ae", size, 2, 1)
    found = score_grey(a, b, grey, extras=Extras(ratio=mapping_by(networks)))
    assert found.maps["ratio"].shape == (3, size, size)
    np.testing.assert_allclose(
        found.scores["a_ratio"], ratio_numpy.pooled(found.maps["ratio"]), rtol=1e-4, atol=1e-6
    )
    single = [network(_images(grey)).mean(dim=(1, 2)).numpy() for network in networks]
    np.testing.assert_allclose(found.scores["a_ratio"], np.mean(single, axis=0), atol=1e-5)
    assert np.ptp(found.scores["a_ratio"]) > 0


def test_corners_and_borders_are_not_seen_and_have_no_evidence():
    field = field_of(64).numpy()
    assert field[:8, :8].sum() == 0 and field[0].sum() == 0 and field[:, -1].sum() == 0
    assert field[32, 32] == 1 and 0.75 < field.mean() < 0.9
    grey = random_grey(4, 64, 2)
    networks = _networks(64)
    maps = ratio_maps(networks, _images(grey))
    assert maps[:, :8, :8].abs().max() == 0
    marked = pooled(ratio_maps(networks, _images(with_mark(grey))))
    assert torch.equal(marked, pooled(maps))


def test_exposure_moves_nothing():
    grey = random_grey(2, 64, 5)
    images = _images(grey)
    networks = _networks(64)
    plain, brighter = (ratio_maps(networks, x) for x in (images, 0.5 * images + 0.3))
    torch.testing.assert_close(plain, brighter, atol=2e-2, rtol=1e-2)


def test_networks_come_back_from_their_file():
    networks = _networks(64)
    again = unpack_ratio(pack_ratio(networks), 64)
    images = _images(random_grey(2, 64, 6))
    assert torch.equal(ratio_maps(again, images), ratio_maps(networks, images))
    assert not any(p.requires_grad for p in again[0].parameters())


@pytest.mark.parametrize("size", [64, 128])
def test_centred_evidence_is_the_same_everywhere_on_normals_and_no_score_changes(size):
    images, others = (_images(random_grey(n, size, seed)) for n, seed in ((70, 3), (3, 8)))
    weights = torch.linspace(0.5, 1.5, len(images))
    network = _networks(size, 1)[0]
    before, plain = network(others), network(images)
    network.centre(images, weights)
    torch.testing.assert_close(pooled(network(others)), pooled(before), atol=1e-5, rtol=1e-4)
    inside = field_of(size) > 0

    def spread(maps):
        return float((maps * weights[:, None, None]).mean(dim=0)[inside].std())

    assert spread(network(images)) < 1e-4 < 1e-2 < spread(plain)
    again = unpack_ratio(pack_ratio([network]), size)[0]
    assert torch.equal(again(others), network(others))


@pytest.mark.parametrize("data", [b"nothing", pack_ratio(_networks(64))[:-8]])
def test_damaged_file_is_refused(data):
    with pytest.raises(ModelError, match=r"ratio\.safetensors"):
        unpack_ratio(data, 64)


def test_what_is_not_seen_neither_sets_the_colours_nor_gets_one():
    field = field_of(32).numpy() > 0
    maps = np.zeros((20, 32, 32), np.float32)
    maps[:, field] = np.linspace(-6, 4, field.sum(), dtype=np.float32)
    shown = map_displays(BatchScores({}, {"ratio": maps}), "ae-u")["ratio"]
    assert shown["threshold"] == pytest.approx(np.percentile(maps[:, field], 95), rel=1e-3)
    assert shown["maximum"] == pytest.approx(np.percentile(maps[:, field], 99.9), rel=1e-3)
    maps[:, field] -= 5  # normals without any evidence for D_u
    assert map_displays(BatchScores({}, {"ratio": maps}), "ae-u")["ratio"] == {
        "threshold": LEAST_EVIDENCE, "maximum": 1.0, "unit": "log ratio",
    }  # fmt: skip
