from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ddad_core.errors import ModelError
from ddad_core.networks import NETWORKS, build_network, reconstruction_loss
from ddad_core.networks.blocks import stage_channels
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


@pytest.mark.parametrize(
    ("size", "stages", "side"),
    [(16, 4, 1), (32, 4, 2), (48, 4, 3), (64, 4, 4), (80, 4, 5), (128, 5, 4), (256, 6, 4)],
)
def test_larger_inputs_reach_the_bottleneck_as_4_by_4(size, stages, side):
    assert len(stage_channels(size)) == stages
    network = build_network("ae", size).eval()
    assert network.grid == (64, side, side)
    assert network.encoder(torch.zeros(1, 1, size, size)).shape == (1, 64, side, side)


def test_network_of_128_pixels_has_a_fifth_stage():
    network = build_network("ae-u", 128)
    assert sum(p.numel() for p in network.parameters()) == 4_618_832
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [
        (1, 16), (16, 32), (32, 64), (64, 64), (64, 64),
        (64, 64), (64, 64), (64, 32), (32, 16), (16, 2),
    ]  # fmt: skip
    assert all((m.kernel_size, m.stride) == ((4, 4), (2, 2)) for m in convolutions)
    linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert linear[0].in_features == linear[-1].out_features == 64 * 4 * 4


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_of_stacked_images_are_the_losses_of_each(name):
    _, batch = _inputs(4)
    network = random_network(name, 32, 5)
    outs = [network(images) for images in (batch[:2], batch[2:])]
    stacked = Reconstruction(
        mean=torch.stack([out.mean for out in outs]),
        log_var=None if outs[0].log_var is None else torch.stack([out.log_var for out in outs]),
        attention=None
        if outs[0].attention is None
        else torch.stack([out.attention for out in outs]),
    )
    found = network.losses(torch.stack([batch[:2], batch[2:]]), stacked)
    each = [network.losses(x, out) for x, out in zip((batch[:2], batch[2:]), outs, strict=True)]
    torch.testing.assert_close(found, torch.stack(each))
