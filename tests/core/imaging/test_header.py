from __future__ import annotations

import numpy as np
import pytest

from ddad_core.imaging.dicom import read_dicom


@pytest.fixture
def read(dataset, to_bytes, ramp):
    def with_tags(**tags):
        return read_dicom(to_bytes(dataset(ramp(0, 4095), **tags)))

    return with_tags


def as_dicom_shows(values, center, width, function="LINEAR"):
    """PS3.3 equations C.11-2 and C.11-3 as written, y from 0 to 1."""
    if function == "LINEAR":
        shown = (values - (center - 0.5)) / (width - 1) + 0.5
    else:
        shown = (values - center) / width + 0.5
    return np.clip(shown, 0, 1)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
def test_windows_show_what_dicom_says(read, ramp, photometric, function):
    found = read(
        WindowCenter=["2000", "1000.5"],
        WindowWidth=["3000", "101"],
        WindowCenterWidthExplanation=["NORMAL", "HARD"],
        VOILUTFunction=function,
        PhotometricInterpretation=photometric,
    )
    assert [window.name for window in found.windows] == ["NORMAL", "HARD"]
    for window, (center, width) in zip(found.windows, [(2000, 3000), (1000.5, 101)], strict=True):
        ours = np.clip((found.pixels - window.center) / window.width + 0.5, 0, 1)
        theirs = as_dicom_shows(ramp(0, 4095), center, width, function)
        theirs = 1 - theirs if photometric == "MONOCHROME1" else theirs
        assert np.allclose(ours, theirs, atol=1e-5)


def test_windows_that_show_nothing_are_left_out(read):
    found = read(
        WindowCenter=["9", "9", "9", "90000", "50"], WindowWidth=["0", "-3", "1", "9", "9"]
    )
    assert [(window.center, window.width) for window in found.windows] == [(49.5, 8)]


def test_broken_windows_are_left_out(read):
    assert read(WindowCenter="2000").windows == ()


@pytest.mark.parametrize(
    ("text", "years"),
    [("058Y", 58), ("006M", 0.5), ("03W", 21 / 365.25), ("010D", 10 / 365.25), ("58", 58),
     ("", None), ("999Y", None), ("abc", None)],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*AS:UserWarning")
def test_the_age_is_read(read, text, years):
    found = read(PatientAge=text).facts.age_years
    assert found is None if years is None else found == pytest.approx(years)


@pytest.mark.parametrize(
    ("born", "taken", "years"),
    [("19400305", "20040826", 64.476), ("20040826", "19400305", None), ("1940", "20040826", None)],
)
@pytest.mark.filterwarnings("ignore:.*DA:UserWarning")
def test_without_an_age_the_dates_give_it(read, born, taken, years):
    found = read(PatientBirthDate=born, StudyDate=taken).facts.age_years
    assert found is None if years is None else found == pytest.approx(years, abs=0.001)


@pytest.mark.parametrize(
    ("tags", "spacing"),
    [
        ({"PixelSpacing": ["0.143", "0.15"]}, (0.143, 0.15)),
        ({"ImagerPixelSpacing": ["0.2", "0.2"]}, (0.2, 0.2)),
        ({"PixelSpacing": ["0.1", "0.1"], "ImagerPixelSpacing": ["0.2", "0.2"]}, (0.1, 0.1)),
        ({"PixelSpacing": ["0", "0"], "ImagerPixelSpacing": ["0.2", "0.2"]}, (0.2, 0.2)),
        ({"PixelSpacing": ["0.000", "0.000"]}, None),
        ({"PixelSpacing": ["-1", "0.1"]}, None),
        ({}, None),
    ],
)
def test_the_spacing_is_known_or_none(read, tags, spacing):
    assert read(**tags).facts.spacing_mm == spacing


@pytest.mark.parametrize(("written", "sex"), [("F", "F"), ("M", "M"), ("O", "O"), ("X", None)])
def test_the_sex_is_one_of_three(read, written, sex):
    assert read(PatientSex=written).facts.sex == sex


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"ViewPosition": "LL"}, "lateral view (LL)"),
        ({"BodyPartExamined": "HAND"}, "body part is HAND"),
        ({"Modality": "SC"}, "secondary capture"),
        ({"Modality": "OT"}, "modality OT"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "raw detector data"),
        ({"BurnedInAnnotation": "YES"}, "text is burned into the picture; it may name a patient"),
    ],
)
def test_what_the_header_betrays_is_warned_of(read, tags, words):
    (warning,) = read(**tags).warnings
    assert words in warning


def test_all_is_well_gives_no_warning(read):
    found = read(
        ViewPosition="PA",
        BodyPartExamined="CHEST",
        PresentationLUTShape="IDENTITY",
        BurnedInAnnotation="NO",
    )
    assert found.warnings == ()


def test_no_identity_leaves_the_file(read):
    found = read(
        ViewPosition="LL", PatientBirthDate="19400305", StudyDate="20040826", StudyID="SECRET"
    )
    text = repr((found.facts, found.windows, found.warnings))
    assert not any(part in text for part in ("SECRET", "1940", "2004"))


@pytest.mark.filterwarnings("ignore:.*CS:UserWarning")
def test_free_text_in_a_code_is_not_kept(read):
    assert read(BodyPartExamined="John Doe, born 1940 (chest)").facts.body_part is None
