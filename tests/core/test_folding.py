from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from ddad_core.inference.folding import fold_ensemble, fold_network
from ddad_core.networks import NETWORKS
from tests.core.synthetic import arrays, random_ensemble, random_grey, random_network
from tests.reference import ddad_numpy as reference


def inputs(n, size):
    batch = reference.network_input(random_grey(n, size))
    return batch, torch.from_numpy(batch).float().unsqueeze(1)


def norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


def assert_near(found, expected):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_folded_network_gives_what_the_method_says(name):
    network = random_network(name, 32, 3)
    batch, images = inputs(3, 32)
    expected = reference.forward(arrays(network), batch)
    folded = fold_network(network)
    out = folded(images)
    assert norms(network) and not norms(folded) and not folded.training
    assert_near(out.mean.squeeze(1).numpy(), expected.mean)
    for found, right in ((out.log_var, expected.log_var), (out.attention, expected.attention)):
        assert (found is None) == (right is None)
        if found is not None:
            assert_near(found.squeeze().numpy(), right)


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_leaves_the_network_as_it_was(name):
    network = random_network(name, 32, 4)
    before = {n: t.clone() for n, t in network.state_dict().items()}
    strides = {n: p.stride() for n, p in network.named_parameters()}
    fold_network(network).to(memory_format=torch.channels_last)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before)
    assert strides == {n: p.stride() for n, p in network.named_parameters()}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_further_stage_is_folded_too(name):
    network = random_network(name, 32, 5)
    torch.manual_seed(6)
    down = [nn.Conv2d(64, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    up = [nn.ConvTranspose2d(64, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for norm in (down[1], up[1]):
        norm.running_mean.normal_(0, 0.2)
        norm.running_var.uniform_(0.3, 2.0)
    network.encoder = nn.Sequential(*network.encoder, *down)
    network.decoder = nn.Sequential(*up, *network.decoder)
    network.eval().requires_grad_(False)
    _, images = inputs(2, 64)
    folded = fold_network(network)
    assert not norms(folded)
    assert_near(folded(images).mean.numpy(), network(images).mean.numpy())


def test_a_network_in_training_is_not_folded():
    network = random_network("ae", 32, 1)
    with pytest.raises(AssertionError, match="running statistics"):
        fold_network(copy.deepcopy(network).train())


def test_ensemble_keeps_the_order_of_its_networks():
    ensemble = random_ensemble("ae-u", 32, 1)
    _, images = inputs(2, 32)
    found, expected = fold_ensemble(ensemble)(images), ensemble(images)
    assert_near(found.means.numpy(), expected.means.numpy())
    assert_near(found.log_vars.numpy(), expected.log_vars.numpy())
    first, second = expected.means[:2]
    assert float((first - second).abs().max()) > 1e-2
