from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from ddad_core.card import load_card
from ddad_core.cli import main
from ddad_core.registry import load_model
from ddad_core.training.manifest import load_manifest, save_manifest
from ddad_core.training.pack import recalibrate
from tests.core.synthetic import random_grey, write_image

TINY = "--size 32 --epochs 1 --members 2 --batch-size 4 --device cpu".split()
RATIO = "--network ratio --epochs 2 --members 2 --batch-size 4 --device cpu".split()


def ddad(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ratio-bench")
    for n in range(70):
        write_image(folder / "images" / "normal" / f"{n}.png", n)
    for n in range(60):
        write_image(folder / "images" / "abnormal" / f"{n}.png", 100 + n)
    made = ["--images", folder / "images", "--out", folder / "tiny.csv"]
    assert ddad("manifest", "folder", *made) == 0
    where = ["--images", folder / "images", "--weights", folder / "weights"]
    assert ddad("train", folder / "tiny.csv", "--name", "tiny", *where, *TINY) == 0
    return folder


def _train(bench, name, *more, manifest="tiny.csv"):
    where = ["--images", bench / "images", "--weights", bench / "weights"]
    where += ["--run", bench / "run" / name, "--beside", bench / "weights" / "tiny"]
    return ddad("train", bench / manifest, "--name", name, *where, *RATIO, *more)


@pytest.fixture(scope="module")
def with_ratio(bench):
    assert _train(bench, "ratio") == 0
    return load_model(bench / "weights" / "ratio")


def test_new_model_keeps_the_old_one_and_has_a_ratio(bench, with_ratio):
    old = load_card(bench / "weights" / "tiny")
    card = with_ratio.card
    assert len(with_ratio.ratio) == 2 and "ratio" in card.maps
    assert {n: d for n, d in card.files.items() if n != "ratio.safetensors"} == old.files
    assert card.model_hash != old.model_hash
    assert card.reference.scores["a_ratio"].size == old.raw["reference"]["n"]
    section = card.raw["ratio"]
    assert section["estimand"].startswith("log p_u(x) / p_n(x)")
    assert section["training"]["epochs"] == 2 and section["training"]["size"] == 32
    assert {"matched_on", "evidence", "planted_mark"} <= set(section["shortcuts"])


def test_judge_follows_from_the_two_sample_test(with_ratio):
    test, card = with_ratio.card.raw["ratio"]["two_sample"], with_ratio.card
    assert card.primary == ("a_ratio" if test["differ"] else "a_rec")
    assert ("differs" in card.raw["ratio"]["statement"]) == test["differ"]


def test_scores_are_the_same_from_the_command_line(bench, with_ratio, capsys):
    file = bench / "images" / "abnormal" / "0.png"
    where = ["--weights", bench / "weights", "--device", "cpu"]
    assert ddad("score", file, "--model", "ratio", *where) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["a_ratio"] and row["model"] == "ratio"
    assert ddad("score", file, "--model", "tiny", *where) == 0
    (old,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert old["a_ratio"] == ""
    assert float(old["a_inter"]) == pytest.approx(float(row["a_inter"]), rel=1e-5)


def test_evaluate_render_and_calibrate_know_a_ratio(bench, with_ratio, capsys, tmp_path):
    where = ["--images", bench / "images", "--weights", bench / "weights"]
    where += ["--manifest", bench / "tiny.csv"]
    assert ddad("evaluate", "ratio", *where, "--json", tmp_path / "figures.json") == 0
    assert "A_ratio" in capsys.readouterr().out
    assert "a_ratio" in json.loads((tmp_path / "figures.json").read_text())["auc"]
    picture = tmp_path / "picture.png"
    file = bench / "images" / "abnormal" / "0.png"
    more = ["--map", "ratio", "--model", "ratio", "--weights", bench / "weights"]
    assert ddad("render", file, "--out", picture, *more) == 0 and picture.stat().st_size > 0
    recalibrate(tmp_path / "again", with_ratio, random_grey(20, 32, 1), primary="a_ratio")
    again = load_card(tmp_path / "again")
    assert again.primary == "a_ratio" and "ratio" in again.raw


def test_without_unlabeled_images_the_model_says_so_and_judges_by_a_rec(bench, capsys):
    whole = load_manifest(bench / "tiny.csv")
    kept = tuple(row for row in whole.rows if row.role != "unlabeled")
    save_manifest(type(whole)("none", kept, whole.about), bench / "none.csv")
    assert _train(bench, "none", manifest="none.csv") == 0
    assert "no unlabelled images (0 unlabelled" in capsys.readouterr().out
    card = load_card(bench / "weights" / "none")
    assert card.primary == "a_rec" and card.default_map == "rec"
    assert "a_ratio" not in card.reference.scores and "ratio" not in card.maps
    assert card.raw["ratio"]["two_sample"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--network", "ratio", "--name", "new"], "--beside"),
        (["--network", "ae", "--name", "new", "--primary", "a_ratio"], "needs A_ratio"),
    ],
)
def test_what_cannot_be_trained_is_told(bench, capsys, arguments, words):
    where = ["--images", bench / "images", "--weights", bench / "weights"]
    assert ddad("train", bench / "tiny.csv", *where, *arguments) == 1
    assert words in capsys.readouterr().err
    assert not Path(bench / "weights" / "new").exists()


def test_a_side_other_than_the_models_is_refused(bench, capsys):
    assert _train(bench, "sides", "--size", "64") == 1
    assert "has a side of 32" in capsys.readouterr().err
    assert not Path(bench / "weights" / "sides").exists()
