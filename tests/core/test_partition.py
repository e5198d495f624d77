from __future__ import annotations

import csv
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from ddad_core.cli import main
from ddad_core.errors import ManifestError, RequestError
from ddad_core.training import partition
from ddad_core.training.assignment import Candidate, Plan, Sizes, assign, check_quotas
from ddad_core.training.images import FileIdentity
from ddad_core.training.manifest import ManifestRow, load_manifest, save_manifest
from ddad_core.types import RadiographFacts
from tests.core.synthetic import GALLERY, REPOSITORY, write_image

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


def _sized(folder, **sizes):
    return partition.build_kermany(folder, seed=1, sizes=Sizes(**sizes))


def _unlabeled_counts(manifest):
    paths = [row.path for row in manifest.role("unlabeled")]
    abnormal = sum(path.startswith("PNEUMONIA/") for path in paths)
    return len(paths) - abnormal, abnormal


@pytest.mark.parametrize(("size", "rate", "expected"), [(0, 0.6, (0, 0)), (5, 0.6, (2, 3))])
def test_d_u_takes_the_size_and_rate_asked_for(kermany, size, rate, expected):
    manifest = _sized(kermany, unlabeled=size, anomaly_rate=rate)
    assert _unlabeled_counts(manifest) == expected
    assert manifest.about["anomaly_rate"] == (rate if size else None)


def test_rate_alone_keeps_the_plans_size_and_size_alone_the_published_rate(kermany):
    assert _unlabeled_counts(_sized(kermany, anomaly_rate=0.2)) == (8, 2)
    assert _unlabeled_counts(_sized(kermany, unlabeled=5)) == (2, 3)


def test_d_n_takes_the_size_asked_for_and_leaves_room_for_d_u(kermany):
    smaller = _sized(kermany, normal=2)
    assert _counts(smaller) == _counts(_sized(kermany)) | {"normal": 2}
    larger = _sized(kermany, normal=10, unlabeled=8, anomaly_rate=0.75)
    assert len(larger.role("normal")) == 10 and _unlabeled_counts(larger) == (2, 6)


def test_number_the_data_cannot_give_is_an_error_with_the_numbers(kermany):
    with pytest.raises(
        ManifestError, match="unlabeled part needs 30 abnormal images; there are 12"
    ):
        _sized(kermany, unlabeled=30, anomaly_rate=1)
    with pytest.raises(ManifestError, match=r"normal part needs 30 normal .*; there are 14"):
        _sized(kermany, normal=30)
    with pytest.raises(RequestError, match="--anomaly-rate is 1.5"):
        _sized(kermany, anomaly_rate=1.5)
    with pytest.raises(RequestError, match="--normal is -1"):
        _sized(kermany, normal=-1)


def test_sizes_are_checked_before_images_are_read(kermany, monkeypatch):
    monkeypatch.setattr(partition, "identify_files", lambda paths: pytest.fail("read images"))
    with pytest.raises(RequestError):
        _sized(kermany, unlabeled=-1)


PLAN = Plan(
    (
        ("test", 20, 30),
        ("calibration", 10, 0),
        ("validation", 6, 6),
        ("unlabeled", 40, 60),
        ("normal", 60, 0),
    )
)


def _crowd(seed=0):
    """200 normal and 200 abnormal patients of 1 to 3 images, 10 of both kinds."""
    found = []
    for n in range(410):
        labels = [0] * (n % 3 + 1) if n < 200 else [1] * (n % 3 + 1) if n < 400 else [0, 1]
        for i, label in enumerate(labels):
            row = ManifestRow(f"{label}/{n}_{i}.png", "", label, f"p{n}")
            found.append(Candidate(row, label))
    return found


def _by_role(chosen, *roles):
    return {c.row.path for c in chosen if c.row.role in roles}


HELD = ("test", "calibration", "validation")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "sizes", [(None, 0, 0.6), (None, 80, 0.0), (None, 200, 1.0), (30, 300, 0.3), (90, 100, 0.6)]
)
def test_resizing_leaves_the_parts_held_apart_as_they_are(seed, sizes):
    wanted = Sizes(*sizes)
    base, resized = assign(_crowd(), PLAN, seed), assign(_crowd(), PLAN, seed, wanted)
    check_quotas(resized, wanted.quotas(PLAN))
    for role in HELD:
        assert _by_role(base, role) == _by_role(resized, role)
    known, before = _by_role(resized, "normal"), _by_role(base, "normal")
    if wanted.normal is None:
        assert known == before
    else:
        assert len(known) == wanted.normal and (known <= before or known >= before)
    assert len(_by_role(resized, "unlabeled")) == wanted.unlabeled
    roles = {}
    for c in resized:
        roles.setdefault(c.row.patient_id, set()).add(c.row.role)
    assert all(len(found) == 1 for found in roles.values())
    paths = [c.row.path for c in resized]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("seed", range(4))
def test_asking_for_the_plans_own_sizes_changes_nothing(seed):
    base = assign(_crowd(), PLAN, seed)
    same = assign(_crowd(), PLAN, seed, Sizes(60, 100, 0.6))
    for role in (*HELD, "unlabeled", "normal"):
        assert _by_role(base, role) == _by_role(same, role)


def test_a_smaller_d_u_lies_in_a_larger_one():
    nested = [
        _by_role(assign(_crowd(), PLAN, 1, Sizes(None, size, 0.6)), "unlabeled")
        for size in (10, 55, 100, 160)
    ]
    assert nested[0] < nested[1] < nested[2] < nested[3]


def test_known_normals_never_come_from_a_patient_with_both_labels():
    for seed in range(4):
        chosen = assign(_crowd(), PLAN, seed, Sizes(120, 20, 0.6))
        known = {c.row.patient_id for c in chosen if c.row.role == "normal"}
        assert not known & {f"p{n}" for n in range(400, 410)}


def test_d_n_does_not_eat_a_d_u_that_is_not_asked_for_anew():
    wanted = Sizes(normal=1000)
    chosen = assign(_crowd(), PLAN, 1, wanted)
    assert sum(c.label == 0 for c in chosen if c.row.role == "unlabeled") == 40
    with pytest.raises(ManifestError, match="normal part needs"):
        check_quotas(chosen, wanted.quotas(PLAN))


def test_folder_takes_sizes_too(tmp_path):
    for n in range(40):
        write_image(tmp_path / "normal" / f"{n}.png", n)
        write_image(tmp_path / "abnormal" / f"{n}.png", 100 + n)
    built = partition.build_folder(tmp_path, seed=3, sizes=Sizes(10, 12, 0.75))
    plain = partition.build_folder(tmp_path, seed=3)
    assert built.about["anomaly_rate"] == 0.75 and len(built.role("normal")) == 10
    for role in HELD:
        assert built.role(role) == plain.role(role)
    out = tmp_path / "my.csv"
    arguments = ["manifest", "folder", "--images", str(tmp_path), "--out", str(out), "--seed", "3"]
    assert main([*arguments, *"--normal 10 --unlabeled 12 --anomaly-rate 0.75".split()]) == 0
    assert load_manifest(out).rows == built.rows


def _shared():
    shared = os.environ.get("DDAD_SHARED_DATA")
    if not shared or not Path(shared, "kermany").exists():
        pytest.skip("needs DDAD_SHARED_DATA")
    return Path(shared)


def _same_as_shipped(manifest, folder):
    shipped = REPOSITORY / "data" / "manifests"
    save_manifest(manifest, folder / f"{manifest.name}.csv")
    for ending in ("csv", "json"):
        file = f"{manifest.name}.{ending}"
        assert (folder / file).read_bytes() == (shipped / file).read_bytes()


def test_shipped_kermany_manifest_comes_out_again_to_the_byte(tmp_path, monkeypatch):
    """Files are hashed but not decoded; which pixels repeat is taken from the sidecar."""
    images = _shared() / "kermany" / "train"
    shipped = load_manifest(REPOSITORY / "data" / "manifests" / "kermany.csv")
    repeated = set(shipped.about["pixel_duplicates_left_out"])

    def identify(paths):
        names = [path.relative_to(images).as_posix() for path in paths]
        return [
            FileIdentity(
                hashlib.sha256(path.read_bytes()).hexdigest(),
                names[0] if name in repeated else name,
                RadiographFacts(format="jpeg"),
            )
            for path, name in zip(paths, names, strict=True)
        ]

    monkeypatch.setattr(partition, "identify_files", identify)
    _same_as_shipped(partition.build_kermany(images, seed=2022), tmp_path)
    # 700 known normals are more than the plan's; a smaller D_u lets them have its normals.
    more = partition.build_kermany(images, seed=2022, sizes=Sizes(700, 600, 0.6))
    assert len(more.role("normal")) == 700 and _unlabeled_counts(more) == (240, 360)
    assert more.role("test") == shipped.role("test")


def test_shipped_nih_manifest_comes_out_again_to_the_byte(tmp_path):
    folder = _shared() / "nih"
    with (GALLERY / "gallery.csv").open(encoding="utf-8", newline="") as file:
        gallery = [r["patient_id"] for r in csv.DictReader(file) if r["patient_id"]]
    built = partition.build_nih(
        folder / "images",
        seed=2022,
        labels=folder / "labels.csv",
        boxes=folder / "boxes.csv",
        left_out=gallery,
    )
    _same_as_shipped(built, tmp_path)
