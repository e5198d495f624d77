from __future__ import annotations

import numpy as np
import pytest

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.suitability import (
    body_part_warning,
    check_not_blank,
    check_size,
    check_suitability,
    modality_warning,
    view_warning,
)


@pytest.mark.parametrize(
    ("years", "low", "high", "sentence"),
    [
        (4.0, 18, 95, "The patient is 4 years old; this model was trained on ages 18 to 95."),
        (17.9, 18, 95, "The patient is 17 years old; this model was trained on ages 18 to 95."),
        (96.0, 18, 95, "The patient is 96 years old; this model was trained on ages 18 to 95."),
        (0.5, 1, 5, "The patient is 6 months old; this model was trained on ages 1 to 5."),
        (1 / 12, 1, 5, "The patient is 1 month old; this model was trained on ages 1 to 5."),
        (
            0.01,
            1,
            5,
            "The patient is less than one month old; this model was trained on ages 1 to 5.",
        ),
        (4.0, 18, None, "The patient is 4 years old; this model was trained on ages from 18."),
        (40.0, None, 5, "The patient is 40 years old; this model was trained on ages up to 5."),
    ],
)
def test_an_age_outside_the_training_range_is_said(years, low, high, sentence):
    assert check_suitability(years, age_min=low, age_max=high) == (sentence,)


@pytest.mark.parametrize("years", [None, 18.0, 60.0, 95.9])
def test_an_age_inside_the_range_or_unknown_gives_no_warning(years):
    assert check_suitability(years, age_min=18, age_max=95) == ()
    assert check_suitability(years, age_min=None, age_max=None) == ()


@pytest.mark.parametrize("view", ["LL", "RL", "LATERAL", "LLAT", "LLD", "RLO"])
def test_side_views_are_warned_of(view):
    assert f"({view})" in view_warning(view)


@pytest.mark.parametrize("view", ["AP", "PA", None, "ERECT"])
def test_frontal_and_unknown_views_are_not(view):
    assert view_warning(view) is None


@pytest.mark.parametrize("part", ["HAND", "ABDOMEN", "CHESTABDOMEN", "TSPINE"])
def test_other_body_parts_are_warned_of(part):
    assert part in body_part_warning(part)


@pytest.mark.parametrize("part", ["CHEST", "PORT CHEST", "THORAX", "LUNG", None])
def test_the_chest_is_not(part):
    assert body_part_warning(part) is None


def test_captures_are_warned_of():
    assert "secondary capture" in modality_warning("SC")
    assert "OT" in modality_warning("OT")
    assert modality_warning("DX") is None


@pytest.mark.parametrize(("rows", "columns"), [(63, 500), (500, 63), (10_001, 100), (9000, 9000)])
def test_absurd_sizes_are_refused(rows, columns):
    with pytest.raises(RefusedImageError, match=f"{columns} x {rows}"):
        check_size(rows=rows, columns=columns)


def test_the_limits_themselves_are_allowed():
    check_size(rows=64, columns=64)
    check_size(rows=10_000, columns=6_000)


def test_a_blank_image_is_refused():
    with pytest.raises(RefusedImageError, match="every pixel has the value 7"):
        check_not_blank(np.full((64, 64), 7, np.float32))
