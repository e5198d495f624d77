from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from app.gateways.tables import Format, read_table
from app.services.container import Services
from app.services.export_tables import TABLES
from app.services.exporting import FORMATS, MANIFEST, ExportFilter, ExportWish
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.store.records import Box, RejectedRegion
from ddad_core.errors import RequestError
from tests.databases import Databases
from tests.exports import ALL, exported, tables
from tests.thresholds import put_in_force

Ids = dict[str, int]
Draft = Callable[..., ReadDraft]
MODEL = "nih-ae-u"
FORMULAS = ("=1+1", "@SUM(A1)", "-2+3", "+3", '=HYPERLINK("http://evil.example","x")')
ANA = Person.named("Ana")
EVERY_FORMAT = ExportWish(formats=FORMATS, comments=True, site_pseudonyms=True)


def parsed(files: dict[str, bytes], table: str) -> list[dict[str, str]]:
    data = files[f"{table}.csv"]
    assert data.startswith(b"\xef\xbb\xbf") and not data[3:].startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))


REGION = RejectedRegion("inter", 0.5, 1, 2, 3, 4, 0.75, 2, 3)


@pytest.fixture
def read(loaded: Services, ids: Ids, ana: Person, ben: Person, draft: Draft) -> Services:
    """Two readers, a revision, boxes, an operating point."""
    put_in_force(loaded, ana, MODEL, 0.5, "trial")
    boxes = (Box(10.5, 20.25, 30, 40, "lobe"), Box(1, 2, 3, 4))
    loaded.reading.save(ana, ids["00000150"], MODEL, draft(comment="=one\nü 🫁"))
    loaded.reading.save(
        ana,
        ids["00000150"],
        MODEL,
        draft("abnormal", boxes=boxes, findings=("Nodule or mass", "Infiltration")),
    )
    loaded.reading.save(ben, ids["00000150"], MODEL, draft("uncertain", rejected=(REGION,)))
    loaded.reading.save(ben, ids["00001426"], MODEL, draft("normal"))
    return loaded


def test_empty_store_exports_headers(empty: Services) -> None:
    files = exported(empty.exporting, ANA)
    for table in TABLES.values():
        lines = files[f"{table.name}.csv"].decode("utf-8-sig").splitlines()
        assert lines[0] == ",".join(column.name for column in table.columns)
        if table.name != "audit_events":
            assert len(lines) == 1 and files[f"{table.name}.jsonl"] == b""


def test_every_format_says_the_same(read: Services, tmp_path: Path) -> None:
    folder = read.exporting.folder(ANA, EVERY_FORMAT, tmp_path / "out").path
    for table in TABLES.values():
        kinds: tuple[Format, ...] = ("csv", "jsonl", "parquet")
        found = [
            [
                # CSV has one way to say nothing.
                {name: None if value == "" else value for name, value in row.items()}
                for row in read_table(folder / f"{table.name}.{kind}", kind, table.columns)
            ]
            for kind in kinds
        ]
        assert found[0] == found[1] == found[2], table.name
        assert found[0] or table.name == "audit_events", table.name


def test_dictionary_is_held_to_the_tables(read: Services, tmp_path: Path) -> None:
    files = exported(read.exporting, ANA, EVERY_FORMAT)
    listed: dict[str, list[str]] = {}
    allowed: dict[tuple[str, str], set[str]] = {}
    for row in parsed(files, "dictionary"):
        assert row["meaning"] and row["type"], row
        listed.setdefault(row["table"], []).append(row["column"])
        if row["values"]:
            allowed[row["table"], row["column"]] = set(row["values"].split(", "))
    for name, columns in listed.items():
        rows = parsed(files, name)
        assert list(rows[0]) == columns if rows else True
        parquet = pyarrow.parquet.ParquetFile(io.BytesIO(files[f"{name}.parquet"]))
        assert parquet.schema_arrow.names == columns
        for row in rows:
            for column in columns:
                if (name, column) in allowed and row[column]:
                    assert row[column] in allowed[name, column], (name, column)
    assert set(listed) == set(TABLES)


def test_manifest_has_rows_and_digests_of_every_file(read: Services) -> None:
    files = exported(read.exporting, ANA, EVERY_FORMAT)
    manifest = json.loads(files.pop(MANIFEST))
    assert {entry["name"] for entry in manifest["files"]} == set(files)
    for entry in manifest["files"]:
        data = files[entry["name"]]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert len(data) == entry["bytes"]
        if entry["format"] == "jsonl":
            assert data.count(b"\n") == entry["rows"]
    models = {model["name"]: model for model in manifest["models"]}
    card = read.models.card(MODEL)
    assert models[MODEL]["hash"] == card.model_hash and models[MODEL]["threshold"] == 0.5
    normals = card.reference.of_score(card.primary)
    assert models[MODEL]["calibration_scores"] == pytest.approx(normals.tolist())
    assert manifest["program"].startswith("DDAD Review ") and manifest["made_at"]
    again = json.loads(exported(read.exporting, ANA)[MANIFEST])
    assert again["installation"] == manifest["installation"]
    event = read.audit.page(ANA, limit=1).events[0]
    assert event.action == "export" and event.after["rows"]["reads"] == 4


def test_counts_are_those_of_the_tables(read: Services) -> None:
    wanted = ExportFilter(readers=("Ben Okafor",))
    counts = read.exporting.counts(ANA, wanted)
    rows = tables_with(read, wanted)
    rows.pop("audit_events")  # the exports themselves are on record
    counts.pop("audit_events")
    assert counts == {name: len(found) for name, found in rows.items()}
    assert counts["reads"] == 2 and counts["images"] == counts["scores"] == 3


def tables_with(services: Services, wanted: ExportFilter) -> dict[str, list[dict[str, Any]]]:
    files = exported(services.exporting, ANA, replace(ALL, rows=wanted))
    return {name: [json.loads(s) for s in files[f"{name}.jsonl"].splitlines()] for name in TABLES}


def test_filters_of_reads_leave_images_and_scores(read: Services, ana: Person, ben: Person) -> None:
    def kept(**filters: Any) -> list[tuple[str, str]]:
        found = tables_with(read, ExportFilter(**filters))
        assert len(found["images"]) == len(found["scores"]) == 3
        numbers = {row["read_id"] for row in found["reads"]}
        assert {row["read_id"] for row in found["boxes"]} <= numbers
        return [(row["reader"], row["verdict"]) for row in found["reads"]]

    a, b = ana.name, ben.name
    everything = [(a, "normal"), (a, "abnormal"), (b, "uncertain"), (b, "normal")]
    assert kept() == kept(model=MODEL) == everything
    assert kept(readers=(a,)) == everything[:2]
    assert kept(verdicts=("normal",)) == [(a, "normal"), (b, "normal")]
    assert kept(latest_only=True) == everything[1:]
    now = read.exporting._store.now()
    assert kept(until=now) == everything == kept(since=now - timedelta(minutes=5))
    assert kept(since=now) == []
    gone = tables_with(read, ExportFilter(origin="upload"))
    assert (len(gone["images"]), len(gone["reads"]), len(gone["scores"])) == (0, 0, 0)
    other = tables_with(read, ExportFilter(model="kermany-ae-u"))
    assert (other["reads"], other["scores"], other["operating_points"]) == ([], [], [])


def test_revisions_are_all_there_and_one_of_each_reader_is_current(read: Services) -> None:
    rows = parsed(exported(read.exporting, ANA), "reads")
    assert [(r["reader"], r["revision"], r["current"], r["boxes"]) for r in rows] == [
        ("Ana Ruiz", "1", "false", "0"),
        ("Ana Ruiz", "2", "true", "2"),
        ("Ben Okafor", "1", "true", "0"),
        ("Ben Okafor", "1", "true", "0"),
    ]
    assert [r["replaces_read_id"] for r in rows] == ["", rows[0]["read_id"], "", ""]


def test_read_is_exported_as_it_was_saved(read: Services, ids: Ids, ana: Person) -> None:
    saved, _ = _history(read, ids, ana)
    row = tables(read.exporting, ANA)["reads"][0]
    assert row["comment"] == "=one\nü 🫁" and row["case"] == "NIH 00000150_002"
    assert row["sha256"].startswith("bda3ad295cab04ba") and len(row["sha256"]) == 64
    assert (row["score"], row["threshold"], row["map"]) == (saved.score, 0.5, saved.map_name)
    assert row["saved_at"] == saved.saved_at.isoformat() and row["saved_at"].endswith("+00:00")


def _history(services: Services, ids: Ids, reader: Person) -> list[Any]:
    with services.exporting._store.reading() as repositories:
        return repositories.reads.history(ids["00000150"], reader.name)


def test_rejected_regions_and_what_settled_a_case_are_exported(
    read: Services, ids: Ids, ben: Person, draft: Draft
) -> None:
    arbiter = Person("Cem", frozenset({"arbiter"}))
    read.reading.save(ben, ids["00000150"], MODEL, draft("normal"))  # Ana says abnormal
    settled = read.reading.save(arbiter, ids["00000150"], MODEL, draft("abnormal"))
    tables = tables_with(read, ExportFilter())
    (region,) = tables["rejected_regions"]
    assert [region[n] for n in ("reader", "current", "map", "peak_x")] == [
        ben.name,
        False,
        "inter",
        2,
    ]
    assert [r["read_id"] for r in tables["reads"] if r["settles"]] == [settled.id]
    assert tables_with(read, ExportFilter(readers=("Cem",)))["rejected_regions"] == []
    (point,) = tables["operating_points"]
    assert (point["kind"], point["map"], point["reason"]) == ("image", None, "trial")
    assert point["evidence"]["proposed"]["threshold"] == 0.5


def test_comments_go_along_only_where_asked_for(read: Services) -> None:
    files = exported(read.exporting, ANA, ExportWish(formats=FORMATS))
    assert "=one" not in b"".join(files.values()).decode("utf-8", "replace")
    assert "=one" in exported(read.exporting, ANA)["reads.jsonl"].decode()


def test_patients_get_new_pseudonyms_in_every_export(
    read: Services, loaded_home: Path, databases: Databases
) -> None:
    databases.query(loaded_home, "UPDATE images SET patient = 'P-ONE' WHERE id < 3")
    plain = [row["patient"] for row in tables(read.exporting, ANA)["images"]]
    assert plain == ["P-ONE", "P-ONE", None]
    found = []
    for _ in range(2):
        files = exported(read.exporting, ANA, ExportWish(formats=("jsonl",)))
        assert b"P-ONE" not in b"".join(files.values())
        found.append([json.loads(s)["patient"] for s in files["images.jsonl"].splitlines()])
    assert found[0][0] == found[0][1] != found[1][0] and found[0][2] is None


def test_coco_has_readers_boxes_and_reference_boxes_apart(read: Services) -> None:
    files = exported(read.exporting, ANA, EVERY_FORMAT)
    drawn = json.loads(files["boxes.coco.json"])
    images = {image["id"]: image for image in drawn["images"]}
    names = {one["id"]: one["name"] for one in drawn["categories"]}
    assert [
        (a["bbox"], a["area"], names[a["category_id"]], a["reader"], a["revision"], a["current"])
        for a in drawn["annotations"]
    ] == [
        ([10.5, 20.25, 30, 40], 1200, "lobe", "Ana Ruiz", 2, True),
        ([1, 2, 3, 4], 12, "finding", "Ana Ruiz", 2, True),
    ]
    image = images[drawn["annotations"][0]["image_id"]]
    assert image["sha256"].startswith("bda3ad295cab04ba")
    assert (image["width"], image["height"]) == (1024, 1024)
    given = json.loads(files["reference_boxes.coco.json"])
    rows = parsed(files, "reference_boxes")
    assert len(given["annotations"]) == len(rows) > 0
    assert "reader" not in given["annotations"][0]
    assert given["annotations"][0]["bbox"][0] == float(rows[0]["x"])


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula_and_json_is_unchanged(
    loaded: Services, ids: Ids, draft: Draft, text: str
) -> None:
    reader = Person.named(text)
    loaded.reading.save(
        reader, ids["00000150"], MODEL, draft(comment=text, boxes=(Box(1, 1, 2, 2, text),))
    )
    put_in_force(loaded, reader, MODEL, 0.5, text)
    files = exported(loaded.exporting, ANA)
    places = {
        "reads": ("comment", "reader"),
        "boxes": ("label", "reader"),
        "operating_points": ("reason", "set_by"),
    }
    for table, columns in places.items():
        original = json.loads(files[f"{table}.jsonl"].splitlines()[0])
        for column in columns:
            assert parsed(files, table)[0][column] == f"'{text}"
            assert original[column] == text


def test_who_may_not_see_the_trail_does_not_export_it(read: Services) -> None:
    lead = Person.named("lead", "lead")
    files = exported(read.exporting, lead)
    assert "audit_events.csv" not in files and "reads.csv" in files
    assert "audit_events" not in read.exporting.counts(lead)
    assert "audit_events" not in files["dictionary.csv"].decode()


def test_nothing_is_left_of_an_export_that_fails(
    read: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for write in (read.exporting.folder, read.exporting.archive):
        with pytest.raises(OSError, match="No space"):
            write(ANA, EVERY_FORMAT, tmp_path / "here" / "out", fail)
        assert list((tmp_path / "here").iterdir()) == []
    assert read.audit.page(ANA, limit=1).events[0].action != "export"


def test_a_folder_that_holds_something_is_left_alone(read: Services, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RequestError, match="not empty"):
        read.exporting.folder(ANA, EVERY_FORMAT, tmp_path)
    with pytest.raises(RequestError, match="No format"):
        read.exporting.folder(ANA, ExportWish(formats=()), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["mine.txt"]


def test_writers_are_not_kept_waiting_by_an_export(
    read: Services, ids: Ids, ana: Person, draft: Draft, tmp_path: Path
) -> None:
    saved: list[int] = []

    def save(_done: int, _total: int) -> None:
        if not saved:
            saved.append(read.reading.save(ana, ids["00003391"], MODEL, draft()).id)

    made = read.exporting.folder(ANA, EVERY_FORMAT, tmp_path / "out", save)
    assert saved and made.rows["reads"] == 4  # as it was when the export began
    assert read.exporting.counts(ANA)["reads"] == 5


def test_scores_and_operating_points_of_earlier_weights_are_exported(
    read: Services, loaded_home: Path, databases: Databases
) -> None:
    """A read may name an operating point; it must not dangle once the model is replaced."""
    digest = "0" * 64
    databases.query(
        loaded_home,
        "INSERT INTO operating_points (model_name, model_hash, score_name, threshold, version,"
        f" policy, reason, set_by, set_at) VALUES ('nih-ae-u', '{digest}', 'a_inter', 1, 1, 'p',"
        " 'r', 'a', '2026-01-01 00:00:00')",
    )
    found = tables(read.exporting, ANA)
    assert len(found["operating_points"]) == 2
    points = {row["operating_point_id"] for row in found["operating_points"]}
    assert {row["operating_point_id"] for row in found["reads"]} <= points


def test_pages_lose_and_repeat_no_row(read: Services) -> None:
    with read.exporting._store.reading() as repositories:
        pages = list(repositories.exports.pages("reads", ExportFilter(), rows=1))
        assert [len(page) for page in pages] == [1, 1, 1, 1]
        whole = [
            row for page in repositories.exports.pages("reads", ExportFilter()) for row in page
        ]
    assert [page[0] for page in pages] == whole
