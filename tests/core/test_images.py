from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from ddad_core.errors import ManifestError
from ddad_core.imaging import read_radiograph_file
from ddad_core.imaging.geometry import to_network_grey
from ddad_core.training import images
from ddad_core.training.images import check_files, identify_files, load_grey, load_roles
from ddad_core.training.manifest import Manifest, ManifestRow, load_manifest, save_manifest
from tests.core.synthetic import write_image

ROLES = ("normal", "unlabeled", "calibration", "test")


@pytest.fixture
def data(tmp_path):
    """Three images a role, in a manifest file whose first image stands in line 2."""
    rows = []
    for i in range(12):
        role = ROLES[i // 3]
        path = write_image(tmp_path / "images" / f"{i}.png", i)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        label = None if role == "unlabeled" else 0
        rows.append(ManifestRow(path.name, role, label, f"p{i}", digest))
    save_manifest(Manifest("set", tuple(rows)), tmp_path / "set.csv")
    return tmp_path


def _manifest(data, **about):
    loaded = load_manifest(data / "set.csv")
    return replace(loaded, about=about)


def _load(data, roles=ROLES, **about):
    return load_roles(_manifest(data, **about), roles, data / "images", 32)


def _refused(data, *words, roles=ROLES):
    with pytest.raises(ManifestError) as caught:
        _load(data, roles)
    for word in (str(data / "set.csv"), *words):
        assert str(word) in caught.value.problem, caught.value.problem
    assert caught.value.next_step


def _dicom(path, **tags):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    made = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    made.SOPClassUID, made.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3.4"
    made.Modality, made.PhotometricInterpretation = "CR", "MONOCHROME2"
    made.Rows = made.Columns = 64
    made.SamplesPerPixel, made.PixelRepresentation = 1, 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.PixelData = np.arange(64 * 64, dtype="<u2").tobytes()
    made["PixelData"].VR = "OW"
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    pydicom.dcmwrite(path, made, enforce_file_format=True)


def _without_digest(data, line, path):
    """Put another file into a line, with no SHA-256 that could tell."""
    lines = (data / "set.csv").read_text(encoding="utf-8").splitlines()
    fields = lines[line - 1].split(",")
    fields[0], fields[4] = path, ""
    lines[line - 1] = ",".join(fields)
    (data / "set.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_images_are_resized_alike_in_manifest_order_whatever_the_threads(data):
    rows = _manifest(data).rows[::-1]
    expected = np.stack(
        [to_network_grey(read_radiograph_file(data / "images" / r.path), 32) for r in rows]
    )
    for workers in (1, 2, 5):
        grey = load_grey(rows, data / "images", 32, workers=workers)
        assert grey.dtype == np.uint8 and np.array_equal(grey, expected)


def test_roles_are_loaded_together_and_parted_again(data):
    manifest = _manifest(data)
    grey = _load(data, ("test", "normal"))
    assert list(grey) == ["test", "normal"]
    for role, found in grey.items():
        assert np.array_equal(found, load_grey(manifest.role(role), data / "images", 32))


def test_every_file_is_read_once(data, monkeypatch):
    read = []
    original = images.read_radiograph_file
    monkeypatch.setattr(
        images, "read_radiograph_file", lambda path, **k: read.append(path) or original(path, **k)
    )
    _load(data)
    assert len(read) == 12 and len(set(read)) == 12


def test_missing_files_are_counted_and_named_with_their_lines(data):
    for i in (1, 4, 5, 9):
        (data / "images" / f"{i}.png").unlink()
    _refused(data, "4 of 12", "1.png (line 3), 4.png (line 6), 5.png (line 7) ...")
    with pytest.raises(ManifestError, match="4 of 12 images are not under"):
        check_files(_manifest(data).rows, data / "images")


def test_missing_files_of_any_role_are_told_before_one_is_decoded(data, monkeypatch):
    (data / "images" / "11.png").unlink()
    monkeypatch.setattr(images, "read_radiograph_file", lambda *a, **k: pytest.fail("decoded"))
    _refused(data, "1 of 12", "11.png (line 13)")


def test_unreadable_image_names_manifest_line_and_file(data):
    (data / "images" / "3.png").write_bytes(b"not an image")
    _refused(data, "line 5", data / "images" / "3.png", "not a DICOM")


def test_folder_in_place_of_an_image_counts_as_missing(data):
    (data / "images" / "3.png").unlink()
    (data / "images" / "3.png").mkdir()
    _refused(data, "3.png (line 5)")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_image_without_permission_names_its_line(data):
    (data / "images" / "3.png").chmod(0)
    _refused(data, "line 5", "cannot be opened")


def test_file_that_vanishes_while_loading_names_its_line(data, monkeypatch):
    monkeypatch.setattr(images, "check_files", lambda *a, **k: None)
    (data / "images" / "3.png").unlink()
    _refused(data, "line 5", "cannot be opened")


def test_the_first_of_several_bad_images_is_told_whatever_the_threads(data):
    for i in (2, 7, 11):
        (data / "images" / f"{i}.png").write_bytes(b"")
    for workers in (1, 2, 8):
        with pytest.raises(ManifestError, match=r"line 4: .*2\.png"):
            load_roles(_manifest(data), ROLES, data / "images", 32, workers=workers)


def test_changed_file_names_manifest_line_and_file(data):
    write_image(data / "images" / "7.png", 999)
    _refused(data, "line 9", data / "images" / "7.png", "SHA-256 differs")


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"RescaleSlope": "nan", "RescaleIntercept": "0"}, "RescaleSlope"),
        ({"RescaleSlope": "1", "RescaleIntercept": "inf"}, "RescaleIntercept"),
        ({"RescaleSlope": "1e39", "RescaleIntercept": "0"}, "absurdly large"),
    ],
)
def test_rescale_to_nan_or_infinity_is_refused_with_its_line(data, tags, word):
    with pydicom.config.disable_value_validation():
        made = {k: pydicom.valuerep.DSfloat(v, validation_mode=0) for k, v in tags.items()}
        _dicom(data / "images" / "x.dcm", **made)
    _without_digest(data, 6, "x.dcm")
    _refused(data, "line 6", "x.dcm", word)


def test_float_pixel_data_is_refused_with_its_line(data):
    path = data / "images" / "x.dcm"
    _dicom(path)
    made = pydicom.dcmread(path)
    del made.PixelData
    made.BitsAllocated = made.BitsStored = 32
    made.FloatPixelData = np.full(64 * 64, np.nan, dtype="<f4").tobytes()
    made.save_as(path)
    _without_digest(data, 6, "x.dcm")
    _refused(data, "line 6", "x.dcm")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_pixel_that_is_not_finite_is_refused_with_its_line(data, monkeypatch, value):
    original = images.read_radiograph_file

    def read(path, **options):
        radiograph = original(path, **options)
        if path.name != "6.png":
            return radiograph
        pixels = radiograph.pixels.copy()
        pixels[3, 5] = value
        return replace(radiograph, pixels=pixels)

    monkeypatch.setattr(images, "read_radiograph_file", read)
    _refused(data, "line 8", "NaN or infinite")


def test_dicom_without_modality_is_taken_on_the_manifests_word(data):
    _dicom(data / "images" / "x.dicom", Modality="")
    _without_digest(data, 6, "x.dicom")
    assert _load(data)["unlabeled"].shape == (3, 32, 32)


def test_dicom_of_another_modality_is_refused_all_the_same(data):
    _dicom(data / "images" / "x.dicom", Modality="CT")
    _without_digest(data, 6, "x.dicom")
    _refused(data, "line 6", "computed tomography")


def test_equal_pixels_under_two_roles_are_refused_with_both_lines(data):
    shutil.copy(data / "images" / "1.png", data / "images" / "twin.png")
    _without_digest(data, 12, "twin.png")
    _refused(data, "line 12", "twin.png (test)", "1.png (normal, line 3)")
    assert _load(data, ("normal", "unlabeled"))  # one of the two alone is no leak


def test_equal_pixels_under_two_roles_are_reported_in_a_published_partition(data, caplog):
    shutil.copy(data / "images" / "1.png", data / "images" / "twin.png")
    _without_digest(data, 12, "twin.png")
    _load(data, duplicates_across_roles="report")
    assert "line 12" in caplog.text and "line 3" in caplog.text


def test_equal_pixels_within_a_role_are_no_error(data):
    shutil.copy(data / "images" / "0.png", data / "images" / "twin.png")
    _without_digest(data, 3, "twin.png")
    grey = _load(data)["normal"]
    assert np.array_equal(grey[0], grey[1])


def test_empty_role_is_refused_with_what_there_is(data):
    _refused(data, "no validation images", "normal (3)", roles=("normal", "validation"))


def test_label_in_d_u_is_refused_before_images_are_read(data):
    manifest = _manifest(data)
    rows = tuple(replace(row, label=1) if row.path == "4.png" else row for row in manifest.rows)
    with pytest.raises(ManifestError, match=r"set\.csv, line 6: .* label 1"):
        load_roles(replace(manifest, rows=rows), ["unlabeled"], data / "nowhere", 32)


def test_one_picture_in_two_formats_is_one_set_of_pixels(tmp_path):
    write_image(tmp_path / "a.png", 3)
    pixels = np.asarray(images.read_radiograph_file(tmp_path / "a.png").pixels).astype("<u2")
    rows, columns = pixels.shape
    tags = {"Rows": rows, "Columns": columns, "PixelData": pixels.tobytes()}
    _dicom(tmp_path / "b.dcm", **tags)
    one, other = identify_files([tmp_path / "a.png", tmp_path / "b.dcm"])
    assert one.pixels == other.pixels and one.sha256 != other.sha256
