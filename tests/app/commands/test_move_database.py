from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, select, text

from app.gateways.anchor import AnchorFile
from app.store.account_records import NewAuditEvent, NewSession, NewUser
from app.store.audit_chain import Head, verify
from app.store.engine import create_store_engine
from app.store.errors import StoreError
from app.store.evidence_records import NewAuditSample
from app.store.migrate import migrate
from app.store.proposal_records import NewDecision, NewProposal
from app.store.records import Box, NewOperatingPoint, NewRead, RejectedRegion
from app.store.schema import Base
from app.store.unit_of_work import UnitOfWork
from tests.postgresql import TEMPLATE, Server

Run = Callable[..., int]
Output = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def target(postgresql: Server) -> Iterator[str]:
    """The address of an empty database, without a table."""
    postgresql.create("moved", TEMPLATE)
    yield postgresql.url("moved")
    postgresql.drop("moved")


@pytest.fixture
def home(loaded_home: Path) -> Path:
    """With a row in every table, and an image and a draft that are gone."""
    engine = create_store_engine(f"sqlite:///{loaded_home / 'ddad.sqlite'}")
    store = UnitOfWork(engine, anchor=AnchorFile(loaded_home / "audit.anchor"))
    with store.writing() as repositories:
        images = repositories.images.list_all()
        for revision in range(3):
            repositories.reads.append(
                NewRead(
                    image_id=images[0].id,
                    reader="Zoë",
                    verdict="abnormal",
                    ai_visible=True,
                    comment=f"é😀 {revision}",
                    boxes=(Box(0.1, 0.2, 3, 4),),
                    rejected=(RejectedRegion("inter", 0.1, 1, 2, 3, 4, 0.7, 2.5, 3.5),),
                )
            )
            repositories.operating_points.append(
                NewOperatingPoint(
                    model_name="m",
                    model_hash="e" * 64,
                    score_name="a_intra",
                    threshold=0.1 + revision,
                    policy="p",
                    reason="r",
                    set_by="Zoë",
                )
            )
        proposal = repositories.proposals.append(
            NewProposal(
                model_name="m", model_hash="e" * 64, score_name="map inter", threshold=0.3,
                policy="p", reason="é", set_by="Zoë", kind="pixel", map_name="inter",
                evidence={"n": [1, 2.5]}, present_id=None,
            )
        )  # fmt: skip
        repositories.proposals.decide(
            NewDecision(proposal_id=proposal.id, decision="withdrawn", decided_by="Zoë"), "Zoë"
        )
        user = repositories.users.add(
            NewUser(name="Zoë", full_name="Z", roles=("lead", "reader"), created_by="x")
        )
        repositories.sessions.open(
            NewSession(token_sha256="a" * 64, user_id=user.id, address="", method="password")
        )
        repositories.batches.named("é", "Zoë")
        repositories.assignments.add([(images[0].id, "Zoë")], "Léa")
        read = repositories.reads.latest(images[0].id, "Zoë")
        assert read
        repositories.assignments.settle(images[0].id, read.id)
        repositories.presence.put("0" * 32, images[0].id, "Zoë", None)
        repositories.saved_views.add("Zoë", "é", {"show": "all"}, shared=True)
        repositories.preferences.put("Zoë", "theme", "light")
        repositories.samples.append(
            NewAuditSample(
                model_name="m", model_hash="e" * 64, score_name="a_intra", threshold=0.1,
                rule="all", seed=7, size=2, eligible=3, flagged=1, last_score_id=3,
                drawn_by="Zoë",
            ),
            [image.id for image in images[:2]],
        )  # fmt: skip
        for reader in ("b", "Zoë", "a", "_", "é"):
            repositories.drafts.put(reader, images[1].id, {"comment": None, "n": [1, 2.5]})
        for action in ("view", "export"):
            repositories.audit.append(
                NewAuditEvent(
                    actor="Zoë", actor_id=user.id, action=action, subject="x", after={"n": 1.5}
                )
            )
    with engine.begin() as connection:
        connection.execute(text("UPDATE sqlite_sequence SET seq = 99 WHERE name = 'images'"))
    engine.dispose()
    return loaded_home


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every value of every row as the program sees it, by table."""
    with engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for name, table in Base.metadata.tables.items()
        }


def sqlite_of(home: Path) -> Engine:
    return create_store_engine(f"sqlite:///{home / 'ddad.sqlite'}")


def test_every_row_is_taken_over_and_the_file_is_not_gone_on_with(
    run: Run, home: Path, target: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = UnitOfWork(sqlite_of(home))  # a program that was not stopped
    with running.reading() as repositories:
        assert repositories.images.count() == 3
    before = contents(sqlite_of(home))
    assert all(before.values()), "a table without a row proves nothing"

    assert run("move-database", "--to", target) == 0
    told = capsys.readouterr().out
    assert "images: 3 rows" in told and "Set DDAD_DATABASE_URL" in told

    engine = create_store_engine(target)
    after = contents(engine)
    new = after["audit_events"].pop()
    assert after == before
    assert (new[2], new[4]) == ("ddad-admin", "migration")
    assert new[8]["rows"]["images"] == 3
    with UnitOfWork(engine).reading() as repositories:
        noted = AnchorFile(home / "audit.anchor").read()
        assert noted is not None
        found = verify(repositories.audit.iter_all(), [Head(*noted)])
    assert found.intact and noted == (found.head.id, found.head.hash)
    assert found.head.id == len(before["audit_events"]) + 1

    left = contents(sqlite_of(home))
    (mark,) = set(left["installation"]) - set(before["installation"])
    assert mark[0] == "moved"
    left["installation"].remove(mark)
    assert left == before
    with pytest.raises(StoreError, match="moved to PostgreSQL"):
        migrate(f"sqlite:///{home / 'ddad.sqlite'}")
    with (
        pytest.raises(StoreError, match="moved to PostgreSQL"),
        running.writing() as repositories,
    ):
        repositories.drafts.put("a", 1, {})
    assert run("move-database", "--to", target) == 1
    assert "not empty" in capsys.readouterr().err

    monkeypatch.setenv("DDAD_DATABASE_URL", target)
    assert run("migrate") == 0
    assert run("audit", "verify") == 0
    engine.dispose()


def test_ids_go_on_after_the_largest_one_ever_given(run: Run, home: Path, target: str) -> None:
    assert run("move-database", "--to", target) == 0
    last = {}
    with sqlite3.connect(home / "ddad.sqlite") as connection:
        last = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    assert last["images"] == 99
    with psycopg.connect(
        create_store_engine(target)
        .url.set(drivername="postgresql")
        .render_as_string(hide_password=False)
    ) as there:
        for name, seq in last.items():
            row = there.execute(
                f"SELECT nextval(pg_get_serial_sequence('{name}', 'id'))"
            ).fetchone()
            assert row == (seq + 1,), name


def test_a_target_that_holds_something_is_left_alone(
    run: Run, home: Path, target: str, capsys: Output
) -> None:
    engine = create_store_engine(target)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE theirs (id integer)"))
    assert run("move-database", "--to", target) == 1
    assert "not empty" in capsys.readouterr().err
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE theirs"))
    migrate(target)
    with UnitOfWork(engine).writing() as repositories:
        repositories.installation.put("name", "value")
    assert run("move-database", "--to", target) == 1
    assert {name for name, rows in contents(engine).items() if rows} == {"installation"}
    engine.dispose()
    migrate(f"sqlite:///{home / 'ddad.sqlite'}")  # not marked


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("images", "NEW.thumbnail := NEW.thumbnail || '\\x00'::bytea"),
        ("images", "NEW.added_at := NEW.added_at + interval '1 microsecond'"),
        ("scores", "NEW.score := NEW.score * (1 + 3e-16)"),
        ("reads", "NEW.comment := NEW.comment || ' '"),
        ("drafts", "NEW.content := '{}'"),
        ("users", "NEW.active := NOT NEW.active"),
        ("audit_events", "NEW.actor_id := NULL"),
        ("installation", "IF NEW.name IS NOT NULL THEN RETURN NULL; END IF"),
    ],
)
def test_a_copy_that_differs_anywhere_is_not_kept(
    run: Run, home: Path, target: str, capsys: Output, table: str, change: str
) -> None:
    migrate(target)
    engine = create_store_engine(target)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION spoil() RETURNS trigger AS $$ BEGIN "
            f"{change}; RETURN NEW; END $$ LANGUAGE plpgsql"
        )
        connection.exec_driver_sql(
            f"CREATE TRIGGER spoil BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    assert run("move-database", "--to", target) == 1
    error = capsys.readouterr().err
    assert f"does not give back what was written ({table}:" in error
    assert not any(contents(engine).values())
    engine.dispose()
    migrate(f"sqlite:///{home / 'ddad.sqlite'}")  # not marked


def test_killed_in_the_middle_it_leaves_both_as_they_were(
    run: Run, home: Path, target: str
) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from app.gateways.anchor import AnchorFile\n"
        "from app.store.moving import move\n"
        "def show(done, total):\n"
        "    if done > total * 0.9: os.kill(os.getpid(), signal.SIGKILL)\n"
        "move(sys.argv[1], sys.argv[2], AnchorFile(Path(sys.argv[3])), show)\n"
    )
    before, anchor = contents(sqlite_of(home)), home / "audit.anchor"
    noted = anchor.read_bytes()
    arguments = [f"sqlite:///{home / 'ddad.sqlite'}", target, str(anchor)]
    killed = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert killed.returncode == -signal.SIGKILL
    engine = create_store_engine(target)
    assert not any(contents(engine).values())
    assert contents(sqlite_of(home)) == before and anchor.read_bytes() == noted
    assert run("move-database", "--to", target) == 0
    assert len(contents(engine)["images"]) == 3
    engine.dispose()


def test_a_trail_that_was_tampered_with_is_not_moved(
    run: Run, home: Path, target: str, capsys: Output
) -> None:
    with sqlite3.connect(home / "ddad.sqlite") as connection:
        connection.execute("DROP TRIGGER audit_events_no_update")
        connection.execute("UPDATE audit_events SET subject = 'y' WHERE id = 1")
    connection.close()
    assert run("move-database", "--to", target) == 1
    error = capsys.readouterr().err
    assert "audit trail is not whole" in error and "audit verify" in error
    assert not any(contents(create_store_engine(target)).values())


def test_text_that_postgresql_does_not_store_is_replaced_and_told(
    run: Run, home: Path, target: str, capsys: Output
) -> None:
    with sqlite3.connect(home / "ddad.sqlite") as connection:
        connection.execute("UPDATE images SET label = ? WHERE id = 2", ("a\x00b",))
    connection.close()
    assert run("move-database", "--to", target) == 0
    assert "1 texts held characters" in capsys.readouterr().out
    with UnitOfWork(create_store_engine(target)).reading() as repositories:
        image = repositories.images.get(2)
        assert image and image.label == "a\ufffdb"


def test_what_cannot_be_moved_is_told_with_the_next_step(
    run: Run, home: Path, tmp_path: Path, capsys: Output
) -> None:
    assert run("move-database") == 1
    assert "postgresql:// address" in capsys.readouterr().err
    assert run("move-database", "--from", tmp_path / "none", "--to", "postgresql://h/x") == 1
    assert "no SQLite database" in capsys.readouterr().err
    gone = "postgresql://ddad:secret@127.0.0.1:9/x"
    assert run("move-database", "--to", gone) == 1
    error = capsys.readouterr().err
    assert "cannot be opened or reached" in error and "secret" not in error


def test_a_site_that_follows_the_document_is_moved(
    run: Run,
    home: Path,
    postgresql: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    page = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    for statement in statements.strip().splitlines():
        postgresql.execute(statement)
    address = postgresql.loopback_url("ddad_review", password="choose-a-long-one")
    path = tmp_path / "address"
    path.write_text(address.replace("//ddad:", "//ddad_review:"))
    path.chmod(0o600)
    monkeypatch.setenv("DDAD_DATABASE_URL_FILE", str(path))
    try:
        (command,) = re.findall(r"```\nddad-admin (.*?)\n```", page)
        assert run(*command.split()) == 0
        assert run("audit", "verify") == 0
        told = capsys.readouterr()
        assert "choose-a-long-one" not in told.out + told.err
    finally:
        postgresql.drop("ddad_review")
        postgresql.execute("DROP ROLE ddad_review")
