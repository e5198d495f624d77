from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ddad_core.cli import main
from ddad_core.imaging import read_radiograph_file
from ddad_core.overlay import render_overlay
from ddad_core.registry import load_model
from ddad_core.scorefiles import COLUMNS
from ddad_core.scoring import Scorer
from tests.core.synthetic import write_image

TRAIN = "--size 32 --epochs 1 --members 2 --batch-size 4 --device cpu".split()


class Bench:
    """A made-up data set and a model trained on it by the command line."""

    def __init__(self, folder):
        self.images = folder / "images"
        self.manifest = folder / "tiny.csv"
        self.weights = folder / "weights"
        self.run = folder / "run"
        for n in range(40):
            write_image(self.images / "normal" / f"{n}.png", n)
        for n in range(30):
            write_image(self.images / "abnormal" / f"{n}.png", 100 + n)

    def train(self, name="tiny", *more):
        where = ["--images", self.images, "--weights", self.weights, "--run", self.run]
        return ddad("train", self.manifest, "--name", name, *where, *TRAIN, *more)

    def evaluate(self, name="tiny", *more):
        where = ["--images", self.images, "--weights", self.weights, "--manifest", self.manifest]
        return ddad("evaluate", name, *where, "--device", "cpu", *more)

    def score(self, *paths_and_options):
        return ddad("score", *paths_and_options, "--weights", self.weights, "--device", "cpu")


def ddad(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("bench"))
    assert ddad("manifest", "folder", "--images", bench.images, "--out", bench.manifest) == 0
    assert bench.train() == 0
    return bench


@pytest.fixture
def mixed(tmp_path, bench):
    """Two images, a text file, an empty file and a hidden one."""
    folder = tmp_path / "inbox"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(bench.images / "normal" / "0.png", folder / "b.png")
    shutil.copy(bench.images / "abnormal" / "0.png", folder / "deep" / "a")
    (folder / "note.txt").write_text("not an image")
    (folder / "empty.png").write_bytes(b"")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def _told(capsys, *words):
    """One sentence on standard error, no traceback."""
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("ddad: ")]
    assert len(lines) == 1 and "Traceback" not in err and out == ""
    for word in words:
        assert word in lines[0]


def test_manifest_prints_its_counts(bench, tmp_path, capsys):
    out = tmp_path / "again.csv"
    assert ddad("manifest", "folder", "--images", bench.images, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "test         8 normal, 6 abnormal" in printed or "test         6 abnormal" in printed
    assert out.read_bytes() == bench.manifest.read_bytes()
    assert json.loads(out.with_suffix(".json").read_text())["anomaly_rate"] == pytest.approx(0.6)


def test_models_lists_the_model(bench, capsys):
    assert ddad("models", "--weights", bench.weights) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny: AE-U, Images of the folder images")
    assert "2 + 2 ae-u, 32 x 32" in printed and "not measured" in printed
    assert "Not a medical device" in printed


def test_models_lists_the_shipped_models_by_default(capsys):
    assert ddad("models") == 0
    printed = capsys.readouterr().out
    assert "kermany-ae-u" in printed and "nih-ae-u" in printed and "AUC with 95 % CI" in printed


def test_score_prints_csv_with_one_row_a_file(bench, mixed, capsys):
    assert bench.score(mixed) == 3
    out, err = capsys.readouterr()
    reader = csv.DictReader(io.StringIO(out))
    rows = list(reader)
    assert tuple(reader.fieldnames) == COLUMNS
    names = [row["path"].removeprefix(f"{mixed}/") for row in rows]
    assert names == ["b.png", "empty.png", "note.txt", "deep/a"]
    status = dict(zip(names, rows, strict=True))
    assert "4 files: 2 scored, 0 warned, 2 refused" in err
    assert status["empty.png"]["status"] == "refused" and "empty" in status["empty.png"]["reason"]
    assert "a text file" in status["note.txt"]["reason"]
    assert status["note.txt"]["a_inter"] == "" and status["note.txt"]["abnormal"] == ""
    assert len(status["note.txt"]["sha256"]) == 64
    row = status["deep/a"]
    assert row["status"] == "scored" and row["model"] == "tiny" and row["reason"] == ""
    assert row["abnormal"] in ("true", "false")
    assert row["score"] == row["a_inter"] and 0 < float(row["p_value"]) <= 1


def test_score_equals_the_scorer(bench, mixed, capsys):
    assert bench.score(mixed / "b.png") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    model = load_model(bench.weights / "tiny")
    result = Scorer(model, "cpu").score(read_radiograph_file(mixed / "b.png"))
    for name in ("a_rec", "a_intra", "a_inter"):
        assert float(row[name]) == pytest.approx(result.scores[name], rel=1e-5)
    assert float(row["p_value"]) == result.p_value
    flagged = result.score >= model.card.operating_point.threshold
    assert row["abnormal"] == str(flagged).lower()


@pytest.mark.parametrize("ending", [".csv", ".json", ".parquet", ".CSV"])
def test_every_output_format_holds_the_same_table(bench, mixed, tmp_path, capsys, ending):
    output = tmp_path / f"scores{ending}"
    assert bench.score(mixed, "--output", output, "--model", "tiny") == 3
    assert capsys.readouterr().out == ""
    read = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet}
    table = read[ending.lower()](output)
    assert tuple(table.columns) == COLUMNS
    assert table["status"].tolist() == ["scored", "refused", "refused", "scored"]
    assert table["a_inter"].isna().tolist() == [False, True, True, False]
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [output.name]


def test_batches_keep_the_order_of_the_files(bench, capsys, monkeypatch):
    monkeypatch.setattr("ddad_core.scorefiles.BATCH_SIZE", 3)
    bench.score(bench.images / "normal")
    few = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    monkeypatch.setattr("ddad_core.scorefiles.BATCH_SIZE", 64)
    bench.score(bench.images / "normal")
    many = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(few) == 40 and [r["path"] for r in few] == [r["path"] for r in many]
    np.testing.assert_allclose(
        [float(r["a_inter"]) for r in few], [float(r["a_inter"]) for r in many], rtol=1e-5
    )


def test_render_writes_the_default_picture(bench, mixed, tmp_path, capsys):
    out = tmp_path / "picture.png"
    render = ["--weights", bench.weights, "--device", "cpu", "--map", "rec"]
    assert ddad("render", mixed / "b.png", "--out", out, *render) == 0
    assert "A_rec by tiny" in capsys.readouterr().out
    model = load_model(bench.weights / "tiny")
    image = read_radiograph_file(mixed / "b.png")
    display = model.card.maps["rec"]
    expected = render_overlay(
        image,
        Scorer(model, "cpu").score(image).maps["rec"],
        threshold=display.threshold,
        maximum=display.maximum,
    )
    found = np.asarray(Image.open(out))
    assert found.shape == (image.height, image.width, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_evaluate_writes_the_card_once(bench, tmp_path, capsys):
    weights = bench.weights / "tiny"
    copy = Bench.__new__(Bench)
    copy.images, copy.manifest, copy.weights = bench.images, bench.manifest, tmp_path
    shutil.copytree(weights, tmp_path / "tiny")
    report = tmp_path / "figures.json"
    assert copy.evaluate("tiny", "--write-card", "--json", report) == 0
    assert "A_inter less A_rec" in capsys.readouterr().out
    card = tmp_path / "tiny" / "card.json"
    stated = card.read_bytes()
    figures = json.loads(report.read_text())
    auc = json.loads(stated)["evaluation"]["auc"]["a_inter"]["value"]
    assert auc == round(figures["auc"]["a_inter"]["value"], 6)
    load_model(tmp_path / "tiny")
    assert copy.evaluate("tiny", "--write-card") == 1
    _told(capsys, "already states an evaluation")
    assert card.read_bytes() == stated
    assert copy.evaluate("tiny") == 0
    assert ddad("models", "--weights", tmp_path) == 0
    assert "test part        8 normal + " in capsys.readouterr().out


def test_card_takes_the_test_part_of_its_own_manifest_only(bench, tmp_path, capsys):
    before = (bench.weights / "tiny" / "card.json").read_bytes()
    assert bench.evaluate("tiny", "--write-card", "--role", "validation") == 1
    _told(capsys, "test part of the model's own manifest")
    other = tmp_path / "other.csv"
    other.write_text(bench.manifest.read_text() + "\n")
    assert bench.evaluate("tiny", "--write-card", "--manifest", other) == 1
    _told(capsys, "test part of the model's own manifest")
    assert (bench.weights / "tiny" / "card.json").read_bytes() == before


def test_model_of_the_same_name_is_not_overwritten(bench, capsys):
    before = (bench.weights / "tiny" / "card.json").read_bytes()
    assert bench.train() == 1
    _told(capsys, "never edited in place")
    assert (bench.weights / "tiny" / "card.json").read_bytes() == before


def test_training_again_gives_the_same_model(bench, tmp_path):
    assert bench.train("again", "--run", tmp_path, "--title", "Mine") == 0
    first, second = (load_model(bench.weights / name).card for name in ("tiny", "again"))
    shutil.rmtree(bench.weights / "again")
    assert first.files == second.files and first.model_hash == second.model_hash
    assert second.title == "Mine"


def test_changed_image_is_noticed(bench, tmp_path, capsys):
    images = tmp_path / "images"
    shutil.copytree(bench.images, images)
    for path in images.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b"\0")
    assert bench.evaluate("tiny", "--images", images) == 1
    _told(capsys, "SHA-256 differs")
    shutil.rmtree(images)
    assert bench.evaluate("tiny", "--images", images) == 1
    _told(capsys, "14 of 14 images are not under")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score", "{inbox}", "--model", "none"], "no model called none"),
        (["score", "{inbox}/none.png"], "no file or folder"),
        (["score", "{inbox}", "--output", "{inbox}/x.xlsx"], ".parquet"),
        (["score", "{inbox}", "--output", "{inbox}/none/x.csv"], "no folder"),
        (["score", "{inbox}", "--weights", "{inbox}"], "no model under"),
        (["render", "{inbox}/b.png", "--out", "{inbox}/x.png", "--model", "none"], "no model at"),
        (["render", "{inbox}/note.txt", "--out", "{inbox}/x.png"], "a text file"),
        (["render", "{inbox}/b.png", "--out", "{inbox}/none/x.png"], "cannot be written"),
        (["models", "--weights", "{inbox}"], "no model under"),
        (["evaluate", "none", "--images", "{inbox}"], "no model at"),
        (["evaluate", "tiny", "--images", "{inbox}", "--manifest", "none.csv"], "no manifest"),
        (["train", "none.csv", "--images", "{inbox}", "--name", "x"], "no manifest"),
        (["manifest", "folder", "--images", "{inbox}/none", "--out", "x.csv"], "no folder"),
        (["manifest", "nih", "--images", "{inbox}", "--out", "x.csv"], "--labels"),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else value,
)
def test_error_is_told_in_one_sentence(bench, mixed, capsys, arguments, words):
    arguments = [argument.format(inbox=mixed) for argument in arguments]
    if "--weights" not in arguments and arguments[0] != "manifest":
        arguments += ["--weights", str(bench.weights)]
    assert main(arguments) == 1
    _told(capsys, words)


# Input that ends in a traceback today.
@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "{inbox}/none.png", "--out", "{inbox}/x.png"],
        ["evaluate", "tiny", "--images", "{images}", "--manifest", "{manifest}",
         "--json", "{inbox}/none/x.json"],
        ["train", "{manifest}", "--images", "{images}", "--name", "x", "--run", "{inbox}/run",
         "--size", "32", "--epochs", "0", "--members", "1", "--batch-size", "4"],
        ["train", "{manifest}", "--images", "{images}", "--name", "x", "--run", "{inbox}/run",
         "--size", "32", "--epochs", "1", "--members", "0", "--batch-size", "4"],
        ["train", "{manifest}", "--images", "{images}", "--name", "x", "--run", "{inbox}/run",
         "--size", "32", "--epochs", "1", "--members", "1", "--batch-size", "1"],
        ["train", "{manifest}", "--images", "{images}", "--name", "x", "--run", "{inbox}/run",
         "--size", "0", "--epochs", "1", "--members", "1", "--batch-size", "4"],
        ["manifest", "nih", "--images", "{images}", "--out", "{inbox}/x.csv",
         "--labels", "{manifest}"],
        ["manifest", "folder", "--images", "{images}", "--out", "{inbox}/b.png/x.csv"],
    ],
    ids=["missing file", "missing folder of the report", "no epochs", "no members",
         "batch of one", "size of zero", "labels without their columns", "folder that is a file"],
)  # fmt: skip
def test_unusable_argument_is_told_in_one_sentence(bench, mixed, capsys, arguments):
    places = {"inbox": mixed, "images": bench.images, "manifest": bench.manifest}
    arguments = [argument.format(**places) for argument in arguments]
    if arguments[0] != "manifest":
        arguments += ["--weights", str(bench.weights)]
    assert main(arguments) == 1
    _told(capsys)


def _uncalibrated(bench, tmp_path):
    """The model as it would be without a calibration."""
    shutil.copytree(bench.weights / "tiny", tmp_path / "tiny")
    card = tmp_path / "tiny" / "card.json"
    raw = json.loads(card.read_text())
    card.write_text(json.dumps({**raw, "reference": None, "operating_point": None}))
    return tmp_path


def test_uncalibrated_model_is_listed_as_such_and_judges_nothing(bench, mixed, tmp_path, capsys):
    weights = _uncalibrated(bench, tmp_path / "bare")
    assert ddad("models", "--weights", weights) == 0
    printed = capsys.readouterr().out
    assert "operating point  none: The model tiny is not calibrated" in printed
    assert "engine           none" not in printed
    assert ddad("score", mixed / "b.png", "--weights", weights, "--device", "cpu") == 1
    _told(capsys, "is not calibrated", "calls nothing abnormal")
    out = tmp_path / "scores.csv"
    arguments = ["--weights", weights, "--device", "cpu", "--output", out]
    assert ddad("score", mixed / "b.png", *arguments) == 1
    assert not out.exists()


def test_calibrate_writes_a_new_model_with_the_same_networks(bench, tmp_path, capsys):
    weights = _uncalibrated(bench, tmp_path / "bare")
    where = ["--images", bench.images, "--weights", weights, "--manifest"]
    assert ddad("calibrate", "tiny", "--name", "new", *where, bench.manifest) == 1
    _told(capsys, "4 calibration normals are too few")
    more = tmp_path / "more.csv"  # the 16 known normals, too
    more.write_text(bench.manifest.read_text().replace(",normal,0,", ",calibration,0,"))
    options = ["--primary", "c_inter", "--default-map", "rec"]
    assert ddad("calibrate", "tiny", "--name", "new", *where, more, *options) == 0
    assert "new: tiny calibrated on 20 normals" in capsys.readouterr().out
    old, new = load_model(weights / "tiny"), load_model(weights / "new")
    modules = ("module_a.safetensors", "module_b.safetensors")
    assert [new.card.files[name] for name in modules] == [old.card.files[name] for name in modules]
    assert (new.card.primary, new.card.default_map) == ("c_inter", "rec")
    assert new.card.operating_point.n == 10
    assert ddad("calibrate", "tiny", "--name", "new", *where, more) == 1
    _told(capsys, "never edited in place")
    image = bench.images / "normal" / "0.png"
    arguments = ["--weights", weights, "--model", "new", "--device", "cpu"]
    assert ddad("score", image, *arguments) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["score_name"] == "c_inter" and row["score"] == row["c_inter"]
    assert row["abnormal"] in ("true", "false")


def test_refined_model_is_trained_from_the_command_line(bench, tmp_path, capsys):
    options = ["--refine", 1, "--default-map", "r_dual", "--run", tmp_path / "run"]
    try:
        assert bench.train("refined", *options) == 0
        model = load_model(bench.weights / "refined")
    finally:
        shutil.rmtree(bench.weights / "refined", ignore_errors=True)
    assert set(model.refiners) == {"r_dual", "r_intra"}
    assert model.card.default_map == "r_dual" and model.card.primary == "a_inter"
    assert model.card.raw["training"]["refinement"]["epochs"] == 1


def test_wrong_usage_exits_with_2(capsys):
    for arguments in ([], ["score"], ["train", "x.csv"], ["sing"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "usage: ddad" in capsys.readouterr().err
