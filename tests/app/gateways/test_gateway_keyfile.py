from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.gateways.files import FilesError
from app.gateways.keyfile import load_key, load_or_create_key

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "pseudonym.key"


def test_first_start_makes_a_key_that_only_its_owner_reads(path):
    assert load_key(path) is None
    key = load_or_create_key(path)
    assert len(key) == 32 and key != bytes(32)
    assert path.read_text() == f"{key.hex()}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["pseudonym.key"]


def test_later_starts_find_the_same_key_and_another_home_another(path, tmp_path):
    key = load_or_create_key(path)
    assert load_or_create_key(path) == load_key(path) == key
    assert load_or_create_key(tmp_path / "other.key") != key


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 64, b"0" * 63, b"g" * 64, b"0" * 66])
def test_damaged_key_is_neither_used_nor_replaced(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(FilesError, match="damaged") as caught:
        load_or_create_key(path)
    assert "Do not replace it" in caught.value.next_step
    assert "restore it from the last backup" in caught.value.next_step
    assert path.read_bytes() == content


def test_folder_that_takes_no_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FilesError, match="cannot be (read|written)"):
        load_or_create_key(tmp_path / "file" / "pseudonym.key")


def test_processes_that_start_together_get_one_key(path):
    script = (
        "import sys, time, pathlib; from app.gateways.keyfile import load_or_create_key; "
        "print('ready', flush=True); sys.stdin.readline(); "
        "print(load_or_create_key(pathlib.Path(sys.argv[1])).hex())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, path],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate(timeout=30)[0] for process in started}
    assert keys == {path.read_text()}


def test_loser_of_a_race_takes_the_winners_key(path, monkeypatch):
    """Deterministic: the other process finishes between the look and the creation."""
    path.parent.mkdir()
    make = "app.gateways.keyfile.secrets.token_bytes"

    def overtaken(count):
        path.write_text("ab" * count + "\n")
        return b"\1" * count

    monkeypatch.setattr(make, overtaken)
    assert load_or_create_key(path) == b"\xab" * 32
    assert [one.name for one in path.parent.iterdir()] == ["pseudonym.key"]
