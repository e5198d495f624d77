from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from app.gateways.anchor import AnchorFile
from app.keeping.backup import Installation, back_up
from app.keeping.manifest import DATABASE, LABEL, MANIFEST, BackupError, Label, Manifest
from app.keeping.reading import go_through
from app.keeping.restore import restore
from app.keeping.sealing import Unseal
from app.keeping.tar_stream import END, Member, stream
from app.services.container import Services
from app.services.people import Person
from app.settings import REPOSITORY
from app.store.account_records import AuditFilter
from app.store.engine import create_store_engine
from app.store.errors import StoreError
from app.store.migrate import HEAD_REVISION
from app.store.snapshot import faults_of
from ddad_core.errors import DdadError
from tests.app.keeping.conftest import MODEL, OPERATOR, draft, store_at
from tests.app.keeping.rows import files_of, rows_of


@pytest.fixture
def backup(installation: Installation, tmp_path: Path) -> Path:
    return back_up(installation, tmp_path / "backup.tar", OPERATOR).path


@pytest.fixture
def new_home(tmp_path: Path) -> Path:
    return tmp_path / "restored" / "home"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_row_and_file_is_back_and_reading_goes_on(
    backup: Path,
    loaded_home: Path,
    new_home: Path,
    build: Callable[[Path], Services],
    ana: Person,
) -> None:
    done = restore(backup, new_home, OPERATOR)
    assert (done.upgraded, done.faults, done.aside) == (False, (), None)
    before, after = rows_of(loaded_home / DATABASE), rows_of(new_home / DATABASE)
    # The backup itself went on record after it was made, the restore after it was in place.
    assert before.pop("audit_events")[:-1] == after.pop("audit_events")[:-1]
    assert before == after and after["reads"] and after["drafts"] and after["operating_points"]
    assert rows_of(new_home / DATABASE, without=())["sessions"] == []
    assert files_of(new_home) == files_of(loaded_home)
    assert new_home.stat().st_mode & 0o777 == 0o700
    assert all(p.stat().st_mode & 0o077 == 0 for p in new_home.rglob("*") if p.is_file())
    assert [path.name for path in new_home.parent.iterdir()] == ["home"]
    assert faults_of(new_home / DATABASE) == []
    shutil.rmtree(loaded_home)
    services = build(new_home)
    rows = services.worklist.list(ana).rows
    assert len(rows) == 4
    for row in rows:
        assert services.reading.open_case(ana, row.image_id).judgement is not None
    saved = services.reading.save(ana, rows[0].image_id, MODEL, draft("normal"))
    assert saved.revision == 3
    assert services.audit.verify(OPERATOR).faults == ()


def test_a_restore_is_on_record_and_the_chain_goes_on(backup: Path, new_home: Path) -> None:
    restore(backup, new_home, OPERATOR)
    with store_at(new_home).reading() as repositories:
        (event,) = repositories.audit.find(AuditFilter(actions=("restore",)))
        head = repositories.audit.head()
    assert event.actor == "ddad-admin (ana)" and event.after["faults"] == []
    assert event.after["schema"] == HEAD_REVISION and event.id == head.id
    assert AnchorFile(new_home / "audit.anchor").read() == (head.id, head.hash)


def test_maps_are_left_out_and_made_anew(
    backup: Path, loaded_home: Path, new_home: Path, build: Callable[[Path], Services], ana: Person
) -> None:
    assert any(path.is_file() for path in (loaded_home / "maps").rglob("*"))
    restore(backup, new_home, OPERATOR)
    assert not (new_home / "maps").exists()
    services = build(new_home)
    for row in services.worklist.list(ana).rows:
        services.reading.open_case(ana, row.image_id)
    assert any(path.is_file() for path in (new_home / "maps").rglob("*"))


def test_only_an_empty_home_is_filled(backup: Path, new_home: Path) -> None:
    new_home.mkdir(parents=True)
    restore(backup, new_home, OPERATOR)
    before = tree(new_home)
    with pytest.raises(BackupError, match="is not empty"):
        restore(backup, new_home, OPERATOR)
    assert tree(new_home) == before
    done = restore(backup, new_home, OPERATOR, replace=True)
    assert done.aside is not None and done.aside.parent == new_home.parent
    kept = tree(done.aside)
    kept.pop("keeping.lock")
    assert kept == before
    assert files_of(new_home) == {name: before[name] for name in files_of(new_home)}


@pytest.mark.parametrize("occupied", [False, True])
def test_a_mounted_home_is_filled_from_inside(
    backup: Path, new_home: Path, occupied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda self: self == new_home)
    new_home.mkdir(parents=True)
    inode = new_home.stat().st_ino
    if occupied:
        (new_home / "ddad.sqlite").write_text("old")
    done = restore(backup, new_home, OPERATOR, replace=occupied)
    assert new_home.stat().st_ino == inode
    assert faults_of(new_home / DATABASE) == [] and len(files_of(new_home)) == 5
    assert not list(new_home.glob(".restoring-*"))
    if occupied:
        assert done.aside.parent == new_home and (done.aside / DATABASE).read_text() == "old"


def test_a_switch_that_fails_leaves_the_old_home(
    backup: Path, new_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_home.mkdir(parents=True)
    (new_home / "ddad.sqlite").write_text("old")
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name.startswith(".restoring-"):
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="Input/output"):
        restore(backup, new_home, OPERATOR, replace=True)
    assert (new_home / "ddad.sqlite").read_text() == "old"
    assert [path.name for path in new_home.parent.iterdir()] == ["home"]


def test_a_full_disk_leaves_nothing(
    backup: Path, new_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        restore(backup, new_home, OPERATOR, progress=full)
    assert list(new_home.parent.iterdir()) == []
    little = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("app.keeping.restore.shutil.disk_usage", lambda _: little)
    with pytest.raises(BackupError, match="Restoring takes"):
        restore(backup, new_home, OPERATOR)
    assert list(new_home.parent.iterdir()) == []


def test_no_altered_byte_goes_unnoticed(backup: Path, new_home: Path) -> None:
    """In headers, contents, manifest: what cannot be noticed alters no content."""
    good = backup.read_bytes()
    damaged = backup.with_name("damaged.tar")
    with tarfile.open(backup) as archive:
        places = [(m.name, m.offset_data, m.size) for m in archive]
    for name, start, size in places:
        for offset in (0, size // 2, size - 1):
            data = bytearray(good)
            data[start + offset] ^= 0x10
            damaged.write_bytes(data)
            with pytest.raises(BackupError) as refusal:
                go_through(damaged, Unseal())
            assert refusal.value.next_step, name
    for start in (start - 512 for _, start, _ in places):
        data = bytearray(good)
        data[start + 3] ^= 0x01
        damaged.write_bytes(data)
        with pytest.raises(BackupError):
            restore(damaged, new_home, OPERATOR)
    assert list(new_home.parent.iterdir()) == []


@pytest.mark.parametrize("part", [0, 0.001, 0.5, 0.99])
def test_a_cut_backup_is_refused_in_a_sentence(backup: Path, new_home: Path, part: float) -> None:
    data = backup.read_bytes()
    backup.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(BackupError) as refusal:
        restore(backup, new_home, OPERATOR)
    assert refusal.value.problem.endswith(".") and refusal.value.next_step
    assert not new_home.parent.exists() or list(new_home.parent.iterdir()) == []


def test_what_is_no_backup_is_refused(tmp_path: Path, new_home: Path) -> None:
    other = tmp_path / "other.tar"
    for data in (b"", b"hello", b"x" * 5000, (REPOSITORY / "README.md").read_bytes()):
        other.write_bytes(data)
        with pytest.raises(BackupError, match="not a backup"):
            restore(other, new_home, OPERATOR)
    with tarfile.open(other, "w") as archive:
        archive.add(REPOSITORY / "README.md", "README.md")
    with pytest.raises(BackupError, match="not a backup"):
        restore(other, new_home, OPERATOR)


def forged(path: Path, *extra: tuple[str, bytes], link: str = "") -> Path:
    """A backup whose hashes are right, with members that no backup has."""
    found: dict[str, tuple[int, str]] = {}
    label = Label("evil", HEAD_REVISION, "2030-01-01", 0).encoded()
    members = [Member(LABEL, label), *(Member(name, data) for name, data in extra)]
    data = b"".join(stream(members, found))
    if link:
        info = tarfile.TarInfo("pseudonym.key")
        info.type, info.linkname = tarfile.SYMTYPE, link
        data += info.tobuf(tarfile.GNU_FORMAT)
    data += b"".join(stream([Member(MANIFEST, Manifest({}, found).encoded())], {})) + END
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../escaped",
        "/tmp/escaped",
        "images/../../escaped",
        "images/ab/../../../escaped.png",
        f"images/ab/{'a' * 64}.png/../../../../escaped",
        f"images/../{'a' * 64}.png",
        "ddad.sqlite-journal",
        "cookie.secret",
        f"images/ab/{'A' * 64}.png",
    ],
)
def test_no_member_is_written_elsewhere(tmp_path: Path, new_home: Path, name: str) -> None:
    evil = forged(tmp_path / "evil.tar", (name, b"x"))
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(BackupError, match="which no backup has"):
        restore(evil, new_home, OPERATOR)
    after = sorted(path.name for path in tmp_path.rglob("*") if path != new_home.parent)
    assert after == before and not Path("/tmp/escaped").exists()


def test_links_doubles_and_a_backup_without_a_database_are_refused(
    tmp_path: Path, new_home: Path
) -> None:
    with pytest.raises(BackupError, match="not a plain file"):
        restore(forged(tmp_path / "a.tar", link="/etc/passwd"), new_home, OPERATOR)
    twice = forged(tmp_path / "b.tar", ("audit.anchor", b"1"), ("audit.anchor", b"2"))
    with pytest.raises(BackupError, match="twice"):
        restore(twice, new_home, OPERATOR)
    with pytest.raises(BackupError, match="no database"):
        restore(forged(tmp_path / "c.tar"), new_home, OPERATOR)
    assert list(new_home.parent.iterdir()) == []


def remade(backup: Path, change: Callable[[Path], None], folder: Path) -> Path:
    """The backup with its database changed and hashes that are right again."""
    with tarfile.open(backup) as archive:
        contents = {m.name: archive.extractfile(m).read() for m in archive}
    database = folder / "changed.sqlite"
    database.write_bytes(contents[DATABASE])
    change(database)
    contents[DATABASE] = database.read_bytes()
    manifest = json.loads(json.loads(contents.pop(MANIFEST))["content"])
    found: dict[str, tuple[int, str]] = {}
    data = b"".join(stream([Member(n, c) for n, c in contents.items()], found))
    with closing(sqlite3.connect(database)) as connection:
        names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master")]
    rows = {table: count for table, count in manifest["rows"].items() if table in names}
    data += b"".join(stream([Member(MANIFEST, Manifest(rows, found).encoded())], {})) + END
    made = folder / "remade.tar"
    made.write_bytes(data)
    return made


def run_sql(*statements: str) -> Callable[[Path], None]:
    def change(database: Path) -> None:
        with closing(sqlite3.connect(database)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return change


def test_an_older_schema_is_brought_up(backup: Path, tmp_path: Path, new_home: Path) -> None:
    def downgrade(database: Path) -> None:
        config = Config(REPOSITORY / "alembic.ini")
        engine = create_store_engine(f"sqlite:///{database}")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "0003")
        engine.dispose()

    done = restore(remade(backup, downgrade, tmp_path), new_home, OPERATOR)
    assert done.upgraded is True
    rows = rows_of(new_home / DATABASE)
    assert rows["alembic_version"] == [(HEAD_REVISION,)]
    assert len(rows["images"]) == 4 and len(rows["reads"]) == 2
    assert [event[4] for event in rows["audit_events"]] == ["migration", "restore"]
    assert not (new_home / "backups").exists()


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (("UPDATE alembic_version SET version_num = '9999'",), "does not know"),
        (("DELETE FROM scores WHERE id = 1",), "rows it should"),
        (("UPDATE scores SET image_id = 999 WHERE id = 1",), "faults"),
        (("UPDATE installation SET value = 'x' WHERE name = 'pseudonym_key_check'",), "the key"),
    ],
)
def test_a_database_that_is_not_right_is_not_put_in_place(
    backup: Path, tmp_path: Path, new_home: Path, statements: tuple[str, ...], words: str
) -> None:
    made = remade(backup, run_sql(*statements), tmp_path)
    with pytest.raises((BackupError, StoreError), match=words):
        restore(made, new_home, OPERATOR)
    assert list(new_home.parent.iterdir()) == []


def test_a_tampered_trail_is_restored_as_it_is_and_told(
    backup: Path, tmp_path: Path, new_home: Path
) -> None:
    change = run_sql(
        "DROP TRIGGER audit_events_no_update",
        "UPDATE audit_events SET actor = 'nobody' WHERE id = 2",
    )
    done = restore(remade(backup, change, tmp_path), new_home, OPERATOR)
    assert any("Event 2 was changed" in fault for fault in done.faults)
    with store_at(new_home).reading() as repositories:
        (event,) = repositories.audit.find(AuditFilter(actions=("restore",)))
    assert any("Event 2" in fault for fault in event.after["faults"])


def test_a_label_of_a_later_format_says_so(tmp_path: Path) -> None:
    label = json.dumps({"format": 2}).encode()
    data = b"".join(stream([Member(LABEL, label)], {})) + END
    (tmp_path / "later.tar").write_bytes(data)
    with pytest.raises(DdadError, match="has format 2"):
        go_through(tmp_path / "later.tar", Unseal())
