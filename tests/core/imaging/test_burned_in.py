from __future__ import annotations

import csv
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ddad_core.imaging import read_radiograph_file
from ddad_core.imaging.burned_in import WARNING, text_warning
from tests.core.synthetic import GALLERY

WITH_TEXT = {"00000150_002.png", "00002491_012.png", "00005567_000.png"}
"""Gallery images that say "PORTABLE" in their pixels, seen with the eye."""


@pytest.fixture(scope="module")
def gallery():
    """Pixels by name of the forty 1024 x 1024 originals."""
    with (GALLERY / "gallery.csv").open(encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["file"].endswith(".png")]
    return {name: read_radiograph_file(GALLERY / name).pixels for name in names}


@pytest.fixture(scope="module")
def chest(gallery):
    return gallery["00001426_000.png"]


def written(pixels, text, size, where, ink=255, band=None):
    image = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    if band is not None:
        draw.rectangle((0, 0, image.width, 2 * size), fill=band)
    draw.text(where, text, fill=ink, font=ImageFont.load_default(size))
    return np.asarray(image).astype(np.float32)


def test_originals_with_words_in_them_are_found_and_no_others(gallery):
    assert {name for name, pixels in gallery.items() if text_warning(pixels)} == WITH_TEXT


@pytest.mark.parametrize("size", [16, 24, 40, 60])
@pytest.mark.parametrize("text", ["DOE^JOHN 1954-03-02", "MUELLER HANS 12.04.1961"])
def test_a_name_is_found_on_a_border_and_over_anatomy(chest, size, text):
    assert text_warning(chest) is None
    assert text_warning(written(chest, text, size, (20, 6), band=0)) == WARNING
    assert text_warning(written(chest, text, size, (20, 6), ink=0, band=220)) == WARNING
    assert text_warning(written(chest, text, size, (60, 450))) == WARNING


def test_range_and_depth_do_not_matter(chest):
    marked = written(chest, "DOE JOHN 1954", 28, (30, 6), band=0)
    for pixels in (marked * 16, marked / 255 - 3, 4095 - 16 * marked):
        assert text_warning(pixels.astype(np.float32)) == WARNING


@pytest.mark.parametrize("marker", ["L", "R", "AP", "PA", "R 12"])
def test_side_markers_are_no_text(chest, marker):
    assert text_warning(written(chest, marker, 60, (40, 60))) is None


def test_pictures_without_strokes_have_no_text():
    generator = np.random.default_rng(1)
    ramp = np.add.outer(np.arange(300.0), np.arange(200.0)).astype(np.float32)
    noise = generator.normal(size=(500, 400)).astype(np.float32)
    for pixels in (np.zeros((90, 80), np.float32), ramp, noise, ramp[:70, :64]):
        assert text_warning(pixels) is None


def test_text_on_a_large_radiograph_is_found_quickly(chest):
    large = np.asarray(Image.fromarray(chest).resize((1841, 1955)))
    marked = written(large, "HOSPITAL OF ST. MARY", 40, (100, 20), band=0)
    started = time.perf_counter()
    assert text_warning(marked) == WARNING
    assert text_warning(large) is None
    assert time.perf_counter() - started < 0.5  # some 10 ms each on an idle core


def test_a_dithered_picture_is_no_error():
    dots = np.random.default_rng(1).integers(0, 2, (1024, 1024)).astype(np.float32)
    dots[::2] = 0
    dots[:, ::2] = 0  # some hundred thousand separate specks
    text_warning(dots * 255)
