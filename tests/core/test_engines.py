from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from ddad_core.ensemble import EnsembleReconstruction
from ddad_core.errors import ModelError
from ddad_core.imaging.geometry import normalise
from ddad_core.inference import choice, engines
from ddad_core.inference.choice import (
    ENGINES,
    RATIO_ENGINES,
    choose_engine,
    choose_ratio_engine,
)
from ddad_core.inference.engines import (
    CudaGraphEngine,
    EagerEngine,
    EagerRatio,
    full_precision,
    joined,
)
from ddad_core.inference.parity import largest_difference, plausible_grey
from ddad_core.networks import NETWORKS
from ddad_core.ratio import RatioNetwork
from ddad_core.registry import load_model
from ddad_core.scoring import MAP_NAMES, SCORE_NAMES, Scorer, score_batches
from tests.core.synthetic import REPOSITORY, WEIGHTS, arrays, random_ensemble, random_grey
from tests.reference import ddad_numpy as reference

CPU = torch.device("cpu")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
EVERY = [(d, n) for d in DEVICES for n, e in ENGINES.items() if d in e.devices]
ON_CPU = [name for name, engine in ENGINES.items() if "cpu" in engine.devices]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Torch's threads wait actively for each other; beside other programs that takes minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def modules(name="ae-u", size=32, members=2):
    return tuple(random_ensemble(name, size, seed, members) for seed in (1, 2))


def expected_by_reference(a, b, grey):
    batch = reference.network_input(grey)
    outs = ([reference.forward(arrays(n), batch) for n in m.networks] for m in (a, b))
    maps = reference.maps(batch, *outs)
    return maps, reference.scores(maps)


def without(monkeypatch, *packages):
    there = choice.find_spec
    monkeypatch.setattr(choice, "find_spec", lambda name: None if name in packages else there(name))


def in_place_of(monkeypatch, name, make):
    monkeypatch.setitem(ENGINES, name, replace(ENGINES[name], make=make))


class Louder:
    """An engine whose module B is a little too bright: near enough to go unseen."""

    name, note = "louder", ""

    def __init__(self, a, b, factor):
        self._eager = EagerEngine(a, b, CPU)
        self._factor = factor

    def reconstruct(self, images):
        a, b = self._eager.reconstruct(images)
        return a, EnsembleReconstruction(b.means * self._factor, b.log_vars)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("device", "name"), EVERY)
def test_every_engine_scores_as_the_reference_says(device, name, network):
    a, b = modules(network)
    grey = np.concatenate([plausible_grey(67, 32), random_grey(3, 32)])
    maps, scores = expected_by_reference(a, b, grey)
    engine = choose_engine(a, b, 32, torch.device(device), prefer=name)
    assert engine.name == name
    for part in (slice(None), slice(69, 70)):  # more than a batch, and one image
        found = score_batches(engine.reconstruct, grey[part], torch.device(device))
        for score in SCORE_NAMES:
            np.testing.assert_allclose(found.scores[score], scores[score][part], rtol=1e-4)
        for shown in MAP_NAMES:
            top = maps[shown].max()
            np.testing.assert_allclose(found.maps[shown] / top, maps[shown][part] / top, atol=1e-4)


def test_shipped_models_take_the_fastest_engine():
    grey = plausible_grey(5, 64, seed=7)
    model = load_model(WEIGHTS / "kermany-ae-u")
    chosen = Scorer(model, "cpu")
    eager = Scorer(model, "cpu", engine="eager")
    assert chosen.engine_name == "onnxruntime" and chosen.engine_note.startswith("scores within")
    assert (eager.engine_name, eager.engine_note) == ("eager", "asked for")
    for one, other in zip(chosen.score_prepared(grey), eager.score_prepared(grey), strict=True):
        assert one.scores == pytest.approx(other.scores, rel=1e-4)


@pytest.mark.parametrize("members", [1, 3])
def test_modules_of_any_number_of_networks_are_run(members):
    a, b = modules("ae", members=members)
    engine = choose_engine(a, b, 32, CPU)
    assert engine.name == "onnxruntime"
    out_a, out_b = engine.reconstruct(torch.zeros(2, 1, 32, 32))
    assert out_a.means.shape == out_b.means.shape == (members, 2, 1, 32, 32)


@pytest.mark.parametrize("name", ON_CPU)
def test_an_engine_made_again_scores_the_same_to_the_bit(name):
    a, b = modules()
    grey = plausible_grey(9, 32)
    first, second = (
        score_batches(choose_engine(a, b, 32, CPU, prefer=name).reconstruct, grey) for _ in range(2)
    )
    for score in SCORE_NAMES:
        assert np.array_equal(first.scores[score], second.scores[score])
    for shown in MAP_NAMES:
        assert np.array_equal(first.maps[shown], second.maps[shown])


def test_scores_by_onnx_runtime_do_not_depend_on_the_number_of_threads():
    a, b = modules()
    grey = plausible_grey(41, 32)  # 16 + 16 + 9
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            engine = choose_engine(a, b, 32, CPU, prefer="onnxruntime")
            torch.set_num_threads(1)
            found.append(engine.reconstruct(torch.from_numpy(grey).float().unsqueeze(1) / 255))
    finally:
        torch.set_num_threads(1)
    for one, other in zip(*found, strict=True):
        assert one.means.shape == (2, 41, 1, 32, 32) and torch.equal(one.means, other.means)


@pytest.mark.parametrize("name", ON_CPU)
def test_an_engine_is_safe_to_share_between_threads(name):
    a, b = modules()
    engine = choose_engine(a, b, 32, CPU, prefer=name)
    images = [plausible_grey(1 + 9 * (i % 3), 32, seed=i) for i in range(16)]
    alone = [score_batches(engine.reconstruct, grey).maps["inter"] for grey in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda g: score_batches(engine.reconstruct, g).maps, images))
    for found, expected in zip(together, alone, strict=True):
        assert np.array_equal(found["inter"], expected)


def test_what_an_engine_gave_is_not_overwritten_by_the_next_batch():
    a, b = modules()
    for name in ON_CPU:
        engine = choose_engine(a, b, 32, CPU, prefer=name)
        kept = engine.reconstruct(torch.zeros(2, 1, 32, 32))[1].means
        before = kept.clone()
        engine.reconstruct(torch.ones(2, 1, 32, 32))
        assert torch.equal(kept, before), name


def test_packages_that_are_not_installed_are_said_and_passed_over(monkeypatch):
    without(monkeypatch, "onnxruntime", "openvino")
    engine = choose_engine(*modules("ae"), 32, CPU)
    assert engine.name == "folded"
    assert "onnxruntime skipped: onnxruntime not installed" in engine.note
    assert "openvino skipped: openvino not installed" in engine.note
    assert "cuda" not in engine.note
    without(monkeypatch, "onnx")
    assert "onnx and onnxruntime not installed" in choose_engine(*modules("ae"), 32, CPU).note


@pytest.mark.parametrize(("name", "extra"), [("onnxruntime", "onnx"), ("openvino", "openvino")])
def test_an_engine_asked_for_but_not_installed_says_what_to_install(monkeypatch, name, extra):
    without(monkeypatch, name)
    with pytest.raises(ModelError, match="not installed") as caught:
        choose_engine(*modules("ae"), 32, CPU, prefer=name)
    assert f"pip install '.[{extra}]'" in caught.value.next_step


@pytest.mark.parametrize("factor", [1.003, float("nan")])
def test_an_engine_that_changes_scores_is_skipped_and_named(monkeypatch, factor):
    in_place_of(monkeypatch, "onnxruntime", lambda a, b, _s, _d: Louder(a, b, factor))
    engine = choose_engine(*modules("ae"), 32, CPU)
    assert engine.name == "openvino"
    assert "onnxruntime skipped: its scores differ by" in engine.note
    with pytest.raises(ModelError, match="onnxruntime cannot be used: its scores differ"):
        choose_engine(*modules("ae"), 32, CPU, prefer="onnxruntime")


def test_an_engine_that_fails_is_skipped_and_its_words_kept(monkeypatch):
    def broken(*_):
        words = "no such instruction"
        raise RuntimeError(words)

    in_place_of(monkeypatch, "onnxruntime", broken)
    engine = choose_engine(*modules("ae"), 32, CPU)
    assert engine.name == "openvino"
    assert "onnxruntime skipped: it failed: no such instruction" in engine.note
    for name in ("openvino", "folded"):
        in_place_of(monkeypatch, name, broken)
    last = choose_engine(*modules("ae"), 32, CPU)
    assert last.name == "eager" and "folded skipped" in last.note


def test_unknown_engines_and_engines_of_other_devices_are_errors():
    with pytest.raises(ModelError, match="no engine called 'tensorrt'") as caught:
        choose_engine(*modules("ae"), 32, CPU, prefer="tensorrt")
    assert "onnxruntime" in caught.value.next_step
    with pytest.raises(ModelError, match="cuda-graph cannot be used: it does not run on cpu"):
        choose_engine(*modules("ae"), 32, CPU, prefer="cuda-graph")


def test_modules_that_are_equal_have_no_discrepancy_by_any_engine():
    a, _ = modules("ae-u")
    assert choose_engine(a, a, 32, CPU).name == "onnxruntime"


def test_difference_is_relative_to_the_score():
    expected = {"a": np.array([1.0, 200.0]), "b": np.array([0.0, 3.0])}
    assert largest_difference(expected, expected) == 0
    found = {"a": np.array([1.0, 201.0]), "b": np.array([0.0, 3.0])}
    assert largest_difference(found, expected) == pytest.approx(0.005, rel=1e-6)
    assert largest_difference({**found, "b": np.array([1e-3, 3.0])}, expected) == np.inf
    assert largest_difference({**found, "b": np.array([np.nan, 3.0])}, expected) == np.inf


def test_made_up_images_are_always_the_same_and_use_the_whole_range():
    images = plausible_grey(4, 64)
    assert images.shape == (4, 64, 64) and images.dtype == np.uint8
    assert np.array_equal(images, plausible_grey(4, 64))
    assert (images.min(axis=(1, 2)) == 0).all() and (images.max(axis=(1, 2)) == 255).all()
    assert not np.array_equal(images[0], images[1])


def test_nothing_is_rounded_to_tf32_while_scoring():
    def rounded():
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()

    before = rounded()
    torch.set_float32_matmul_precision("high")
    try:
        with full_precision():
            assert rounded() == (False, "highest")
        assert rounded() == (before[0], "high")
    finally:
        torch.set_float32_matmul_precision(before[1])


def test_long_batches_are_cut_padded_and_joined_in_order(monkeypatch):
    """The bookkeeping of recorded graphs, with recordings that run the modules on the CPU."""

    class Recording:
        def __init__(self, modules, n, size, device):
            self._modules, self._images = modules, torch.zeros(n, 1, size, size)

        def replay(self, images):
            n = len(images)
            self._images[:n].copy_(images)
            a, b = (module(self._images) for module in self._modules)
            return tuple(EnsembleReconstruction(m.means[:, :n], m.log_vars[:, :n]) for m in (a, b))

    monkeypatch.setattr(engines, "_Recording", Recording)
    monkeypatch.setattr(engines, "_folded", lambda module, device: module)
    a, b = modules()
    engine = CudaGraphEngine(a, b, torch.device("cuda"), 32)
    grey = plausible_grey(131, 32)  # 64 + 64 + 3
    found = score_batches(lambda images: engine.reconstruct(images), grey)
    images = torch.from_numpy(reference.network_input(grey)).float().unsqueeze(1)
    for out, module in zip(engine.reconstruct(images), (a, b), strict=True):
        expected = module(images)
        torch.testing.assert_close(out.means, expected.means, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(out.log_vars, expected.log_vars, rtol=1e-4, atol=1e-5)
    _, scores = expected_by_reference(a, b, grey[-3:])
    np.testing.assert_allclose(found.scores["a_inter"][-3:], scores["a_inter"], rtol=1e-4)


def test_pieces_without_log_variance_are_joined():
    parts = [EnsembleReconstruction(torch.full((2, n, 1, 4, 4), float(n)), None) for n in (3, 1)]
    whole = joined(parts)
    assert whole.means.shape == (2, 4, 1, 4, 4) and whole.log_vars is None
    assert whole.means[0, :, 0, 0, 0].tolist() == [3, 3, 3, 1]


def test_the_core_runs_without_the_extras():
    code = (
        "import sys\n"
        "for name in ('onnx', 'onnxscript', 'onnxruntime', 'openvino'): sys.modules[name] = None\n"
        "import ddad_core.export, ddad_core.cli\n"
        "from pathlib import Path\n"
        "from ddad_core.registry import load_model\n"
        "from ddad_core.scoring import Scorer\n"
        "print(Scorer(load_model(Path('weights/nih-ae-u')), 'cpu').engine_name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "folded", done.stderr


def test_onnxruntime_holds_no_second_copy_of_the_weights():
    a, b = modules()
    engine = choose_engine(a, b, 32, CPU, prefer="onnxruntime")
    held = [value for value in vars(engine._session._session).values() if isinstance(value, bytes)]
    assert sum(map(len, held)) < 10_000


def ratio_networks(size=32, members=2):
    torch.manual_seed(5)
    networks = [RatioNetwork(size) for _ in range(members)]
    with torch.no_grad():
        for network in networks:
            network(torch.rand(8, 1, size, size))  # running statistics of their own
            network.eval().requires_grad_(False)
            network.centre(torch.rand(4, 1, size, size), torch.ones(4))
    return networks


@pytest.mark.parametrize("size", [32, 128])
@pytest.mark.parametrize("name", RATIO_ENGINES)
def test_every_engine_of_a_ratio_gives_the_maps_of_the_networks(name, size):
    networks = ratio_networks(size)
    assert all(network.usual is not None for network in networks)
    images = torch.from_numpy(normalise(plausible_grey(19, size))).unsqueeze(1)
    expected = torch.stack([network(images) for network in networks]).mean(dim=0)
    engine = choose_ratio_engine(networks, CPU, prefer=name)
    assert engine.name == name
    for part in (slice(None), slice(18, 19)):
        torch.testing.assert_close(engine.maps(images[part]), expected[part], atol=1e-5, rtol=1e-4)


def test_an_engine_that_changes_a_ratio_or_fails_is_passed_over(monkeypatch):
    class Brighter(EagerRatio):
        def maps(self, images):
            return super().maps(images) + 3e-4

    networks = ratio_networks()
    assert choose_ratio_engine(networks, CPU).name == "onnxruntime"
    monkeypatch.setitem(RATIO_ENGINES, "onnxruntime", Brighter)
    assert choose_ratio_engine(networks, CPU).name == "folded"
    monkeypatch.setitem(RATIO_ENGINES, "folded", None)
    assert choose_ratio_engine(networks, CPU).name == "eager"
    assert choose_ratio_engine(networks, CPU, prefer="onnxruntime").name == "eager"


def test_a_ratio_runs_without_packages_that_are_not_installed(monkeypatch):
    without(monkeypatch, "onnxruntime")
    assert choose_ratio_engine(ratio_networks(), CPU).name == "folded"
