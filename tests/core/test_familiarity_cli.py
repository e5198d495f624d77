"""`ddad familiarity`, and the check in packed and recalibrated models."""

from __future__ import annotations

import csv
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from ddad_core.cli import main
from ddad_core.familiarity import FAMILIARITY_FILE, pack_familiarity
from ddad_core.registry import load_model
from ddad_core.training import familiarise, pack
from ddad_core.training.images import load_roles
from ddad_core.training.loop import TrainedModules, TrainingConfig
from ddad_core.training.manifest import load_manifest
from tests.core.synthetic import random_ensemble

PARTS = {"normal": 50, "unlabeled": 2, "calibration": 20, "test": 6}


def ddad(*arguments):
    return main([str(argument) for argument in arguments])


def raw(folder):
    return json.loads((folder / "card.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Fewer pictures to learn from than a real model gets."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("VARIED", "SPOILED", "MADE_UP", "LATERALS", "ABDOMENS"):
            patch.setattr(familiarise, name, 60)
        yield


def _image(seed):
    """Two dark ovals side by side, each time a little elsewhere."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:64, 0:64]
    values = np.full((64, 64), 170.0)
    for middle in (20, 44):
        x, y = generator.normal((middle, 28), 1.5)
        values -= 120 * np.exp(-(((columns - x) / 9) ** 4) - ((rows - y) / 20) ** 4)
    return Image.fromarray(
        np.clip(values + generator.normal(0, 2, values.shape), 0, 255).astype("u1")
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A made-up data set and a model that was never trained, without the check."""
    folder = tmp_path_factory.mktemp("familiarity")
    (folder / "images").mkdir()
    with (folder / "tiny.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "role", "label", "patient_id"))
        for role, n in PARTS.items():
            for i in range(n):
                name = f"{role}-{i}.png"
                _image(zlib.crc32(name.encode())).save(folder / "images" / name)
                label = "" if role == "unlabeled" else int(role == "test" and i % 2)
                writer.writerow((name, role, label, name))
    _pack(folder, "tiny", with_normals=False)
    return folder


def _pack(folder, name, *, with_normals):
    data = load_manifest(folder / "tiny.csv")
    grey = load_roles(data, ["normal", "calibration"], folder / "images", 32)
    pack.pack_model(
        folder / "weights" / name,
        config=TrainingConfig(network="ae-u", size=32, members=2, epochs=1),
        trained=TrainedModules(
            a=random_ensemble("ae-u", 32, 1, 2),
            b=random_ensemble("ae-u", 32, 2, 2),
            seconds=1.0,
            losses={"a-0": [1.0]},
        ),
        manifest=data,
        calibration=grey["calibration"],
        normals=grey["normal"] if with_normals else None,
    )
    return grey


def _familiarity(bench, *more):
    where = ["--images", bench / "images", "--weights", bench / "weights"]
    return ddad("familiarity", "tiny", *where, "--manifest", bench / "tiny.csv", *more)


def test_command_adds_the_check_then_its_rates_and_changes_nothing_else(bench, capsys):
    folder = bench / "weights" / "tiny"
    before = raw(folder)
    assert FAMILIARITY_FILE not in before["files"] and load_model(folder).familiarity is None
    assert _familiarity(bench) == 0
    section = raw(folder)["familiarity"]
    assert section["learnt_from"] == {"normal": 50, "calibration": 20, "seed": 2022}
    assert section["rates"] is None
    first = (folder / FAMILIARITY_FILE).read_bytes()
    other = ("--other", bench / "tiny.csv", bench / "images")
    assert _familiarity(bench, "--measure", *other) == 0
    assert (folder / FAMILIARITY_FILE).read_bytes() == first
    after = raw(folder)
    alarms = after["familiarity"]["rates"]["false_alarms"]
    assert {name: found["n"] for name, found in alarms.items()} == {
        "own test part, normal": 3,
        "own test part, abnormal": 3,
        "test part of tiny.csv, normal": 3,
        "test part of tiny.csv, abnormal": 3,
    }
    assert after["familiarity"]["rates"]["caught"]["inverted"]["n"] == 6
    same = before.keys() - {"files"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert before["files"].items() <= after["files"].items()
    model = load_model(folder)
    assert pack_familiarity(model.familiarity) == first
    out = capsys.readouterr().out
    assert "learnt from 50 normals" in out and "of 3, " in out
    assert _familiarity(bench) == 1  # it has one now; measuring alone may be repeated
    assert "never edited in place" in capsys.readouterr().err
    assert raw(folder) == after


def test_other_data_is_only_measured(bench, capsys):
    assert _familiarity(bench, "--other", bench / "tiny.csv", bench / "images") == 1
    assert "Add --measure" in capsys.readouterr().err


def test_packing_learns_what_the_command_learns_and_calibrating_keeps_it(bench):
    grey = _pack(bench, "packed", with_normals=True)
    folder = bench / "weights" / "packed"
    model, section = load_model(folder), raw(folder)["familiarity"]
    assert section["rates"] is None and section["learnt_from"]["normal"] == 50
    again = familiarise.fit_familiarity(grey["normal"], grey["calibration"])
    assert pack_familiarity(again) == (folder / FAMILIARITY_FILE).read_bytes()
    new = folder.with_name("new")
    pack.recalibrate(new, model, grey["calibration"], primary="a_rec")
    assert (new / FAMILIARITY_FILE).read_bytes() == (folder / FAMILIARITY_FILE).read_bytes()
    assert raw(new)["familiarity"] == section
    assert load_model(new).familiarity is not None


def test_too_few_normals_are_refused(bench, capsys):
    short = bench / "short.csv"
    lines = (bench / "tiny.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    short.write_text("".join(line for line in lines if "normal-7." not in line), encoding="utf-8")
    where = ["--images", bench / "images", "--weights", bench / "weights"]
    _pack(bench, "bare", with_normals=False)
    assert ddad("familiarity", "bare", *where, "--manifest", short) == 1
    assert "50 known normals and 20 calibration normals are the least" in capsys.readouterr().err
