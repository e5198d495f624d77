"""`ddad-admin backup | restore | doctor | erase | migrate`, as they are typed."""

from __future__ import annotations

import io
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
import pytest

from app.cli import main
from app.store.migrate import HEAD_REVISION

Run = Callable[..., int]
PASSPHRASE = "five random words make one"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, loaded_home: Path) -> Run:
    """Run one command on a home with three cases; nobody answers questions."""
    for name in ("DDAD_DATABASE_URL", "DDAD_WEIGHTS", "DDAD_PSEUDONYM_KEY_FILE", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DDAD_HOME", str(loaded_home))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return lambda *arguments: main([str(one) for one in arguments])


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    def read() -> str:
        found = capsys.readouterr()
        return found.out + found.err

    return read


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(home / "ddad.sqlite")) as connection:
        return connection.execute(query).fetchall()


def change(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "ddad.sqlite")) as connection, connection:
        connection.execute(statement)


def test_back_up_verify_and_restore(
    run: Run, loaded_home: Path, tmp_path: Path, told: Callable[[], str]
) -> None:
    assert run("backup", tmp_path / "a.tar") == 0
    words = told()
    assert "3 image files, 0 originals" in words and "3 images" in words
    assert "It is not encrypted" in words
    assert run("backup", tmp_path / "a.tar", "--verify") == 0
    assert "every SHA-256 as it was written" in told()
    assert run("restore", tmp_path / "a.tar") == 1
    assert "is not empty" in told()
    assert run("restore", tmp_path / "a.tar", "--into", tmp_path / "new") == 0
    assert "every file checked" in told()
    assert rows(tmp_path / "new", "SELECT count(*) FROM images") == [(3,)]
    assert run("restore", tmp_path / "a.tar", "--replace") == 0
    assert "What was there before is in" in told()
    ((actor,),) = rows(loaded_home, "SELECT actor FROM audit_events WHERE action = 'restore'")
    assert str(actor).startswith("ddad-admin (")
    data = bytearray((tmp_path / "a.tar").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.tar").write_bytes(data)
    assert run("backup", tmp_path / "a.tar", "--verify") == 1
    assert "is damaged or incomplete" in told()


def test_encrypted_by_passphrase_file_and_by_key(
    run: Run, tmp_path: Path, told: Callable[[], str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSPHRASE}\nnot this\n")
    sealed = tmp_path / "a.sealed.tar"
    assert run("backup", sealed, "--encrypt", "--passphrase-file", secret) == 0
    assert "not encrypted" not in told()
    assert run("backup", sealed, "--verify", "--passphrase-file", secret) == 0
    assert run("restore", sealed, "--into", tmp_path / "b") == 1
    assert "encrypted with a passphrase" in told()
    assert run("restore", sealed, "--into", tmp_path / "b", "--passphrase-file", secret) == 0
    pair = pyrage.x25519.Identity.generate()
    keys = tmp_path / "keys.txt"
    keys.write_text(f"# created: today\n# public key: {pair.to_public()}\n{pair}\n")
    aged = tmp_path / "a.tar.age"
    assert run("backup", aged, "--recipient", pair.to_public()) == 0
    assert run("restore", aged, "--into", tmp_path / "c", "--identity-file", keys) == 0
    assert rows(tmp_path / "c", "SELECT count(*) FROM images") == [(3,)]


def test_where_encryption_was_asked_for_nothing_is_written_without(
    run: Run, tmp_path: Path, told: Callable[[], str]
) -> None:
    assert run("backup", tmp_path / "a.tar", "--encrypt") == 1  # nobody types a passphrase
    assert "fewer than 12" in told() and not (tmp_path / "a.tar").exists()
    empty = tmp_path / "empty"
    empty.touch()
    assert run("backup", tmp_path / "a.tar", "--passphrase-file", empty) == 1
    assert not (tmp_path / "a.tar").exists()


def test_missing_files_end_a_backup_with_status_3(
    run: Run, loaded_home: Path, tmp_path: Path, told: Callable[[], str]
) -> None:
    next((loaded_home / "images").rglob("*.png")).unlink()
    assert run("backup", tmp_path / "a.tar") == 3
    assert "1 image files are missing" in told()
    assert run("backup", tmp_path / "a.tar", "--verify") == 0


def test_doctor_has_a_line_for_each_check_and_a_status(
    run: Run, loaded_home: Path, told: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("doctor", "--deep") == 0
    lines = told().splitlines()
    assert lines[0] == "ok      settings: all can be used." and lines[-1] == "No fault."
    assert any(line.startswith("warning accounts: there are none yet.") for line in lines)
    assert any(line.startswith("ok      image files: 3 images") for line in lines)
    next((loaded_home / "images").rglob("*.png")).unlink()
    assert run("doctor") == 1
    words = told()
    assert "fault   image files: 1 files are missing" in words and "1 faults." in words
    monkeypatch.setenv("DDAD_RETENTION_DAYS", "soon")
    assert run("doctor") == 1
    assert told().startswith("fault   settings: DDAD_RETENTION_DAYS is 'soon'.")


def test_erasing_shows_asks_and_then_erases(
    run: Run, loaded_home: Path, told: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(loaded_home, "UPDATE images SET patient = 'P-1' WHERE id <= 2")
    assert run("erase", "--patient", "P-1") == 1
    assert "needs a reason" in told()
    assert run("erase", "--patient", "P-2", "--reason", "asked") == 0
    assert "nothing to erase" in told()
    assert run("erase", "--patient", "P-1", "--reason", "asked") == 0  # nobody says yes
    assert "Nothing was erased." in told()
    assert rows(loaded_home, "SELECT count(*) FROM images") == [(3,)]
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run("erase", "--patient", "P-1", "--reason", "asked") == 0
    words = told()
    assert "image 1: " in words and "Erase for good: 2 images, 2 scores" in words
    assert "Backups made before still hold them" in words
    assert rows(loaded_home, "SELECT count(*) FROM images") == [(1,)]
    assert len([p for p in (loaded_home / "images").rglob("*") if p.is_file()]) == 1
    query = "SELECT subject, reason FROM audit_events WHERE action = 'erasure'"
    assert rows(loaded_home, query) == [("patient P-1", "asked")]


def test_what_is_overdue_is_erased_by_the_setting(
    run: Run, loaded_home: Path, told: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("erase", "--overdue", "--yes") == 1
    assert "DDAD_RETENTION_DAYS is not set" in told()
    old = (datetime.now(UTC) - timedelta(days=31)).strftime("%Y-%m-%d %H:%M:%S.000000")
    change(loaded_home, f"UPDATE images SET origin = 'upload', added_at = '{old}' WHERE id = 1")
    monkeypatch.setenv("DDAD_RETENTION_DAYS", "30")
    assert run("doctor") == 0
    assert "1 images are older than 30 days" in told()
    shutil.copytree(loaded_home, loaded_home / "backups" / "x")
    (loaded_home / "backups" / "before-0004-20300101T000000000000Z.sqlite").touch()
    assert run("erase", "--overdue", "--yes") == 0
    assert "So does the automatic copy" in told()
    assert rows(loaded_home, "SELECT id FROM images ORDER BY id") == [(2,), (3,)]
    assert rows(loaded_home, "SELECT reason FROM audit_events WHERE action = 'erasure'") == [
        ("kept for 30 days (DDAD_RETENTION_DAYS)",)
    ]


def test_migrate_goes_back_after_saying_what_is_lost(
    run: Run, loaded_home: Path, told: Callable[[], str]
) -> None:
    assert run("migrate", "--to", "0003") == 0
    words = told()
    assert "rows of the table audit_events" in words and "Nothing was changed." in words
    assert rows(loaded_home, "SELECT version_num FROM alembic_version") == [(HEAD_REVISION,)]
    assert run("migrate", "--to", "0003", "--yes") == 0
    assert "the database was copied to" in told()
    assert rows(loaded_home, "SELECT version_num FROM alembic_version") == [("0003",)]
    (copy,) = (loaded_home / "backups").iterdir()
    assert run("migrate") == 0
    assert "Database upgraded." in told()
    assert run("migrate", "--undo", copy, "--yes") == 0
    words = told()
    assert f"has schema {HEAD_REVISION}" in words and "audit accept" in words
    assert run("audit", "verify") == 0 or run("audit", "accept", "--reason", "rolled back") == 0
    assert run("audit", "verify") == 0
    assert run("migrate", "--to", "7") == 1
    assert "no revision" in told()


@pytest.mark.parametrize(
    "arguments",
    [
        ["backup"],
        ["backup", "a", "--encrypt", "--recipient", "age1"],
        ["restore"],
        ["erase"],
        ["erase", "--patient", "P-1", "--overdue"],
        ["erase", "--older-than", "x"],
        ["migrate", "--to", "0003", "--undo", "x"],
    ],
    ids=str,
)
def test_wrong_usage_ends_with_status_2(run: Run, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
