from __future__ import annotations

import csv
import hashlib

import pytest

from ddad_core.card import load_card
from ddad_core.errors import ManifestError
from ddad_core.training.manifest import (
    ROLES,
    Manifest,
    ManifestRow,
    load_manifest,
    place,
    save_manifest,
    sidecar_path,
)
from tests.core.synthetic import GALLERY, REPOSITORY, WEIGHTS

HEADER = "path,role,label,patient_id,sha256,view,age,sex\n"
MANIFESTS = REPOSITORY / "data" / "manifests"


def _write(folder, lines, header=HEADER):
    path = folder / "set.csv"
    path.write_text(header + "".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def _refuse(path, *words):
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    for word in (str(path), *words):
        assert word in caught.value.problem
    assert caught.value.next_step


def test_manifest_survives_a_round_trip(tmp_path):
    rows = (
        ManifestRow("a/é, 1.png", "normal", 0, "p1", "a" * 64, "PA", 36, "F"),
        ManifestRow("a/2.png", "unlabeled", None, "p2"),
        ManifestRow("a/3.png", "test", 1, "p3", age=0.5),
        ManifestRow("a/4.png", "calibration", 0, 'q"4'),
        ManifestRow("a/5.png", "validation", 1, "p5", view="AP", sex="M"),
    )
    path = tmp_path / "deep" / "set.csv"
    save_manifest(Manifest("set", rows, {"title": "Ö", "anomaly_rate": 0.6}), path)
    loaded = load_manifest(path)
    assert loaded.rows == rows
    assert loaded.name == "set"
    assert loaded.about == {"title": "Ö", "anomaly_rate": 0.6}
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_roles_and_counts(tmp_path):
    lines = ["1,normal,0,a", "2,test,1,b", "3,test,0,c", "4,unlabeled,,d", "5,test,1,b"]
    manifest = load_manifest(_write(tmp_path, lines, "path,role,label,patient_id\n"))
    assert [row.path for row in manifest.role("test")] == ["2", "3", "5"]
    assert manifest.counts() == {
        "normal": {"normal": 1},
        "test": {"abnormal": 2, "normal": 1},
        "unlabeled": {"unlabeled": 1},
    }
    assert manifest.about == {}


def test_byte_order_mark_and_spaces_of_spreadsheets_are_taken(tmp_path):
    path = _write(tmp_path, [" a.png , normal , 0 , p "], "\ufeffpath,role,label,patient_id\n")
    assert load_manifest(path).rows == (ManifestRow("a.png", "normal", 0, "p"),)


def test_missing_file_is_an_error(tmp_path):
    _refuse(tmp_path / "none.csv", "no manifest")


@pytest.mark.parametrize("column", ["path", "role", "label", "patient_id"])
def test_missing_column_is_named(tmp_path, column):
    header = ",".join(c for c in ("path", "role", "label", "patient_id") if c != column)
    _refuse(_write(tmp_path, [], header + "\n"), "line 1", column)


def test_empty_file_is_an_error(tmp_path):
    _refuse(_write(tmp_path, [], ""), "line 1", "path")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("b.png,train,0,p9,,,,", "role 'train'"),
        ("b.png,,0,p9,,,,", "role ''"),
        ("b.png,unlabeled,1,p9,,,,", "labels may not reach training"),
        ("b.png,unlabeled,0,p9,,,,", "labels may not reach training"),
        ("b.png,normal,1,p9,,,,", "label '1' of a normal"),
        ("b.png,calibration,1,p9,,,,", "label '1' of a calibration"),
        ("b.png,test,,p9,,,,", "label '' of a test"),
        ("b.png,test,2,p9,,,,", "label '2'"),
        ("b.png,test,0,,,,,", "patient_id is blank"),
        ("b.png,test,0,  ,,,,", "patient_id is blank"),
        ("/etc/b.png,test,0,p9,,,,", "'/etc/b.png'"),
        ("../b.png,test,0,p9,,,,", "'../b.png'"),
        ("a/../../b.png,test,0,p9,,,,", "inside the images folder"),
        (",test,0,p9,,,,", "path ''"),
        ("b.png,test,0,p9,abc,,,", "sha256 'abc'"),
        (f"b.png,test,0,p9,{'g' * 64},,,", "64 hexadecimal digits"),
        ("b.png,test,0,p9,,,old,", "old"),
        ("b.png,test,0,p9", "number of fields"),
        ("b.png,test,0,p9,,,,,,", "number of fields"),
    ],
)
def test_broken_row_is_refused_with_its_line(tmp_path, line, word):
    good = "a.png,normal,0,p1,,,,"
    _refuse(_write(tmp_path, [good, line]), "line 3", word)


def test_duplicate_path_names_both_lines(tmp_path):
    lines = ["a.png,normal,0,p1,,,,", "b.png,normal,0,p2,,,,", "a.png,normal,0,p1,,,,"]
    _refuse(_write(tmp_path, lines), "line 4", "a.png", "line 2")


def test_duplicate_path_names_its_line_after_blank_lines(tmp_path):
    lines = ["a.png,normal,0,p1,,,,", "", "", "a.png,normal,0,p1,,,,"]
    _refuse(_write(tmp_path, lines), "line 5", "line 2")


def test_one_file_under_two_spellings_is_refused(tmp_path):
    _refuse(_write(tmp_path, ["a.png,normal,0,p1,,,,", "./a.png,test,0,p2,,,,"]), "line 3")


def test_absurdly_long_field_is_refused(tmp_path):
    _refuse(_write(tmp_path, ["a" * 200_000 + ",normal,0,p1,,,,"]), "line 2")


def test_age_that_is_no_number_of_years_is_refused(tmp_path):
    _refuse(_write(tmp_path, ["a.png,normal,0,p1,,,nan,"]), "line 2")


def test_patient_of_two_roles_is_refused(tmp_path):
    lines = ["a.png,normal,0,p1,,,,", "b.png,test,0,p1,,,,", "c.png,test,0,p2,,,,"]
    _refuse(_write(tmp_path, lines), "line 3", "p1", "normal in line 2")


SAME = "ab" * 32
TWINS = [f"a.png,normal,0,p1,{SAME},,,", "b.png,normal,0,p2,,,,", f"c.png,test,0,p3,{SAME},,,"]


def test_one_file_under_two_roles_is_refused_with_both_lines(tmp_path):
    _refuse(_write(tmp_path, TWINS), "line 4", "c.png is test", "is normal in line 2")


def test_one_file_under_two_roles_is_reported_where_the_sidecar_says_so(tmp_path, caplog):
    path = _write(tmp_path, TWINS)
    sidecar_path(path).write_text('{"duplicates_across_roles": "report"}')
    assert len(load_manifest(path).rows) == 3
    assert f"{path}, line 4" in caplog.text and "line 2" in caplog.text


def test_sidecar_that_asks_for_something_else_with_duplicates_is_refused(tmp_path):
    path = _write(tmp_path, TWINS[:2])
    sidecar_path(path).write_text('{"duplicates_across_roles": "ignore"}')
    with pytest.raises(ManifestError, match="ignore"):
        load_manifest(path)


def test_one_file_twice_within_a_role_is_no_error(tmp_path, caplog):
    lines = [TWINS[0], f"b.png,normal,0,p2,{SAME.upper()},,,"]
    assert len(load_manifest(_write(tmp_path, lines)).rows) == 2 and not caplog.text


def test_rows_know_their_lines_past_blank_ones(tmp_path):
    lines = ["a.png,normal,0,p1,,,,", "", 'b.png,normal,0,"p ""2""",,,,', "c.png,test,0,p3,,,,"]
    path = _write(tmp_path, lines)
    manifest = load_manifest(path)
    assert [row.line for row in manifest.rows] == [2, 4, 5] and manifest.path == path
    assert place(manifest.rows[1], path) == f"{path}, line 4"
    assert place(ManifestRow("x.png", "test", 0, "p")) == "x.png"


def test_digest_is_taken_in_either_case(tmp_path):
    path = _write(tmp_path, [f"a.png,normal,0,p1,{'AB' * 32},,,"])
    assert load_manifest(path).rows[0].sha256 == "ab" * 32


def test_other_encodings_are_refused(tmp_path):
    path = tmp_path / "set.csv"
    path.write_bytes((HEADER + "Müller.png,normal,0,p1,,,,\n").encode("latin-1"))
    _refuse(path, "not UTF-8", f"byte {len(HEADER) + 1}")


@pytest.mark.parametrize(
    ("text", "word"), [(b"{", "not JSON"), (b"[1]", "no JSON object"), (b"\xff\xfe", "not JSON")]
)
def test_damaged_sidecar_is_refused(tmp_path, text, word):
    path = _write(tmp_path, ["a.png,normal,0,p1,,,,"])
    sidecar_path(path).write_bytes(text)
    with pytest.raises(ManifestError, match=word) as caught:
        load_manifest(path)
    assert str(sidecar_path(path)) in caught.value.problem


@pytest.fixture(scope="module", params=["kermany", "nih"])
def shipped(request):
    return load_manifest(MANIFESTS / f"{request.param}.csv")


def test_shipped_manifest_keeps_patients_apart(shipped):
    roles = {}
    for row in shipped.rows:
        roles.setdefault(row.patient_id, set()).add(row.role)
    assert all(len(found) == 1 for found in roles.values())
    assert {row.role for row in shipped.rows} == set(ROLES)


def test_shipped_manifest_names_every_file_once(shipped):
    digests = [row.sha256 for row in shipped.rows]
    assert all(digests) and len(set(digests)) == len(digests)
    left_out = shipped.about["pixel_duplicates_left_out"]
    assert left_out and not {row.path for row in shipped.rows} & set(left_out)


def test_shipped_manifest_is_the_one_its_model_was_trained_on(shipped):
    card = load_card(WEIGHTS / f"{shipped.name}-ae-u")
    assert card.raw["data"]["manifest_sha256"] == shipped.sha256
    assert card.raw["data"]["counts"] == shipped.counts()
    assert card.raw["evaluation"]["manifest_sha256"] == shipped.sha256
    test = shipped.counts()["test"]
    evaluation = card.raw["evaluation"]
    found = {"normal": evaluation["n_normal"], "abnormal": evaluation["n_abnormal"]}
    assert found == test


def test_shipped_unlabeled_images_are_60_percent_abnormal(shipped):
    assert shipped.about["anomaly_rate"] == 0.6
    if shipped.name == "kermany":  # the folder gives the label away
        abnormal = [row.path.startswith("PNEUMONIA/") for row in shipped.role("unlabeled")]
        assert sum(abnormal) == 600 and len(abnormal) == 1000


def test_kermany_labels_and_patients_agree_with_the_paths():
    for row in load_manifest(MANIFESTS / "kermany.csv").rows:
        if row.label is not None:
            assert row.label == int(row.path.startswith("PNEUMONIA/"))
        number = row.patient_id.removeprefix("IM").removeprefix("person")
        assert f"IM-{number}-" in row.path or f"person{number}_" in row.path


def test_nih_manifest_holds_adults_and_no_patient_of_the_gallery():
    manifest = load_manifest(MANIFESTS / "nih.csv")
    assert all(row.age is not None and row.age >= 18 for row in manifest.rows)
    with (GALLERY / "gallery.csv").open(encoding="utf-8", newline="") as file:
        gallery = {str(int(r["patient_id"])) for r in csv.DictReader(file) if r["patient_id"]}
    assert len(gallery) > 10
    patients = {str(int(row.patient_id)) for row in manifest.rows}
    assert not gallery & patients
    assert all(row.patient_id == str(int(row.path.split("_")[0])) for row in manifest.rows)
