"""An identifier in every field and in the file's name, and everything that the program writes."""

from __future__ import annotations

import io
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from app.cli import main
from app.services.container import Services
from app.services.exporting import FORMATS, ExportWish
from app.services.people import Person
from tests.core.imaging.test_deidentify import MARK, NUMBER_MARK, planted_everywhere, traces

NAME = f"{MARK}_Erika_{NUMBER_MARK}.dcm"
MARKS = (MARK, MARK.lower(), MARK.capitalize(), NUMBER_MARK)


def planted(data: bytes) -> bytes:
    made = planted_everywhere(pydicom.dcmread(io.BytesIO(data)))
    made.preamble = MARK.encode() + bytes(128 - len(MARK))
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def found_in(folder: Path) -> list[str]:
    """Where a mark stands, in names of files and in their bytes."""
    return [
        f"{path.relative_to(folder)}: {trace}"
        for path in folder.rglob("*")
        for trace in traces(
            str(path.relative_to(folder)).encode() + (path.read_bytes() if path.is_file() else b""),
            *MARKS,
        )
    ]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder


def test_no_mark_is_left_anywhere(
    empty: Services,
    home: Path,
    ana: Person,
    changed_dicom: Callable[..., bytes],
    temporary: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    good = planted(changed_dicom())
    refused = planted(changed_dicom(Modality="CT"))
    cut = good[: len(good) // 2]
    assert MARK.encode() in good and MARK.encode() in refused
    statuses = [empty.intake.take(ana, NAME, data).status for data in (good, refused, cut)]
    assert statuses == ["warned", "refused", "refused"]
    (row,) = empty.worklist.list(ana).rows
    empty.reading.open_case(ana, row.image_id)
    wish = ExportWish(formats=FORMATS, comments=True, site_pseudonyms=True)
    made = empty.exporting.folder(ana, wish, tmp_path / "out").path
    assert len(list(made.iterdir())) == 8 * 3 + 4
    empty.exporting.archive(ana, wish, tmp_path / "out" / "all.zip")
    assert found_in(made) == []
    assert traces(empty.audit.export_json_lines(ana), *MARKS) == []
    assert found_in(home) == []
    assert found_in(temporary) == []
    assert traces(caplog.text.encode(), *MARKS) == []
    told = capfd.readouterr()
    assert traces((told.out + told.err).encode(), *MARKS) == []


def test_no_mark_is_left_by_the_shell_but_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    changed_dicom: Callable[..., bytes],
    temporary: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("DDAD_HOME", str(home))
    monkeypatch.setenv("DDAD_DEVICE", "cpu")
    monkeypatch.delenv("DDAD_DATABASE_URL", raising=False)
    incoming = tmp_path / "incoming" / MARK
    incoming.mkdir(parents=True)
    (incoming / NAME).write_bytes(planted(changed_dicom()))
    (incoming / f"b{NAME}").write_bytes(b"no image")
    outcomes = tmp_path / "outcomes.csv"  # names the files, for whoever brought them
    assert main(["import", str(incoming), "--outcomes", str(outcomes)]) == 3
    assert NAME in outcomes.read_text(encoding="utf-8")
    assert main(["export", str(tmp_path / "export")]) == 0
    assert main(["audit", "export", str(tmp_path / "export" / "audit.jsonl")]) == 0
    for folder in (home, temporary, tmp_path / "export"):
        assert found_in(folder) == []
    with sqlite3.connect(home / "ddad.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM images").fetchone() == (1,)
