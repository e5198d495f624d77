"""What only a PostgreSQL server can get wrong. The other tests of this folder run on it too."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.gateways.anchor import AnchorFile
from app.store.account_records import NewAuditEvent, NewUser
from app.store.audit_chain import Head, verify
from app.store.audit_repository import AuditRepository
from app.store.engine import create_store_engine, read_only
from app.store.errors import StoreError
from app.store.migrate import migrate
from app.store.records import NewImage, NewRead
from app.store.schema import Base
from app.store.unit_of_work import Repositories, UnitOfWork
from tests.databases import PostgresqlDatabases
from tests.postgresql import TEMPLATE, Server, schema_on_postgresql

WRITERS = 8


@pytest.fixture
def url(postgresql: Server, tmp_path: Path) -> Iterator[str]:
    databases = PostgresqlDatabases(postgresql)
    yield databases.url(tmp_path)
    databases.forget(tmp_path)


def run_together(work: Callable[[int], None], count: int = WRITERS) -> None:
    """Do the work in threads that begin at the same moment; any failure is the test's."""
    barrier = threading.Barrier(count)
    failures: list[BaseException] = []

    def one(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def user(name: str) -> NewUser:
    return NewUser(name=name, full_name=name, roles=("administrator",), created_by="test")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_usual_scheme_is_this_driver(scheme: str) -> None:
    engine = create_store_engine(f"{scheme}://ddad:secret@db.example/ddad")
    assert engine.dialect.driver == "psycopg" and engine.dialect.name == "postgresql"
    assert "secret" not in repr(engine) + str(engine.url)


def test_migrated_schema_is_the_one_in_the_code(
    postgresql: Server, url: str, engine: Engine
) -> None:
    postgresql.drop("declared")
    postgresql.create("declared", TEMPLATE)
    declared = create_store_engine(postgresql.url("declared"))
    Base.metadata.create_all(declared)

    def tables(one: Engine) -> set[tuple[str, ...]]:
        return {
            row
            for row in schema_on_postgresql(one)
            if "append_only" not in " ".join(row) and "alembic_version" not in " ".join(row)
        }

    try:
        assert tables(engine) == tables(declared)
        assert len(tables(engine)) > 100
    finally:
        declared.dispose()
        postgresql.drop("declared")


def test_every_connection_waits_as_long_as_on_sqlite_and_speaks_utc(engine: Engine) -> None:
    with engine.connect() as connection:
        shown = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("lock_timeout", "timezone", "application_name", "client_encoding")
        ]
    assert shown == ["10s", "UTC", "ddad-review", "UTF8"]


def test_a_reading_unit_sees_one_state(
    store: UnitOfWork, new_image: Callable[..., NewImage]
) -> None:
    with store.reading() as reading:
        assert reading.images.count() == 0
        with store.writing() as repositories:
            repositories.images.add(new_image())
        assert reading.images.count() == 0
    with store.reading() as reading:
        assert reading.images.count() == 1


def test_of_those_who_look_first_and_write_then_one_comes_first(store: UnitOfWork) -> None:
    """As for the first account: on SQLite the write lock sees to it."""
    made: list[str] = []

    def make_first(number: int) -> None:
        with store.writing() as repositories:
            if repositories.users.count() == 0:
                repositories.users.add(user(f"user {number}"))
                time.sleep(0.02)
                made.append(f"user {number}")

    run_together(make_first)
    with store.reading() as repositories:
        assert [one.name for one in repositories.users.list_all()] == made
    assert len(made) == 1


def test_the_audit_chain_stays_whole_under_eight_writers(engine: Engine, tmp_path: Path) -> None:
    anchor = AnchorFile(tmp_path / "audit.anchor")

    def append(number: int) -> None:
        store = UnitOfWork(engine, anchor=anchor)
        for one in range(25):
            with store.writing() as repositories:
                repositories.audit.append(
                    NewAuditEvent(
                        actor=f"writer {number}", actor_id=None, action="view", subject=str(one)
                    )
                )

    run_together(append)
    noted = anchor.read()
    assert noted is not None
    with UnitOfWork(engine).reading() as repositories:
        found = verify(repositories.audit.iter_all(), [Head(*noted)])
    assert found.intact, found.faults
    assert found.events == WRITERS * 25
    assert noted == (found.head.id, found.head.hash)


def test_the_audit_chain_stays_whole_without_the_units_lock(engine: Engine) -> None:
    """The chain has a lock of its own: whoever appends need not know of the other one."""

    def append(_: int) -> None:
        for _ in range(10):
            with engine.begin() as connection:
                AuditRepository(connection, lambda: datetime.now(UTC)).append(
                    NewAuditEvent(actor="a", actor_id=None, action="view", subject="s")
                )

    run_together(append)
    with UnitOfWork(engine).reading() as repositories:
        found = verify(repositories.audit.iter_all())
    assert found.intact and found.events == WRITERS * 10


def test_a_writer_that_does_not_end_is_told_plainly_to_the_next(url: str) -> None:
    slow, hasty = (UnitOfWork(create_store_engine(url, busy_timeout=wait)) for wait in (10.0, 0.1))
    with slow.writing(), pytest.raises(StoreError, match="busy"), hasty.writing():
        pytest.fail("got the lock")


ODD = "a\x00b\ud800c \U0001f600 é"
PLAIN = "a\ufffdb\ufffdc \U0001f600 é"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_text_that_cannot_be_stored_is_replaced_alike(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    new_image: Callable[..., NewImage],
    new_read: Callable[..., NewRead],
) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite" if kind == "sqlite" else request.getfixturevalue("url")
    migrate(url)
    engine = create_store_engine(url)
    with UnitOfWork(engine).writing() as repositories:
        image = repositories.images.add(new_image(label=ODD, warnings=(ODD,)))
        read = repositories.reads.append(new_read(image.id, ODD, comment=ODD, findings=(ODD,)))
        repositories.drafts.put(ODD, image.id, {"comment": PLAIN, "nothing": None})
        repositories.users.add(user(ODD))
    assert (image.label, image.warnings) == (PLAIN, (PLAIN,))
    assert (read.reader, read.comment, read.findings) == (PLAIN, PLAIN, (PLAIN,))
    with UnitOfWork(engine).reading() as repositories:
        assert repositories.reads.latest(image.id, ODD) == read
        draft = repositories.drafts.get(ODD, image.id)
        assert draft and draft.content == {"comment": PLAIN, "nothing": None}
        assert repositories.users.by_name(ODD)
    engine.dispose()


def test_names_are_sorted_by_code_point(store: UnitOfWork, engine: Engine) -> None:
    names = ["Zoe", "ab", "a b", "émile", "_x", "a-c", "10", "9"]
    with store.writing() as repositories:
        for name in names:
            repositories.users.add(user(name))
            repositories.audit.append(
                NewAuditEvent(actor=name, actor_id=None, action="view", subject="")
            )
    with store.reading() as repositories:
        keys = [one.name.casefold() for one in repositories.users.list_all()]
        assert keys == sorted(keys)
        assert repositories.audit.actors() == sorted(names)
    with engine.connect() as connection:  # the server itself would not
        theirs = connection.scalars(text("SELECT name FROM users ORDER BY name")).all()
    assert list(theirs) != sorted(names)


def test_nothing_in_json_is_null_in_the_table(store: UnitOfWork, engine: Engine) -> None:
    with store.writing() as repositories:
        repositories.audit.append(
            NewAuditEvent(actor="a", actor_id=None, action="view", subject="s", after={"n": None})
        )
    with engine.connect() as connection:
        row = connection.execute(
            text('SELECT "before" IS NULL, CAST("after" AS TEXT) FROM audit_events')
        ).one()
    assert row[0] is True and json.loads(row[1]) == {"n": None}


def test_an_erasure_may_delete_reads_and_nothing_else_may(
    store: UnitOfWork,
    engine: Engine,
    new_image: Callable[..., NewImage],
    new_read: Callable[..., NewRead],
) -> None:
    with store.writing() as repositories:
        repositories.reads.append(new_read(repositories.images.add(new_image()).id))
        repositories.audit.append(
            NewAuditEvent(actor="a", actor_id=None, action="view", subject="s")
        )
    for statement in ("TRUNCATE reads CASCADE", "TRUNCATE audit_events", "DELETE FROM reads"):
        with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO installation VALUES ('erasing', 'now')"))
        with pytest.raises(Exception, match="append-only"), connection.begin_nested():
            connection.execute(text("DELETE FROM audit_events"))
        with pytest.raises(Exception, match="append-only"), connection.begin_nested():
            connection.execute(text("UPDATE reads SET comment = 'x'"))
        connection.execute(text("DELETE FROM reads"))
        connection.execute(text("DELETE FROM installation"))
    with store.reading() as repositories:
        assert list(repositories.reads.iter_all()) == []
        assert repositories.audit.count() == 1


def test_a_database_that_stores_too_few_characters_is_refused(postgresql: Server) -> None:
    postgresql.drop("latin")
    postgresql.execute(
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    with pytest.raises(StoreError, match="LATIN1"):
        migrate(postgresql.url("latin"))
    postgresql.drop("latin")


def test_a_wrong_password_is_told_without_it(postgresql: Server, url: str) -> None:
    name = url.partition("@/")[2].partition("?")[0]
    migrate(postgresql.loopback_url(name))
    wrong = postgresql.loopback_url(name, password="not-the-secret")
    with pytest.raises(StoreError, match="does not accept this user or password") as caught:
        migrate(wrong)
    chain = [caught.value, caught.value.__cause__, caught.value.__cause__.__cause__]
    assert "not-the-secret" not in " ".join(f"{one} {one!r}" for one in chain)


def test_a_database_that_is_not_there_is_told_as_such(postgresql: Server) -> None:
    with pytest.raises(StoreError, match="no database of that name"):
        migrate(postgresql.url("nonesuch"))


def test_the_password_may_come_from_libpqs_own_file(
    postgresql: Server, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = url.partition("@/")[2].partition("?")[0]
    path = tmp_path / "pgpass"
    path.write_text(f"127.0.0.1:{postgresql.port}:{name}:ddad:{postgresql.password}\n")
    path.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(path))
    bare = f"postgresql://ddad@127.0.0.1:{postgresql.port}/{name}"
    assert migrate(bare) is False


def test_a_restart_of_the_server_is_survived_and_its_absence_told_at_once(
    new_image: Callable[..., NewImage],
) -> None:
    server = Server()
    try:
        server.create("ddad", TEMPLATE)
        url = server.loopback_url("ddad")
        migrate(url)
        store = UnitOfWork(create_store_engine(url))

        def add(digit: str, repositories: Repositories) -> None:
            repositories.images.add(new_image(digit))

        with store.writing() as repositories:
            add("a", repositories)
        server.stop()
        began = time.monotonic()
        for unit in (store.reading, store.writing):
            with pytest.raises(StoreError, match="cannot be opened or reached"), unit():
                pytest.fail("reached a server that is not there")
        assert time.monotonic() - began < 5
        server.start()
        with store.writing() as repositories:
            add("b", repositories)
        with store.reading() as repositories:
            assert repositories.images.count() == 2
        # Cut off in the middle: told plainly, nothing kept, and the next one works.
        with pytest.raises(StoreError) as caught, store.writing() as repositories:
            add("c", repositories)
            server.stop()
            server.start()
            repositories.images.count()
        assert caught.value.next_step
        with store.reading() as repositories:
            assert repositories.images.count() == 2
    finally:
        server.remove()


def test_a_server_that_does_not_answer_is_given_up_soon() -> None:
    with socket.socket() as silent:  # takes the connection and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://ddad@127.0.0.1:{silent.getsockname()[1]}/ddad?connect_timeout=2"
        began = time.monotonic()
        with pytest.raises(StoreError, match="cannot be opened or reached"):
            migrate(url)
        assert time.monotonic() - began < 8


def test_a_reading_connection_goes_back_to_the_pool_as_it_was(engine: Engine) -> None:
    for _ in range(3):
        with read_only(engine).connect() as connection:
            assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
        with engine.begin() as connection:
            assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "off"
            level = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
            assert level == "read committed"
