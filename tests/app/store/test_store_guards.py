from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.store.engine import create_store_engine
from app.store.errors import StoreError
from app.store.records import Box, RejectedRegion
from app.store.unit_of_work import UnitOfWork

ROOT = Path(__file__).parents[3]


@pytest.fixture
def filled(store, new_image, new_read, new_operating_point):
    with store.writing() as repos:
        image = repos.images.add(new_image())
        repos.operating_points.append(new_operating_point())
        region = RejectedRegion("inter", 0.5, 1, 2, 3, 4, 0.75, 2, 3)
        repos.reads.append(new_read(image.id, boxes=(Box(0, 0, 1, 1),), rejected=(region,)))
    return image


@pytest.mark.parametrize("table", ["reads", "boxes", "rejected_regions", "operating_points"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_append_only_tables_refuse_changes(engine, filled, table, statement):
    with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement.format(table)))


REPLACING = {
    "sqlite": "INSERT OR REPLACE INTO {0} SELECT * FROM {0}",
    "postgresql": "INSERT INTO {0} SELECT * FROM {0} ON CONFLICT (id) DO UPDATE SET id = {0}.id",
}


@pytest.mark.parametrize("table", ["reads", "boxes", "rejected_regions", "operating_points"])
def test_append_only_tables_refuse_replacement(engine, filled, table):
    statement = text(REPLACING[engine.dialect.name].format(table))
    with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
        connection.execute(statement)


def test_image_with_reads_cannot_be_removed(engine, filled):
    with pytest.raises(IntegrityError, match="(?i)foreign key"), engine.begin() as connection:
        connection.execute(text("DELETE FROM images"))


@pytest.mark.sqlite_only("PRAGMA; the other's are in test_postgresql.py")
def test_every_connection_has_the_safe_settings(engine):
    expected = {
        "foreign_keys": 1,
        "journal_mode": "delete",
        "synchronous": 2,
        "busy_timeout": 10000,
    }
    with engine.connect() as first, engine.connect() as second:
        # The second connection cannot begin while the first holds the write lock.
        raw = second.connection.driver_connection
        for connection in (first.connection.driver_connection, raw):
            for pragma, value in expected.items():
                assert connection.execute(f"PRAGMA {pragma}").fetchone()[0] == value


def test_writing_takes_the_lock_at_once_and_reading_does_not(store, url):
    hasty = UnitOfWork(create_store_engine(url, busy_timeout=0.05))
    with store.reading(), hasty.writing():
        pass
    with store.writing():
        with hasty.reading() as repos:
            assert repos.images.count() == 0
        with pytest.raises(StoreError, match="busy") as caught, hasty.writing():
            pytest.fail("got the lock")
        assert caught.value.next_step
    with hasty.writing():
        pass


def test_writing_is_refused_in_a_reading_unit(store, new_image):
    with pytest.raises(StoreError, match="only be read"), store.reading() as repos:
        repos.images.add(new_image())
    with store.writing() as repos:
        repos.images.add(new_image())


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_unit_that_fails_keeps_nothing(store, new_image, failure):
    with pytest.raises(failure), store.writing() as repos:
        repos.images.add(new_image())
        raise failure
    with store.reading() as repos:
        assert repos.images.count() == 0


def test_two_threads_lose_no_read(store, filled, new_read):
    failures: list[BaseException] = []

    def append(reader: str) -> None:
        try:
            for _ in range(25):
                with store.writing() as repos:
                    repos.reads.append(new_read(filled.id, reader))
                # Both threads also add to one chain, where the numbers could collide.
                with store.writing() as repos:
                    repos.reads.append(new_read(filled.id, "both"))
        except BaseException as error:  # noqa: BLE001 - shown by the main thread
            failures.append(error)

    threads = [threading.Thread(target=append, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with store.reading() as repos:
        for reader, count in (("one", 25), ("two", 25), ("both", 50)):
            history = repos.reads.history(filled.id, reader)
            assert [read.revision for read in history] == list(range(1, count + 1))
            assert [r.replaces_id for r in history] == [None, *(r.id for r in history[:-1])]


def test_two_threads_that_score_one_image_get_the_same_score(store, filled, new_score):
    barrier = threading.Barrier(2)
    scores = []

    def score(value: float) -> None:
        barrier.wait()
        with store.writing() as repos:
            scores.append(repos.scores.add_or_get(new_score(filled.id, score=value)))

    threads = [threading.Thread(target=score, args=(value,)) for value in (0.1, 0.9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(scores) == 2
    assert scores[0] == scores[1]


def test_process_killed_while_writing_leaves_nothing(store, url, filled):
    script = textwrap.dedent(
        """
        import os, signal, sys
        from sqlalchemy import text
        from app.store.engine import create_store_engine
        engine = create_store_engine(sys.argv[1])
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                # A tiny cache makes it write to the database file before the commit.
                connection.execute(text("PRAGMA cache_size = 2"))
            for n in range(300):
                connection.execute(text(
                    "INSERT INTO operating_points (model_name, model_hash, score_name, threshold,"
                    " version, policy, reason, set_by, set_at) VALUES"
                    " ('demo', :hash, 'a_rec', 1, :n, '', :reason, 'ana', '2030-01-01')"
                ), {"hash": "d" * 64, "n": n + 1, "reason": "x" * 500})
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, url],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert killed.returncode == -signal.SIGKILL
    if url.startswith("sqlite"):
        assert Path(url.removeprefix("sqlite:///") + "-journal").stat().st_size > 0
    with store.reading() as repos:
        assert repos.operating_points.history("demo", "d" * 64, "a_rec") == []
        assert len(list(repos.reads.iter_all())) == 1


@pytest.mark.sqlite_only("a PostgreSQL server cannot be given a small disk here")
def test_full_disk_is_told_plainly_and_leaves_nothing(store, engine, new_image):
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        raw.execute(f"PRAGMA max_page_count = {raw.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(StoreError, match="full") as caught, store.writing() as repos:
        for n in range(100):
            repos.images.add(new_image(sha256=f"{n:064x}", thumbnail=b"x" * 10_000))
    assert "free some space" in caught.value.next_step
    with store.reading() as repos:
        assert repos.images.count() == 0


def test_read_only_database_is_told_plainly(url, new_image):
    if url.startswith("sqlite"):
        url = f"sqlite:///file:{url.removeprefix('sqlite:///')}?mode=ro&uri=true"
    else:
        url += "&options=-c%20default_transaction_read_only=on"
    store = UnitOfWork(create_store_engine(url))
    with pytest.raises(StoreError, match="only be read"), store.writing() as repos:
        repos.images.add(new_image())
    with store.reading() as repos:
        assert repos.images.count() == 0


def test_file_that_is_no_database_is_told_plainly(tmp_path):
    path = tmp_path / "notes.db"
    path.write_text("These are notes, and long enough to hold a header." * 10)
    store = UnitOfWork(create_store_engine(f"sqlite:///{path}"))
    with pytest.raises(StoreError, match="not a database"), store.reading() as repos:
        repos.images.count()


def test_missing_tables_name_the_command_that_makes_them(tmp_path):
    store = UnitOfWork(create_store_engine(f"sqlite:///{tmp_path / 'new.db'}"))
    with pytest.raises(StoreError) as caught, store.reading() as repos:
        repos.images.count()
    assert "ddad-admin migrate" in caught.value.next_step


def test_no_error_repeats_what_was_written(store, new_image, new_read):
    with pytest.raises(StoreError) as caught, store.writing() as repos:
        image = repos.images.add(new_image())
        repos.reads.append(new_read(image.id, confidence=9, comment="Mrs Miller"))
    assert "Miller" not in str(caught.value)
    assert "Miller" not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "url",
    ["", "ddad.db", "sqlite://", "sqlite:///:memory:", "oracel://reader:secret@host/x"],
)
def test_address_that_cannot_be_used_is_refused_without_repeating_it(url):
    with pytest.raises(StoreError) as caught:
        create_store_engine(url)
    assert "secret" not in str(caught.value)
    assert "sqlite:////path" in caught.value.next_step


def test_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be created"):
        create_store_engine(f"sqlite:///{tmp_path}/file/ddad.db")


def test_nothing_is_connected_when_the_engine_is_made(tmp_path):
    create_store_engine(f"sqlite:///{tmp_path}/home/ddad.db")
    assert list((tmp_path / "home").iterdir()) == []


def test_wal_database_is_taken_back_to_a_rollback_journal(tmp_path):
    path = tmp_path / "ddad.db"
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.close()
    with create_store_engine(f"sqlite:///{path}").connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
