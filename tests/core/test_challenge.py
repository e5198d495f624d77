from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit

from ddad_core.cli import main
from ddad_core.errors import ManifestError, RequestError
from ddad_core.training import challenge, protocols
from ddad_core.training.challenge import build_published, find_images
from ddad_core.training.images import load_roles
from ddad_core.training.manifest import load_manifest, save_manifest
from ddad_core.training.protocols import Partition, ProtocolSizes

SIZES = ProtocolSizes(unlabeled=5, anomaly_rate=0.6, calibration=2, validation=1)


def _uuids(letter, n):
    return tuple(f"{letter}{i:07}-c4a5-4318-a1a9-4db74ef0de80" for i in range(n))


def _md5s(letter, n):
    return tuple(f"{letter}{i:031}" for i in range(n))


def _partition(name="rsna", names=_uuids):
    """3 known normals, D_u of 6 + 5, 2 + 2 to test; in the real names' form, not in their order."""
    return Partition(
        name,
        *(names(letter, n)[::-1] for letter, n in zip("abcde", (3, 6, 5, 2, 2), strict=True)),
    )


def _used(partition, sizes=SIZES):
    return [n.name for n in protocols.name_roles(partition, sizes)]


def _pixels(seed, side=64):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side + 6), Image.Resampling.BICUBIC))


def _dicom(path, pixels, *, inverted=False, stripped=False, jpeg=False):
    """A challenge's file: RSNA's JPEG in CR headers, or VinBigData's with nearly no header."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    made = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    made.PatientSex, made.PatientAge = "F", "000Y" if stripped else "051Y"
    made.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PixelRepresentation = 1, 0
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    if not stripped:
        made.Modality, made.ViewPosition = "CR", "AP"
        made.SOPClassUID, made.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3.4"
    stored = 255 - pixels if inverted else pixels
    if jpeg:
        stream = io.BytesIO()
        Image.fromarray(stored).save(stream, "JPEG", quality=95)
        made.PixelData = pydicom.encaps.encapsulate([stream.getvalue()])
        made["PixelData"].is_undefined_length = True
    else:
        made.PixelData = stored.tobytes() + b"\0" * (stored.size % 2)
    made["PixelData"].VR = "OB"
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, made, enforce_file_format=not stripped)


def _png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def rsna(tmp_path):
    """The raw download, with names the partition does not use."""
    for i, name in enumerate((*_used(_partition()), *_uuids("f", 2))):
        path = tmp_path / "images" / "stage_2_train_images" / f"{name}.dcm"
        _dicom(path, _pixels(i), inverted=i % 2 == 1, jpeg=i % 3 == 0)
    return tmp_path


@pytest.fixture
def vin(tmp_path):
    for i, name in enumerate(_used(_partition("vinbigdata", _md5s))):
        path = tmp_path / "images" / "train" / f"{name}.dicom"
        _dicom(path, _pixels(i), inverted=i % 2 == 0, stripped=True)
    return tmp_path


def _build(folder, partition, sizes=SIZES):
    return build_published(
        partition, sizes, folder / "images", missing_file=folder / "out" / "missing.tsv"
    )


def _expected(partition, sizes=SIZES):
    return [(n.name, n.role, n.label) for n in protocols.name_roles(partition, sizes)]


def test_rsna_download_gives_the_published_rows(rsna):
    built = _build(rsna, _partition())
    rows = [(row.patient_id, row.role, row.label) for row in built.rows]
    assert rows == _expected(_partition())
    assert [row.path for row in built.rows] == [
        f"stage_2_train_images/{row.patient_id}.dcm" for row in built.rows
    ]
    assert {(row.view, row.age, row.sex) for row in built.rows} == {("AP", 51, "F")}
    assert (built.about["age_min"], built.about["age_max"]) == (51, 51)
    assert built.about["anomaly_rate"] == 0.6


def test_vinbigdata_download_is_read_without_a_modality(vin):
    built = _build(vin, _partition("vinbigdata", _md5s))
    assert built.counts() == {
        "normal": {"normal": 3},
        "unlabeled": {"unlabeled": 5},
        "calibration": {"normal": 2},
        "validation": {"normal": 1, "abnormal": 1},
        "test": {"normal": 2, "abnormal": 2},
    }
    assert all(row.path.startswith("train/") and row.path.endswith(".dicom") for row in built.rows)
    assert {row.age for row in built.rows} == {None}  # age 0 stands for an age taken out
    assert built.about["age_min"] is None
    assert "No patient ids" in built.about["patients"]


def test_manifest_of_the_download_loads_and_so_do_its_images(vin):
    built = _build(vin, _partition("vinbigdata", _md5s))
    save_manifest(built, vin / "vin.csv")
    loaded = load_manifest(vin / "vin.csv")
    assert loaded.rows == built.rows and loaded.about == built.about
    grey = load_roles(loaded, ["normal", "unlabeled"], vin / "images", 32)
    assert grey["normal"].shape == (3, 32, 32) and grey["unlabeled"].shape == (5, 32, 32)


def test_dicom_of_either_polarity_and_png_give_the_same_images(tmp_path):
    partition = _partition()
    for i, name in enumerate(_used(partition)):
        _dicom(tmp_path / "one" / f"{name}.dcm", _pixels(i), inverted=i % 2 == 0)
        _png(tmp_path / "two" / "png" / f"{name}.png", _pixels(i))
    grey = []
    for folder in ("one", "two"):
        missing = tmp_path / "missing"
        built = build_published(partition, SIZES, tmp_path / folder, missing_file=missing)
        grey.append(load_roles(built, ["test"], tmp_path / folder, 32)["test"])
    assert np.array_equal(*grey)


def test_sidecar_says_whose_partition_it_is_and_what_was_not_published(rsna):
    about = _build(rsna, _partition()).about
    assert "Yu Cai" in about["partition_source"] and "MIT" in about["partition_source"]
    assert about["unlabeled"] == "the first 2 normal and the first 3 abnormal names"
    assert "not a published part" in about["calibration"]
    assert "cannot be told" in about["patients"]
    assert about["files"] == {"stage_2_train_images/*.dcm": 16}
    assert about["pixel_duplicates_across_roles"] == []
    for key in ("title", "population", "source", "licence", "abnormal_means"):
        assert about[key]


def test_d_u_of_none_is_stated(rsna):
    built = _build(rsna, _partition(), ProtocolSizes(0, 0.6, 2, 1))
    assert built.role("unlabeled") == () and built.about["unlabeled"] == "none"
    assert built.about["anomaly_rate"] is None


def test_every_missing_name_is_counted_and_listed(rsna):
    partition = _partition()
    gone = [partition.normal[1], partition.test_abnormal[0], *partition.unlabeled_abnormal[:2]]
    for name in gone:
        (rsna / "images" / "stage_2_train_images" / f"{name}.dcm").unlink()
    with pytest.raises(ManifestError, match="4 of the 16 names") as caught:
        _build(rsna, partition)
    listed = (rsna / "out" / "missing.tsv").read_text(encoding="utf-8").splitlines()
    assert listed[0].split("\t") == ["name", "role", "reason"]
    assert {line.split("\t")[0] for line in listed[1:]} == set(gone)
    assert f"{partition.normal[1]}\tnormal\tmissing" in listed
    assert partition.normal[1] in caught.value.problem
    assert str(rsna / "out" / "missing.tsv") in caught.value.problem


def test_names_the_partition_does_not_use_at_this_size_may_be_missing(rsna):
    unused = set(_used(_partition(), ProtocolSizes(9, 0.5, 0, 0))) - set(_used(_partition()))
    assert unused  # they are not in the folder, and a larger D_u needs them
    _build(rsna, _partition())
    with pytest.raises(ManifestError, match=f"{len(unused)} of the"):
        _build(rsna, _partition(), ProtocolSizes(9, 0.5, 0, 0))


def test_list_of_missing_names_goes_when_none_is_missing(rsna):
    (rsna / "out").mkdir()
    (rsna / "out" / "missing.tsv").write_text("old")
    _build(rsna, _partition())
    assert not (rsna / "out" / "missing.tsv").exists()


def test_unreadable_files_are_all_listed_after_one_reading(rsna):
    partition = _partition()
    bad = [partition.normal[0], partition.test_normal[1]]
    for name in bad:
        (rsna / "images" / "stage_2_train_images" / f"{name}.dcm").write_bytes(b"")
    with pytest.raises(ManifestError, match="2 of the 16 names .* cannot be read") as caught:
        _build(rsna, partition)
    assert "0 bytes" in caught.value.problem
    listed = (rsna / "out" / "missing.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert [line.split("\t")[0] for line in listed] == bad


def test_pixel_duplicates_across_roles_are_reported_and_kept(rsna, caplog):
    partition = _partition()
    folder = rsna / "images" / "stage_2_train_images"
    twin, original = partition.test_normal[0], partition.normal[0]
    shutil.copy(folder / f"{original}.dcm", folder / f"{twin}.dcm")
    built = _build(rsna, partition)
    assert built.about["pixel_duplicates_across_roles"] == [
        [f"normal: stage_2_train_images/{original}.dcm", f"test: stage_2_train_images/{twin}.dcm"]
    ]
    assert "same pixels" in caplog.text
    caplog.clear()
    save_manifest(built, rsna / "rsna.csv")
    loaded = load_manifest(rsna / "rsna.csv")  # told, not refused
    assert twin in caplog.text and loaded.reports_duplicates
    caplog.clear()
    load_roles(loaded, ["normal", "test"], rsna / "images", 32)
    assert "same pixels" in caplog.text


def test_duplicates_within_a_role_are_only_counted(rsna):
    partition = _partition()
    folder = rsna / "images" / "stage_2_train_images"
    shutil.copy(folder / f"{partition.normal[0]}.dcm", folder / f"{partition.normal[1]}.dcm")
    about = _build(rsna, partition).about
    assert about["pixel_duplicates_within_roles"] == 1
    assert about["pixel_duplicates_across_roles"] == []


def _touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


def test_raw_files_go_before_pngs_where_both_are_whole(tmp_path):
    _touch(tmp_path, "a.png", "b.png", "train/a.dicom", "train/b.dicom", "other/a.dcm")
    assert find_images(["a", "b"], tmp_path) == {"a": "train/a.dicom", "b": "train/b.dicom"}


def test_a_kind_that_holds_every_name_goes_before_one_with_holes(tmp_path):
    _touch(tmp_path, "train/a.dicom", "png/a.png", "png/b.png")
    assert find_images(["a", "b"], tmp_path) == {"a": "png/a.png", "b": "png/b.png"}


def test_mixed_kinds_are_chosen_in_a_fixed_order(tmp_path):
    _touch(tmp_path, "z/a.dcm", "y/a.dcm", "a.png", "b.png", "y/c.dcm")
    found = find_images(["a", "b", "c", "d"], tmp_path)
    assert found == {"a": "y/a.dcm", "b": "b.png", "c": "y/c.dcm"}


def test_endings_are_taken_in_either_case_and_hidden_files_are_not(tmp_path):
    _touch(tmp_path, "a.DCM", "._b.dcm", ".hidden/b.dcm", "b.txt", "deep/er/b.dcm")
    assert find_images(["a", "b"], tmp_path) == {"a": "a.DCM"}


def test_missing_folder_of_images_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match="no folder"):
        find_images(["a"], tmp_path / "none")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(protocols, "load_partition", lambda name, manifests: _partition(name))


def _ddad(folder, kind, *more):
    where = ["--images", folder / "images", "--out", folder / "new" / "rsna.csv"]
    return main([str(argument) for argument in ("manifest", kind, *where, *more)])


ASKED = "--unlabeled 5 --calibration 2 --validation 1".split()


def test_command_writes_the_manifest_and_tells_what_it_holds(rsna, small, capsys):
    assert _ddad(rsna, "rsna", *ASKED) == 0
    out = capsys.readouterr().out
    assert "unlabeled    5 unlabeled" in out and "anomaly rate 0.6" in out
    assert "16 files stage_2_train_images/*.dcm" in out and "0 images with equal pixels" in out
    loaded = load_manifest(rsna / "new" / "rsna.csv")
    assert [(r.patient_id, r.role, r.label) for r in loaded.rows] == _expected(_partition())
    sidecar = json.loads((rsna / "new" / "rsna.json").read_text(encoding="utf-8"))
    assert sidecar["duplicates_across_roles"] == "report"


def test_command_states_a_rate_that_had_to_be_rounded(rsna, small, capsys):
    assert _ddad(rsna, "rsna", *ASKED, "--anomaly-rate", "0.55") == 0
    assert "anomaly rate 0.6 of the unlabeled images (asked: 0.55" in capsys.readouterr().out
    sidecar = json.loads((rsna / "new" / "rsna.json").read_text(encoding="utf-8"))
    assert (sidecar["anomaly_rate"], sidecar["anomaly_rate_asked"]) == (0.6, 0.55)


def test_command_lists_missing_names_beside_the_manifest_or_where_told(rsna, small, capsys):
    shutil.rmtree(rsna / "images" / "stage_2_train_images")
    assert _ddad(rsna, "rsna", *ASKED) == 1
    assert (rsna / "new" / "rsna.missing.tsv").exists()
    assert _ddad(rsna, "rsna", *ASKED, "--missing", rsna / "list.tsv") == 1
    assert len((rsna / "list.tsv").read_text(encoding="utf-8").splitlines()) == 17
    assert "16 of the 16 names" in capsys.readouterr().err


def test_command_holds_back_known_normals_instead(rsna, small):
    more = "--unlabeled 5 --calibration-from-normal 1 --validation 1".split()
    folder = rsna / "images" / "stage_2_train_images"
    assert _ddad(rsna, "rsna", *more) == 0, list(folder.iterdir())
    loaded = load_manifest(rsna / "new" / "rsna.csv")
    assert [row.patient_id for row in loaded.role("calibration")] == [_partition().normal[-1]]


@pytest.mark.parametrize(
    ("kind", "option", "word"),
    [
        ("rsna", "--normal 3", "--normal is not for rsna"),
        ("rsna", "--seed 3", "--seed is not for rsna"),
        ("kermany", "--calibration-from-normal 3", "--calibration-from-normal is not for kermany"),
        ("vinbigdata", "--labels x.csv", "--labels is not for vinbigdata"),
        ("rsna", "--anomaly-rate 2", "--anomaly-rate is 2"),
    ],
)
def test_option_of_another_kind_is_refused(rsna, small, capsys, kind, option, word):
    assert _ddad(rsna, kind, *option.split()) == 1
    assert word in capsys.readouterr().err


def test_place_that_cannot_be_written_is_told_before_any_image_is_read(rsna, small, monkeypatch):
    monkeypatch.setattr(challenge, "identify_files", lambda paths: pytest.fail("read images"))
    (rsna / "new" / "rsna.csv").mkdir(parents=True)
    assert _ddad(rsna, "rsna", *ASKED) == 1


def test_sizes_are_checked_before_any_folder_is_looked_at(tmp_path):
    with pytest.raises(RequestError, match="11 at most"):
        _build(tmp_path, _partition(), ProtocolSizes(unlabeled=12))
