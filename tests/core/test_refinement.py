from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from ddad_core import refinement
from ddad_core.errors import ModelError
from ddad_core.refinement import (
    INPUT_MAPS,
    build_refinement,
    pack_refinement,
    refine,
    unpack_refinement,
)
from ddad_core.types import DiscrepancyMaps
from tests.core.synthetic import arrays
from tests.reference import refinement_numpy

SIZE = 16


def _network(kind, seed=1):
    """Batch norms far from the identity, and an output that is neither 0 nor 1 everywhere."""
    torch.manual_seed(seed)
    network = build_refinement(kind)
    for norm in (network.first_norm, network.second_norm):
        norm.running_mean.normal_(0.0, 0.3)
        norm.running_var.uniform_(0.2, 2.0)
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.normal_(0.0, 0.3)
    return network.eval().requires_grad_(False)


def _networks():
    return {kind: _network(kind, seed) for seed, kind in enumerate(INPUT_MAPS)}


def _maps(n=3, size=SIZE, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return DiscrepancyMaps(*(torch.rand(4, n, size, size, generator=generator) * 3))


def _expected(kind, network, maps):
    channels = {"r_dual": [maps.inter, maps.intra], "r_intra": [maps.intra]}[kind]
    stacked = np.stack([channel.numpy() for channel in channels], axis=1)
    return refinement_numpy.anomaly_map(arrays(network), stacked)


def test_refined_maps_equal_the_reference():
    networks, maps = _networks(), _maps()
    with torch.inference_mode():
        refined = refine(networks, maps)
    assert list(refined) == ["r_dual", "r_intra"]
    for kind, values in refined.items():
        assert values.shape == (3, SIZE, SIZE) and values.dtype == torch.float32
        assert values.min() >= 0 and values.max() <= 1 and values.std() > 0.01
        np.testing.assert_allclose(
            values.numpy(), _expected(kind, networks[kind], maps), atol=2e-6, rtol=1e-5
        )


def test_portions_do_not_change_the_maps(monkeypatch):
    networks, maps = _networks(), _maps(n=5)
    whole = refine(networks, maps)
    monkeypatch.setitem(refinement.PIXELS_AT_ONCE, "cpu", 2 * SIZE**2)
    sizes = []
    original = refinement.RefinementNetwork.anomaly_maps

    def spy(network, inputs):
        sizes.append(len(inputs))
        return original(network, inputs)

    monkeypatch.setattr(refinement.RefinementNetwork, "anomaly_maps", spy)
    parts = refine(networks, maps)
    assert sizes == [2, 2, 1] * 2
    for kind in whole:
        torch.testing.assert_close(parts[kind], whole[kind], atol=1e-6, rtol=1e-5)


def test_an_image_larger_than_a_portion_is_refined(monkeypatch):
    monkeypatch.setitem(refinement.PIXELS_AT_ONCE, "cpu", 1)
    assert refine(_networks(), _maps(n=2))["r_dual"].shape == (2, SIZE, SIZE)


def test_folded_norms_give_what_unfolded_ones_give():
    network = _network("r_dual")
    inputs = torch.rand(2, 2, SIZE, SIZE)
    x = network.first_norm(network.first(inputs)).relu()
    x = network.second_norm(network.second(x)).relu()
    torch.testing.assert_close(network(inputs), network.last(x), atol=1e-5, rtol=1e-5)


def test_training_mode_norms_by_the_batch_and_learns_its_statistics():
    network = _network("r_intra").train()
    before = network.first_norm.running_mean.clone()
    inputs = torch.rand(4, 1, SIZE, SIZE)
    x = network.first(inputs)
    x = (x - x.mean(dim=(0, 2, 3), keepdim=True)) / (
        x.var(dim=(0, 2, 3), keepdim=True, unbiased=False) + 1e-5
    ).sqrt()
    x = x * network.first_norm.weight.view(1, -1, 1, 1) + network.first_norm.bias.view(1, -1, 1, 1)
    first = network._stage(inputs, network.first, network.first_norm)
    torch.testing.assert_close(first, x.relu(), atol=1e-4, rtol=1e-4)
    assert not torch.equal(before, network.first_norm.running_mean)


def test_layers_are_as_published():
    network = build_refinement("r_dual")
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    assert shapes["first.weight"] == (128, 2, 3, 3) and shapes["first.bias"] == (128,)
    assert shapes["second.weight"] == (128, 128, 3, 3) and shapes["second.bias"] == (128,)
    assert shapes["last.weight"] == (2, 128, 3, 3) and shapes["last.bias"] == (2,)
    assert shapes["first_norm.weight"] == shapes["second_norm.weight"] == (128,)
    assert len(shapes) == 10
    assert build_refinement("r_intra").first.weight.shape == (128, 1, 3, 3)


def test_unknown_kind_is_an_error():
    with pytest.raises(ModelError, match="no refinement called 'r_inter'"):
        build_refinement("r_inter")


@pytest.mark.parametrize("kinds", [("r_dual", "r_intra"), ("r_intra",)])
def test_packed_and_unpacked_networks_are_the_same_to_the_bit(kinds):
    networks = {kind: _network(kind) for kind in kinds}
    data = pack_refinement(networks)
    state = torch.random.get_rng_state()
    back = unpack_refinement(data)
    assert torch.equal(torch.random.get_rng_state(), state)  # building draws from nobody's stream
    assert tuple(back) == kinds
    maps = _maps()
    for kind, values in refine(back, maps).items():
        assert torch.equal(values, refine(networks, maps)[kind])
    assert not any(p.requires_grad for network in back.values() for p in network.parameters())
    assert pack_refinement(back) == data


def _changed(change):
    tensors = load(pack_refinement(_networks()))
    change(tensors)
    return save(tensors)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not tensors", "cannot be read"),
        (pack_refinement(_networks())[:-100], "cannot be read"),
        (save({}), "hold nothing"),
        (_changed(lambda t: t.update({"r_inter.x": torch.zeros(1)})), "r_inter"),
        (_changed(lambda t: t.pop("r_dual.last.bias")), "do not fit the refinement r_dual"),
        (_changed(lambda t: t.update({"r_intra.more": torch.zeros(1)})), "do not fit .* r_intra"),
        (
            _changed(lambda t: t.update({"r_dual.first.weight": torch.zeros(128, 1, 3, 3)})),
            "do not fit the refinement r_dual",
        ),
    ],
    ids=["no file", "cut short", "empty", "unknown kind", "missing", "left over", "shape"],
)
def test_weights_that_do_not_fit_are_an_error(data, words):
    with pytest.raises(ModelError, match=words):
        unpack_refinement(data)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_maps_of_the_cpu():
    networks, maps = _networks(), _maps()
    here = refine(networks, maps)
    moved = DiscrepancyMaps(
        *(getattr(maps, n).cuda() for n in ("rec", "rec_single", "intra", "inter"))
    )
    there = refine({kind: network.cuda() for kind, network in networks.items()}, moved)
    for kind in here:
        torch.testing.assert_close(there[kind].cpu(), here[kind], atol=5e-3, rtol=5e-3)
