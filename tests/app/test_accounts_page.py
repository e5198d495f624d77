"""The commands of docs/accounts.md, run in the order in which they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from app.cli import main
from app.settings import REPOSITORY
from tests.accounts import PASSWORD


def commands(page: str) -> list[list[str]]:
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("ddad-admin ")]


def test_the_commands_of_the_page_work_as_they_stand(
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DDAD_HOME", str(home))
    monkeypatch.delenv("DDAD_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("app.commands.accounts._password", lambda _: PASSWORD)
    found = commands("accounts.md")
    assert len(found) >= 10
    for arguments in found:
        assert main(arguments) == 0, (arguments, capsys.readouterr())
    assert (tmp_path / "trail.jsonl").exists()
