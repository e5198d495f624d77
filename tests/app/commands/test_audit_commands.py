from __future__ import annotations

import csv
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., int]
Output = pytest.CaptureFixture[str]


@pytest.fixture
def trail(run: Run, capsys: Output) -> None:
    for name in ("ana", "bob", "zoe"):
        run("create-user", name, "--role", "administrator", "--generate")
    capsys.readouterr()


def change(home: Path, statement: str) -> None:
    with sqlite3.connect(home / "ddad.sqlite") as connection:
        connection.execute("DROP TRIGGER audit_events_no_update")
        connection.execute("DROP TRIGGER audit_events_no_delete")
        connection.execute(statement)
    connection.close()


def test_an_intact_trail_prints_its_head(run: Run, trail: None, capsys: Output) -> None:
    assert run("audit", "verify") == 0
    output = capsys.readouterr().out
    assert re.match(r"3 events; the newest is 3:[0-9a-f]{64}\n", output)
    assert "intact" in output


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'eve' WHERE id = 2",
        "DELETE FROM audit_events WHERE id = 2",
        "DELETE FROM audit_events WHERE id = 3",
        "DELETE FROM audit_events",
    ],
)
def test_tampering_is_told_and_fails(
    run: Run, home: Path, trail: None, capsys: Output, statement: str
) -> None:
    change(home, statement)
    assert run("audit", "verify") == 1
    assert "tampered with" in capsys.readouterr().out


def test_a_head_kept_elsewhere_shows_what_the_anchor_cannot(
    run: Run, home: Path, trail: None, capsys: Output
) -> None:
    run("audit", "verify")
    head = re.search(r"3:[0-9a-f]{64}", capsys.readouterr().out)
    assert head
    assert run("audit", "verify", "--head", head[0]) == 0
    change(home, "DELETE FROM audit_events WHERE id = 3")
    (home / "audit.anchor").unlink()  # by someone who may write there, too
    capsys.readouterr()
    assert run("audit", "verify", "--head", head[0]) == 1
    assert "Event 3 was noted outside the database, but is gone." in capsys.readouterr().out


def test_a_lost_anchor_is_told_and_can_be_accepted_with_a_reason(
    run: Run, home: Path, trail: None, capsys: Output
) -> None:
    (home / "audit.anchor").unlink()
    assert run("audit", "verify") == 1
    assert "audit.anchor, is missing" in capsys.readouterr().out
    assert run("audit", "accept", "--reason", " ") == 1
    assert run("audit", "accept", "--reason", "restored from the backup of Monday") == 0
    capsys.readouterr()
    assert run("audit", "verify") == 0
    assert "4 events" in capsys.readouterr().out


def test_the_trail_is_taken_out_and_can_be_checked_without_this_program(
    run: Run, home: Path, tmp_path: Path, trail: None, capsys: Output
) -> None:
    run("create-user", "=1+1", "--role", "reader", "--generate")
    assert run("audit", "export", tmp_path / "trail.jsonl") == 0
    events = [json.loads(line) for line in (tmp_path / "trail.jsonl").read_text().splitlines()]
    assert [event["id"] for event in events] == [1, 2, 3, 4, 5]
    assert events[-1]["action"] == "export"
    previous = "0" * 64
    for event in events:
        assert event["previous"] == previous
        previous = event.pop("hash")
    assert run("audit", "export", tmp_path / "trail.csv") == 0
    with (tmp_path / "trail.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[3]["subject"] == "user =1+1"
    assert run("audit", "export", tmp_path / "trail.txt") == 1
    assert not (tmp_path / "trail.txt").exists()


def test_the_hash_of_an_event_is_that_of_its_exported_line(
    run: Run, tmp_path: Path, trail: None
) -> None:

    run("audit", "export", tmp_path / "trail.jsonl")
    for line in (tmp_path / "trail.jsonl").read_text(encoding="ascii").splitlines():
        event = json.loads(line)
        digest = event.pop("hash")
        text = json.dumps(event, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode("ascii")).hexdigest() == digest
