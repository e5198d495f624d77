from __future__ import annotations

import csv
import shutil

import pytest

from ddad_core.errors import ManifestError
from ddad_core.training import partition
from ddad_core.training.partition import Plan
from tests.core.synthetic import write_image

KERMANY_PLAN = Plan(
    (
        ("test", 2, 2),
        ("calibration", 2, 0),
        ("validation", 2, 2),
        ("unlabeled", 4, 6),
        ("normal", 4, 0),
    )
)
NIH_PLAN = Plan(
    (
        ("test", 3, 3),
        ("calibration", 2, 0),
        ("validation", 1, 1),
        ("unlabeled", 2, 3),
        ("normal", 3, 0),
    )
)


def _roles_by_patient(manifest):
    roles = {}
    for row in manifest.rows:
        roles.setdefault(row.patient_id, set()).add(row.role)
    return roles


def _counts(manifest):
    return {role: sum(row.role == role for row in manifest.rows) for role in partition_roles}


partition_roles = ("test", "calibration", "validation", "unlabeled", "normal")


@pytest.fixture
def kermany(tmp_path, monkeypatch):
    monkeypatch.setattr(partition, "PLANS", {"kermany": KERMANY_PLAN})
    names = []
    for person in range(12):  # two normal images of each person, under both naming habits
        names += [f"NORMAL/IM-{person:04}-0001.jpeg", f"NORMAL/NORMAL2-IM-{person:04}-0001.jpeg"]
    for person in range(8):
        names += [
            f"PNEUMONIA/person{person}_bacteria_{person}.jpeg",
            f"PNEUMONIA/person{person}_virus_9{person}.jpeg",
        ]
    for seed, name in enumerate(names):
        write_image(tmp_path / name, seed)
    return tmp_path


def test_kermany_patients_stay_together_across_file_names(kermany):
    manifest = partition.build_kermany(kermany, seed=1)
    assert all(len(roles) == 1 for roles in _roles_by_patient(manifest).values())
    role = {row.path: row.role for row in manifest.rows}
    patient = {row.path: row.patient_id for row in manifest.rows}
    pairs = 0
    for person in range(12):
        pair = [f"NORMAL/{p}IM-{person:04}-0001.jpeg" for p in ("", "NORMAL2-")]
        if all(path in role for path in pair):
            assert len({(role[path], patient[path]) for path in pair}) == 1
            pairs += 1
    for person in range(8):
        kinds = (f"bacteria_{person}", f"virus_9{person}")
        pair = [f"PNEUMONIA/person{person}_{kind}.jpeg" for kind in kinds]
        if all(path in role for path in pair):
            assert len({(role[path], patient[path]) for path in pair}) == 1
            pairs += 1
    assert pairs == 12


def test_normal_and_pneumonia_numbers_are_not_mistaken_for_each_other(kermany):
    patients = _roles_by_patient(partition.build_kermany(kermany, seed=1))
    kinds = {patient.rstrip("0123456789") for patient in patients}
    assert kinds == {"IM", "person"}


@pytest.mark.parametrize("seed", range(6))
def test_quotas_are_met_and_every_path_is_used_once(kermany, seed):
    manifest = partition.build_kermany(kermany, seed=seed)
    for role, normal, abnormal in KERMANY_PLAN.quotas:
        found = [row.path for row in manifest.role(role)]
        assert sum(path.startswith("NORMAL/") for path in found) == normal
        assert sum(path.startswith("PNEUMONIA/") for path in found) == abnormal
    paths = [row.path for row in manifest.rows]
    assert len(set(paths)) == len(paths)


def test_labels_of_unlabeled_images_are_struck_out_and_their_rate_is_kept(kermany):
    manifest = partition.build_kermany(kermany, seed=1)
    assert all(row.label is None for row in manifest.role("unlabeled"))
    assert manifest.about["anomaly_rate"] == 0.6
    for row in manifest.rows:
        if row.role != "unlabeled":
            assert row.label == int(row.path.startswith("PNEUMONIA/"))


def test_same_seed_gives_the_same_manifest_and_another_seed_another(kermany):
    first, again, other = (partition.build_kermany(kermany, seed=s) for s in (1, 1, 3))
    assert first.rows == again.rows and first.about == again.about
    assert first.rows != other.rows


def test_pixel_duplicates_are_left_out_and_named(kermany):
    # The same pixels in another file of another patient.
    shutil.copy(kermany / "NORMAL/IM-0000-0001.jpeg", kermany / "NORMAL/IM-0900-0001.jpeg")
    manifest = partition.build_kermany(kermany, seed=1)
    assert manifest.about["pixel_duplicates_left_out"] == ["NORMAL/IM-0900-0001.jpeg"]
    assert "NORMAL/IM-0900-0001.jpeg" not in {row.path for row in manifest.rows}


def test_too_few_images_for_a_quota_are_an_error(kermany):
    for path in (kermany / "PNEUMONIA").iterdir():
        path.unlink()
    with pytest.raises(ManifestError, match="test part needs 2 abnormal images; there are 0"):
        partition.build_kermany(kermany, seed=1)


def test_file_without_a_patient_number_is_an_error(kermany):
    write_image(kermany / "NORMAL" / "scan.jpeg", 999)
    with pytest.raises(ManifestError, match=r"scan\.jpeg carries no patient number"):
        partition.build_kermany(kermany, seed=1)


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match="There is no folder .*NORMAL"):
        partition.build_kermany(tmp_path, seed=1)
    with pytest.raises(ManifestError, match="There is no folder .*normal"):
        partition.build_folder(tmp_path, seed=1)


LABEL_COLUMNS = ("image", "finding_labels", "patient_id", "age", "sex", "view")


def _nih_record(number, patient, *, age=40, finding="No Finding"):
    return {
        "image": f"{number:08}_000.png",
        "finding_labels": finding,
        "patient_id": str(patient),
        "age": str(age),
        "sex": "F",
        "view": "PA",
    }


def _write_csv(path, records, columns):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(records)
    return path


@pytest.fixture
def nih(tmp_path, monkeypatch):
    """Patients 1-14 normal, 21-30 abnormal, 50 both; 60 is 17, 61 is 18; 70 has a boxed image."""
    monkeypatch.setattr(partition, "PLANS", {"nih": NIH_PLAN})
    records = [_nih_record(n, n) for n in range(1, 15)]
    records += [_nih_record(n, n, finding="Pneumonia") for n in range(21, 31)]
    records += [_nih_record(51, 50), _nih_record(52, 50, finding="Effusion|Pneumonia")]
    records += [_nih_record(60, 60, age=17), _nih_record(61, 61, age=18)]
    records += [_nih_record(70, 70, finding="Mass"), _nih_record(71, 70)]
    for seed, record in enumerate(records):
        write_image(tmp_path / "images" / record["image"], 500 + seed)
    return tmp_path, records


def _build_nih(nih, seed=1, **changes):
    folder, records = nih
    labels = _write_csv(folder / "labels.csv", records, LABEL_COLUMNS)
    boxes = _write_csv(folder / "boxes.csv", [{"image": "00000070_000.png"}], ["image"])
    arguments = {"labels": labels, "boxes": boxes, "left_out": ()} | changes
    return partition.build_nih(folder / "images", seed=seed, **arguments)


def _everyone(monkeypatch):
    """A plan with room for all, so that only exclusion can leave a patient out."""
    roomy = Plan((("test", 50, 50), ("normal", 0, 0)), mixed_roles=("test",))
    monkeypatch.setattr(partition, "PLANS", {"nih": roomy})
    monkeypatch.setattr(partition, "check_quotas", lambda chosen, quotas: None)


@pytest.mark.parametrize("seed", range(5))
def test_nih_is_patient_disjoint_and_meets_its_quotas(nih, seed):
    manifest = _build_nih(nih, seed)
    assert all(len(roles) == 1 for roles in _roles_by_patient(manifest).values())
    assert manifest.about["anomaly_rate"] == 0.6
    assert _counts(manifest) == {role: n + a for role, n, a in NIH_PLAN.quotas}


def test_nih_leaves_out_children_and_patients_of_boxed_images(nih, monkeypatch):
    _everyone(monkeypatch)
    patients = set(_roles_by_patient(_build_nih(nih)))
    assert "61" in patients and "50" in patients
    assert not {"60", "70"} & patients  # 70's other image has no box and goes with it


def test_nih_without_boxes_keeps_their_patients(nih, monkeypatch):
    _everyone(monkeypatch)
    assert "70" in _roles_by_patient(_build_nih(nih, boxes=None))


def test_nih_leaves_out_given_patients(nih, monkeypatch):
    _everyone(monkeypatch)
    patients = set(_roles_by_patient(_build_nih(nih, left_out=["3", "00000004"])))
    assert not {"3", "4"} & patients and "5" in patients


def test_nih_leaves_out_given_patients_under_padded_ids(nih, monkeypatch):
    _everyone(monkeypatch)
    folder, records = nih
    padded = [r | {"patient_id": r["patient_id"].zfill(8)} for r in records]
    manifest = _build_nih((folder, padded), left_out=["3"])
    assert "3" not in {row.patient_id.lstrip("0") for row in manifest.rows}


def test_patient_with_both_labels_is_never_calibration_or_known_normal(nih):
    for seed in range(8):
        roles = _roles_by_patient(_build_nih(nih, seed)).get("50", set())
        assert not roles & {"calibration", "normal"}


def test_nih_facts_of_a_row_are_kept(nih, monkeypatch):
    _everyone(monkeypatch)
    manifest = _build_nih(nih)
    row = next(row for row in manifest.rows if row.patient_id == "61")
    assert (row.age, row.sex, row.view, row.label) == (18, "F", "PA", 0)
    assert (manifest.about["age_min"], manifest.about["age_max"]) == (18, 40)
    assert len(row.sha256) == 64


def test_listed_image_that_is_missing_is_an_error(nih):
    (nih[0] / "images" / "00000001_000.png").unlink()
    with pytest.raises(ManifestError, match=r"00000001_000\.png is missing"):
        _build_nih(nih)


def test_folder_is_patient_disjoint_and_every_role_is_filled(tmp_path):
    for n in range(30):
        write_image(tmp_path / "normal" / f"p{n // 2}__{n}.png", n)
    for n in range(20):
        write_image(tmp_path / "abnormal" / f"sick{n}.png", 100 + n)
    manifest = partition.build_folder(tmp_path, seed=3)
    assert all(len(roles) == 1 for roles in _roles_by_patient(manifest).values())
    assert {f"p{n}" for n in range(15)} >= {
        row.patient_id for row in manifest.rows if row.path.startswith("normal/")
    }
    counts = _counts(manifest)
    assert all(counts.values()) and counts["test"] == 6 + 4
    unlabeled = manifest.role("unlabeled")
    abnormal = sum(row.path.startswith("abnormal/") for row in unlabeled)
    assert manifest.about["anomaly_rate"] == pytest.approx(abnormal / len(unlabeled))
    assert partition.build_folder(tmp_path, seed=3).rows == manifest.rows


def test_folder_file_names_are_patients_of_their_own(tmp_path):
    for n in range(10):
        write_image(tmp_path / "normal" / f"{n}.png", n)
        write_image(tmp_path / "abnormal" / f"{n}.png", 100 + n)
    patients = _roles_by_patient(partition.build_folder(tmp_path, seed=3))
    assert {"normal-1", "normal-2", "normal-4"} <= set(patients)
    assert any(patient.startswith("abnormal-") for patient in patients)


def test_unreadable_image_is_named(tmp_path):
    for n in range(10):
        write_image(tmp_path / "normal" / f"{n}.png", n)
    write_image(tmp_path / "abnormal" / "0.png", 100)
    (tmp_path / "normal" / "7.png").write_text("not an image")
    with pytest.raises(Exception, match=r"7\.png"):  # noqa: B017
        partition.build_folder(tmp_path, seed=3)
