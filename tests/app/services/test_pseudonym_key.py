"""The key belongs to its database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.gateways.files import FilesError
from app.services.container import Services
from app.services.pseudonym_key import pseudonym_key
from app.store.engine import create_store_engine
from app.store.records import NewImage
from app.store.unit_of_work import UnitOfWork
from tests.databases import Databases


@pytest.fixture
def store(databases: Databases, tmp_path: Path) -> UnitOfWork:
    return UnitOfWork(create_store_engine(databases.url(tmp_path)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pseudonym.key"


def add_named_image(store: UnitOfWork, **identity: str) -> None:
    with store.writing() as repositories:
        repositories.images.add(
            NewImage(
                sha256="a" * 64, origin="upload", label="CXR", format="dicom", bits=12, width=9,
                height=9, slope=1.0, intercept=0.0, added_by="ana", thumbnail=b"\xff", **identity,
            )
        )  # fmt: skip


def test_a_first_start_makes_a_key_and_keeps_only_its_fingerprint(
    store: UnitOfWork, path: Path, databases: Databases, tmp_path: Path
):
    key = pseudonym_key(store, path)
    assert pseudonym_key(store, path) == key
    database = databases.everything(tmp_path)
    assert key not in database and key.hex().encode() not in database
    with store.reading() as repositories:
        assert len(repositories.installation.get("pseudonym_key_check") or "") == 16


@pytest.mark.parametrize("identity", [{"patient": "P-1"}, {"instance": "I-1"}])
def test_a_lost_key_is_not_replaced_while_images_depend_on_it(
    store: UnitOfWork, path: Path, identity: dict[str, str]
):
    key = pseudonym_key(store, path)
    add_named_image(store, **identity)
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(FilesError, match="missing, but 1 image has pseudonyms") as caught:
        pseudonym_key(store, path)
    assert "Restore it from the last backup" in caught.value.next_step
    assert not path.exists()
    path.write_bytes(kept)
    assert pseudonym_key(store, path) == key


def test_another_databases_key_is_refused_while_images_depend_on_the_own(
    store: UnitOfWork, path: Path
):
    pseudonym_key(store, path)
    add_named_image(store, patient="P-1")
    path.write_text("ab" * 32)
    with pytest.raises(FilesError, match="not the one that this database"):
        pseudonym_key(store, path)


def test_a_lost_key_that_nothing_depends_on_is_made_anew(store: UnitOfWork, path: Path):
    old = pseudonym_key(store, path)
    path.unlink()
    new = pseudonym_key(store, path)
    assert new != old and pseudonym_key(store, path) == new


def test_the_program_starts_with_a_key_and_refuses_without_the_one_it_had(
    loaded: Services,
    loaded_home: Path,
    build: Callable[[Path], Services],
    databases: Databases,
):
    path = loaded_home / "pseudonym.key"
    assert len(path.read_text()) == 65
    store = UnitOfWork(create_store_engine(databases.url(loaded_home)))
    add_named_image(store, patient="P-1")
    path.unlink()
    with pytest.raises(FilesError, match="missing"):
        build(loaded_home)
