from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ddad_core.errors import ModelError
from ddad_core.networks import NETWORKS, build_network, reconstruction_loss
from ddad_core.types import Reconstruction
from tests.core.synthetic import arrays, random_grey, random_network
from tests.reference import ddad_numpy as reference

LOSSES = {
    "ae": reference.squared_error,
    "ae-u": reference.gaussian_loss,
    "memae": reference.memory_loss,
}


def _inputs(n=3, size=32):
    images = reference.network_input(random_grey(n, size))
    return images, torch.from_numpy(images).float().unsqueeze(1)


@pytest.mark.parametrize(
    ("name", "count"), [("ae", 4_487_248), ("ae-u", 4_487_504), ("memae", 4_487_648)]
)
def test_parameters_are_as_many_as_published(name, count):
    assert sum(p.numel() for p in build_network(name).parameters()) == count


@pytest.mark.parametrize("name", NETWORKS)
def test_convolutions_are_kernel_4_stride_2_padding_1_without_bias(name):
    network = build_network(name)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert all(m.kernel_size == (4, 4) and m.stride == (2, 2) for m in convolutions)
    assert all(m.padding == (1, 1) and m.bias is None for m in convolutions)
    out = 2 if name == "ae-u" else 1
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [
        (1, 16), (16, 32), (32, 64), (64, 64), (64, 64), (64, 32), (32, 16), (16, out),
    ]  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_bottleneck_has_four_linear_layers(name):
    linear = [m for m in build_network(name).modules() if isinstance(m, nn.Linear)]
    shapes = [(m.in_features, m.out_features) for m in linear]
    assert shapes == [(1024, 2048), (2048, 16), (16, 2048), (2048, 1024)]


@pytest.mark.parametrize("name", NETWORKS)
def test_latent_and_outputs_have_no_norm_or_activation(name):
    network = build_network(name)
    kinds = [
        type(m)
        for part in (network.encoder, network.squeeze, network.expand, network.decoder)
        for m in part
    ]
    stage = [nn.BatchNorm2d, nn.ReLU]
    bottleneck = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert kinds == (
        4 * [nn.Conv2d, *stage]
        + 2 * bottleneck
        + 3 * [nn.ConvTranspose2d, *stage]
        + [nn.ConvTranspose2d]
    )


def test_memory_has_25_slots_of_16_uniform_in_a_quarter():
    torch.manual_seed(0)
    slots = build_network("memae").memory.slots.detach()
    assert slots.shape == (25, 16)
    assert slots.abs().max() <= 0.25
    assert slots.max() > 0.24 and slots.min() < -0.24
    assert abs(float(slots.std()) - 0.5 / 12**0.5) < 0.02


def test_memory_weights_are_convex():
    out = random_network("memae", 32, 0)(_inputs()[1])
    assert out.attention.shape == (3, 25) and (out.attention > 0).all()
    torch.testing.assert_close(out.attention.sum(dim=1), torch.ones(3))


@pytest.mark.parametrize("name", NETWORKS)
def test_loss_equals_the_reference(name):
    images, batch = _inputs()
    network = random_network(name, 32, 5)
    found = float(reconstruction_loss(network, batch, network(batch)))
    expected = LOSSES[name](images, reference.forward(arrays(network), images))
    assert found == pytest.approx(expected, rel=1e-5)


def test_loss_of_memae_holds_the_entropy():
    images = torch.zeros(2, 1, 32, 32)
    network = build_network("memae", 32)
    even = Reconstruction(mean=images, attention=torch.full((2, 25), 1 / 25))
    sure = Reconstruction(mean=images, attention=torch.eye(25)[:2])
    assert float(network.losses(images, even)) == pytest.approx(0.0002 * np.log(25), rel=1e-5)
    assert float(network.losses(images, sure)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_is_deterministic_and_finite(name):
    network = build_network(name, 32).eval()
    batch = _inputs()[1]
    first, second = network(batch), network(batch)
    assert torch.equal(first.mean, second.mean) and torch.isfinite(first.mean).all()
    alone = network(batch[:1]).mean
    torch.testing.assert_close(alone, first.mean[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [16, 32, 128])
def test_output_has_the_shape_of_the_input(name, size):
    network = build_network(name, size).eval()
    out = network(torch.zeros(1, 1, size, size))
    assert out.mean.shape == (1, 1, size, size)
    assert (out.log_var is not None) == (name == "ae-u")
    assert out.log_var is None or out.log_var.shape == out.mean.shape


@pytest.mark.parametrize("name", NETWORKS)
def test_same_seed_gives_the_same_network(name):
    networks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        networks.append(torch.cat([p.flatten() for p in build_network(name, 16).parameters()]))
    assert torch.equal(networks[0], networks[1])
    assert not torch.equal(networks[0], networks[2])


def test_unknown_network_is_named():
    with pytest.raises(ModelError, match="'vae'.*ae, ae-u, memae"):
        build_network("vae")


@pytest.mark.parametrize("size", [0, -16, 8, 40, 65])
def test_size_that_does_not_fit_the_strides_is_refused(size):
    with pytest.raises(ModelError, match=f"{size} is not a multiple of 16"):
        build_network("ae", size)
