from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score, roc_auc_score

from ddad_core.errors import DdadError
from ddad_core.experiments import methods, store
from ddad_core.experiments.config import load_config
from ddad_core.experiments.report import figures
from ddad_core.experiments.run import (
    check_experiment,
    duration,
    run_experiment,
    sample_places,
)
from tests.core.experiment_set import CONFIG, ExperimentSet
from tests.core.synthetic import REPOSITORY, write_image

NO_SWEEPS = {"sweeps": None, "unlabeled_pool": None}
ONE_CELL = {**NO_SWEEPS, "seeds": [1]}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return ExperimentSet(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def outcome(data):
    """The grid and both sweeps, run once."""
    return run_experiment(load_config(data.write()))


@pytest.fixture
def own(tmp_path):
    """A data set that a test may change."""
    return ExperimentSet(tmp_path)


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_, **__):
        pytest.fail("something was trained")

    monkeypatch.setattr(methods, "train_cell", refuse)


KILLER = """
import os, signal, sys
from ddad_core.experiments import methods
from ddad_core.cli import main
original, cells = methods.train_cell, []

def train_cell(cell, *arguments, **options):
    cells.append(cell.name)
    def on_epoch(name, epoch, loss):
        if len(cells) == 2 and epoch == 11:
            os.kill(os.getpid(), signal.SIGKILL)
    return original(cell, *arguments, on_epoch=on_epoch, **options)

methods.train_cell = train_cell
main(sys.argv[1:])
"""


def test_killed_and_started_again_equals_uninterrupted(own, monkeypatch):
    changes = {
        **NO_SWEEPS,
        "refinement": {"epochs": 1, "batch_size": 10},
        "training": {**CONFIG["training"], "epochs": 12, "batch_size": 10},
    }
    config = own.write(**changes)
    killed = subprocess.run(
        [sys.executable, "-c", KILLER, "experiment", str(config)],
        cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    cells = sorted((own.folder / "out" / "cells").iterdir())
    done = [store.is_finished(cell) for cell in cells]
    assert done == [True, False]  # killed in the second of two cells
    assert not (cells[0] / "run").exists()
    assert list((cells[1] / "run").glob("*checkpoint*"))  # from which it goes on
    assert not (own.folder / "out" / "report.json").exists()
    before = (cells[0] / "result.json").read_bytes()

    resumed = run_experiment(load_config(config))
    whole = run_experiment(load_config(config, out=own.folder / "whole"))
    assert (cells[0] / "result.json").read_bytes() == before
    for name, cell in whole.cells.items():
        assert set(cell.result["weights"]) == {
            "module_a.safetensors", "module_b.safetensors", "refinement.safetensors",
        }  # fmt: skip
        assert resumed.cells[name].result["weights"] == cell.result["weights"]
        assert resumed.cells[name].result["losses"] == cell.result["losses"]
    assert figures(resumed) == figures(whole)


def test_nothing_is_trained_twice(data, outcome, no_training, caplog):
    again = run_experiment(load_config(data.folder / "tiny.yaml"))
    assert figures(again) == figures(outcome)
    listed = check_experiment(load_config(data.folder / "tiny.yaml"))
    assert len(listed) == 8 and all(done for _, _, done in listed)


def test_a_point_of_a_sweep_that_is_a_cell_of_the_table_is_that_cell(outcome):
    rates, sizes = outcome.plan.curves
    # The grid has 2 seeds; the rates 2 x 2 and the sizes 2 x 2, of which 12 images are the grid's.
    assert len(outcome.cells) == 2 + 4 + 2
    for seed in (1, 2):
        assert sizes.cells[1, seed] == outcome.plan.grid["ae", seed]
        assert sizes.cells[0, seed] not in set(outcome.plan.grid.values())
    assert len(set(rates.cells.values())) == 4


def test_refinement_stays_with_the_table(own):
    config = load_config(own.write(refinement={"epochs": 1}))
    assert len(check_experiment(config)) == 8  # the shared cells are still shared


def test_training_sees_the_images_of_its_point(own, monkeypatch):
    seen = {}
    original = methods.loop.train

    def spy(config, normal, unlabeled, **options):
        seen[len(unlabeled)] = (normal, unlabeled)
        return original(config, normal, unlabeled, **options)

    monkeypatch.setattr(methods.loop, "train", spy)
    sweeps = {"anomaly_rate": {"network": "ae", "rates": [1], "size": 3}}
    outcome = run_experiment(load_config(own.write(seeds=[1], sweeps=sweeps)))
    inputs = outcome.inputs
    assert set(seen) == {12, 3} and len(seen[12][0]) == 10
    abnormal = [i for i, row in enumerate(r for r in own.rows if r[1] == "unlabeled") if row[2]]
    np.testing.assert_array_equal(seen[3][1], seen[12][1][abnormal[:3]])
    assert not any((seen[12][1] == image).all(axis=(1, 2)).any() for image in inputs.test)


def test_figures_are_those_of_the_scores(outcome):
    cell = outcome.cells[outcome.plan.grid["ae", 1]]
    assert len(cell.labels) == 17 and cell.labels.sum() == 8
    for name, found in cell.evaluation["scores"].items():
        scores = cell.test[name]
        assert found["auc"]["value"] == pytest.approx(roc_auc_score(cell.labels, scores), abs=1e-6)
        precision = average_precision_score(cell.labels, scores)
        assert found["average_precision"]["value"] == pytest.approx(precision, abs=1e-6)
        # The threshold lets 90 % of the calibration normals pass, whatever the test part says.
        threshold = found["at_threshold"]["threshold"]
        assert np.mean(cell.calibration[name] < threshold) == pytest.approx(0.9)
        share = np.mean(scores[cell.labels == 1] >= threshold)
        assert found["at_threshold"]["sensitivity"]["value"] == pytest.approx(share, abs=1e-6)
    (test,) = cell.evaluation["tests"]
    aucs = {n: found["auc"]["value"] for n, found in cell.evaluation["scores"].items()}
    assert (test["score"], test["against"]) == ("a_inter", "a_rec")
    difference = aucs["a_inter"] - aucs["a_rec"]
    assert test["difference"]["value"] == pytest.approx(difference, abs=2e-6)


def test_another_specificity_needs_no_training(data, outcome, no_training):
    path = data.write("other.yaml", specificity=0.5)
    other = run_experiment(load_config(path))
    run_experiment(load_config(data.folder / "tiny.yaml"))
    name = outcome.plan.grid["ae", 1]
    found, before = (o.cells[name].evaluation["scores"]["a_inter"] for o in (other, outcome))
    assert found["auc"] == before["auc"]
    assert found["at_threshold"]["threshold"] < before["at_threshold"]["threshold"]


def test_the_test_part_does_not_reach_the_weights(own):
    config = own.write(**ONE_CELL)
    (first,) = run_experiment(load_config(config)).cells.values()
    for row in own.rows:
        if row[1] == "test":
            write_image(own.images / row[0], 5000 + int(row[3][1:]))
    (second,) = run_experiment(load_config(config)).cells.values()
    assert first.folder != second.folder
    assert first.result["weights"] == second.result["weights"]
    assert not np.array_equal(first.test["a_inter"], second.test["a_inter"])
    np.testing.assert_array_equal(first.calibration["a_inter"], second.calibration["a_inter"])


def test_weights_are_kept_if_asked_for(own):
    outcome = run_experiment(load_config(own.write(**ONE_CELL, keep_weights=True)))
    (cell,) = outcome.cells.values()
    tensors = load_file(cell.folder / "weights" / "module_a.safetensors")
    assert {name.split(".")[0] for name in tensors} == {"0", "1"}  # two networks
    files = {p.name: p.read_bytes() for p in (cell.folder / "weights").iterdir()}
    assert methods.digests(files) == cell.result["weights"]


def test_whatever_decides_the_result_changes_the_cell(own):
    def names(**changes):
        return {n for n, _, _ in check_experiment(load_config(own.write(**ONE_CELL | changes)))}

    training = CONFIG["training"]
    all_names = [
        names(),
        names(seeds=[2]),
        names(networks=["ae-u"]),
        names(refinement={"epochs": 1}),
        names(refinement={"epochs": 2}),
        names(training={**training, "learning_rate": 1e-3}),
        names(training={**training, "size": 32}),
    ]
    assert len(set.union(*all_names)) == len(all_names)
    assert names(specificity=0.5, samples=0, title="x") == all_names[0]
    write_image(own.images / "10.png", 77)  # an unlabelled image
    assert names() != all_names[0]


BAD = {
    "missing image": (lambda s: (s.images / "03.png").unlink(), "03.png"),
    "unreadable image": (lambda s: (s.images / "40.png").write_bytes(b"no image"), "40.png"),
    "no calibration": (lambda s: s.write_manifest(_without(s, "calibration")), "no calibration"),
    "no unlabeled": (lambda s: s.write_manifest(_without(s, "unlabeled")), "no unlabeled"),
    "few abnormal": (lambda s: s.write_manifest(s.rows[:-7]), "9 normal and 1 abnormal"),
    "few known normal": (lambda s: s.write_manifest(s.rows[7:]), "3 known normal images"),
    "pool gone": (lambda s: (s.folder / "pool.csv").unlink(), "pool.csv"),
    "manifest gone": (lambda s: s.manifest.unlink(), "no manifest"),
    "pool with test images": (
        lambda s: (s.folder / "pool.csv").write_text("path,label\n40.png,1\n"),
        "line 2: 40.png is test",
    ),
}


def _without(data, role):
    return [row for row in data.rows if row[1] != role]


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_before_anything_is_trained(own, no_training, case):
    spoil, words = BAD[case]
    config = own.write()
    spoil(own)
    with pytest.raises(DdadError) as caught:
        run_experiment(load_config(config))
    assert words in str(caught.value) and caught.value.next_step
    assert not (own.folder / "out").exists()


@pytest.mark.parametrize(
    ("sweeps", "words"),
    [
        ({"unlabeled": {"sizes": [4, 14], "anomaly_rate": 0.5}}, "needs 7 normal images"),
        ({"unlabeled": {"sizes": [5], "anomaly_rate": 0.5}}, "no whole number"),
        ({"anomaly_rate": {"rates": [0, 1], "size": 7}}, "needs 7 normal images"),
        ({"anomaly_rate": {"rates": [0.0001]}}, "no size of D_u"),
    ],
)
def test_sweep_that_the_data_cannot_give_is_an_error_before_training(
    own, no_training, sweeps, words
):
    with pytest.raises(DdadError, match=words):
        run_experiment(load_config(own.write(sweeps=sweeps)))


def test_size_of_none_is_a_cell_of_its_own(own):
    sweeps = {"unlabeled": {"network": "ae", "sizes": [0, 4], "anomaly_rate": 0.5}}
    listed = check_experiment(load_config(own.write(seeds=[1], sweeps=sweeps)))
    assert [words for _, words, _ in listed][1] == "ae, seed 1, D_u 0, 2 epochs"


def test_damaged_cell_is_named(own):
    config = own.write(**ONE_CELL)
    (cell,) = run_experiment(load_config(config)).cells.values()
    for name, words in (("scores.npz", "SHA-256 differs"), ("result.json", "damaged")):
        (cell.folder / name).write_bytes((cell.folder / name).read_bytes()[:100])
        with pytest.raises(DdadError, match=words) as caught:
            run_experiment(load_config(config))
        assert str(cell.folder / name) in str(caught.value)
        assert str(cell.folder) in caught.value.next_step


def test_result_of_another_configuration_is_refused(own):
    config = own.write(**ONE_CELL)
    (cell,) = run_experiment(load_config(config)).cells.values()
    result = json.loads((cell.folder / "result.json").read_text())
    result["identity"]["training"]["seed"] = 3
    (cell.folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(DdadError, match="another configuration"):
        run_experiment(load_config(config))


def test_two_runs_in_one_folder_are_refused(own, no_training):
    import fcntl

    config = own.write(**ONE_CELL)
    (own.folder / "out").mkdir()
    with (own.folder / "out" / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DdadError, match="at work"):
            run_experiment(load_config(config))


def test_out_that_cannot_be_a_folder_is_an_error(own, no_training):
    (own.folder / "out").write_text("a file")
    with pytest.raises(DdadError, match="cannot be written"):
        run_experiment(load_config(own.write(**ONE_CELL)))


def test_samples_are_spread_over_both_classes_whatever_their_scores():
    labels = np.array([0] * 11 + [1] * 5)
    assert sample_places(labels, 6) == [0, 5, 10, 11, 13, 15]
    assert sample_places(labels, 0) == []
    assert sample_places(np.array([0, 1, 1]), 6) == [0, 1, 2]


@pytest.mark.parametrize(("seconds", "words"), [(80, "80 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_are_in_a_readers_unit(seconds, words):
    assert duration(seconds) == words


def test_refined_scores_are_the_means_of_their_maps(own):
    config = load_config(own.write(**ONE_CELL, refinement={"epochs": 1, "batch_size": 4}))
    outcome = run_experiment(config)
    (cell,) = outcome.cells.values()
    places = cell.samples["places"]
    for name in ("r_dual", "r_intra"):
        maps = cell.samples[f"map_{name}"]
        assert maps.shape == (len(places), 16, 16) and (maps >= 0).all() and (maps <= 1).all()
        np.testing.assert_allclose(maps.mean(axis=(1, 2)), cell.test[name][places], rtol=1e-5)
    assert {t["score"] for t in cell.evaluation["tests"]} == {"a_inter", "r_dual"}
