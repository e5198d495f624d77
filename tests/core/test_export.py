from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from ddad_core import export, registry
from ddad_core.card import load_card
from ddad_core.cli import main
from ddad_core.errors import ModelError, RequestError
from ddad_core.evaluation.thresholds import threshold_for_normal_rate
from ddad_core.export import export_onnx
from ddad_core.inference.parity import plausible_grey
from ddad_core.registry import Model
from ddad_core.scoring import MAP_NAMES, SCORE_NAMES
from tests.core.synthetic import WEIGHTS, arrays, random_ensemble, random_grey
from tests.reference import ddad_numpy as reference


def model_of(network, seed=1):
    card = load_card(WEIGHTS / "nih-ae-u")
    a, b = (random_ensemble(network, 32, s, members=2) for s in (seed, seed + 1))
    return Model(replace(card, network=network, input_size=32, members=2), a, b)


@pytest.fixture(scope="module")
def model():
    return model_of("ae-u")


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    return export_onnx(model, path)


@pytest.fixture
def traced_before(monkeypatch, exported):
    """The graph of the fixture's model in place of a new trace, whatever the model."""
    monkeypatch.setattr(export, "_traced", lambda model: onnx.load(exported.path))


def assert_scores_as_the_reference_says(path, model, n):
    grey = np.concatenate([plausible_grey(n, 32, seed=5), random_grey(1, 32)])
    batch = reference.network_input(grey)
    outs = ([reference.forward(arrays(k), batch) for k in m.networks] for m in (model.a, model.b))
    maps = reference.maps(batch, *outs)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [out.name for out in session.get_outputs()]
    assert names == [*MAP_NAMES, *SCORE_NAMES]
    found = dict(zip(names, session.run(None, {"images": grey}), strict=True))
    for name in MAP_NAMES:
        assert found[name].shape == (n + 1, 32, 32)
        top = maps[name].max()
        np.testing.assert_allclose(found[name] / top, maps[name] / top, atol=1e-4)
    for name, values in reference.scores(maps).items():
        assert found[name].shape == (n + 1,)
        np.testing.assert_allclose(found[name], values, rtol=1e-4)


@pytest.mark.parametrize("n", [0, 4])
def test_the_file_takes_grey_values_and_scores_as_the_reference_says(exported, model, n):
    assert_scores_as_the_reference_says(exported.path, model, n)


def test_memory_networks_are_exported_too(tmp_path):
    model = model_of("memae")
    done = export_onnx(model, tmp_path / "memae.onnx")
    assert_scores_as_the_reference_says(done.path, model, 2)


def test_the_file_is_whole_valid_and_alone(exported):
    assert [path.name for path in exported.path.parent.iterdir()] == ["model.onnx"]
    assert exported.path.stat().st_size == exported.size
    assert 0 <= exported.difference <= 1e-4 and exported.images == 16
    onnx.checker.check_model(onnx.load(exported.path), full_check=True)
    (images,) = onnxruntime.InferenceSession(exported.path).get_inputs()
    assert (images.name, images.type, images.shape[1:]) == ("images", "tensor(uint8)", [32, 32])
    assert isinstance(images.shape[0], str)


def test_the_file_says_what_it_is(exported, model):
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    props = session.get_modelmeta().custom_metadata_map
    assert props["model"] == "nih-ae-u" and props["model_hash"] == model.card.model_hash
    assert props["pixels"] == model.card.pixels
    card = json.loads(props["card"])
    assert card["network"] == "ae-u" and card["input_size"] == 32 and card["members"] == 2
    assert card["population"] == {
        "description": "adults of 18 to 85 years, frontal views, NIH Clinical Center",
        "age_min": 18,
        "age_max": 85,
    }
    assert model.card.primary == "a_ratio"  # which the graph does not give
    normals = model.card.reference.of_score("a_inter")
    assert card["operating_point"] == {
        "score": "a_inter",
        "threshold": threshold_for_normal_rate(normals, 0.1),
        "policy": "Flags at most 10% of the calibration normals",
    }
    own = load_card(WEIGHTS / "kermany-ae-u")
    stated = json.loads(export.metadata(own)["card"])["operating_point"]
    assert (stated["score"], stated["threshold"]) == ("a_inter", own.operating_point.threshold)
    assert "Not a medical device" in card["use"]
    assert "NIH Clinical Center" in card["licence"]


def test_a_graph_that_scores_otherwise_is_not_written(tmp_path, traced_before):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the file before")
    with pytest.raises(ModelError, match="was not written: its scores differ"):
        export_onnx(model_of("ae-u", seed=8), path)
    assert path.read_bytes() == b"the file before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_file_is_replaced(tmp_path, model, exported, traced_before):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the file before")
    assert export_onnx(model, path).size == path.stat().st_size
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_missing_packages_are_named_with_what_to_install(monkeypatch, tmp_path, model, name):
    there = export.find_spec
    monkeypatch.setattr(export, "find_spec", lambda n: None if n == name else there(n))
    with pytest.raises(RequestError, match=f"needs {name}, not installed") as caught:
        export_onnx(model, tmp_path / "model.onnx")
    assert "pip install '.[onnx]'" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["missing/model.onnx", "."])
def test_a_place_that_cannot_be_written_is_said_before_the_work(
    monkeypatch, tmp_path, model, where
):
    monkeypatch.setattr(export, "_traced", lambda model: pytest.fail("traced in vain"))
    with pytest.raises(RequestError, match="cannot be written"):
        export_onnx(model, tmp_path / where)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_file_and_says_how_near_it_is(
    monkeypatch, tmp_path, capsys, model, traced_before
):
    monkeypatch.setattr(registry, "load_model", lambda folder: model)
    path = tmp_path / "out.onnx"
    assert main(["export", "nih-ae-u", "--onnx", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{path}: ") and "limit 1e-04" in out and path.is_file()


def test_the_command_names_an_unknown_model(tmp_path, capsys):
    assert main(["export", "none-such", "--onnx", str(tmp_path / "x.onnx")]) == 1
    assert "There is no model at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_models_says_which_engine_would_run(capsys):
    assert main(["models"]) == 0
    lines = [x for x in capsys.readouterr().out.splitlines() if x.startswith("  engine  ")]
    assert len(lines) == len(list(WEIGHTS.glob("*/card.json")))
    assert all("scores within" in line for line in lines)


def test_models_with_damaged_weights_are_still_listed(tmp_path, capsys):
    folder = tmp_path / "nih-ae-u"
    folder.mkdir()
    (folder / "card.json").write_bytes((WEIGHTS / "nih-ae-u" / "card.json").read_bytes())
    assert main(["models", "--weights", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "  engine           none: " in out and "module_a.safetensors are missing" in out
