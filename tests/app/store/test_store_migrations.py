from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, inspect, text

from app.store.engine import create_store_engine
from app.store.errors import StoreError
from app.store.migrate import HEAD_REVISION, current_revision, migrate
from app.store.records import Box
from app.store.schema import Base

ROOT = Path(__file__).parents[3]
APPEND_ONLY = ("boxes", "operating_points", "reads")


@pytest.fixture
def empty_url(tmp_path):
    return f"sqlite:///{tmp_path / 'new folder 100%' / 'ddad.db'}"


def test_head_revision_is_the_newest_migration():
    scripts = ScriptDirectory(str(ROOT / "app" / "store" / "migrations"))
    assert scripts.get_heads() == [HEAD_REVISION]


def test_migrating_is_done_once(empty_url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert current_revision(empty_url) is None
    assert migrate(empty_url) is True
    assert current_revision(empty_url) == HEAD_REVISION
    assert migrate(empty_url) is False


def test_migrated_schema_equals_the_tables_in_the_code(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_migrated_checks_equal_those_in_the_code(engine, table):
    """Alembic does not compare CHECK constraints."""
    declared = {
        (str(check.name), str(check.sqltext))
        for check in Base.metadata.tables[table].constraints
        if isinstance(check, CheckConstraint)
    }
    stored = {
        (check["name"], check["sqltext"]) for check in inspect(engine).get_check_constraints(table)
    }
    assert stored == declared


def test_every_append_only_table_is_guarded_at_head(engine):
    with engine.connect() as connection:
        names = connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
        expected = {
            f"{table}_no_{change}" for table in APPEND_ONLY for change in ("update", "delete")
        }
        assert set(names) == expected


def test_downgrade_removes_a_filled_schema(store, engine, new_image, new_read, new_operating_point):
    with store.writing() as repos:
        image = repos.images.add(new_image())
        for _ in range(2):
            repos.reads.append(new_read(image.id, boxes=(Box(0, 0, 1, 1),)))
            repos.operating_points.append(new_operating_point())
    config = Config(ROOT / "alembic.ini")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    tables = set(inspect(engine).get_table_names())
    assert tables - {"sqlite_sequence"} == {"alembic_version"}


def test_command_line_migrates_the_address_it_is_given(empty_url):
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", ROOT / "alembic.ini"]
        + ["-x", f"url={empty_url}", "upgrade", "head"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert current_revision(empty_url) == HEAD_REVISION


def test_database_of_a_newer_version_is_left_alone(url, engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="does not know") as caught:
        migrate(url)
    assert "newer version" in caught.value.next_step
    assert current_revision(url) == "9999"


def test_migration_that_fails_leaves_the_database_as_it_was(empty_url):
    engine = create_store_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE reads (id INTEGER)"))
    with pytest.raises(StoreError):
        migrate(empty_url)
    assert inspect(engine).get_table_names() == ["reads"]


def test_processes_that_start_together_migrate_once(empty_url):
    outcomes: list[object] = []

    def start() -> None:
        try:
            outcomes.append(migrate(empty_url))
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            outcomes.append(error)

    # Alembic keeps its context in a module, so each real start is a process of its own; here
    # the second starts while the first holds the lock, and must find the work done.
    engine = create_store_engine(empty_url)
    with engine.begin() as connection:
        waiting = threading.Thread(target=start)
        waiting.start()
        config = Config(ROOT / "alembic.ini")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    waiting.join()
    assert outcomes == [False]


def test_start_on_an_up_to_date_database_does_not_import_alembic(url):
    script = (
        "import sys; from app.store.migrate import migrate; "
        "print(migrate(sys.argv[1]), 'alembic' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, url], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "False", "False"]
