from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, inspect, text
from sqlalchemy.exc import IntegrityError

from app.store.engine import create_store_engine
from app.store.errors import StoreError
from app.store.migrate import HEAD_REVISION, current_revision, migrate
from app.store.records import Box, RejectedRegion
from app.store.schema import Base
from app.store.unit_of_work import UnitOfWork
from tests.postgresql import schema_on_postgresql

ROOT = Path(__file__).parents[3]
APPEND_ONLY = (
    "boxes", "operating_points", "reads", "audit_events", "audit_samples", "audit_sample_members",
    "proposals", "proposal_decisions", "rejected_regions",
)  # fmt: skip


@pytest.fixture
def empty_url(databases, tmp_path):
    return databases.url(tmp_path / "new folder 100%", migrated=False)


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


@pytest.mark.sqlite_only("PostgreSQL rewrites checks: test_postgresql.py compares the schemas")
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
    if engine.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        changes = ("no_update", "no_delete")
    else:
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'"
        changes = ("append_only",)
    with engine.connect() as connection:
        names = connection.scalars(text(query))
        assert set(names) == {f"{table}_{change}" for table in APPEND_ONLY for change in changes}


def test_downgrade_removes_a_filled_schema(store, engine, new_image, new_read, new_operating_point):
    with store.writing() as repos:
        image = repos.images.add(new_image())
        for _ in range(2):
            repos.reads.append(new_read(image.id, boxes=(Box(0, 0, 1, 1),), rejected=(REGION,)))
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
    script = "import sys; from app.store.migrate import migrate; print(migrate(sys.argv[1]))"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, empty_url], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    outcomes = [process.communicate(timeout=60)[0].strip() for process in started]
    assert sorted(outcomes) == ["False", "False", "True"]
    assert current_revision(empty_url) == HEAD_REVISION


def test_start_on_an_up_to_date_database_does_not_import_alembic(url):
    script = (
        "import sys; from app.store.migrate import migrate; "
        "print(migrate(sys.argv[1]), 'alembic' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, url], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "False", "False"]


# What 0001 kept of a score; the columns after it came with 0002.
OLD_SCORE = (
    "INSERT INTO scores (image_id, model_name, model_hash, a_rec, a_rec_single, a_intra, a_inter,"
    " score_name, score, p_value, percentile, warnings, seconds, scored_at) VALUES (1, 'demo', :h,"
    " 0.1, 0.2, 0.3, 0.4, 'a_inter', 0.4, 0.5, 50, '[\"Lateral view.\"]', 0.1, '2030-01-01')"
)
OLD_IMAGE = (
    "INSERT INTO images (sha256, origin, label, format, bits, width, height, slope, intercept,"
    " windows, warnings, reference_boxes, thumbnail, added_at, added_by) VALUES (:h, 'upload',"
    " 'CXR', 'png', 8, 10, 10, 1, 0, '[]', '[]', '[]', :thumbnail, '2030-01-01', 'ana')"
)
OLD_READ = (
    "INSERT INTO reads (image_id, reader, revision, verdict, findings, comment, ai_visible,"
    " saved_at) VALUES (1, 'ana', 1, 'normal', '[]', '', true, '2030-01-01')"
)
REGION = RejectedRegion("inter", 0.5, 1, 2, 3, 4, 0.75, 2, 3)
NEW_COLUMNS = ("r_dual", "r_intra", "c_rec", "c_intra", "c_inter", "a_ratio")


def move(engine, run, revision):
    config = Config(ROOT / "alembic.ini")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        run(config, revision)


def schema_of(engine):
    """Every table, index and trigger as SQLite keeps it, but for blanks."""
    if engine.dialect.name == "postgresql":
        return schema_on_postgresql(engine)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return {name: re.sub(r"[\s,]+", " ", sql).replace(" )", ")") for name, sql in rows}


@pytest.fixture
def older(empty_url):
    """A database of the first version with an image, a score and a read in it."""
    engine = create_store_engine(empty_url)
    move(engine, command.upgrade, "0001")
    with engine.begin() as connection:
        for statement in (OLD_IMAGE, OLD_SCORE, OLD_READ):
            values = {"h": "a" * 64, "thumbnail": b"\xff"}
            names = [name for name in values if f":{name}" in statement]
            connection.execute(text(statement), {name: values[name] for name in names})
    yield engine
    engine.dispose()


def test_scores_of_an_older_database_stay_and_have_no_new_ones(older, empty_url):
    assert migrate(empty_url) is True
    store = UnitOfWork(older)
    with store.reading() as repos:
        (score,) = repos.scores.list_all()
        assert len(repos.reads.history(1)) == 1
    assert (score.a_rec, score.a_inter, score.score, score.warnings) == (
        0.1, 0.4, 0.4, ("Lateral view.",),
    )  # fmt: skip
    assert [score.value(name) for name in NEW_COLUMNS] == [None] * 6


def test_migrated_database_equals_a_fresh_one(older, empty_url, engine):
    migrate(empty_url)
    assert schema_of(older) == schema_of(engine)


def test_guards_hold_on_a_migrated_database(older, empty_url, new_score):
    migrate(empty_url)
    with pytest.raises(IntegrityError, match="append-only"), older.begin() as connection:
        connection.execute(text("DELETE FROM reads"))
    store = UnitOfWork(older)
    for wrong in ({"p_value": 2.0}, {"image_id": 99}):
        with pytest.raises(StoreError), store.writing() as repos:
            repos.scores.add_or_get(new_score(**{"image_id": 1, **wrong}))
    with older.begin() as connection:
        connection.execute(text("DELETE FROM scores"))
    with store.writing() as repos:
        assert repos.scores.add_or_get(new_score(1)).id > 1  # never given again


def test_images_of_an_older_database_have_no_identity_and_are_png(older, empty_url, new_image):
    migrate(empty_url)
    store = UnitOfWork(older)
    with store.writing() as repos:
        (image,) = repos.images.list_all()
        added = repos.images.add(
            new_image("b", patient="P-1", instance="I-1", pixel_sha256="c" * 64, stored_as="dicom")
        )
        assert repos.images.by_instance("I-1") == [added]
    assert (image.patient, image.instance, image.pixel_sha256, image.stored_sha256) == (None,) * 4
    assert (image.stored_as, image.conflict, image.label) == ("png", False, "CXR")


@pytest.mark.parametrize(
    "wrong", [{"pixel_sha256": "abc"}, {"stored_sha256": "abc"}, {"stored_as": "tiff"}]
)
def test_new_columns_of_a_migrated_database_are_checked(older, empty_url, new_image, wrong):
    migrate(empty_url)
    with pytest.raises(StoreError, match="breaks a rule"), UnitOfWork(older).writing() as repos:
        repos.images.add(new_image("b", **wrong))


def test_one_step_down_keeps_images_with_pseudonyms(older, empty_url, new_image):
    move(older, command.upgrade, "0002")
    before = schema_of(older)
    migrate(empty_url)
    with UnitOfWork(older).writing() as repos:
        repos.images.add(new_image("b", patient="P-1", instance="I-1", conflict=True))
        repos.installation.put("pseudonym_key_check", "x")
    move(older, command.downgrade, "0002")
    assert schema_of(older) == before
    with older.connect() as connection:
        assert connection.scalars(text("SELECT label FROM images ORDER BY id")).all() == [
            "CXR",
            "CXR-AAAAAA",
        ]
    assert migrate(empty_url) is True
    with UnitOfWork(older).reading() as repos:
        assert [image.patient for image in repos.images.list_all()] == [None, None]


def test_one_step_down_keeps_reads_without_what_they_rejected(older, empty_url, new_read):
    move(older, command.upgrade, "0005")
    before = schema_of(older)
    migrate(empty_url)
    store = UnitOfWork(older)
    with store.writing() as repos:
        read = repos.reads.append(new_read(1, boxes=(Box(0, 0, 1, 1),), rejected=(REGION,)))
    with store.reading() as repos:
        assert repos.reads.latest(1, "ana") == read and read.rejected == (REGION,)
    move(older, command.downgrade, "0005")
    assert schema_of(older) == before
    assert migrate(empty_url) is True
    with store.reading() as repos:
        assert [(len(r.boxes), r.rejected) for r in repos.reads.history(1)] == [(0, ()), (1, ())]


def test_readers_together_come_and_go_and_leave_images_and_reads(older, empty_url, new_image):
    move(older, command.upgrade, "0005")
    before = schema_of(older)
    migrate(empty_url)
    with UnitOfWork(older).writing() as repos:
        batch = repos.batches.named("Night", "ana")
        repos.images.add(new_image("b"), batch)
        repos.assignments.add([(1, "ana"), (1, "ben")], "lea")
        repos.assignments.settle(1, 1)
        repos.presence.put("a" * 32, 1, "ana", None)
        repos.saved_views.add("ana", "mine", {"show": "unread"}, shared=False)
        assert [(one.name, one.cases) for one in repos.batches.list_all()] == [("Night", 1)]
    with pytest.raises(StoreError), UnitOfWork(older).writing() as repos:
        repos.assignments.add([(1, "ana")], "lea")  # twice
    with pytest.raises(StoreError), UnitOfWork(older).writing() as repos:
        repos.assignments.add([(99, "ana")], "lea")  # of no image
    move(older, command.downgrade, "0005")
    assert schema_of(older) == before
    with older.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM images")) == 2
        assert connection.scalar(text("SELECT count(*) FROM reads")) == 1
    assert migrate(empty_url) is True
    with UnitOfWork(older).reading() as repos:
        assert repos.batches.list_all() == [] and repos.assignments.readers_of([1]) == {}


def test_downgrade_gives_back_the_first_schema_with_its_rows(older, empty_url):
    before = schema_of(older)
    migrate(empty_url)
    assert schema_of(older) != before
    move(older, command.downgrade, "0001")
    assert schema_of(older) == before
    with older.connect() as connection:
        assert connection.scalar(text("SELECT a_inter FROM scores")) == 0.4
        assert connection.scalar(text("SELECT count(*) FROM reads")) == 1


def test_reads_of_other_sites_go_down_and_up(older, empty_url, new_read):
    move(older, command.upgrade, "0005")
    before = schema_of(older)
    migrate(empty_url)
    with UnitOfWork(older).writing() as repos:
        repos.reads.append(new_read(1, reader="eva@north", origin="north", external_id="n:7"))
    with pytest.raises(StoreError), UnitOfWork(older).writing() as repos:
        repos.reads.append(new_read(1, reader="eva@south", external_id="n:7"))
    move(older, command.downgrade, "0005")
    assert schema_of(older) == before
    migrate(empty_url)
    with UnitOfWork(older).reading() as repos:
        assert [(read.reader, read.origin) for read in repos.reads.history(1)] == [
            ("ana", None),
            ("eva@north", None),
        ]
