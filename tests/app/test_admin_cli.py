from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.intake import IntakeService
from app.services.people import Person

Run = Callable[..., int]


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(home / "ddad.sqlite") as connection:
        return connection.execute(query).fetchall()


def test_migrate_creates_the_database_and_then_has_nothing_to_do(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("migrate") == 0
    assert capsys.readouterr().out == "Database upgraded.\n"
    assert rows(home, "SELECT count(*) FROM images") == [(0,)]
    assert run("migrate") == 0
    assert capsys.readouterr().out == "Database is up to date.\n"


def test_import_takes_files_and_folders_and_counts_what_became_of_them(
    run: Run,
    home: Path,
    tmp_path: Path,
    small_png: Callable[[int], bytes],
    ct_bytes: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "in" / "deeper"
    folder.mkdir(parents=True)
    (tmp_path / "in" / "a.png").write_bytes(small_png(1))
    (folder / "b").write_bytes(small_png(2))
    (folder / ".hidden").write_bytes(b"not looked at")
    assert run("import", tmp_path / "in", "--reader", "Ana  Ruiz") == 0
    told = "2 files: 2 scored, 0 warned, 0 unscored, 0 conflict, 0 known, 0 refused\n"
    assert capsys.readouterr().out == told
    assert rows(home, "SELECT DISTINCT added_by, origin FROM images") == [("Ana Ruiz", "upload")]
    ct = tmp_path / "ct.dcm"
    ct.write_bytes(ct_bytes)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert run("import", ct, tmp_path / "in" / "a.png", text) == 3
    told = capsys.readouterr()
    counts, *reasons = told.out.splitlines()
    assert counts == "3 files: 0 scored, 0 warned, 0 unscored, 0 conflict, 1 known, 2 refused"
    assert len(reasons) == 3 and any("computed tomography" in line for line in reasons)
    assert "ct.dcm: refused. " in told.err and "notes.txt: refused. " in told.err
    assert rows(home, "SELECT count(*) FROM images") == [(2,)]
    assert rows(home, "SELECT count(*) FROM scores") == [(2,)]


def test_gallery_is_imported_once(run: Run, home: Path) -> None:
    assert run("import", "--gallery") == 0
    assert run("import", "--gallery") == 0
    assert rows(home, "SELECT origin, count(*) FROM images GROUP BY origin") == [("gallery", 3)]
    assert rows(home, "SELECT count(*) FROM images WHERE attribution IS NOT NULL") == [(3,)]


def test_export_writes_a_folder_with_a_manifest(
    run: Run,
    home: Path,
    tmp_path: Path,
    _loaded_home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(_loaded_home, home)
    out = tmp_path / "out" / "deeper"
    assert run("export", out) == 0
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    names = {entry["name"] for entry in manifest["files"]}
    assert {path.name for path in out.iterdir()} == names | {"manifest.json"}
    assert {"reads.csv", "reads.jsonl", "reads.parquet", "boxes.coco.json"} <= names
    with (out / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    assert "scores.csv: 3 rows\n" in capsys.readouterr().out
    assert run("export", tmp_path / "all.zip", "--formats", "csv", "--reader", "nobody") == 0
    with zipfile.ZipFile(tmp_path / "all.zip") as packed:
        assert "reads.csv" in packed.namelist() and "reads.jsonl" not in packed.namelist()
    assert run("export", out) == 1


def test_errors_are_one_sentence_on_the_error_stream(
    run: Run,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(word: str, *arguments: object) -> None:
        assert run(*arguments) == 1
        told = capsys.readouterr()
        assert told.out == "" and told.err.startswith("ddad-admin: ") and word in told.err
        assert told.err.count("\n") == 1 and "Traceback" not in told.err

    fails("Nothing to import", "import")
    fails("no file or folder", "import", tmp_path / "missing")
    (tmp_path / "file").write_text("x")
    fails("A reader needs a name.", "import", tmp_path / "file", "--reader", " ")
    fails("File exists", "export", tmp_path / "file")
    with monkeypatch.context() as patch:
        patch.setenv("PORT", "many")
        fails("PORT is 'many'", "migrate")
    with monkeypatch.context() as patch:
        patch.setenv("DDAD_WEIGHTS", str(tmp_path / "no-weights"))
        fails("no-weights", "export", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setenv("DDAD_DATABASE_URL", "nonsense")
        fails("URL", "migrate")
    (home / "ddad.sqlite").write_bytes(b"this is no database" * 100)
    fails("damaged", "migrate")


@pytest.mark.parametrize("arguments", [[], ["explode"], ["export"], ["import", "--what"]], ids=str)
def test_wrong_usage_ends_with_status_2(run: Run, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2


def test_interrupted_import_goes_on_where_it_was(
    run: Run,
    home: Path,
    tmp_path: Path,
    small_png: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("app.services.intake.BATCH_SIZE", 1)
    monkeypatch.setattr("app.importing.BATCH_SIZE", 1)
    inbox, table = tmp_path / "in", tmp_path / "out.csv"
    inbox.mkdir()
    for i in range(4):
        (inbox / f"{i}.png").write_bytes(small_png(i))
    (inbox / "0.txt").write_text("no image")
    finish, batches = IntakeService._finish, []

    def interrupted(self: IntakeService, reader: Person, batch: list, name: str) -> object:
        batches.append(batch)
        if len(batches) == 4:
            raise KeyboardInterrupt
        return finish(self, reader, batch, name)

    with monkeypatch.context() as patch:
        patch.setattr(IntakeService, "_finish", interrupted)
        assert run("import", inbox, "--outcomes", table) == 130
    assert "what was done is kept" in capsys.readouterr().err
    assert rows(home, "SELECT count(*) FROM images") == [(2,)]
    read, original = [], IntakeService._read
    monkeypatch.setattr(
        IntakeService, "_read", lambda self, s, p: (read.append(s.name), original(self, s, p))[1]
    )
    assert run("import", inbox, "--outcomes", table) == 3
    assert [Path(name).name for name in read] == ["2.png", "3.png"]
    assert capsys.readouterr().out.startswith("5 files: 4 scored, ")
    assert rows(home, "SELECT count(*) FROM images") == [(4,)]
    with table.open(encoding="utf-8", newline="") as file:
        found = [(Path(row["file"]).name, row["outcome"]) for row in csv.DictReader(file)]
    assert found == [("0.png", "scored"), ("0.txt", "refused")] + [
        (f"{i}.png", "scored") for i in (1, 2, 3)
    ]
    assert list((home / "imports").iterdir()) == []


def test_the_journal_of_an_import_names_no_file(
    run: Run, home: Path, tmp_path: Path, small_png: Callable[[int], bytes], monkeypatch
) -> None:
    path = tmp_path / "MUSTERMANN_ERIKA.png"
    path.write_bytes(small_png(1))
    monkeypatch.setattr("app.importing.Journal.remove", lambda self: self.close())
    assert run("import", path) == 0
    (journal,) = (home / "imports").iterdir()
    content = journal.read_text()
    assert '"status": "scored"' in content
    assert "MUSTERMANN" not in content + journal.name and str(tmp_path) not in content
