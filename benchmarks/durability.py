"""`python -m benchmarks.durability`: reads outlast kill -9, crowds and failing disks.

* The real server runs with readers in the same process (`benchmarks.durable_readers`), so that
  what is killed is what writes. This process notes each read that was acknowledged, kills the
  server with signal 9 at a random moment, then looks at the database and the image files, and
  starts it again on the same home; 60 times.
* 8 readers save 50 reads each at once: as threads of one server, then as processes of their own.
* The disk is really full (a small file system of its own), the file system read-only, the
  database locked by another process for longer than anybody waits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from app.bootstrap import build_services
from app.services.people import Person
from app.settings import load_settings
from benchmarks.durable_readers import radiograph, read_all
from benchmarks.figures import Figure, show, spread, tail
from benchmarks.serving import REPOSITORY, environment, free_port

COMMAND = "python -m benchmarks.durability"
KILLS = 60
RESTART_SECONDS = 10.0
READERS, READS = 8, 50
SLOWEST_SECONDS = 1.0
LONGEST_LIFE_SECONDS = 1.5
READER = Person.named("Preparing")
FAULTS = {
    "full": ("the disk is full", ("is full",)),
    "readonly": ("the folder may only be read", ("only be read", "permission to write")),
    "locked": ("another process locks the database for 12 s", ("busy with another",)),
}


@dataclass
class Killed:
    """What was found after the kills.

    Attributes:
        restarts: Seconds from the start of a server to its health answer and first saved read.
        acknowledged: Reads that were.
        lost: Those of them that are not there, or not as they were.
        orphans: Reads without a row or a whole file of their image.
        damaged: What the integrity check or the audit chain complained of.
        rows: Reads that are there in the end, acknowledged or not.
    """

    restarts: list[float] = field(default_factory=list)
    acknowledged: int = 0
    lost: list[Any] = field(default_factory=list)
    orphans: list[Any] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    rows: int = 0


def prepare(home: Path, cases: int) -> None:
    """A home with that many scored cases."""
    services = build_services(load_settings({"DDAD_HOME": str(home), "DDAD_DEVICE": "cpu"}))
    for number in range(cases):
        assert services.intake.take(READER, "x.png", radiograph(10_000 + number)).image_id
    services.close()


def kill(home: Path, kills: int, seed: int) -> Killed:
    """Start, kill at a random moment, look, and again."""
    chance, found = random.Random(seed), Killed()
    for number in range(kills):
        lines, restart = _one_life(home, chance.uniform(0, LONGEST_LIFE_SECONDS))
        found.restarts.append(restart)
        found.acknowledged += len(lines)
        _look(home, lines, found)
        if number % 10 == 9:
            print(f"{number + 1} kills", file=sys.stderr, flush=True)
    services = build_services(load_settings({"DDAD_HOME": str(home), "DDAD_DEVICE": "cpu"}))
    checked = services.audit.verify(Person.named("Checking"))
    found.damaged += checked.faults
    services.close()
    return found


def _one_life(home: Path, seconds: float) -> tuple[list[list[Any]], float]:
    """Run the server until so long after its first read; what it acknowledged, and its start."""
    port = free_port()
    reading, writing = os.pipe()
    begun = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.durable_readers", "serve", str(writing)],
        env=environment(home, port, DDAD_DEVICE="cpu"),
        cwd=REPOSITORY,
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(writing)
    lines: list[str] = []
    first = threading.Event()

    def note() -> None:
        with os.fdopen(reading, encoding="utf-8") as acknowledgements:
            for line in acknowledgements:
                if line.endswith("\n"):
                    lines.append(line)
                    first.set()

    noting = threading.Thread(target=note)
    noting.start()
    _wait_until_healthy(server, port)
    assert first.wait(60), "no read was saved"
    restart = time.perf_counter() - begun
    time.sleep(seconds)
    os.kill(server.pid, signal.SIGKILL)
    server.wait(20)
    noting.join(20)
    return [json.loads(line) for line in lines], restart


def _wait_until_healthy(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended by itself"
        try:
            with urlopen(f"http://127.0.0.1:{port}/gate/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    problem = "the server did not answer"
    raise TimeoutError(problem)


def _look(home: Path, lines: list[list[Any]], found: Killed) -> None:
    with closing(sqlite3.connect(home / "ddad.sqlite")) as connection:
        # The first look undoes what the killed server had begun and not finished.
        complaints = connection.execute("PRAGMA integrity_check").fetchall()
        found.damaged += [str(row) for row in complaints if row != ("ok",)]
        found.damaged += map(str, connection.execute("PRAGMA foreign_key_check").fetchall())
        stored = {
            row[0]: list(row)
            for row in connection.execute(
                "SELECT id, image_id, reader, revision, comment FROM reads"
            )
        }
        images = {
            row[0]: row[1:]
            for row in connection.execute("SELECT id, sha256, stored_as, stored_sha256 FROM images")
        }
        on_record = connection.execute(
            "SELECT count(*) FROM audit_events WHERE action IN ('verdict', 'amendment')"
        ).fetchone()[0]
    if on_record != len(stored):
        found.damaged.append(f"{len(stored)} reads, {on_record} of them in the audit")
    found.lost += [line for line in lines if stored.get(line[0]) != line]
    found.rows = len(stored)
    for image_id in {row[1] for row in stored.values()}:
        sha256, kind, digest = images.get(image_id, ("missing", "png", ""))
        ending = "dcm" if kind == "dicom" else "png"
        path = home / "images" / sha256[:2] / f"{sha256}.{ending}"
        whole = path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
        if not whole:
            found.orphans.append(image_id)


def crowd_of_threads(home: Path) -> list[float]:
    """All readers at once in one server; seconds of each read."""
    services = build_services(load_settings({"DDAD_HOME": str(home), "DDAD_DEVICE": "cpu"}))
    together, took, failed = threading.Barrier(READERS), [], []

    def reader(number: int) -> None:
        together.wait()
        try:
            took.extend(read_all(services, f"Thread {number}", READS))
        except Exception as error:  # noqa: BLE001 - counted, whatever it is
            failed.append(error)

    threads = [threading.Thread(target=reader, args=(number,)) for number in range(READERS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    services.close()
    assert not failed, failed
    return took


def crowd_of_processes(home: Path) -> list[float]:
    """All readers at once, each a process with services of its own; seconds of each read."""
    start = home / "start"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.durable_readers", "read", f"Process {number}"]
            + [str(READS), str(start)],
            env=environment(home, 8501, DDAD_DEVICE="cpu"),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(READERS)
    ]
    for one in processes:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    start.touch()
    took = []
    for one in processes:
        out, _ = one.communicate(timeout=300)
        assert one.returncode == 0
        took += json.loads(out)
    start.unlink()
    return took


def stored_once(home: Path, kind: str) -> tuple[int, int]:
    """Reads of the crowd's readers, and how many reader-and-case pairs have one."""
    with closing(sqlite3.connect(home / "ddad.sqlite")) as connection:
        row: tuple[int, int] = connection.execute(
            "SELECT count(*), count(DISTINCT reader || '/' || image_id) FROM reads "
            "WHERE reader LIKE ? AND revision = 1",
            (f"{kind} %",),
        ).fetchone()
    return row


def suffer(home: Path, *faults: str) -> dict[str, Any]:
    """Put the home on a small file system of its own, and let it fail; what was found, by fault."""
    mount = home.with_name("small")
    mount.mkdir(exist_ok=True)
    # Root may write what is read-only, unless that power is taken away.
    powerless = "setpriv --bounding-set=-dac_override,-dac_read_search"
    script = (
        f"mount -t tmpfs -o size=96m,mode=700 tmpfs '{mount}' && cp -a '{home}/.' '{mount}/' "
        f"&& exec {powerless} '{sys.executable}' -m benchmarks.durable_faults "
        f"{','.join(faults)} '{mount}'"
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        env=environment(mount, 8501, DDAD_DEVICE="cpu"),
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kill_figures(found: Killed) -> list[Figure]:
    n = f"n = {len(found.restarts)} kills, {found.acknowledged} reads acknowledged"
    clean = not found.lost and not found.orphans and not found.damaged
    return [
        Figure(
            "kill -9 of the server while 4 readers save: acknowledged reads lost, reads without "
            "their image, complaints of the integrity check and the audit chain",
            "0, 0 and 0",
            f"{len(found.lost)}, {len(found.orphans)} and {len(found.damaged)} ({n})",
            COMMAND,
            clean,
        ),
        Figure(
            "Start after such a kill, to the health answer and the first saved read",
            f"at most {RESTART_SECONDS:.0f} s",
            spread(found.restarts, "s", 1),
            COMMAND,
            max(found.restarts) <= RESTART_SECONDS,
        ),
    ]


def crowd_figures(home: Path) -> list[Figure]:
    figures = []
    for kind, of, crowd in (
        ("Thread", "threads of one server", crowd_of_threads),
        ("Process", "processes of their own", crowd_of_processes),
    ):
        took = crowd(home)
        stored, pairs = stored_once(home, kind)
        p95 = float(np.percentile(took, 95))
        figures.append(
            Figure(
                f"{READERS} readers save {READS} reads each at once, {of}: "
                f"{stored} stored, {pairs} of them different; one save",
                f"{READERS * READS} stored once each, p95 at most {SLOWEST_SECONDS:.0f} s",
                tail(took, "s", 3),
                COMMAND,
                stored == pairs == READERS * READS and p95 <= SLOWEST_SECONDS,
            )
        )
    return figures


def fault_figures(home: Path) -> list[Figure]:
    figures = []
    results = suffer(home, *FAULTS)
    for fault, (name, words) in FAULTS.items():
        found = results[fault]
        said = [text for text, _ in found["told"].values()]
        clear = all(any(word in text for word in words) for text in said)
        works = not any(found["after"].values()) and found["gained"] > 0
        figures.append(
            Figure(
                f"Saving while {name}",
                "a clear message, nothing partial, works again after",
                f"“{said[0]}”; partial: {', '.join(found['partial']) or 'nothing'}; "
                f"{'works' if works else 'does not work: ' + str(found['after'])} after",
                COMMAND,
                clear and not found["partial"] and works,
            )
        )
    return figures


def run(kills: int = KILLS, parts: str = "kills,crowd,faults", seed: int = 7) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="ddad-durability-") as folder:
        home = Path(folder) / "home"
        prepare(home, READS)
        figures: list[Figure] = []
        if "faults" in parts:
            figures += fault_figures(home)
        if "crowd" in parts:
            figures += crowd_figures(home)
        if "kills" in parts:
            figures += kill_figures(kill(home, kills, seed))
        return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=7, help="of the moments of the kills")
    parser.add_argument("--parts", default="kills,crowd,faults", help="which, commas between")
    arguments = parser.parse_args()
    figures = run(arguments.kills, arguments.parts, arguments.seed)
    show(figures)
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
