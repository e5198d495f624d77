from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.container import Services
from app.services.exporting import COLUMNS, Export
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.store.records import Box
from tests.databases import Databases
from tests.thresholds import put_in_force

Ids = dict[str, int]
Draft = Callable[..., ReadDraft]
MODEL = "nih-ae-u"
FORMULAS = ("=1+1", "@SUM(A1)", "-2+3", "+3", '=HYPERLINK("http://evil.example","x")')


def parsed(export: Export, table: str) -> list[dict[str, str]]:
    data = export.csv(table)
    assert data.startswith(b"\xef\xbb\xbf") and not data[3:].startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))


def tables(export: Export) -> dict[str, list[dict[str, object]]]:
    document = json.loads(export.json())
    return {name: document[name] for name in COLUMNS}


def test_empty_store_exports_headers(empty: Services) -> None:
    export = empty.exporting.export(Person.named("Ana"))
    for table, columns in COLUMNS.items():
        expected = ("\ufeff" + ",".join(columns) + "\r\n").encode()
        assert export.csv(table) == expected
    assert tables(export) == {name: [] for name in COLUMNS}


@pytest.mark.parametrize("table", COLUMNS)
def test_csv_has_the_same_rows_and_columns_as_json(
    loaded: Services, ids: Ids, ana: Person, draft: Draft, table: str
) -> None:
    loaded.reading.save(ana, ids["00000150"], MODEL, draft(boxes=(Box(1, 2, 3, 4, "a"),)))
    put_in_force(loaded, ana, MODEL, 0.5, "trial")
    export = loaded.exporting.export(Person.named("Ana"))
    rows, originals = parsed(export, table), tables(export)[table]
    assert len(rows) == len(originals) > 0
    for row, original in zip(rows, originals, strict=True):
        assert tuple(row) == tuple(original) == COLUMNS[table]
        for name, value in original.items():
            if isinstance(value, float):
                assert float(row[name]) == value
            elif isinstance(value, bool):
                assert row[name] == str(value).lower()
            elif isinstance(value, list):
                assert row[name] == "; ".join(value)
            else:
                assert row[name] == ("" if value is None else str(value))


def test_read_is_exported_as_it_was_saved(
    loaded: Services, ids: Ids, ana: Person, draft: Draft
) -> None:
    comment = 'line one\nline two, "quoted"; ümlaut 🫁'
    saved = loaded.reading.save(
        ana,
        ids["00000150"],
        MODEL,
        draft(
            "abnormal", confidence=3, findings=("Nodule or mass", "Infiltration"), comment=comment
        ),
    )
    export = loaded.exporting.export(Person.named("Ana"))
    row = parsed(export, "reads")[0]
    assert row["comment"] == comment and row["findings"] == "Nodule or mass; Infiltration"
    assert (row["case"], row["reader"]) == ("NIH 00000150_002", ana.name)
    assert (row["verdict"], row["confidence"], row["ai_visible"]) == ("abnormal", "3", "true")
    assert row["sha256"].startswith("bda3ad295cab04ba") and len(row["sha256"]) == 64
    assert float(row["score"]) == saved.score and float(row["threshold"]) == saved.threshold
    assert row["saved_at"] == saved.saved_at.isoformat() and row["saved_at"].endswith("+00:00")


def test_revisions_are_all_there_and_one_of_each_reader_is_current(
    loaded: Services, ids: Ids, ana: Person, ben: Person, draft: Draft
) -> None:
    for reader, verdict in ((ana, "normal"), (ben, "normal"), (ana, "abnormal"), (ana, "normal")):
        boxes = (Box(1, 1, 2, 2),) * (2 if verdict == "abnormal" else 0)
        loaded.reading.save(reader, ids["00000150"], MODEL, draft(verdict, boxes=boxes))
    export = loaded.exporting.export(Person.named("Ana"))
    rows = parsed(export, "reads")
    assert [(r["reader"], r["revision"], r["current"], r["boxes"]) for r in rows] == [
        (ana.name, "1", "false", "0"),
        (ben.name, "1", "true", "0"),
        (ana.name, "2", "false", "2"),
        (ana.name, "3", "true", "0"),
    ]
    assert [r["replaces_read_id"] for r in rows] == ["", "", rows[0]["read_id"], rows[2]["read_id"]]
    assert [r["current"] for r in parsed(export, "boxes")] == ["false", "false"]


def test_boxes_are_in_image_pixels_with_the_image_size(
    loaded: Services, ids: Ids, ana: Person, draft: Draft
) -> None:
    boxes = (Box(10.5, 20.25, 30, 40, "lobe"), Box(1, 2, 3, 4))
    saved = loaded.reading.save(ana, ids["00000150"], MODEL, draft(boxes=boxes))
    rows = parsed(loaded.exporting.export(Person.named("Ana")), "boxes")
    assert [
        (float(r["x"]), float(r["y"]), float(r["width"]), float(r["height"])) for r in rows
    ] == [
        (10.5, 20.25, 30, 40),
        (1, 2, 3, 4),
    ]
    assert [(r["index"], r["label"], r["read_id"]) for r in rows] == [
        (str(box.index), box.label, str(saved.id)) for box in saved.boxes
    ]
    assert {(r["image_width"], r["image_height"]) for r in rows} == {("1024", "1024")}


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula_and_json_is_unchanged(
    loaded: Services, ids: Ids, draft: Draft, text: str
) -> None:
    reader = Person.named(text)
    loaded.reading.save(
        reader, ids["00000150"], MODEL, draft(comment=text, boxes=(Box(1, 1, 2, 2, text),))
    )
    put_in_force(loaded, reader, MODEL, 0.5, text)
    export = loaded.exporting.export(Person.named("Ana"))
    places = {
        "reads": ("comment", "reader"),
        "boxes": ("label", "reader"),
        "operating_points": ("reason", "set_by"),
    }
    for table, columns in places.items():
        for column in columns:
            assert parsed(export, table)[0][column] == f"'{text}"
            assert tables(export)[table][0][column] == text


@pytest.mark.parametrize("text", ["\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "\u00a0=1+1"])
def test_blanks_before_a_formula_do_not_hide_it(text: str) -> None:
    """The services strip what readers type; whatever comes another way is caught as well."""
    row = dict.fromkeys(COLUMNS["reads"], None) | {"comment": text}
    export = Export({"reads": (row,)}, None)  # type: ignore[arg-type]
    cell = parsed(export, "reads")[0]["comment"]
    if text[0] in "\t\r\n ":
        assert cell.startswith("'")
    else:
        # A spreadsheet takes this for text: no import trims this blank.
        assert cell == text


def test_numbers_below_zero_stay_numbers() -> None:
    row = dict.fromkeys(COLUMNS["boxes"], None) | {"x": -1.5, "index": -2}
    found = parsed(Export({"boxes": (row,)}, None), "boxes")[0]  # type: ignore[arg-type]
    assert (found["x"], found["index"]) == ("-1.5", "-2")


def test_scores_of_every_model_are_exported(loaded: Services, ids: Ids, ana: Person) -> None:
    case = loaded.reading.open_case(ana, ids["00000150"], "kermany-ae-u")
    rows = parsed(loaded.exporting.export(Person.named("Ana")), "scores")
    assert sorted(r["model"] for r in rows) == ["kermany-ae-u"] + [MODEL] * 3
    row = next(r for r in rows if r["model"] == "kermany-ae-u")
    assert float(row["score"]) == float(row["a_inter"]) == case.judgement.score.score
    assert "55 years old" in row["warnings"]


def test_scores_and_operating_points_of_earlier_weights_are_exported(
    loaded: Services,
    loaded_home: Path,
    databases: Databases,
    ids: Ids,
    ana: Person,
    draft: Draft,
) -> None:
    """A read may name an operating point; it must not dangle once the model is replaced."""
    put_in_force(loaded, ana, MODEL, 0.5, "trial")
    loaded.reading.save(ana, ids["00000150"], MODEL, draft())
    digest = "0" * 64
    databases.query(
        loaded_home,
        "INSERT INTO operating_points (model_name, model_hash, score_name, threshold, version,"
        f" policy, reason, set_by, set_at) VALUES ('nih-ae-u', '{digest}', 'a_inter', 1, 1, 'p',"
        " 'r', 'a', '2026-01-01 00:00:00')",
    )
    databases.query(
        loaded_home,
        "INSERT INTO scores (image_id, model_name, model_hash, a_rec, a_rec_single, a_intra,"
        " a_inter, score_name, score, p_value, percentile, warnings, seconds, scored_at)"
        f" SELECT image_id, model_name, '{digest}', a_rec, a_rec_single, a_intra, a_inter,"
        " score_name, score, p_value, percentile, warnings, seconds, scored_at FROM scores LIMIT 1",
    )
    export = loaded.exporting.export(Person.named("Ana"))
    assert (len(parsed(export, "operating_points")), len(parsed(export, "scores"))) == (2, 4)


def test_json_says_what_made_it_and_when(loaded: Services) -> None:
    export = loaded.exporting.export(Person.named("Ana"))
    document = json.loads(export.json())
    assert document["program"].startswith("DDAD Review ")
    assert document["made_at"] == export.made_at.isoformat()
