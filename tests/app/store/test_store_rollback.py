"""Up from every older schema with rows in every table, and back: by downgrade and by copy."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from app.gateways.anchor import AnchorFile
from app.store.automatic_copy import COPIES_KEPT, automatic_copies, keep_copy, put_back
from app.store.engine import create_store_engine
from app.store.errors import StoreError
from app.store.migrate import (
    HEAD_REVISION,
    current_revision,
    go_back,
    loss_of_going_back,
    migrate,
)
from app.store.snapshot import faults_of, revision_of
from app.store.unit_of_work import UnitOfWork

ROOT = Path(__file__).parents[3]
A, B = "a" * 64, "b" * 64
OLDER = ("0001", "0002", "0003")

# A row of every table that each revision has, in words that this version's code does not make.
ROWS = {
    "0001": (
        "INSERT INTO images (id, sha256, origin, label, format, bits, width, height, slope,"
        " intercept, windows, warnings, reference_boxes, thumbnail, added_at, added_by) VALUES"
        f" (3, '{A}', 'upload', 'CXR', 'png', 8, 10, 10, 1, 0, '[]', '[]', '[]', x'ff00',"
        " '2030-01-01', 'ana')",
        "INSERT INTO scores (id, image_id, model_name, model_hash, a_rec, a_rec_single, a_intra,"
        " a_inter, score_name, score, p_value, percentile, warnings, seconds, scored_at) VALUES"
        f" (4, 3, 'demo', '{B}', 0.1, 0.2, 0.3, 0.4, 'a_inter', 0.4, 0.5, 50, '[]', 0.1,"
        " '2030-01-01')",
        "INSERT INTO operating_points (id, model_name, model_hash, score_name, threshold,"
        f" version, policy, reason, set_by, set_at) VALUES (5, 'demo', '{B}', 'a_inter', 0.4, 1,"
        " 'as it is', 'because', 'ana', '2030-01-01')",
        "INSERT INTO reads (id, image_id, reader, revision, verdict, findings, comment,"
        " operating_point_id, ai_visible, saved_at) VALUES (6, 3, 'ana', 1, 'normal', '[]', 'c',"
        " 5, 1, '2030-01-01')",
        "INSERT INTO reads (id, image_id, reader, revision, replaces_id, verdict, findings,"
        " comment, ai_visible, saved_at) VALUES (7, 3, 'ana', 2, 6, 'abnormal', '[]', '', 1,"
        " '2030-01-01')",
        'INSERT INTO boxes (id, read_id, "index", x, y, width, height, label) VALUES (8, 7, 0,'
        " 1, 2, 3, 4, 'shadow')",
    ),
    "0002": ("UPDATE scores SET r_dual = 0.7",),
    "0003": (
        "UPDATE images SET patient = 'P-1', instance = 'I-1'",
        "INSERT INTO installation (name, value) VALUES ('pseudonym_key_check', 'x')",
    ),
    "0004": (
        "INSERT INTO users (id, name, name_key, full_name, roles, created_by, created_at) VALUES"
        " (1, 'ana', 'ana', '', '[\"reader\"]', 'x', '2030-01-01')",
        "INSERT INTO sessions (id, token_sha256, user_id, address, method, opened_at, seen_at)"
        f" VALUES (1, '{A}', 1, '', 'password', '2030-01-01', '2030-01-01')",
        "INSERT INTO drafts (reader, image_id, content, saved_at) VALUES ('ana', 3, '{}',"
        " '2030-01-01')",
    ),
    "0012": ("INSERT INTO preferences (person, name, value) VALUES ('ana', 'theme', '\"light\"')",),
}


def database(home: Path) -> Path:
    return home / "ddad.sqlite"


def url_of(home: Path) -> str:
    return f"sqlite:///{database(home)}"


@pytest.fixture
def made(tmp_path: Path) -> Callable[[str], Path]:
    """A home whose database has a schema and rows in every table of it."""

    def make(revision: str) -> Path:
        home = tmp_path / f"home-{revision}"
        engine = create_store_engine(url_of(home))
        config = Config(ROOT / "alembic.ini")
        for step in [one for one in sorted(ROWS) if one <= revision]:
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, step)
            with engine.begin() as connection:
                for statement in ROWS[step]:
                    connection.execute(text(statement))
        engine.dispose()
        return home

    return make


def rows(path: Path) -> dict[str, list[tuple]]:
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: connection.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall()
            for (name,) in names
        }


def schema(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: " ".join(sql.replace(",", " ").split()) for name, sql in found}


@pytest.mark.parametrize("revision", OLDER)
def test_every_older_database_is_copied_and_brought_up_with_all_rows(
    made: Callable[[str], Path], revision: str
) -> None:
    home, said = made(revision), []
    before = rows(database(home))
    assert all(before[name] for name in before if name != "sqlite_sequence")
    anchor = AnchorFile(home / "audit.anchor")
    assert migrate(url_of(home), anchor=anchor, say=said.append) is True
    (copy,) = automatic_copies(home / "backups")
    assert copy.name.startswith(f"before-{HEAD_REVISION}-") and said == [
        f"Before the change to schema {HEAD_REVISION} the database was copied to {copy}."
    ]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert rows(copy) == before and revision_of(copy) == revision
    assert sorted(path.name for path in (home / "backups").iterdir()) == [copy.name]
    after = rows(database(home))
    for name in ("images", "scores", "operating_points", "reads", "boxes"):
        width = len(before[name][0])
        assert name == "scores" or [row[:width] for row in after[name]] == before[name]
        assert len(after[name]) == len(before[name])
    assert faults_of(database(home)) == []
    with UnitOfWork(create_store_engine(url_of(home))).reading() as repositories:
        (event,) = repositories.audit.find()
        (score,) = repositories.scores.list_all()
    assert score.a_inter == 0.4
    assert (event.action, event.before) == ("migration", {"schema": revision})
    assert event.after == {"schema": HEAD_REVISION, "copy": copy.name}
    assert anchor.read() == (event.id, event.hash)


def test_a_new_database_is_neither_copied_nor_recorded(tmp_path: Path) -> None:
    said = []
    assert migrate(url_of(tmp_path / "new"), say=said.append) is True
    assert said == [] and not (tmp_path / "new" / "backups").exists()
    with UnitOfWork(create_store_engine(url_of(tmp_path / "new"))).reading() as repositories:
        assert repositories.audit.count() == 0


@pytest.mark.parametrize("revision", OLDER)
def test_the_way_up_and_back_keeps_what_the_older_schema_can_hold(
    made: Callable[[str], Path], revision: str
) -> None:
    home = made(revision)
    before, form = rows(database(home)), schema(database(home))
    migrate(url_of(home))
    assert go_back(url_of(home), revision, say=lambda _: None) is True
    assert current_revision(url_of(home)) == revision
    assert schema(database(home)) == form
    after = rows(database(home))
    before.pop("sqlite_sequence"), after.pop("sqlite_sequence")
    assert after == before and faults_of(database(home)) == []
    assert migrate(url_of(home)) is True


def test_what_going_back_loses_is_known_before_and_nothing_is_touched(
    made: Callable[[str], Path],
) -> None:
    home = made("0004")
    before = database(home).read_bytes()
    loss = loss_of_going_back(url_of(home), "0001")
    assert loss.tables == {"users": 1, "sessions": 1, "drafts": 1, "installation": 1}
    assert loss.columns == {
        "images.patient": 1, "images.instance": 1, "images.stored_as": 1, "images.conflict": 1,
        "scores.r_dual": 1,
    }  # fmt: skip
    assert loss_of_going_back(url_of(home), "0003").columns == {}
    assert database(home).read_bytes() == before
    assert current_revision(url_of(home)) == "0004" and not (home / "backups").exists()


@pytest.mark.parametrize("revision", ["0004", "0009", "base", "", "-1"])
def test_there_is_no_way_back_to_what_was_never_before(
    made: Callable[[str], Path], revision: str
) -> None:
    home = made("0004")
    with pytest.raises(StoreError, match="no revision") as refusal:
        go_back(url_of(home), revision)
    assert "0001, 0002, 0003" in refusal.value.next_step
    assert not (home / "backups").exists()


def test_rolled_back_by_the_copy_every_byte_is_as_before(made: Callable[[str], Path]) -> None:
    home = made("0002")
    before, form = rows(database(home)), schema(database(home))
    migrate(url_of(home))
    upgraded = rows(database(home))
    (copy,) = automatic_copies(home / "backups")
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    kept = put_back(copy, database(home))
    assert rows(database(home)) == before and schema(database(home)) == form
    assert rows(kept) == upgraded and kept.name.startswith("undone-")
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == digest
    assert put_back(kept, database(home)).exists()
    assert rows(database(home)) == upgraded
    assert [p.name for p in home.iterdir() if p.name.startswith(".")] == []


def test_a_damaged_or_missing_copy_is_not_put_back(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    home = made("0003")
    before = database(home).read_bytes()
    bad = tmp_path / "bad.sqlite"
    bad.write_bytes(b"SQLite format 3\x00" + b"x" * 5000)
    for copy in (bad, tmp_path / "missing.sqlite"):
        with pytest.raises(StoreError):
            put_back(copy, database(home))
    assert database(home).read_bytes() == before and not (home / "backups").exists()


@pytest.mark.parametrize("failing", ["os.fsync", "app.store.automatic_copy.copy_sqlite"])
def test_without_a_copy_there_is_no_migration(
    made: Callable[[str], Path], failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = made("0003")
    before = database(home).read_bytes()

    def full(*_: object, **__: object) -> None:
        if failing == "os.fsync":
            raise OSError(28, "No space left on device")
        problem = "The disk that holds the database is full."
        raise StoreError(problem)

    with monkeypatch.context() as patch:
        patch.setattr(failing, full)
        with pytest.raises(StoreError, match="cannot be copied"):
            migrate(url_of(home))
    assert database(home).read_bytes() == before and current_revision(url_of(home)) == "0003"
    assert not list(home.glob("backups/*")) and not list(home.glob("backups/.*"))
    assert migrate(url_of(home)) is True


def test_the_last_copies_are_kept(made: Callable[[str], Path]) -> None:
    home = made("0003")
    names = [keep_copy(database(home), "0004").name for _ in range(COPIES_KEPT + 2)]
    other = home / "backups" / "mine.sqlite"
    other.write_text("not an automatic one")
    keep_copy(database(home), "0004")
    found = [path.name for path in automatic_copies(home / "backups")]
    assert len(found) == COPIES_KEPT and found[:-1] == names[-COPIES_KEPT + 1 :]
    assert other.exists()


def test_a_migration_that_fails_leaves_rows_and_a_copy(
    made: Callable[[str], Path],
) -> None:
    home = made("0003")
    with closing(sqlite3.connect(database(home))) as connection, connection:
        connection.execute("CREATE TABLE drafts (id INTEGER)")  # in the way
    before = rows(database(home))
    with pytest.raises(StoreError):
        migrate(url_of(home))
    assert rows(database(home)) == before and revision_of(database(home)) == "0003"
    assert len(automatic_copies(home / "backups")) == 1
    assert os.access(database(home), os.W_OK)
