from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from ddad_core.errors import MetricError, RequestError
from ddad_core.evaluation import froc, regions
from ddad_core.evaluation.localization import (
    centre_prior,
    localize,
    localize_masks,
    state,
)
from ddad_core.evaluation.metrics import Estimate, proportion
from ddad_core.evaluation.regions import Box, box_cells, read_boxes, regions_of_mask
from ddad_core.imaging.geometry import image_to_map, map_to_image
from tests.reference.localization_plain import aupro_plain, froc_plain, regions_at

FRAME = (512, 512)
SHARED = os.environ.get("DDAD_SHARED_DATA")


def _maps(n, size=16, seed=0, smooth=1.0, decimals=None):
    values = np.random.default_rng(seed).normal(size=(n, size, size))
    values = ndimage.gaussian_filter(values, (0, smooth, smooth))
    return values if decimals is None else np.round(values, decimals)


def _boxes(n, seed=1, each=2):
    generator = np.random.default_rng(seed)
    return [
        [Box(*generator.uniform(0, 350, 2), *generator.uniform(50, 160, 2)) for _ in range(each)]
        for _ in range(n)
    ]


def _cells(boxes, size=16):
    return [np.stack([box_cells(b, frame=FRAME, size=size) for b in found]) for found in boxes]


def _one(maps, boxes, **more):
    return localize({"x": maps}, boxes, frame=FRAME, **more)["x"]


# --- boxes and masks as cells


def test_cells_of_a_box_are_those_with_their_centres_inside():
    # Cells of a 4 x 4 map over 80 rows x 40 columns: centres at rows 10, 30 ... columns 5, 15 ...
    cells = box_cells(Box(x=4, y=11, width=12, height=40), frame=(80, 40), size=4)
    assert np.argwhere(cells).tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_cells_lie_where_the_viewer_paints_them(seed):
    generator = np.random.default_rng(seed)
    x, y = generator.uniform(0, 300, 2)
    cells = box_cells(Box(x, y, 200, 150), frame=(512, 640), size=64)
    painted = map_to_image(cells.astype(np.float32), height=512, width=640) > 0.5
    rows, columns = np.nonzero(painted)
    # Within half a cell: a cell is 8 x 10 pixels.
    assert rows.min() == pytest.approx(y, abs=4.1) and rows.max() + 1 == pytest.approx(
        y + 150, abs=4.1
    )
    assert columns.min() == pytest.approx(x, abs=5.1)
    for row, column in np.argwhere(cells):
        centre = {"x": (column + 0.5) * 10, "y": (row + 0.5) * 8}
        assert image_to_map(**centre, height=512, width=640, size=64) == (row, column)
        assert x <= centre["x"] <= x + 200 and y <= centre["y"] <= y + 150


def test_box_smaller_than_a_cell_has_the_cell_under_it():
    cells = box_cells(Box(x=1, y=33, width=2, height=3), frame=(64, 64), size=4)
    assert np.argwhere(cells).tolist() == [[2, 0]]


def test_parts_of_a_mask_are_findings_of_their_own():
    mask = np.zeros((64, 64))
    mask[0:16, 0:24] = 1  # one row of cells, one cell and a half
    mask[16:20, 24:28] = 255  # touches the first part at a corner
    mask[60:62, 60:62] = 1  # a 64th of a cell
    found = regions_of_mask(mask, size=4)
    assert [np.argwhere(part).tolist() for part in found] == [[[0, 0], [0, 1]], [[3, 3]]]


@pytest.mark.parametrize("mask", [np.zeros((64, 64)), np.ones((4, 4)), np.ones((2, 64, 64))])
def test_unusable_mask_is_an_error(mask):
    with pytest.raises(MetricError, match="mask"):
        regions_of_mask(mask, size=16)


def test_masks_and_boxes_of_the_same_cells_give_the_same_figures():
    maps = _maps(4)
    boxes = [[Box(64 * i, 96, 96, 128)] for i in range(4)]
    masks = [np.kron(cells[0], np.ones((32, 32))) for cells in _cells(boxes)]
    assert localize_masks({"x": maps}, masks) == localize({"x": maps}, boxes, frame=FRAME)


# --- reading boxes

HEAD = "image,finding,x,y,width,height\n"


def test_boxes_are_read_by_image_in_order(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(f"{HEAD}b.png,Mass,1,2,3.5,4\na.png,,0,0,511.5,512.4\nb.png,Mass,5,6,7,8\n")
    found = read_boxes(path, frame=FRAME)
    assert list(found) == ["b.png", "a.png"]
    assert found["b.png"] == (Box(1, 2, 3.5, 4, "Mass"), Box(5, 6, 7, 8, "Mass"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,finding,x,y,width\n", "line 1: there is no column height"),
        (f"{HEAD}", "has no boxes"),
        ("", "line 1: there is no column"),
        (f"{HEAD}a,,1,2,3,4\nb,,1,two,3,4\n", "line 3: y is 'two', not a number"),
        (f"{HEAD}a,,1,2,nan,4\n", "line 2: width is 'nan'"),
        (f"{HEAD}a,,1,2\n", "line 2: width is None"),
        (f"{HEAD}a,,1,2,0,4\n", "line 2: the box is 0 x 4 pixels"),
        (f"{HEAD}a,,500,2,20,4\n", "line 2: the box from .500, 2. to .520, 6. leaves the frame"),
        (f"{HEAD}a,,-3,2,20,4\n", "leaves the frame of 512 x 512"),
        (f"{HEAD},,3,2,20,4\n", "line 2: the image has no name"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_unusable_box_is_told_with_its_file_and_line(tmp_path, text, words):
    path = tmp_path / "boxes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RequestError, match=words) as caught:
        read_boxes(path, frame=FRAME)
    assert str(path) in caught.value.problem
    with pytest.raises(RequestError, match="cannot be read"):
        read_boxes(tmp_path / "none.csv", frame=FRAME)


# --- pointing


def test_pointing_counts_the_images_whose_highest_cell_is_inside():
    maps = np.zeros((3, 4, 4))
    maps[0, 1, 1] = maps[1, 3, 3] = maps[2, 0, 0] = 1
    boxes = [[Box(128, 128, 128, 128)], [Box(0, 0, 256, 256)], [Box(0, 0, 100, 100)]]
    found = _one(maps, boxes)
    assert found.pointing == proportion(2, 3)
    assert found.chance_pointing == pytest.approx((1 + 4 + 1) / 48)
    assert (found.n_images, found.n_regions, found.n_normal) == (3, 3, 0)


def test_tied_maxima_must_all_lie_inside():
    maps = np.zeros((2, 4, 4))
    maps[0, 0, :2] = 1
    maps[1, 0, :3] = 1
    boxes = [[Box(0, 0, 256, 128)]] * 2
    assert _one(maps, boxes).pointing == proportion(1, 2)


# --- pixel AUC and AUPRO


def test_pixel_auc_is_the_mean_over_images_with_a_bootstrap_over_images():
    maps, boxes = _maps(6, decimals=1), _boxes(6)
    aucs = np.array(
        [
            roc_auc_score(r.any(axis=0).ravel(), m.ravel())
            for m, r in zip(maps, _cells(boxes), strict=True)
        ]
    )
    found = _one(maps, boxes).pixel_auc
    assert found.value == pytest.approx(aucs.mean(), abs=1e-12)
    draws = np.random.default_rng(3).integers(0, 6, (20000, 6))
    expected = np.percentile(aucs[draws].mean(axis=1), [2.5, 97.5])
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.01)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("normal", [0, 3])
def test_aupro_equals_the_plain_restatement(seed, decimals, normal):
    maps, boxes = _maps(4, seed=seed, decimals=decimals), _boxes(4, seed)
    normals = _maps(normal, seed=seed + 50, decimals=decimals) if normal else None
    found = _one(maps, boxes, normal_maps=normals if normals is None else {"x": normals})
    expected = aupro_plain(maps, _cells(boxes), [] if normals is None else normals)
    assert found.aupro.value == pytest.approx(expected, abs=1e-12)
    assert found.aupro.low <= found.aupro.value <= found.aupro.high


def test_aupro_interval_is_that_of_images_drawn_again(monkeypatch):
    monkeypatch.setattr("ddad_core.evaluation.localization.BOOTSTRAP_SAMPLES", 40)
    maps, boxes, normals = _maps(5, size=8), _boxes(5), _maps(4, size=8, seed=9)
    found = _one(maps, boxes, normal_maps={"x": normals}).aupro
    generator = np.random.default_rng(20220608)
    first = generator.multinomial(5, np.full(5, 0.2), 40)
    second = generator.multinomial(4, np.full(4, 0.25), 40)
    cells = _cells(boxes, 8)
    samples = []
    for drawn, healthy in zip(first, second, strict=True):
        chosen = np.repeat(np.arange(5), drawn)
        samples.append(
            aupro_plain(
                maps[chosen], [cells[i] for i in chosen], normals[np.repeat(np.arange(4), healthy)]
            )
        )
    expected = np.percentile(samples, [2.5, 97.5])
    # Resamples are measured on a grid of levels.
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.005)


def test_perfect_blind_and_worst_maps_have_the_figures_they_must():
    boxes = _boxes(8, each=1)
    inside = np.stack([r.any(axis=0) for r in _cells(boxes)]).astype(float)
    perfect = _one(inside, boxes)
    assert perfect.pointing.value == perfect.pixel_auc.value == perfect.aupro.value == 1.0
    assert (perfect.aupro.low, perfect.aupro.high) == (1.0, 1.0)
    assert set(perfect.froc.at.values()) == {Estimate(1.0, 1.0, 1.0)}
    worst = _one(-inside, boxes)
    assert worst.pointing.value == worst.pixel_auc.value == worst.aupro.value == 0.0
    constant = _one(np.ones_like(inside), boxes)
    assert constant.pixel_auc == Estimate(0.5, 0.5, 0.5)
    assert constant.aupro.value == pytest.approx(0.15) and constant.pointing.value == 0.0


# --- FROC


@pytest.mark.parametrize("smooth", [0.01, 1.0, 3.0])
@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_peaks_are_the_regions_of_every_level(smooth, decimals):
    maps = _maps(3, size=12, smooth=smooth, decimals=decimals) * 3
    peaks = froc.find_peaks(maps)
    for image, values in enumerate(maps):
        for level in np.unique(values):
            alive = (peaks.image == image) & (peaks.saddle < level) & (level <= peaks.value)
            expected = regions_at(values, level)
            found = sorted(peaks.value[alive])
            assert found == sorted(value for *_, value in expected)
            places = set(zip(peaks.row[alive], peaks.column[alive], strict=True))
            if decimals is None:  # else which of several tied cells is the peak is free
                assert places == {(row, column) for row, column, _ in expected}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("normal", [0, 5])
@pytest.mark.parametrize("smooth", [0.5, 1.5])
def test_froc_equals_the_plain_restatement(seed, normal, smooth):
    maps, boxes = _maps(5, size=12, seed=seed, smooth=smooth), _boxes(5, seed)
    normals = _maps(normal, size=12, seed=seed + 50, smooth=smooth) if normal else None
    more = {} if normals is None else {"normal_maps": {"x": normals}}
    found = _one(maps, boxes, **more).froc
    cells = _cells(boxes, 12)
    for allowed, estimate in found.at.items():
        expected = froc_plain(maps, cells, allowed, normals)
        assert estimate.value == pytest.approx(expected, abs=1e-12)
        assert found.hit_rate[found.false_regions.index(allowed)] == estimate.value
        assert estimate.low <= estimate.value + 1e-12
    assert found.counted_on == ("normal images" if normal else "images with findings")


def test_froc_interval_is_that_of_images_drawn_again(monkeypatch):
    monkeypatch.setattr("ddad_core.evaluation.localization.BOOTSTRAP_SAMPLES", 25)
    maps, boxes = _maps(6, size=10), _boxes(6)
    found = _one(maps, boxes).froc
    cells = _cells(boxes, 10)
    drawn = np.random.default_rng(20220608).multinomial(6, np.full(6, 1 / 6), 25)
    chosen = [np.repeat(np.arange(6), w) for w in drawn]
    samples = [froc_plain(maps[c], [cells[i] for i in c], 0.5) for c in chosen]
    expected = np.percentile(samples, [2.5, 97.5])
    assert (found.at[0.5].low, found.at[0.5].high) == pytest.approx(tuple(expected), abs=1e-12)


def test_more_false_regions_never_hit_less_and_the_curve_starts_at_none():
    found = _one(_maps(8), _boxes(8)).froc
    assert found.false_regions[0] == 0.0 and found.false_regions[-1] == 4.0
    assert np.all(np.diff(found.hit_rate) >= 0)


def test_thinned_levels_keep_the_figures_close(monkeypatch):
    maps, boxes = _maps(10, size=32, smooth=0.6), _boxes(10)
    whole = _one(maps, boxes).froc
    monkeypatch.setattr(froc, "MAX_LEVELS", 60)
    thinned = _one(maps, boxes).froc
    assert thinned.at[0.25].value == whole.at[0.25].value
    assert thinned.at[2.0].value == pytest.approx(whole.at[2.0].value, abs=0.1)


# --- against fixed pictures, and in words


def test_map_equal_to_the_fixed_picture_gains_nothing():
    picture = centre_prior(16)
    maps = np.repeat(picture[None], 5, axis=0)
    gain = _one(maps, _boxes(5), baselines={"x": {"the centre": picture}}).gains["the centre"]
    assert gain.pixel_auc_gain == gain.aupro_gain == Estimate(0.0, 0.0, 0.0)


def test_gain_is_paired_by_image():
    boxes = _boxes(8, each=1)
    picture = centre_prior(16)
    inside = np.stack([r.any(axis=0) for r in _cells(boxes)])
    maps = picture + 0.05 * inside
    found = _one(maps, boxes, baselines={"x": {"the centre": picture}})
    gain = found.gains["the centre"]
    assert gain.pixel_auc_gain.value == pytest.approx(found.pixel_auc.value - gain.pixel_auc.value)
    assert gain.aupro_gain.value == pytest.approx(found.aupro.value - gain.aupro.value)
    width = gain.pixel_auc_gain.high - gain.pixel_auc_gain.low
    assert 0 < gain.pixel_auc_gain.low and width < found.pixel_auc.high - found.pixel_auc.low


def test_centre_prior_is_highest_in_the_middle_and_even():
    picture = centre_prior(8)
    np.testing.assert_allclose(picture, picture[::-1, ::-1])
    np.testing.assert_allclose(picture, picture.T)
    assert np.unravel_index(picture.argmax(), (8, 8)) in {(3, 3), (3, 4), (4, 3), (4, 4)}


def test_statement_says_what_is_beaten_what_is_lost_to_and_what_is_open():
    boxes = _boxes(12, each=1)
    picture = {"x": {"the centre": centre_prior(16)}}
    inside = np.stack([r.any(axis=0) for r in _cells(boxes)]).astype(float)
    words = state("X", _one(inside, boxes, baselines=picture))
    assert words == (
        "X beats chance in pointing and pixel AUC and AUPRO; "
        "it beats the centre in pixel AUC and AUPRO."
    )
    words = state("X", _one(-inside, boxes, baselines=picture))
    assert words == (
        "X loses to chance in pixel AUC and AUPRO, open in pointing; "
        "it loses to the centre in pixel AUC and AUPRO."
    )
    words = state("X", _one(np.ones_like(inside), boxes[:12]))
    assert words == "X is not told apart from chance."


def test_result_goes_into_json():
    found = _one(_maps(3), _boxes(3), baselines={"x": {"the centre": centre_prior(16)}})
    text = json.dumps(asdict(found), allow_nan=False)
    assert json.loads(text)["froc"]["at"]["0.25"]["value"] == found.froc.at[0.25].value


@pytest.mark.parametrize("size", [64, 128])
def test_every_map_is_measured_at_its_own_size(size):
    maps = {"inter": _maps(2, size), "rec": _maps(2, size // 2)}
    found = localize(maps, _boxes(2), frame=FRAME)
    assert list(found) == ["inter", "rec"]
    assert found["inter"].chance_pointing == pytest.approx(found["rec"].chance_pointing, abs=0.01)


# --- bad input


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maps": _maps(2)}, "do not fit"),
        ({"maps": np.zeros((3, 16, 8))}, "do not fit"),
        ({"maps": np.full((3, 16, 16), np.nan)}, "not finite"),
        ({"maps": np.zeros((0, 16, 16)), "boxes": []}, "no images"),
        ({"boxes": [[], *_boxes(2)]}, "without a box"),
        ({"boxes": [[Box(0, 0, 512, 512)], *_boxes(2)]}, "image 0 .* cover all"),
        ({"normal_maps": {"x": _maps(2, size=8)}}, "Normal maps"),
        ({"normal_maps": {"x": np.zeros((0, 16, 16))}}, "Normal maps"),
        ({"normal_maps": {"x": np.full((1, 16, 16), np.inf)}}, "not finite"),
        ({"baselines": {"x": {"p": np.zeros((8, 8))}}}, "baseline p"),
    ],
)
def test_unusable_input_is_an_error(change, words):
    arguments = {"maps": _maps(3), "boxes": _boxes(3), **change}
    with pytest.raises(MetricError, match=words):
        _one(**arguments)


@pytest.mark.skipif(SHARED is None, reason="needs DDAD_SHARED_DATA")
def test_the_shared_boxes_are_read():
    found = read_boxes(Path(SHARED) / "nih" / "boxes.csv", frame=FRAME)
    assert (len(found), sum(map(len, found.values()))) == (23, 26)
    for boxes in found.values():
        assert regions.regions_of_boxes(boxes, frame=FRAME, size=64).any()
