from __future__ import annotations

import numpy as np
import pytest
import torch

from ddad_core.discrepancy import discrepancy_maps, image_scores
from ddad_core.imaging.geometry import normalise
from ddad_core.networks import NETWORKS
from ddad_core.scoring import MAP_NAMES, SCORE_NAMES, score_grey
from tests.core.synthetic import arrays, random_ensemble, random_grey
from tests.reference import ddad_numpy as reference

ALL_MAPS = ("rec", "rec_single", "intra", "inter")


@pytest.fixture(scope="module", params=[(n, s) for n in NETWORKS for s in (32, 64)], ids=str)
def case(request):
    """Modules A and B, three images, and what the reference makes of them."""
    name, size = request.param
    a, b = random_ensemble(name, size, 1), random_ensemble(name, size, 2)
    grey = random_grey(3, size)
    images = reference.network_input(grey)
    outs = [[reference.forward(arrays(n), images) for n in module.networks] for module in (a, b)]
    return a, b, grey, images, outs


def test_reconstructions_equal_the_reference(case):
    a, _, grey, _, (outs, _) = case
    found = a(torch.from_numpy(normalise(grey)).unsqueeze(1))
    for k, out in enumerate(outs):
        np.testing.assert_allclose(found.means[k, :, 0], out.mean, rtol=1e-4, atol=1e-5)
        assert (found.log_vars is None) == (out.log_var is None)
        if out.log_var is not None:
            np.testing.assert_allclose(found.log_vars[k, :, 0], out.log_var, rtol=1e-4, atol=1e-5)


def test_maps_and_scores_equal_the_reference(case):
    a, b, grey, images, outs = case
    found = score_grey(a, b, grey)
    maps = reference.maps(images, *outs)
    for name in MAP_NAMES:
        scale = maps[name].max()
        np.testing.assert_allclose(found.maps[name] / scale, maps[name] / scale, atol=1e-5)
    for name, values in reference.scores(maps).items():
        np.testing.assert_allclose(found.scores[name], values, rtol=1e-5, err_msg=name)


def test_formulas_equal_the_reference_in_double_precision(case):
    a, b, _, images, outs = case
    doubled = torch.from_numpy(images).unsqueeze(1)
    try:
        maps = discrepancy_maps(doubled, a.double()(doubled), b.double()(doubled))
        scores = image_scores(maps)
    finally:
        a.float(), b.float()
    expected = reference.maps(images, *outs)
    for name in ALL_MAPS:
        np.testing.assert_allclose(getattr(maps, name), expected[name], rtol=1e-6, atol=1e-9)
    for name, values in reference.scores(expected).items():
        np.testing.assert_allclose(scores[name], values, rtol=1e-8)


def test_every_score_has_a_reference(case):
    a, b, grey, _, _ = case
    assert set(score_grey(a, b, grey).scores) == set(SCORE_NAMES) == {f"a_{m}" for m in ALL_MAPS}


def test_module_a_log_variance_plays_no_part():
    a, b = random_ensemble("ae-u", 32, 1), random_ensemble("ae-u", 32, 2)
    images = torch.from_numpy(normalise(random_grey(2, 32))).unsqueeze(1)
    out_a, out_b = a(images), b(images)
    before = image_scores(discrepancy_maps(images, out_a, out_b))
    out_a.log_vars.add_(3.0)
    after = image_scores(discrepancy_maps(images, out_a, out_b))
    assert all(torch.equal(before[name], after[name]) for name in before)
    out_b.log_vars.add_(3.0)
    assert not torch.equal(
        image_scores(discrepancy_maps(images, out_a, out_b))["a_inter"], before["a_inter"]
    )


def test_equal_modules_have_no_inter_discrepancy():
    module = random_ensemble("ae", 32, 1)
    found = score_grey(module, module, random_grey(2, 32))
    assert np.all(found.scores["a_inter"] == 0) and np.all(found.scores["a_intra"] > 0)


def test_intra_divides_by_the_number_of_networks():
    b = random_ensemble("ae", 32, 2, members=2)
    images = torch.from_numpy(normalise(random_grey(2, 32))).unsqueeze(1)
    out = b(images)
    half_distance = (out.means[0] - out.means[1]).abs().squeeze(1) / 2
    np.testing.assert_allclose(
        discrepancy_maps(images, out, out).intra, half_distance, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_do_not_depend_on_the_order_of_members_or_images(name):
    a, b = random_ensemble(name, 32, 1), random_ensemble(name, 32, 2)
    grey = random_grey(5, 32)
    found = score_grey(a, b, grey)
    order = [3, 1, 4, 0, 2]
    a.networks, b.networks = (torch.nn.ModuleList(list(m.networks)[::-1]) for m in (a, b))
    shuffled = score_grey(a, b, grey[order])
    for score in SCORE_NAMES:
        np.testing.assert_allclose(shuffled.scores[score], found.scores[score][order], rtol=1e-5)
        assert np.isfinite(found.scores[score]).all()
