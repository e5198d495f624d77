from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ddad_core import scorefiles
from ddad_core.registry import load_model
from ddad_core.scorefiles import score_paths
from ddad_core.scoring import Scorer
from tests.core.imaging.test_archive import packed
from tests.core.synthetic import write_image

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = REPOSITORY / "weights"
DEMO = REPOSITORY / "data" / "demo"


@pytest.fixture(scope="module")
def scorer():
    return Scorer(load_model(WEIGHTS / "nih-ae-u"), "cpu", engine="eager")


@pytest.fixture(autouse=True)
def _one_scorer(monkeypatch, scorer):
    """Loading a model takes seconds, and these tests are not about it."""
    monkeypatch.setattr(scorefiles._Models, "scorer", lambda self, name: scorer)


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    for n in range(5):
        write_image(folder / f"{n}.png", n)
    (folder / "note.txt").write_text("not an image")
    names = {f"in/{n}.png": (folder / f"{n}.png").read_bytes() for n in range(2)}
    (folder / "some.zip").write_bytes(packed(names))
    return folder


def score(paths, output, **changes):
    options = {"weights": WEIGHTS, "model": "nih-ae-u", "device": "cpu", "workers": 2}
    return score_paths(paths, output=output, **{**options, **changes})


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_stand_in_the_order_found_archives_among_them(inbox, tmp_path) -> None:
    tally = score([inbox], tmp_path / "out.csv")
    rows = table(tmp_path / "out.csv")
    names = [row["path"].removeprefix(f"{inbox}/") for row in rows]
    assert names == [
        *[f"{n}.png" for n in range(5)], "note.txt", "some.zip/in/0.png", "some.zip/in/1.png",
    ]  # fmt: skip
    assert [row["status"] == "refused" for row in rows] == [False] * 5 + [True] + [False] * 2
    for first, again in ((0, 6), (1, 7)):
        assert rows[first]["sha256"] == rows[again]["sha256"]
        assert rows[first]["score"] == rows[again]["score"]
    assert tally.total == 8 and tally.statuses["refused"] == 1
    assert not (tmp_path / "out.csv.unfinished").exists()


def test_the_summary_counts_by_outcome_and_reason(inbox, tmp_path) -> None:
    (inbox / "b.txt").write_text("neither is this")
    (inbox / "tiny.png").write_bytes(b"")
    lines = score([inbox], tmp_path / "out.csv").lines(scorefiles.STATUSES)
    assert lines[0].startswith("10 files: ") and "3 refused" in lines[0]
    assert any(line.startswith("      2 refused: ") and "a text file" in line for line in lines)
    assert any(line.startswith("      1 refused: ") and "empty" in line for line in lines)


@pytest.mark.parametrize("ending", [".csv", ".json", ".parquet"])
def test_a_run_goes_on_after_an_error_without_repeating_work(
    inbox, tmp_path, monkeypatch, ending
) -> None:
    whole, output = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    monkeypatch.setattr(scorefiles, "BATCH_SIZE", 2)
    score([inbox], whole)
    original, batches = scorefiles._score, []

    def fail_at_third(batch, models):
        batches.append([one.row["path"] for one in batch])
        if len(batches) == 3:
            message = "power cut"
            raise OSError(message)
        original(batch, models)

    monkeypatch.setattr(scorefiles, "_score", fail_at_third)
    with pytest.raises(OSError, match="power cut"):
        score([inbox], output)
    assert not output.exists() and output.with_name(output.name + ".unfinished").exists()
    monkeypatch.setattr(scorefiles, "_score", lambda b, m: (batches.append(b), original(b, m)))
    batches.clear()
    tally = score([inbox], output)
    assert tally.total == 8
    assert [len(b) for b in batches] == [2, 2]  # four of eight rows were there
    read = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet}[ending]
    a, b = (read(path).drop(columns="seconds") for path in (whole, output))
    pd.testing.assert_frame_equal(a, b, check_exact=False, rtol=1e-6)
    assert list(tmp_path.glob("*.unfinished")) == []


def test_a_replaced_file_is_scored_again_when_a_run_goes_on(inbox, tmp_path, monkeypatch) -> None:
    output = tmp_path / "out.csv"
    monkeypatch.setattr(scorefiles, "BATCH_SIZE", 1)
    original, count = scorefiles._score, []
    monkeypatch.setattr(
        scorefiles,
        "_score",
        lambda b, m: 1 / 0 if len(count) == 3 else (count.append(1), original(b, m)),
    )
    with pytest.raises(ZeroDivisionError):
        score([inbox], output)
    shutil.copy(DEMO / "00000150_002.png", inbox / "1.png")
    monkeypatch.setattr(scorefiles, "_score", original)
    score([inbox], output)
    rows = table(output)
    assert len(rows) == 8
    assert rows[1]["sha256"] == hashlib.sha256((inbox / "1.png").read_bytes()).hexdigest()


def test_other_models_rows_are_not_gone_on_from(inbox, tmp_path) -> None:
    output = tmp_path / "out.csv"
    stale = {"version": 1, "models": {"nih-ae-u": "0" * 64}}
    row = {"path": "x", "status": "scored", "id": "y"}
    lines = [json.dumps(stale), json.dumps(row)]
    output.with_name("out.csv.unfinished").write_text("\n".join(lines) + "\n")
    score([inbox], output)
    assert "x" not in {row["path"] for row in table(output)}


def test_a_killed_run_goes_on(tmp_path) -> None:
    inbox, output = tmp_path / "inbox", tmp_path / "out.csv"
    for n in range(200):
        write_image(inbox / f"{n:03d}.png", n)
    command = [
        sys.executable, "-m", "ddad_core.cli", "score", str(inbox), "--output", str(output),
        "--device", "cpu", "--model", "nih-ae-u",
    ]  # fmt: skip
    journal = output.with_name("out.csv.unfinished")
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE)
    for _ in range(1200):
        if journal.is_file() and journal.read_bytes().count(b"\n") > 60:
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    done = journal.read_bytes().count(b"\n") - 1
    assert done >= 64
    again = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert "200 files: " in again.stderr
    rows = table(output)
    assert [Path(row["path"]).stem for row in rows] == [f"{n:03d}" for n in range(200)]
    assert np.isfinite([float(row["score"]) for row in rows]).all()
