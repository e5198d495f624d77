from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.services.container import Services
from app.services.exporting import EVERYTHING
from app.services.people import Person
from app.services.read_draft import ReadDraft

Run = Callable[..., int]
Output = pytest.CaptureFixture[str]
DRAFT = ReadDraft("abnormal", 3, (), "", (), None, None, None, ai_visible=False, seconds=4.0)


@pytest.fixture
def package(loaded: Services, tmp_path: Path) -> Path:
    """Another site's export: one read of each of two cases."""
    ana = Person.named("Ana")
    for row in loaded.worklist.list(ana).rows[:2]:
        loaded.reading.save(ana, row.image_id, "nih-ae-u", DRAFT)
    return loaded.exporting.folder(ana, EVERYTHING, tmp_path / "package").path


@pytest.fixture
def run_here(tmp_path: Path, _loaded_home: Path, run: Run, monkeypatch: Any) -> Run:
    shutil.copytree(_loaded_home, tmp_path / "here")
    monkeypatch.setenv("DDAD_HOME", str(tmp_path / "here"))
    return run


def reads(tmp_path: Path) -> list[Any]:
    with sqlite3.connect(tmp_path / "here" / "ddad.sqlite") as connection:
        found = connection.execute("SELECT reader, verdict FROM reads").fetchall()
    connection.close()
    return found


def test_a_dry_run_stores_nothing_and_an_import_stores_once(
    run_here: Run, package: Path, tmp_path: Path, capsys: Output
) -> None:
    assert run_here("import-reads", package, "--dry-run") == 0
    told = capsys.readouterr().out
    site = "site " + json.loads((package / "manifest.json").read_bytes())["installation"][:8]
    assert told.splitlines() == [
        f"site: {site}",
        "reads: 2 in the file, 2 new, 0 here already, 0 of images that are not here, 0 in conflict",
        "labels: 3 in the file, 0 new, 3 here already, 0 of images that are not here, "
        "0 in conflict",
        f"reader Ana: 2 reads as Ana@{site}",
        "not taken: 3 rows of scores",
        *[line for line in told.splitlines() if "rows of audit events" in line],
        "Nothing was stored.",
    ]
    assert reads(tmp_path) == []
    assert run_here("import-reads", package) == 0
    assert "2 added" in capsys.readouterr().out
    assert reads(tmp_path) == [(f"Ana@{site}", "abnormal")] * 2
    assert run_here("import-reads", package) == 0
    assert "There was nothing new in it." in capsys.readouterr().out
    assert len(reads(tmp_path)) == 2


def test_conflicts_end_with_3_and_errors_with_1(
    run_here: Run, package: Path, tmp_path: Path, capsys: Output
) -> None:
    images = [json.loads(line) for line in (package / "images.jsonl").read_text().splitlines()]
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "sha256,label\n"
        + "".join(f"{one['sha256']},{1 - one['reference_label']}\n" for one in images)
    )
    assert run_here("import-reads", labels) == 3
    told = capsys.readouterr().out
    assert "labels: 3 in the file, 0 added" in told and "3 in conflict" in told
    assert told.count("Label of NIH") == 3
    (package / "reads.csv").write_text("x")
    for arguments in ([package], [tmp_path / "nowhere"], [package / "reads.jsonl"]):
        assert run_here("import-reads", *arguments) == 1
        caught = capsys.readouterr()
        assert caught.out == "" and caught.err.startswith("ddad-admin: ")
    assert reads(tmp_path) == []
