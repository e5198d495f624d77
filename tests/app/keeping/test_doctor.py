from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.keeping.backup import Installation, back_up
from app.keeping.check import Check
from app.keeping.checks_disk import check_file_system, check_room
from app.keeping.checks_people import check_backups, check_retention
from app.keeping.doctor import Patient, examine
from app.services.container import Services
from app.settings import REPOSITORY
from app.store.account_records import NewUser
from tests.app.keeping.conftest import OPERATOR, store_at

OLD = time.time() - 7200


@pytest.fixture
def patient(installation: Installation, loaded_home: Path, tmp_path: Path) -> Patient:
    """In good health."""
    back_up(installation, tmp_path / "backup.tar", OPERATOR)
    loaded_home.chmod(0o700)
    return Patient(
        loaded_home,
        installation.database_url,
        installation.key_file,
        REPOSITORY / "weights",
        None,
        lambda: store_at(loaded_home),
    )


def found(patient: Patient, **options: bool) -> dict[str, Check]:
    checks = list(examine(patient, **options))
    assert all(check.line().startswith(check.state) for check in checks)
    # Whatever is wrong comes with what to do.
    assert all(check.mend for check in checks if check.state != "ok"), checks
    return {check.name: check for check in checks}


def execute(patient: Patient, *statements: str) -> None:
    with closing(sqlite3.connect(patient.home / "ddad.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_healthy_installation_has_no_fault_and_is_left_as_it_is(patient: Patient) -> None:
    before = {p: p.read_bytes() for p in patient.home.rglob("*") if p.is_file()}
    checks = found(patient, deep=True)
    assert {name: one for name, one in checks.items() if one.state == "fault"} == {}
    assert {name for name, one in checks.items() if one.state == "ok"} >= {
        "models", "home", "disk", "permissions", "database", "integrity", "schema", "key",
        "image files", "leftovers", "audit trail", "accounts", "backup", "retention",
    }  # fmt: skip
    assert "4 images, each is what it should be" in checks["image files"].found
    assert {p: p.read_bytes() for p in patient.home.rglob("*") if p.is_file()} == before


def lose_file(patient: Patient) -> None:
    next((patient.home / "images").rglob("*.png")).unlink()


def flip_byte(patient: Patient) -> None:
    path = next((patient.home / "images").rglob("*.dcm"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def add_stray(patient: Patient) -> None:
    path = patient.home / "images" / "ab" / f"{'ab' * 32}.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * 1000)
    os.utime(path, (OLD, OLD))


def break_reference(patient: Patient) -> None:
    execute(patient, "UPDATE scores SET image_id = 999 WHERE id = 1")


def break_index(patient: Patient) -> None:
    path = patient.home / "ddad.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_reads_image_id'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek(page * size - 1)  # of the first entry: which row it is of
        file.write(b"\x7f")


def change_event(patient: Patient) -> None:
    execute(
        patient,
        "DROP TRIGGER audit_events_no_update",
        "UPDATE audit_events SET actor = 'nobody' WHERE id = 2",
    )


def cut_trail(patient: Patient) -> None:
    execute(
        patient,
        "DROP TRIGGER audit_events_no_delete",
        "DELETE FROM audit_events WHERE id = (SELECT max(id) FROM audit_events)",
    )


def lose_anchor(patient: Patient) -> None:
    (patient.home / "audit.anchor").unlink()


def other_key(patient: Patient) -> None:
    patient.key_file.write_text("0" * 64)


def lose_key(patient: Patient) -> None:
    patient.key_file.unlink()


def open_key(patient: Patient) -> None:
    patient.key_file.chmod(0o644)


def open_home(patient: Patient) -> None:
    patient.home.chmod(0o755)
    (patient.home / "ddad.sqlite").chmod(0o644)


def no_administrator(patient: Patient) -> None:
    execute(patient, "UPDATE users SET active = 0")


def no_role(patient: Patient) -> None:
    with patient.store().writing() as repositories:
        repositories.users.add(NewUser(name="idle", full_name="", roles=(), created_by="x"))


def locked(patient: Patient) -> None:
    execute(patient, "UPDATE users SET locked_until = '2999-01-01 00:00:00.000000'")


def old_schema(patient: Patient) -> None:
    execute(patient, "UPDATE alembic_version SET version_num = '0003'")


def newer_schema(patient: Patient) -> None:
    execute(patient, "UPDATE alembic_version SET version_num = '9999'")


def lose_database(patient: Patient) -> None:
    (patient.home / "ddad.sqlite").unlink()


def damage_database(patient: Patient) -> None:
    (patient.home / "ddad.sqlite").write_bytes(b"no database" * 1000)


def wal_mode(patient: Patient) -> None:
    execute(patient, "PRAGMA journal_mode = WAL")


def kill_backup(patient: Patient) -> None:
    (patient.home / ".backup-abc").mkdir()
    (patient.home / ".backup-abc" / "raw.sqlite").write_bytes(b"x" * 5000)
    os.utime(patient.home / ".backup-abc", (OLD, OLD))


@pytest.mark.parametrize(
    ("plant", "name", "state", "words"),
    [
        (lose_file, "image files", "fault", "1 files are missing: image"),
        (flip_byte, "image files", "fault", "1 files are damaged: image"),
        (add_stray, "leftovers", "warning", "1 files belong to no image"),
        (kill_backup, "leftovers", "warning", "1 files belong to no image"),
        (break_reference, "integrity", "fault", "refers to no row of images"),
        (break_index, "integrity", "fault", "missing from index"),
        (change_event, "audit trail", "fault", "Event 2 was changed"),
        (cut_trail, "audit trail", "fault", "is gone"),
        (lose_anchor, "audit trail", "fault", "audit.anchor is missing"),
        (other_key, "key", "fault", "is not the one"),
        (lose_key, "key", "fault", "is missing"),
        (open_key, "key's permissions", "fault", "others than its owner"),
        (open_home, "permissions", "warning", "ddad.sqlite"),
        (no_administrator, "accounts", "fault", "no active account"),
        (no_role, "roles", "warning", "idle"),
        (locked, "locked", "warning", "ana"),
        (old_schema, "schema", "fault", "revision 0003"),
        (newer_schema, "schema", "fault", "is newer"),
        (lose_database, "database", "fault", "is not there"),
        (damage_database, "database", "fault", "not a database"),
        (wal_mode, "database", "fault", "can corrupt WAL"),
    ],
)
def test_each_planted_fault_is_found(
    patient: Patient, plant: Callable[[Patient], None], name: str, state: str, words: str
) -> None:
    plant(patient)
    check = found(patient, deep=True)[name]
    assert check.state == state and re.search(words, check.found), check


def test_a_flipped_byte_is_found_by_a_deep_look_only(patient: Patient) -> None:
    flip_byte(patient)
    assert found(patient)["image files"].state == "ok"


def test_a_sweep_removes_what_belongs_to_no_image_and_nothing_else(
    patient: Patient, tmp_path: Path
) -> None:
    kept = {p for p in patient.home.rglob("*") if p.is_file()}
    add_stray(patient)
    kill_backup(patient)
    for name in (f"originals/cd/{'cd' * 32}.dcm", f"maps/ef/{'ef' * 32}/{'0' * 64}.npz"):
        path = patient.home / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        for one in (path, path.parent):
            os.utime(one, (OLD, OLD))
    young = patient.home / "images" / "ab" / f"{'ba' * 32}.png"
    young.write_bytes(b"its row comes in a moment")
    assert "4 files" in found(patient)["leftovers"].found
    assert found(patient, sweep=True)["leftovers"].state == "ok"
    now = {p for p in patient.home.rglob("*") if p.is_file()}
    assert now == kept | {young} and found(patient)["leftovers"].state == "ok"


def test_models_that_differ_from_their_cards_are_found(patient: Patient, weights: Path) -> None:
    victim = next(weights.glob("*/*.safetensors"))
    data = victim.read_bytes()
    victim.unlink()  # it may be a link to the shipped file
    victim.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    check = found(replace(patient, weights=weights))["models"]
    assert check.state == "fault" and victim.name in check.found
    victim.unlink()
    assert "is missing" in found(replace(patient, weights=weights))["models"].found
    assert found(replace(patient, weights=weights / "none"))["models"].state == "fault"


def test_a_home_that_is_not_there_says_how_to_get_one(patient: Patient, tmp_path: Path) -> None:
    checks = found(replace(patient, home=tmp_path / "none"))
    assert checks["home"].state == "fault" and "restore" in checks["home"].mend


def test_backups_and_retention_that_are_due(patient: Patient, used: Services) -> None:
    store = patient.store()
    now = store.now()
    store._now = lambda: now + timedelta(days=8, hours=1)
    assert check_backups(store).state == "warning"
    assert check_backups(store).found == "the last one is 8 days old."
    overdue = check_retention(store, 8)
    assert overdue.state == "warning" and "1 images are older than 8 days" in overdue.found
    assert "erase --overdue" in overdue.mend
    assert check_retention(store, 9).state == "ok"


@pytest.mark.parametrize(
    ("kind", "sqlite", "state"),
    [
        ("ext4", True, "ok"),
        ("tmpfs", True, "warning"),
        ("overlay", False, "warning"),
        ("nfs4", True, "fault"),
        ("cifs", True, "fault"),
        ("nfs4", False, "ok"),
    ],
)
def test_file_systems_that_do_not_last_or_lock(
    tmp_path: Path, kind: str, sqlite: bool, state: str
) -> None:
    mounts = tmp_path / "mounts"
    home = tmp_path / "with space"
    home.mkdir()
    place = str(home.resolve()).replace(" ", "\\040")
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver {place} {kind} rw 0 0\n/dev/b /x xfs rw 0 0\n")
    assert check_file_system(home, sqlite=sqlite, mounts=mounts).state == state


@pytest.mark.parametrize(("free", "state"), [(10**8, "fault"), (10**9, "warning"), (10**11, "ok")])
def test_room_on_the_disk(
    tmp_path: Path, free: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("app.keeping.checks_disk.shutil.disk_usage", lambda _: usage)
    assert check_room(tmp_path).state == state
