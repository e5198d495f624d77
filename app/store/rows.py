"""From records to column values and back, by name: a record's fields are its table's columns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, func, select

from app.store.schema import Base

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def columns_of(
    table: type[Base], record: type[DataclassInstance], *, without: Collection[str] = ()
) -> tuple[ColumnElement[Any], ...]:
    """The columns of a table that a record holds, so that no other is fetched."""
    return tuple(table.__table__.c[f.name] for f in fields(record) if f.name not in without)


def values_of(new: DataclassInstance, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Field values by name, one level deep: nested values are left to the column types."""
    return {f.name: getattr(new, f.name) for f in fields(new) if f.name not in without}


def plain(row: RowMapping) -> dict[str, Any]:
    """A row as keyword arguments."""
    return {str(name): value for name, value in row.items()}


def count_of(connection: Connection, table: type[Base] | Table) -> int:
    """How many rows a table has."""
    return connection.scalar(select(func.count()).select_from(table)) or 0
