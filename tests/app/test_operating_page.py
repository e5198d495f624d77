"""Every command of docs/operating.md, run in its order on a real home."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.cli import main
from app.settings import REPOSITORY
from app.store.migrate import HEAD_REVISION

PAGE = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("ddad-admin ")
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


def execute(home: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(home / "ddad.sqlite")) as connection, connection:
        return connection.execute(statement).fetchall()


def test_the_page_works_from_its_first_command_to_its_last(
    loaded_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert all(line.startswith("ddad-admin ") for line in re.findall(r"(?m)^ddad-admin.*", PAGE))
    assert len(COMMANDS) == 15
    for name in ("DDAD_DATABASE_URL", "DDAD_WEIGHTS", "DDAD_PSEUDONYM_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DDAD_HOME", str(loaded_home))
    monkeypatch.setenv("DDAD_RETENTION_DAYS", "30")
    (tmp_path / "backup").mkdir()
    (tmp_path / "passphrase").write_text("five random words make one\n")
    for command in COMMANDS:
        if command.startswith("erase"):
            old = datetime.now(UTC) - timedelta(days=4000)
            execute(
                loaded_home,
                f"UPDATE images SET origin = 'upload', added_at = '{old:%Y-%m-%d %H:%M:%S.000000}' "
                "WHERE id = (SELECT max(id) FROM images)",
            )
            if "--patient" in command:
                execute(loaded_home, "UPDATE images SET patient = 'P-7F3K9Q2MZX04A' WHERE id = 1")
        if command.startswith("migrate --undo"):
            (copy,) = (loaded_home / "backups").glob("before-0003-*.sqlite")
            command = re.sub(r"backups/\S+", str(copy), command)
        text = command.replace("/backup/", f"{tmp_path}/backup/")
        text = text.replace("/etc/ddad/passphrase", str(tmp_path / "passphrase"))
        text = text.replace("/srv/trial", str(tmp_path / "trial"))
        assert main(shlex.split(text)) == 0, (command, capsys.readouterr())
    assert execute(tmp_path / "trial", "SELECT count(*) FROM images") == [(3,)]
    assert execute(loaded_home, "SELECT count(*) FROM images") == [(0,)]
    assert execute(loaded_home, "SELECT version_num FROM alembic_version") == [(HEAD_REVISION,)]
    backups = sorted(path.name for path in (tmp_path / "backup").iterdir())
    assert backups[1:] == ["monday.sealed.tar", "monday.tar"] and backups[0].startswith("ddad-20")
    shutil.rmtree(tmp_path / "trial")
