"""Display windows against DICOM's own formulas (PS3.3 section C.11.2), as written there."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from ddad_core.imaging.dicom import read_dicom
from ddad_core.overlay import apply_window, default_window


@pytest.fixture
def read(dataset, to_bytes, ramp):
    def with_tags(low=0, high=4095, **tags):
        return read_dicom(to_bytes(dataset(ramp(low, high), **tags)))

    return with_tags


def lut_item(entries, first=0, depth=12, vr="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [len(entries) % 65536, first, depth])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    item.LUTExplanation = "NORMAL"
    return item


def through_table(values, entries, first, depth):
    return np.asarray(entries)[np.clip(values - first, 0, len(entries) - 1)] / (2**depth - 1)


ENTRIES = (4095 * np.linspace(0, 1, 1001) ** 2).round().astype(int)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_sigmoid_is_the_curve_of_the_standard(read, ramp, photometric):
    found = read(
        WindowCenter="2000",
        WindowWidth="1000",
        VOILUTFunction="SIGMOID",
        PhotometricInterpretation=photometric,
    )
    (window,) = found.windows
    assert window.function == "sigmoid"
    expected = 1 / (1 + np.exp(-4 * (ramp(0, 4095) - 2000) / 1000))
    expected = 1 - expected if photometric == "MONOCHROME1" else expected
    assert np.abs(apply_window(found.pixels, window) - expected).max() < 1e-6


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("first", "depth"), [(500, 12), (3500, 14), (0, 16)])
def test_a_voi_lut_is_shown_by_its_table(read, ramp, photometric, first, depth):
    item = lut_item(ENTRIES, first, depth)
    found = read(VOILUTSequence=[item], PhotometricInterpretation=photometric)
    (window,) = found.windows
    assert (window.function, window.name, window.width) == ("lut", "NORMAL", 1000)
    expected = through_table(ramp(0, 4095), ENTRIES, first, depth)
    expected = 1 - expected if photometric == "MONOCHROME1" else expected
    assert np.abs(apply_window(found.pixels, window) - expected).max() < 1e-6
    assert default_window(found) is window or np.ptp(expected) < 0.1


def test_signed_values_are_looked_up_from_a_negative_first(read, ramp):
    item = lut_item(ENTRIES, -500, vr="SS")
    (window,) = read(low=-2048, high=2047, VOILUTSequence=[item]).windows
    assert window.center - window.width / 2 == -500
    item = lut_item(ENTRIES, 65536 - 500)  # written as US, the same bits
    assert read(low=-2048, high=2047, VOILUTSequence=[item]).windows == (window,)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_table_is_the_same_in_other_encodings(dataset, ramp, read, syntax):
    item = lut_item(ENTRIES, 500)
    plain = read(VOILUTSequence=[item])
    made = dataset(ramp(0, 4095))
    made.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        made.PixelData = ramp(0, 4095).astype(">u2").tobytes()
        item["LUTData"].value = ENTRIES.astype(">u2").tobytes()
    made.VOILUTSequence = [item]
    stream = io.BytesIO()
    little = syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(stream, made, implicit_vr=little, little_endian=little)
    found = read_dicom(stream.getvalue())
    assert found.windows == plain.windows
    assert np.array_equal(found.pixels, plain.pixels)


def test_a_table_of_65536_entries_keeps_them_all(read):
    item = lut_item(np.arange(65536), depth=16)
    (window,) = read(VOILUTSequence=[item]).windows
    assert (window.width, len(window.table), window.table_max) == (65535, 2 * 65536, 65535)


def test_windows_come_before_tables_and_all_are_offered(read):
    items = [lut_item(ENTRIES, 500), lut_item(ENTRIES[::-1], 500)]
    found = read(
        WindowCenter=["2000", "900"], WindowWidth=["3000", "90"], VOILUTSequence=items
    ).windows
    assert [window.function for window in found] == ["linear", "linear", "lut", "lut"]
    assert [window.center for window in found] == [1999.5, 899.5, 1000, 1000]


@pytest.mark.parametrize(
    "item",
    [
        lut_item(ENTRIES[:1]),
        lut_item(np.full(50, 7)),
        lut_item(ENTRIES, 5000),  # all pixels lie below it
        Dataset(),
    ],
    ids=["one entry", "flat", "beyond", "empty"],
)
def test_a_table_that_shows_nothing_is_left_out(read, item):
    assert read(VOILUTSequence=[item]).windows == ()


def test_a_short_table_does_not_cost_the_picture(read):
    item = lut_item(ENTRIES)
    item.LUTDescriptor = [2000, 0, 12]
    assert read(VOILUTSequence=[item]).windows == ()


def test_a_real_voi_lut_is_shown_as_pydicom_shows_it():
    made = pydicom.dcmread(get_testdata_file("vlut_04.dcm", download=False))
    stream = io.BytesIO()
    made.save_as(stream)
    found = read_dicom(stream.getvalue())
    window = default_window(found)
    assert window.function == "lut"
    shown = pydicom.pixels.apply_voi(made.pixel_array, made)
    depth = made.VOILUTSequence[0].LUTDescriptor[2]
    assert np.abs(apply_window(found.pixels, window) - shown / (2**depth - 1)).max() < 1e-6


def test_a_real_modality_lut_is_applied_as_pydicom_applies_it():
    made = pydicom.dcmread(get_testdata_file("mlut_18.dcm", download=False))
    stream = io.BytesIO()
    made.save_as(stream)
    found = read_dicom(stream.getvalue())
    expected = pydicom.pixels.apply_modality_lut(made.pixel_array, made)
    assert np.array_equal(found.pixels, expected.astype(np.float32))
