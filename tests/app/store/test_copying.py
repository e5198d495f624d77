"""Copies between databases; test_move_database.py has the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from app.store.copying import copy_all
from app.store.engine import create_store_engine
from app.store.errors import StoreError
from app.store.migrate import migrate
from app.store.records import NewImage, NewRead
from app.store.schema import Base
from app.store.unit_of_work import UnitOfWork


@pytest.fixture
def copy(tmp_path: Path) -> Engine:
    """A SQLite file without a row, as a backup has it."""
    url = f"sqlite:///{tmp_path / 'copy.sqlite'}"
    migrate(url)
    return create_store_engine(url)


def contents(engine: Engine) -> dict[str, list[str]]:
    with engine.connect() as connection:
        return {
            name: sorted(repr(row) for row in connection.execute(select(table)))
            for name, table in Base.metadata.tables.items()
        }


def test_a_database_of_either_kind_is_copied_into_a_file(
    store: UnitOfWork,
    engine: Engine,
    copy: Engine,
    new_image: Callable[..., NewImage],
    new_read: Callable[..., NewRead],
) -> None:
    with store.writing() as repositories:
        for number in range(1100):  # more than are taken at once
            last = repositories.images.add(new_image(sha256=f"{number:064x}", label="é😀"))
        repositories.reads.append(new_read(last.id, comment="Zoë"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM images WHERE id = 1099"))
    steps: list[tuple[int, int]] = []
    copied = copy_all(engine, copy, lambda done, total: steps.append((done, total)))
    assert copied.rows["images"] == 1099 and copied.rows["reads"] == 1 and copied.replaced == 0
    assert contents(copy) == contents(engine)
    assert steps == sorted(steps) and steps[-1] == (2200, 2200) and len(steps) > 4
    with UnitOfWork(copy).writing() as repositories:
        assert repositories.images.add(new_image("f")).id == last.id + 1


def test_ids_that_were_given_stay_given_in_the_copy(
    store: UnitOfWork, engine: Engine, copy: Engine, new_image: Callable[..., NewImage]
) -> None:
    with store.writing() as repositories:
        gone = [repositories.images.add(new_image(digit)) for digit in "abc"][-1]
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM images"))
    copy_all(engine, copy)
    with UnitOfWork(copy).writing() as repositories:
        assert repositories.images.add(new_image("a")).id == gone.id + 1


def test_rows_are_never_mixed_and_a_schema_must_be_there(
    store: UnitOfWork,
    engine: Engine,
    copy: Engine,
    tmp_path: Path,
    new_image: Callable[..., NewImage],
) -> None:
    with store.writing() as repositories:
        repositories.images.add(new_image())
    copy_all(engine, copy)
    with pytest.raises(StoreError, match="not empty"):
        copy_all(engine, copy)
    with pytest.raises(StoreError, match="tables"):
        copy_all(engine, create_store_engine(f"sqlite:///{tmp_path / 'bare.sqlite'}"))
