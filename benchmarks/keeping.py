"""`python -m benchmarks.keeping`: backup of 10,000 cases while others write, and its restore.

The cases are made directly: rows of the size they have in use (thumbnails of 8 to 16 KB, scores,
reads with boxes, audit events) and real 16-bit PNG files of small size. `ddad-admin backup` then
runs as a process of its own, its start included, while a thread here saves reads without pause,
as a server would. `ddad-admin restore` puts the backup into an empty home; then every row and
file is compared with the installation, and SQLite checks its integrity.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from app.gateways.anchor import AnchorFile
from app.services.people import Person
from app.services.pseudonym_key import pseudonym_key
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.records import Box, NewImage, NewRead, NewScore
from app.store.unit_of_work import UnitOfWork
from benchmarks.figures import Figure, show, tail
from benchmarks.serving import REPOSITORY

COMMAND = "python -m benchmarks.keeping"
CASES = 10_000
LIMIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 10.0  # when a writer gives up
PASSPHRASE = "a passphrase for the benchmark"
MODEL = {"model_name": "bench", "model_hash": "b" * 64}
PERSON = Person.named("Benchmark")


def fill(home: Path, cases: int) -> UnitOfWork:
    """An installation with that many cases."""
    url = f"sqlite:///{home / 'ddad.sqlite'}"
    migrate(url)
    store = UnitOfWork(create_store_engine(url), anchor=AnchorFile(home / "audit.anchor"))
    pseudonym_key(store, home / "pseudonym.key")
    random = np.random.default_rng(0)
    for start in range(0, cases, 1000):
        with store.writing() as repositories:
            for number in range(start, min(start + 1000, cases)):
                sha256 = hashlib.sha256(b"%d" % number).hexdigest()
                grey = random.integers(0, 4096, (64, 96), dtype=np.uint16)
                data = cv2.imencode(".png", grey)[1].tobytes()
                path = home / "images" / sha256[:2] / f"{sha256}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                image = repositories.images.add(
                    NewImage(
                        sha256=sha256,
                        origin="upload",
                        label=f"CXR-{sha256[:8].upper()}",
                        format="dicom",
                        bits=12,
                        width=96,
                        height=64,
                        slope=1.0,
                        intercept=0.0,
                        added_by="bench",
                        thumbnail=random.bytes(int(random.integers(8_000, 16_000))),
                        patient=f"P-{number // 2:013d}",
                        instance=f"I-{number:013d}",
                        pixel_sha256=sha256,
                        stored_sha256=hashlib.sha256(data).hexdigest(),
                    )
                )
                score = dict.fromkeys(("a_rec", "a_rec_single", "a_intra", "a_inter"), 0.5)
                repositories.scores.add_or_get(
                    NewScore(
                        **MODEL,
                        **score,
                        image_id=image.id,
                        score_name="a_inter",
                        score=0.5,
                        p_value=0.5,
                        percentile=50.0,
                        seconds=0.1,
                    )
                )
                save_read(repositories, image.id, "first reader")
                repositories.audit.append(PERSON.did("upload", f"image {image.id}"))
    return store


def save_read(repositories, image_id: int, reader: str) -> None:
    boxes = (Box(1, 2, 30, 20, "shadow"),)
    comment = "a comment of usual length, some words on what was seen"
    read = NewRead(
        image_id=image_id,
        reader=reader,
        verdict="abnormal",
        ai_visible=True,
        comment=comment,
        boxes=boxes,
    )
    saved = repositories.reads.append(read)
    event = PERSON.did("verdict", f"image {image_id}", after={"read": saved.id})
    repositories.audit.append(event)


class Writer(threading.Thread):
    """Saves reads one after the other and notes how long each took."""

    def __init__(self, store: UnitOfWork, cases: int) -> None:
        super().__init__()
        self.store, self.cases = store, cases
        self.seconds: list[float] = []
        self.failures = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.is_set():
            started = time.perf_counter()
            try:
                with self.store.writing() as repositories:
                    save_read(repositories, 1 + len(self.seconds) % self.cases, "second reader")
            except Exception:  # noqa: BLE001 - counted, and told at the end
                self.failures += 1
            self.seconds.append(time.perf_counter() - started)
            time.sleep(0.01)


def admin(home: Path, *arguments: object) -> float:
    """Seconds that a command takes."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DDAD_")}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "app.cli", *map(str, arguments)],
        check=True,
        cwd=REPOSITORY,
        env=environ | {"DDAD_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def differences(home: Path, restored: Path) -> tuple[int, int, list[str]]:
    """Rows and files compared, and what differs; what was written after the snapshot is not."""
    wrong: list[str] = []
    rows = files = 0
    with closing(sqlite3.connect(restored / "ddad.sqlite")) as connection:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            wrong.append("integrity")
        if connection.execute("PRAGMA foreign_key_check").fetchall():
            wrong.append("references")
        connection.execute("ATTACH ? AS old", (str(home / "ddad.sqlite"),))
        for table in ("images", "scores", "reads", "boxes", "operating_points", "installation"):
            (count,) = connection.execute(f"SELECT count(*) FROM main.{table}").fetchone()
            gone = f"SELECT * FROM main.{table} EXCEPT SELECT * FROM old.{table}"
            (other,) = connection.execute(f"SELECT count(*) FROM ({gone})").fetchone()
            rows += count
            wrong += [table] * bool(other)
        (images,) = connection.execute("SELECT count(*) FROM main.images").fetchone()
    for path in (home / "images").rglob("*.png"):
        files += 1
        if (restored / path.relative_to(home)).read_bytes() != path.read_bytes():
            wrong.append(path.name)
    if files != images:
        wrong.append("number of files")
    return rows, files, wrong


def run(cases: int = CASES) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="ddad-bench-") as name:
        folder = Path(name)
        home, restored = folder / "home", folder / "restored"
        store = fill(home, cases)
        secret = folder / "passphrase"
        secret.write_text(PASSPHRASE)
        quiet = Writer(store, cases)
        quiet.start()
        time.sleep(3)
        quiet.stopped.set()
        quiet.join()
        writer = Writer(store, cases)
        writer.start()
        plain = admin(home, "backup", folder / "plain.tar")
        sealed = admin(
            home, "backup", folder / "sealed.tar", "--encrypt", "--passphrase-file", secret
        )
        writer.stopped.set()
        writer.join()
        size = (folder / "plain.tar").stat().st_size / 1e6
        restoring = admin(restored, "restore", folder / "plain.tar")
        rows, files, wrong = differences(home, restored)
        admin(restored, "audit", "verify")
    longest, usual = max(writer.seconds), [s * 1000 for s in quiet.seconds]
    met = writer.failures == 0 and longest < LONGEST_WAIT_SECONDS
    return [
        Figure(
            f"Backup of {cases} cases ({size:.0f} MB) while reads are saved",
            f"at most {LIMIT_SECONDS:.0f} s",
            f"{plain:.1f} s; encrypted with a passphrase {sealed:.1f} s",
            COMMAND,
            plain <= LIMIT_SECONDS and sealed <= LIMIT_SECONDS,
        ),
        Figure(
            "Longest wait of a writer during both backups",
            f"none fails (each gives up after {LONGEST_WAIT_SECONDS:.0f} s)",
            f"{longest:.2f} s, {writer.failures} of {len(writer.seconds)} failed; "
            f"without a backup {tail(usual, 'ms')}",
            COMMAND,
            met,
        ),
        Figure(
            f"Restore of {cases} cases: complete, integrity check clean",
            "no difference",
            f"{restoring:.1f} s; {rows} rows and {files} files compared, "
            f"{len(wrong)} differ; integrity check clean: {'integrity' not in wrong}",
            COMMAND,
            not wrong,
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES)
    show(run(parser.parse_args().cases))
