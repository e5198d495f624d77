from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from ddad_core.calibration import PlaceReference
from ddad_core.card import CARD_FILE
from ddad_core.errors import ModelError
from ddad_core.familiarity import FAMILIARITY_FILE
from ddad_core.ratio import RATIO_FILE
from ddad_core.registry import (
    MODULE_FILES,
    PLACES_FILE,
    load_model,
    pack_module,
    pack_places,
    unpack_module,
    unpack_places,
)
from ddad_core.scoring import SCORE_NAMES, score_grey
from tests.core.synthetic import WEIGHTS, random_ensemble, random_grey

FILES = (*MODULE_FILES.values(), PLACES_FILE, FAMILIARITY_FILE, RATIO_FILE)


@pytest.fixture
def folder(tmp_path):
    """A shipped model; its weights are links, so that nothing is copied."""
    source = WEIGHTS / "nih-ae-u"
    folder = tmp_path / "nih-ae-u"
    folder.mkdir()
    (folder / CARD_FILE).write_bytes((source / CARD_FILE).read_bytes())
    for name in FILES:
        (folder / name).symlink_to(source / name)
    return folder


def _replace(folder, name, data, *, restate=False):
    """Put other bytes in a file's place; restate its hash if the card is to agree."""
    (folder / name).unlink()
    (folder / name).write_bytes(data)
    if restate:
        path = folder / CARD_FILE
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["files"][name]["sha256"] = hashlib.sha256(data).hexdigest()
        path.write_text(json.dumps(raw), encoding="utf-8")


def test_shipped_model_loads_ready_to_score(folder):
    before = torch.random.get_rng_state()
    model = load_model(folder)
    assert torch.equal(torch.random.get_rng_state(), before)
    for module in (model.a, model.b):
        assert len(module.networks) == 3 and not module.training
        assert all(p.dtype == torch.float32 and not p.requires_grad for p in module.parameters())
    assert len({id(model.a), id(model.b)}) == 2
    weights = [next(m.networks[k].parameters()) for m in (model.a, model.b) for k in range(3)]
    assert not any(torch.equal(weights[0], other) for other in weights[1:])


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    _replace(folder, name, bytes(data))
    with pytest.raises(ModelError, match=r"SHA-256 differs") as caught:
        load_model(folder)
    assert name in caught.value.problem


@pytest.mark.parametrize("name", FILES)
def test_missing_weights_are_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} are missing"):
        load_model(folder)


def test_exchanged_modules_are_refused(folder):
    a, b = (folder / name for name in MODULE_FILES.values())
    a.rename(folder / "spare")
    b.rename(a)
    (folder / "spare").rename(b)
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_model(folder)


def test_weights_that_the_card_does_not_list_are_refused(folder):
    path = folder / CARD_FILE
    raw = json.loads(path.read_text(encoding="utf-8"))
    del raw["files"]["module_b.safetensors"]
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ModelError, match=r"module_b\.safetensors is not the file"):
        load_model(folder)


def test_card_of_another_model_is_refused(folder):
    renamed = folder.rename(folder.with_name("other"))
    with pytest.raises(ModelError, match="is the card of nih-ae-u"):
        load_model(renamed)


class _Trap:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.parametrize("pack", ["pickle", "torch"])
def test_pickle_is_refused_and_never_run(folder, tmp_path, pack):
    if pack == "pickle":
        data = pickle.dumps(_Trap())
    else:
        torch.save({"a": _Trap()}, tmp_path / "trap.pt")
        data = (tmp_path / "trap.pt").read_bytes()
    _replace(folder, "module_a.safetensors", data, restate=True)
    with pytest.raises(ModelError, match="do not fit"):
        load_model(folder)


def test_tensors_of_another_network_are_refused(folder):
    data = pack_module(random_ensemble("ae", 16, 1, members=1), half=True)
    _replace(folder, "module_a.safetensors", data, restate=True)
    with pytest.raises(ModelError, match="do not fit 3 networks ae-u of size 64"):
        load_model(folder)


def test_unknown_network_of_a_card_is_an_error(folder):
    path = folder / CARD_FILE
    raw = json.loads(path.read_text(encoding="utf-8")) | {"network": "vae"}
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ModelError, match="'vae'"):
        load_model(folder)


@pytest.mark.parametrize("name", ["ae", "ae-u", "memae"])
def test_full_precision_survives_packing_to_the_bit(name):
    module = random_ensemble(name, 16, 1, members=2)
    found = unpack_module(pack_module(module, half=False), name, 16, 2).state_dict()
    expected = module.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[n], expected[n]) for n in expected)


@pytest.mark.parametrize("name", ["ae", "ae-u", "memae"])
def test_half_precision_touches_matrices_only_and_changes_scores_little(name):
    a, b = (random_ensemble(name, 32, seed, members=2) for seed in (1, 2))
    packed = {module: pack_module(module, half=True) for module in (a, b)}
    for tensor_name, tensor in load(packed[a]).items():
        half = tensor.dtype == torch.float16
        assert half == (tensor.ndim == 2), tensor_name
    assert len(packed[a]) < 0.6 * len(pack_module(a, half=False))
    grey = random_grey(4, 32)
    full = score_grey(a, b, grey).scores
    stored = score_grey(*(unpack_module(p, name, 32, 2) for p in packed.values()), grey).scores
    for score in SCORE_NAMES:
        np.testing.assert_allclose(stored[score], full[score], rtol=1e-2)


def test_extra_and_missing_tensors_are_refused():
    tensors = load(pack_module(random_ensemble("ae", 16, 1, members=1), half=False))
    extra = save(tensors | {"more": torch.zeros(1)})
    fewer = save({name: t for name, t in tensors.items() if name != "0.encoder.0.weight"})
    for data in (extra, fewer, b"", save(tensors)[:100]):
        with pytest.raises(ModelError, match="do not fit"):
            unpack_module(data, "ae", 16, 1)


def _places(side=64, names=("rec", "inter")):
    generator = np.random.default_rng(0)
    return PlaceReference.of({n: generator.random((3, side, side), np.float32) for n in names})


def test_places_survive_packing_to_the_bit():
    places = _places()
    found = unpack_places(pack_places(places), 64)
    for one, other in ((found.mean, places.mean), (found.deviation, places.deviation)):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)


def _with(places, name, change):
    for values in (places.mean, places.deviation):
        values[name] = change(values[name])
    return places


DAMAGED = {
    "nothing": b"",
    "cut short": pack_places(_places())[:900],
    "no deviation": save({"rec.mean": torch.zeros(64, 64)}),
    "another size": pack_places(_places(32)),
    "one of another size": pack_places(_with(_places(), "rec", lambda v: v[:32])),
    "not finite": pack_places(_with(_places(), "rec", lambda v: v * np.float32("nan"))),
    "no spread": pack_places(_with(_places(), "rec", lambda v: v * 0)),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_places_are_refused(folder, data):
    _replace(folder, PLACES_FILE, data, restate=True)
    with pytest.raises(ModelError, match=r"places\.safetensors is damaged"):
        load_model(folder)


def test_model_without_places_scores_without_them(folder):
    path = folder / CARD_FILE
    raw = json.loads(path.read_text(encoding="utf-8"))
    del raw["files"][PLACES_FILE]
    path.write_text(json.dumps(raw), encoding="utf-8")
    model = load_model(folder)
    assert model.places is None and model.refiners == {} and model.folder == folder


def test_model_without_a_check_of_familiarity_has_none(folder):
    path = folder / CARD_FILE
    raw = json.loads(path.read_text(encoding="utf-8"))
    del raw["files"][FAMILIARITY_FILE]
    path.write_text(json.dumps(raw), encoding="utf-8")
    assert load_model(folder).familiarity is None
    assert load_model(WEIGHTS / "nih-ae-u").familiarity is not None


def test_refined_model_of_128_pixels_loads_with_all_it_has():
    model = load_model(WEIGHTS / "kermany-ae-u-128")
    assert set(model.refiners) == {"r_dual", "r_intra"}
    assert model.places.mean.keys() == {"rec", "intra", "inter"}
    assert all(values.shape == (128, 128) for values in model.places.mean.values())
