"""Every row of one database into another, which may be of the other kind; compared afterwards."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    Integer,
    Row,
    Select,
    Table,
    column,
    func,
    insert,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

import app.store.preference_repository  # noqa: F401 (a table of the metadata)
from app.store import (
    proposal_schema,  # noqa: F401 - its tables are copied, too
    region_schema,  # noqa: F401 - its table is copied, too
)
from app.store.engine import read_only
from app.store.errors import StoreError, as_store_error
from app.store.migrate import HEAD_REVISION, revision_seen_by
from app.store.moved import refuse_moved
from app.store.ordering import by_code_point
from app.store.rows import count_of
from app.store.schema import Base
from app.store.storable import storable

Progress = Callable[[int, int], None]
"""Called with how many rows are done and how many there are; each is written, then compared."""

_ROWS_AT_ONCE = 500
_NO_ROWS: list[Row[Any]] = []


@dataclass
class Copied:
    """What was copied.

    Attributes:
        rows: How many rows, by table.
        replaced: How many values held characters that databases do not all store (zero bytes),
            which were replaced.
    """

    rows: dict[str, int] = field(default_factory=dict)
    replaced: int = 0


def copy_all(source: Engine, target: Engine, progress: Progress | None = None) -> Copied:
    """Copy every row, compare every value with what the target gives back, then keep all.

    The source is read as it was at one instant. The target's ids go on after the largest one
    that the source ever gave.

    Args:
        source: A database of this version's schema.
        target: One of this version's schema without a row (`app.store.migrate.migrate` made it).
        progress: Told every few hundred rows.

    Raises:
        StoreError: One of them has another schema, the target holds something, or it does not
            give back what was written. Nothing is kept.
    """
    try:
        with read_only(source).connect() as reading, target.begin() as writing:
            return copy_rows(reading, writing, progress)
    except SQLAlchemyError as error:
        raise as_store_error(error) from error


def copy_rows(source: Connection, target: Connection, progress: Progress | None = None) -> Copied:
    """The same inside the transactions of the two connections, which stay open.

    Raises:
        StoreError: As `copy_all`; the target's transaction must be undone.
    """
    refuse_moved(source)
    for connection in (source, target):
        if revision_seen_by(connection) != HEAD_REVISION:
            problem = "A database does not have this version's tables."
            raise StoreError(problem, "Run `ddad-admin migrate` on it first.")
    if not is_empty(target):
        problem = "The database to copy to is not empty."
        raise StoreError(problem, "Give an empty one: rows are never mixed.")
    tables = Base.metadata.sorted_tables  # what is referred to comes before what refers to it
    counts = {one.name: count_of(source, one) for one in tables}
    steps = _Steps(progress, 2 * sum(counts.values()))
    copied = Copied(counts)
    for one in tables:
        _write(source, target, one, copied, steps)
    for one in tables:
        _compare(source, target, one, steps)
    for one in tables:
        if _gives_ids(one):
            _go_on_after(target, one, _last_id(source, one))
    return copied


def is_empty(connection: Connection) -> bool:
    """Whether a database holds nothing: no row of ours, and no table of anything else."""
    there = set(inspect(connection).get_table_names()) - {"alembic_version"}
    ours = Base.metadata.tables
    return there <= set(ours) and not any(count_of(connection, ours[name]) for name in there)


class _Steps:
    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(self._done, self._total)


def _rows(connection: Connection, one: Table) -> Iterator[list[Row[Any]]]:
    """The rows in the order of their keys, some at a time."""
    result = connection.execute(_select(one).execution_options(yield_per=_ROWS_AT_ONCE))
    yield from (list(rows) for rows in result.partitions())


def _select(one: Table) -> Select[Any]:
    # JSON is taken as it lies there, not as the records that the column types make of it: what
    # an older version wrote stays as it was.
    columns = [column(c.name, _plain_type(c.type, c.nullable)) for c in one.columns]
    return (
        select(*columns)
        .select_from(table(one.name))
        .order_by(*(by_code_point(c) for c in one.primary_key.columns))
    )


def _plain_type(declared: Any, nullable: bool | None) -> Any:
    impl = getattr(declared, "impl_instance", declared)
    return JSON(none_as_null=bool(nullable)) if isinstance(impl, JSON) else declared


def _write(source: Connection, target: Connection, one: Table, copied: Copied, s: _Steps) -> None:
    columns = [column(c.name, _plain_type(c.type, c.nullable)) for c in one.columns]
    statement = insert(table(one.name, *columns))
    for rows in _rows(source, one):
        copied.replaced += sum(
            isinstance(value, str) and storable(value) != value for row in rows for value in row
        )
        values = [{name: _storable_text(v) for name, v in row._mapping.items()} for row in rows]
        target.execute(statement, values)
        s.add(len(rows))


def _storable_text(value: Any) -> Any:
    """The value as every database stores it: other than text, all of them store alike."""
    return storable(value) if isinstance(value, str) else value


def _compare(source: Connection, target: Connection, one: Table, steps: _Steps) -> None:
    pairs = zip_longest(_rows(source, one), _rows(target, one), fillvalue=_NO_ROWS)
    for expected, found in pairs:
        for ours, theirs in zip_longest(expected, found):
            if ours is None or theirs is None:
                raise _not_the_same(one, "a row")
            for name, value in ours._mapping.items():
                if not _same(_storable_text(value), theirs._mapping[name]):
                    raise _not_the_same(one, str(name))
        steps.add(len(expected))


def _not_the_same(one: Table, what: str) -> StoreError:
    problem = f"The copy does not give back what was written ({one.name}: {what})."
    return StoreError(problem, "Nothing was kept. Keep the database as it is and report this.")


def _same(value: Any, other: Any) -> bool:
    if type(value) is not type(other):
        return False
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
    if isinstance(value, float) and math.isnan(value):
        return math.isnan(other)
    return bool(value == other)


def _gives_ids(one: Table) -> bool:
    return one.autoincrement_column is not None and isinstance(one.c.id.type, Integer)


def _last_id(connection: Connection, one: Table) -> int:
    """The largest id that was ever given, to a row that is gone perhaps; 0 if none was."""
    largest = connection.scalar(select(func.max(one.c.id))) or 0
    if connection.dialect.name == "sqlite":
        statement = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return max(largest, connection.scalar(statement, {"name": one.name}) or 0)
    sequence = _sequence(connection, one)
    statement = text(f"SELECT last_value, is_called FROM {sequence}")  # noqa: S608 - its own name
    given = connection.execute(statement).one()
    return max(largest, given.last_value if given.is_called else given.last_value - 1)


def _go_on_after(connection: Connection, one: Table, last: int) -> None:
    if connection.dialect.name == "sqlite":
        for statement in (
            "DELETE FROM sqlite_sequence WHERE name = :name",
            "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)",
        ):
            connection.execute(text(statement), {"name": one.name, "last": last})
        return
    # Not setval(), which stays when the transaction is undone.
    sequence = _sequence(connection, one)
    connection.execute(text(f"ALTER SEQUENCE {sequence} RESTART WITH {last + 1}"))


def _sequence(connection: Connection, one: Table) -> str:
    statement = text("SELECT pg_get_serial_sequence(:name, 'id')")
    return str(connection.scalar(statement, {"name": one.name}))
