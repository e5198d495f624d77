"""`python -m benchmarks.durable_faults FAULT,FAULT HOME`: saving while disk or database fail.

Run inside a mount namespace of its own (`unshare -rm`), where HOME lies on a small file system
that this process may fill, and without root's power to write what may only be read (`setpriv`).
Prints what the reader was told, and whether rows and files were as before, and whether all works
again afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from app.bootstrap import build_services
from app.services.container import Services
from app.services.people import Person
from app.settings import load_settings
from benchmarks.durable_readers import MODEL, radiograph, save
from ddad_core.errors import DdadError

LOCKED_SECONDS = 12.0
READER = Person.named("Reader")
_HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def state(home: Path) -> dict[str, str]:
    """What is kept: every row of every table, and every file of an image, as hashes.

    An attempt that was turned down may stand in the audit; nothing else may be new.
    """
    found = {}
    with closing(sqlite3.connect(f"file:{home / 'ddad.sqlite'}?mode=ro", uri=True)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            if table != "audit_events":
                rows = repr(connection.execute(f"SELECT * FROM {table}").fetchall())  # noqa: S608
                found[table] = hashlib.sha256(rows.encode()).hexdigest()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    for folder in ("images", "maps"):
        for path in sorted((home / folder).rglob("*")):
            if path.is_file():
                name = str(path.relative_to(home))
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@contextmanager
def full(home: Path) -> Iterator[None]:
    """Not one block is free."""
    ballast = home / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass
    yield
    ballast.unlink()


@contextmanager
def readonly(home: Path) -> Iterator[None]:
    """Nobody may write to the folder or to anything in it."""
    modes = {path: path.stat().st_mode for path in (home, *home.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    yield
    for path, mode in modes.items():
        path.chmod(mode)


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Another process keeps the database to itself, for longer than anybody waits."""
    command = [sys.executable, "-c", _HOLD, str(home / "ddad.sqlite"), str(LOCKED_SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        yield
        holder.wait(60)


def _told(act: Callable[[], object]) -> tuple[str, float]:
    """What the reader is told, and after how many seconds; an empty string if it worked."""
    begun = time.perf_counter()
    try:
        outcome = act()
    except DdadError as error:
        return f"{error.problem} {error.next_step}".strip(), time.perf_counter() - begun
    message = getattr(outcome, "message", "") if getattr(outcome, "image_id", 0) is None else ""
    return message, time.perf_counter() - begun


def main(faults: list[str], home: Path) -> None:
    os.environ["DDAD_HOME"] = str(home)
    services: Services = build_services(load_settings(os.environ))
    services.intake.take(READER, "x.png", radiograph(0))  # the children that read files run now
    json.dump({fault: _suffer(services, fault, home) for fault in faults}, sys.stdout)
    services.close()


def _suffer(services: Services, fault: str, home: Path) -> dict[str, Any]:
    case = services.worklist.list(READER).rows[0].image_id
    chance = random.Random(fault)
    acts: dict[str, Callable[[], object]] = {
        "save a read": lambda: save(services, READER, case, chance),
    }
    if fault != "locked":
        new = radiograph(sum(fault.encode()))
        acts["take an image in"] = lambda: services.intake.take(READER, "x.png", new)
        acts["open a case"] = lambda: services.reading.open_case(READER, case, MODEL)
    before = state(home)
    with {"full": full, "readonly": readonly, "locked": locked}[fault](home):
        told = {name: _told(act) for name, act in acts.items()}
    partial = sorted(name for name, _ in state(home).items() ^ before.items())
    after = {name: _told(act)[0] for name, act in acts.items()}
    gained = len(state(home).items() - before.items())
    return {"told": told, "partial": partial, "after": after, "gained": gained}


if __name__ == "__main__":
    main(sys.argv[1].split(","), Path(sys.argv[2]))
