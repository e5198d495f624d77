from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddad_core.cli import main
from ddad_core.commands import localize as command
from ddad_core.evaluation.localization import localize
from ddad_core.evaluation.regions import Box
from ddad_core.imaging import read_radiograph_file
from ddad_core.registry import load_model
from ddad_core.scoring import Scorer
from ddad_core.training import pack
from ddad_core.training.loop import TrainedModules, TrainingConfig
from ddad_core.training.manifest import load_manifest
from tests.core.synthetic import random_ensemble, random_grey, write_image

HEAD = "image,finding,x,y,width,height\n"
BOXES = [(f"abnormal/{n}.png", Box(40 * n, 100, 150, 200, "Mass")) for n in range(5)]


def ddad(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A made-up data set, boxes on five of its images and a model that was never trained."""
    folder = tmp_path_factory.mktemp("localize")
    for n in range(40):
        write_image(folder / "images" / "normal" / f"{n}.png", n)
    for n in range(30):
        write_image(folder / "images" / "abnormal" / f"{n}.png", 100 + n)
    manifest = folder / "tiny.csv"
    assert ddad("manifest", "folder", "--images", folder / "images", "--out", manifest) == 0
    pack.pack_model(
        folder / "weights" / "tiny",
        config=TrainingConfig(network="ae-u", size=32, members=2, epochs=1),
        trained=TrainedModules(
            a=random_ensemble("ae-u", 32, 1, 2),
            b=random_ensemble("ae-u", 32, 2, 2),
            seconds=1.0,
            losses={"a-0": [1.0]},
        ),
        manifest=load_manifest(manifest),
        calibration=random_grey(20, 32),
    )
    lines = [f"{name},{b.finding},{b.x},{b.y},{b.width},{b.height}" for name, b in BOXES]
    (folder / "boxes.csv").write_text(HEAD + "\n".join(lines) + "\n")
    return folder


def _localize(bench, *more):
    where = ["--images", bench / "images", "--weights", bench / "weights", "--device", "cpu"]
    return ddad("localize", "tiny", *where, "--boxes", bench / "boxes.csv", *more)


def _maps(bench, paths):
    scorer = Scorer(load_model(bench / "weights" / "tiny"), "cpu")
    found = scorer.score_many([read_radiograph_file(bench / "images" / path) for path in paths])
    return {name: np.stack([r.maps[name] for r in found]) for name in found[0].maps}


def test_figures_are_those_of_the_models_maps_on_the_boxed_images(bench, tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert _localize(bench, "--json", out) == 0
    figures = json.loads(out.read_text())
    expected = localize(
        _maps(bench, [name for name, _ in BOXES]), [[box] for _, box in BOXES], frame=(512, 512)
    )
    assert list(figures["maps"]) == ["inter", "c_inter", "intra", "c_intra", "rec", "c_rec"]
    for name, result in expected.items():
        stated = figures["maps"][name]
        assert stated["pixel_auc"]["value"] == pytest.approx(result.pixel_auc.value, abs=1e-3)
        assert stated["aupro"]["value"] == pytest.approx(result.aupro.value, abs=1e-3)
        assert stated["pointing"]["value"] == result.pointing.value
        assert (stated["n_images"], stated["n_regions"], stated["n_normal"]) == (5, 5, 0)
        assert list(stated["gains"]) == [command.CENTRE]
    printed = capsys.readouterr().out
    assert printed.startswith("tiny on boxes.csv: 5 findings on 5 images; 95 % CI")
    for name in ("A_inter", "A_intra", "A_rec"):
        assert f"\n{name}\n" in printed
    assert figures["maps"]["inter"]["statement"] in printed
    assert "on images with findings" in printed


def test_false_regions_are_counted_on_the_normals_asked_for(bench, tmp_path, capsys):
    out = tmp_path / "figures.json"
    more = ["--normals", "test", "--manifest", bench / "tiny.csv", "--json", out]
    assert _localize(bench, *more) == 0
    stated = json.loads(out.read_text())["maps"]["rec"]
    assert stated["n_normal"] == 8 and stated["froc"]["counted_on"] == "normal images"
    assert list(stated["gains"]) == [command.CENTRE, command.MEAN_NORMAL]
    printed = capsys.readouterr().out
    assert "8 normal images" in printed and "against the mean normal map" in printed


def test_boxes_are_taken_in_their_own_frame(bench, tmp_path):
    scaled = [f"{name},,{b.x * 2},{b.y * 2},{b.width * 2},{b.height * 2}" for name, b in BOXES]
    (tmp_path / "boxes.csv").write_text(HEAD + "\n".join(scaled) + "\n")
    assert _localize(bench, "--json", tmp_path / "a.json") == 0
    twice = ["--boxes", tmp_path / "boxes.csv", "--frame", 1024, "--json", tmp_path / "b.json"]
    assert _localize(bench, *twice) == 0
    first, second = (json.loads((tmp_path / f"{n}.json").read_text()) for n in "ab")
    assert first["maps"] == second["maps"]
    assert (first["frame"], second["frame"]) == (512, 1024)


def _told(capsys, *words):
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("ddad: ")]
    assert len(lines) == 1 and "Traceback" not in err and out == ""
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--boxes", "none.csv"], ["none.csv", "cannot be read"]),
        (["--frame", "100"], ["boxes.csv, line 2", "100 x 100"]),
        (["--images", "."], ["5 of the 5 images", "abnormal/0.png, abnormal/1.png"]),
        (["--weights", "."], ["no model at"]),
        (["--normals", "test"], ["own manifest", "--manifest"]),
        (["--json", "none/x.json"], ["cannot be written"]),
    ],
    ids=lambda value: value[0],
)
def test_error_is_told_in_one_sentence(bench, tmp_path, monkeypatch, capsys, more, words):
    monkeypatch.chdir(tmp_path)
    assert _localize(bench, *more) == 1
    _told(capsys, *words)


def test_unreadable_image_is_named(bench, tmp_path, capsys):
    shutil.copytree(bench / "images" / "abnormal", tmp_path / "abnormal")
    (tmp_path / "abnormal" / "3.png").write_bytes(b"")
    assert _localize(bench, "--images", tmp_path) == 1
    _told(capsys, "abnormal/3.png", "boxes.csv")
    Image.fromarray(np.full((64, 64), 7, np.uint8)).save(tmp_path / "abnormal" / "3.png")
    assert _localize(bench, "--images", tmp_path) == 1
    _told(capsys, "abnormal/3.png", "is blank")


def test_frame_without_pixels_is_an_error(bench, capsys):
    assert _localize(bench, "--frame", 0) == 1
    _told(capsys, "0 x 0")


def _localize_masks(bench, masks, *more):
    where = ["--images", bench / "images" / "abnormal", "--weights", bench / "weights"]
    return ddad("localize", "tiny", "--masks", masks, *where, "--device", "cpu", *more)


def test_masks_of_the_boxes_give_the_figures_of_the_boxes(bench, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, box in BOXES:
        mask = np.zeros((512, 512), np.uint8)
        mask[box.y : box.y + box.height, box.x : box.x + box.width] = 255
        Image.fromarray(mask).save(masks / Path(name).name)
    assert _localize(bench, "--json", tmp_path / "boxes.json") == 0
    assert _localize_masks(bench, masks, "--json", tmp_path / "masks.json") == 0
    of_boxes, of_masks = (
        json.loads((tmp_path / f"{kind}.json").read_text())["maps"] for kind in ("boxes", "masks")
    )
    for name, found in of_masks.items():
        assert found["n_regions"] == 5
        # A mask says for each cell how much of it is covered; a box takes cells by their centres.
        assert found["pixel_auc"]["value"] == pytest.approx(
            of_boxes[name]["pixel_auc"]["value"], abs=0.01
        )


@pytest.mark.parametrize("kind", ["none", "empty", "damaged", "other"])
def test_a_mask_that_cannot_be_used_is_named(bench, tmp_path, capsys, kind):
    if kind == "damaged":
        (tmp_path / "0.png").write_bytes(b"no image")
    elif kind != "none":
        value = 0 if kind == "empty" else 255
        name = "0.png" if kind == "empty" else "stranger.png"
        Image.fromarray(np.full((512, 512), value, np.uint8)).save(tmp_path / name)
    assert _localize_masks(bench, tmp_path) == 1
    told = capsys.readouterr().err
    assert str(tmp_path) in told and "Traceback" not in told
