from __future__ import annotations

import hashlib
import io
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import text

from app.gateways.home_lock import HomeLock
from app.keeping.backup import Installation, back_up
from app.keeping.manifest import DATABASE, LABEL, MANIFEST, BackupError
from app.keeping.reading import go_through
from app.keeping.restore import restore
from app.keeping.sealing import Seal, Unseal
from app.services.container import Services
from app.services.people import Person
from app.settings import REPOSITORY
from app.store.errors import StoreError
from app.store.snapshot import copy_sqlite, faults_of, take_snapshot
from ddad_core.errors import DdadError
from tests.app.keeping.conftest import MODEL, OPERATOR, draft, store_at
from tests.app.keeping.rows import files_of, rows_of

PASSPHRASE = "five random words make one"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


def test_a_backup_holds_database_files_key_and_anchor_and_nothing_else(
    installation: Installation, loaded_home: Path, shelf: Path
) -> None:
    (loaded_home / "cookie.secret").write_text("not to be kept")
    made = back_up(installation, shelf, OPERATOR)
    assert made.path.parent == shelf and made.path.suffix == ".tar"
    assert made.path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(made.path) as archive:
        contents = {m.name: archive.extractfile(m).read() for m in archive}
    names = list(contents)
    assert names[0] == LABEL and names[-1] == MANIFEST
    expected = files_of(loaded_home) | {"audit.anchor": contents["audit.anchor"]}
    assert set(names) - {LABEL, MANIFEST, DATABASE} == set(expected)
    assert all(contents[name] == data for name, data in expected.items())
    assert sorted(Path(name).suffix for name in expected if "/" in name) == [".dcm"] + [".png"] * 3
    manifest = go_through(made.path, Unseal()).manifest
    for name, (size, digest) in manifest.members.items():
        assert (size, digest) == (len(contents[name]), hashlib.sha256(contents[name]).hexdigest())
    assert manifest.rows["images"] == 4 and manifest.rows["boxes"] == 2
    assert manifest.rows["sessions"] == 0 and manifest.rows["users"] == 1
    assert b"ab" * 32 not in contents[DATABASE]
    assert not list(loaded_home.glob(".backup-*"))


def test_a_backup_is_on_record_with_who_and_how_much(
    installation: Installation, shelf: Path
) -> None:
    made = back_up(installation, shelf / "first.tar", OPERATOR)
    with installation.store.reading() as repositories:
        event = repositories.audit.find(limit=1)[0]
    assert (event.action, event.actor) == ("backup", "ddad-admin (ana)")
    assert event.after["file"] == "first.tar" and event.after["bytes"] == made.bytes
    assert event.after["files"] == 4 and event.after["rows"]["images"] == 4
    assert event.after["encrypted"] is False


def test_backup_during_writes_is_one_state_and_no_writer_fails(
    used: Services,
    installation: Installation,
    loaded_home: Path,
    shelf: Path,
    tmp_path: Path,
    small_png: Callable[[int], bytes],
) -> None:
    ready, stop, errors = threading.Barrier(3), threading.Event(), []
    cases = [row.image_id for row in used.worklist.list(OPERATOR).rows]

    def guarded(work: Callable[[int], object]) -> None:
        ready.wait()
        number = 0
        while not stop.is_set():
            number += 1
            try:
                work(number)
            except DdadError as error:
                errors.append(error)

    works = (
        lambda n: used.reading.save(Person.named("Ben"), cases[n % 4], MODEL, draft()),
        lambda n: used.intake.take(Person.named("Eva"), f"{n}", small_png(n)),
    )
    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    ready.wait()
    made = []
    try:
        for number in range(3):
            time.sleep(0.3)
            made.append(back_up(installation, shelf / f"{number}.tar", OPERATOR))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert made[0].rows["reads"] < made[1].rows["reads"] < made[2].rows["reads"]
    assert made[0].rows["images"] < made[2].rows["images"]
    final, final_files = rows_of(loaded_home / DATABASE), files_of(loaded_home)
    for number, one in enumerate(made):
        home = tmp_path / f"restored-{number}"
        done = restore(one.path, home, OPERATOR)
        assert done.faults == () and one.missing == ()
        found = rows_of(home / DATABASE)
        for table in ("images", "scores", "reads", "boxes", "operating_points", "users", "drafts"):
            assert set(map(str, found[table])) <= set(map(str, final[table]))
            assert len(found[table]) == one.rows[table]
        # Every read has its boxes, its verdict is on record, every image its file.
        assert len(found["boxes"]) == len(found["reads"])
        verdicts = [e for e in found["audit_events"] if e[4] in ("verdict", "amendment")]
        assert len(verdicts) == len(found["reads"])
        files = files_of(home)
        assert len(files) - 1 == one.rows["images"] == one.files
        assert all(final_files[name] == data for name, data in files.items())


def test_a_writer_waits_for_the_snapshot_and_a_slow_snapshot_lets_go(
    installation: Installation, loaded_home: Path, tmp_path: Path
) -> None:
    with installation.store.writing() as repositories:
        for number in range(300):
            repositories.drafts.put(f"reader {number}", 1, {"comment": "x" * 50_000})
    target = tmp_path / "copy.sqlite"
    with pytest.raises(StoreError, match="Copying the database takes more"):
        copy_sqlite(loaded_home / DATABASE, target, hold_seconds=0)
    assert not target.exists()
    with installation.store.writing() as repositories:  # at once: nothing holds the lock
        repositories.drafts.remove("reader 1", 1)
    copy_sqlite(loaded_home / DATABASE, target)
    assert faults_of(target) == [] and target.stat().st_mode & 0o777 == 0o600
    assert rows_of(target, without=()) == rows_of(loaded_home / DATABASE, without=())


def test_what_was_deleted_is_not_in_a_snapshot(
    installation: Installation, loaded_home: Path, tmp_path: Path
) -> None:
    with installation.store.writing() as repositories:
        repositories.drafts.put("gone", 1, {"comment": "deleted-words"})
    with closing(sqlite3.connect(loaded_home / DATABASE)) as connection, connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("DELETE FROM drafts WHERE reader = 'gone'")
    assert b"deleted-words" in (loaded_home / DATABASE).read_bytes()
    snapshot = take_snapshot(installation.database_url, tmp_path)
    assert b"deleted-words" not in snapshot.read_bytes()
    assert names_in(tmp_path).count("raw.sqlite") == 0


def test_no_file_is_overwritten(installation: Installation, shelf: Path) -> None:
    target = shelf / "there.tar"
    target.write_text("dear")
    with pytest.raises(BackupError, match="is there already"):
        back_up(installation, target, OPERATOR)
    assert target.read_text() == "dear" and names_in(shelf) == ["there.tar"]
    with pytest.raises(BackupError, match="no folder"):
        back_up(installation, shelf / "missing" / "a.tar", OPERATOR)


@pytest.mark.parametrize("unnamed", [True, False])
def test_a_file_that_appears_meanwhile_is_not_overwritten(
    installation: Installation, shelf: Path, unnamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not unnamed:
        without_unnamed_files(monkeypatch)
    target = shelf / "late.tar"
    with pytest.raises(BackupError, match="is there already"):
        back_up(installation, target, OPERATOR, progress=lambda *_: target.touch())
    assert target.read_bytes() == b"" and names_in(shelf) == ["late.tar"]


def without_unnamed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: object, flags: int, *rest: object, **more: object) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("encrypted", [True, False])
def test_a_full_disk_leaves_nothing(
    installation: Installation,
    loaded_home: Path,
    shelf: Path,
    unnamed: bool,
    encrypted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not unnamed:
        without_unnamed_files(monkeypatch)

    def full(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    seal = Seal(PASSPHRASE) if encrypted else Seal()
    with pytest.raises(BackupError, match="No space left") as refusal:
        back_up(installation, shelf / "a.tar", OPERATOR, seal=seal, progress=full)
    assert "make room" in refusal.value.next_step
    assert names_in(shelf) == [] and not list(loaded_home.glob(".backup-*"))
    with installation.store.reading() as repositories:
        assert repositories.audit.find(limit=1)[0].action != "backup"


def test_room_is_looked_for_first(
    installation: Installation, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("app.keeping.backup.shutil.disk_usage", lambda _: little)
    with pytest.raises(BackupError, match="The backup takes"):
        back_up(installation, shelf / "a.tar", OPERATOR)
    assert names_in(shelf) == []


def test_a_killed_backup_leaves_no_half_file_and_the_next_one_clears_up(
    installation: Installation, loaded_home: Path, shelf: Path
) -> None:
    script = (
        "import sys, time, app.keeping.backup as b\n"
        "from app.services.people import Person\n"
        "from tests.app.keeping.conftest import store_at\n"
        "from pathlib import Path\n"
        "home = Path(sys.argv[1])\n"
        "i = b.Installation(home, f'sqlite:///{home}/ddad.sqlite', home / 'pseudonym.key', "
        "store_at(home))\n"
        "def wait(done, total):\n"
        "    print('half', flush=True)\n"
        "    time.sleep(60)\n"
        "b.back_up(i, Path(sys.argv[2]), Person.named('x'), progress=wait)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(loaded_home), str(shelf / "a.tar")],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"half\n"
    with pytest.raises(DdadError, match="is going on"), HomeLock(loaded_home).held():
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names_in(shelf) == []
    assert len(list(loaded_home.glob(".backup-*"))) == 1
    back_up(installation, shelf / "a.tar", OPERATOR)
    assert names_in(shelf) == ["a.tar"] and not list(loaded_home.glob(".backup-*"))


def test_missing_files_are_told_and_a_damaged_database_is_refused(
    installation: Installation, loaded_home: Path, shelf: Path
) -> None:
    victim = next((loaded_home / "images").rglob("*.dcm"))
    victim.unlink()
    made = back_up(installation, shelf / "a.tar", OPERATOR)
    assert made.missing == (victim.relative_to(loaded_home).as_posix(),) and made.files == 3
    engine = installation.store._engine
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("UPDATE scores SET image_id = 999 WHERE id = 1")
    with pytest.raises(BackupError, match="The database is damaged"):
        back_up(installation, shelf / "b.tar", OPERATOR)
    assert names_in(shelf) == ["a.tar"]


def test_no_backup_without_the_right_key(
    installation: Installation, loaded_home: Path, shelf: Path
) -> None:
    (loaded_home / "pseudonym.key").write_text("0" * 64)
    with pytest.raises(BackupError, match="the key is not the one"):
        back_up(installation, shelf / "a.tar", OPERATOR)
    (loaded_home / "pseudonym.key").unlink()
    with pytest.raises(BackupError, match="is missing"):
        back_up(installation, shelf / "a.tar", OPERATOR)
    assert names_in(shelf) == []


def test_with_a_passphrase_nothing_can_be_read_without_it(
    installation: Installation, loaded_home: Path, shelf: Path, tmp_path: Path
) -> None:
    made = back_up(installation, shelf, OPERATOR, seal=Seal(PASSPHRASE))
    data = made.path.read_bytes()
    assert made.path.name.endswith(".sealed.tar")
    for secret in (
        b"SQLite format 3",
        b"ddad.sqlite",
        (loaded_home / "pseudonym.key").read_bytes(),
    ):
        assert secret not in data
    with pytest.raises(BackupError, match="not the one this backup was encrypted with"):
        go_through(made.path, Unseal(lambda: "another passphrase"))
    with pytest.raises(BackupError, match="encrypted with a passphrase"):
        go_through(made.path, Unseal())
    assert go_through(made.path, Unseal(lambda: PASSPHRASE)).manifest.rows["images"] == 4
    home = tmp_path / "restored"
    restore(made.path, home, OPERATOR, unseal=Unseal(lambda: PASSPHRASE))
    assert files_of(home) == files_of(loaded_home)


def test_other_programs_open_both_forms(installation: Installation, shelf: Path) -> None:
    pair = pyrage.x25519.Identity.generate()
    to_key = back_up(installation, shelf, OPERATOR, seal=Seal(recipient=str(pair.to_public())))
    assert to_key.path.name.endswith(".tar.age")
    plain = pyrage.decrypt(to_key.path.read_bytes(), [pair])
    assert tarfile.open(fileobj=io.BytesIO(plain)).getnames()[0] == LABEL
    sealed = back_up(installation, shelf / "b", OPERATOR, seal=Seal(PASSPHRASE))
    with tarfile.open(sealed.path) as outer:
        key = pyrage.passphrase.decrypt(outer.extractfile("key.age").read(), PASSPHRASE)
        own = pyrage.x25519.Identity.from_str(key.decode())
        plain = pyrage.decrypt(outer.extractfile("backup.tar.age").read(), [own])
    assert tarfile.open(fileobj=io.BytesIO(plain)).getnames()[-1] == MANIFEST


def test_the_right_secret_key_opens_and_another_does_not(
    installation: Installation, shelf: Path
) -> None:
    pair, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    made = back_up(installation, shelf, OPERATOR, seal=Seal(recipient=str(pair.to_public())))
    assert go_through(made.path, Unseal(identities=(str(pair),))).manifest.rows["images"] == 4
    for identities, words in (
        ((), "encrypted to an age key"),
        ((str(other),), "None of the keys"),
        (("nonsense",), "something other than secret age keys"),
    ):
        with pytest.raises(BackupError, match=words):
            go_through(made.path, Unseal(identities=identities))


@pytest.mark.parametrize(
    ("seal", "words"),
    [(Seal("short"), "fewer than 12"), (Seal(recipient="age1nonsense"), "is not the public key")],
)
def test_unusable_encryption_is_refused_before_any_work(
    installation: Installation, shelf: Path, seal: Seal, words: str
) -> None:
    with pytest.raises(BackupError, match=words):
        back_up(installation, shelf / "a.tar", OPERATOR, seal=seal)
    assert names_in(shelf) == []


def test_a_planted_identity_is_in_no_backup(
    used: Services,
    installation: Installation,
    shelf: Path,
    changed_dicom: Callable[..., bytes],
) -> None:
    data = changed_dicom(
        PatientName="MUSTERMANN^ERIKA",
        PatientID="PLANTED-4711",
        StudyDescription="MUSTERMANN thorax",
        InstitutionName="PLANTED clinic",
        PatientBirthDate="19620812",
        SOPInstanceUID="1.2.3.19620812",
    )
    assert used.intake.take(OPERATOR, "MUSTERMANN_19620812.dcm", data).image_id
    made = back_up(installation, shelf, OPERATOR)
    content = made.path.read_bytes().upper()
    assert made.files == 5 and made.originals == 0
    for secret in (b"MUSTERMANN", b"PLANTED", b"19620812"):
        assert secret not in content


def test_originals_that_were_kept_are_backed_up_and_counted(
    installation: Installation, loaded_home: Path, shelf: Path, tmp_path: Path
) -> None:
    dcm = next((loaded_home / "images").rglob("*.dcm"))
    kept = loaded_home / "originals" / dcm.stem[:2] / f"{dcm.stem}.dcm"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"as it came")
    stray = kept.with_name(f"{'0' * 64}.dcm")
    stray.write_bytes(b"of no image")
    made = back_up(installation, shelf, OPERATOR)
    assert made.originals == 1
    restore(made.path, tmp_path / "new", OPERATOR)
    found = [p for p in (tmp_path / "new" / "originals").rglob("*") if p.is_file()]
    assert [path.read_bytes() for path in found] == [b"as it came"]


def test_an_older_schema_is_not_backed_up_by_a_newer_program(
    installation: Installation, loaded_home: Path, shelf: Path
) -> None:
    with installation.store._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    with pytest.raises(BackupError, match="this version's tables"):
        back_up(installation, shelf / "a.tar", OPERATOR)
    assert store_at(loaded_home) and names_in(shelf) == []
