"""What `python -m benchmarks.durability` measures in full, with fewer of everything."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.services.container import Services
from app.services.people import Person
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.unit_of_work import UnitOfWork
from benchmarks.durability import kill, suffer
from benchmarks.durable_readers import read_all

CASES = 3  # of the small gallery


@pytest.mark.sqlite_only("a PostgreSQL server is no part of the process that is killed")
def test_no_acknowledged_read_is_lost_by_kill_9(loaded: Services, loaded_home: Path) -> None:
    found = kill(loaded_home, kills=1, seed=int(time.time()))
    assert (found.lost, found.orphans, found.damaged) == ([], [], [])
    assert 0 < found.acknowledged <= found.rows
    assert len(found.restarts) == 1


@pytest.mark.sqlite_only("mounts a file system under the database's file")
def test_a_full_disk_and_a_read_only_folder_are_told_and_leave_nothing(
    loaded: Services, loaded_home: Path
) -> None:
    allowed = subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True)
    if allowed.returncode:
        pytest.skip("this machine lets nobody mount a small file system of their own")
    results = suffer(loaded_home, "full", "readonly")
    for fault, words in (("full", "is full"), ("readonly", "only be read")):
        found = results[fault]
        assert words in found["told"]["save a read"][0]
        assert all(text for text, _ in found["told"].values())
        assert found["partial"] == [] and not any(found["after"].values()) and found["gained"]


def test_readers_at_once_store_each_read_once(loaded: Services) -> None:
    together, failed = threading.Barrier(8), []

    def reader(number: int) -> None:
        together.wait()
        try:
            for _ in range(3):
                read_all(loaded, f"Reader {number}", CASES)
        except Exception as error:  # noqa: BLE001 - any is one too many
            failed.append(error)

    threads = [threading.Thread(target=reader, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []
    with loaded.access._store.reading() as repositories:
        counted = sum(
            len(repositories.reads.history(row.image_id))
            for row in loaded.worklist.list(Person.named("Ana")).rows
        )
    assert counted == 8 * 3 * CASES


def test_a_writer_waits_for_another_process_and_for_its_own_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    migrate(f"sqlite:///{path}")
    hold = (
        "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); time.sleep(1.5)"
    )
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        # Each has an engine of its own, as the gate and the screens of one server have.
        stores = [UnitOfWork(create_store_engine(f"sqlite:///{path}")) for _ in range(4)]

        def write(number: int) -> None:
            with stores[number].writing() as repositories:
                repositories.installation.put(f"writer {number}", "was here")

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        begun = time.perf_counter()
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert time.perf_counter() - begun > 1.0
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM installation WHERE value = 'was here'"
        ).fetchone()
    assert count == 4
