"""Everything stored, a page of rows at a time, as an export wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, select
from sqlalchemy.orm import aliased

from app.store.export_records import ExportFilter, TableName
from app.store.ordering import by_code_point
from app.store.region_schema import RejectedRegionRow
from app.store.rows import plain
from app.store.schema import AuditRow, Base, BoxRow, ImageRow, OperatingPointRow, ReadRow, ScoreRow
from app.store.team_schema import ArbitrationRow

PAGE_ROWS = 2000
_NOT_NEEDED = ("thumbnail", "windows", "slope", "intercept", "instance")
Conditions = Callable[[ExportFilter], list[ColumnElement[bool]]]


@dataclass(frozen=True)
class Source:
    """Where the rows of a table come from.

    Attributes:
        key: An id that rows are in the order of.
        columns: What each row has.
        joined: Joins what they come from.
        conditions: Which rows a filter wants.
        counted: What to count instead of rows.
    """

    key: Any
    columns: tuple[Any, ...]
    joined: Callable[[Select[Any]], Select[Any]]
    conditions: Conditions
    counted: Any = None


def _own(table: type[Base], *without: str) -> tuple[Any, ...]:
    return tuple(column for column in table.__table__.columns if column.name not in without)


def _of_image(wanted: ExportFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.origin is not None:
        found.append(ImageRow.origin == wanted.origin)
    if wanted.taken_in_since is not None:
        found.append(ImageRow.added_at >= wanted.taken_in_since)
    if wanted.taken_in_until is not None:
        found.append(ImageRow.added_at < wanted.taken_in_until)
    return found


def _replaced() -> ColumnElement[bool]:
    newer = aliased(ReadRow)
    return exists().where(
        newer.image_id == ReadRow.image_id,
        newer.reader == ReadRow.reader,
        newer.revision > ReadRow.revision,
    )


def _of_read(wanted: ExportFilter) -> list[ColumnElement[bool]]:
    found = _of_image(wanted)
    if wanted.readers:
        found.append(ReadRow.reader.in_(wanted.readers))
    if wanted.verdicts:
        found.append(ReadRow.verdict.in_(wanted.verdicts))
    if wanted.model is not None:
        found.append(ReadRow.model_name == wanted.model)
    if wanted.since is not None:
        found.append(ReadRow.saved_at >= wanted.since)
    if wanted.until is not None:
        found.append(ReadRow.saved_at < wanted.until)
    if wanted.latest_only:
        found.append(~_replaced())
    return found


def _of_score(wanted: ExportFilter) -> list[ColumnElement[bool]]:
    model = [] if wanted.model is None else [ScoreRow.model_name == wanted.model]
    return [*_of_image(wanted), *model]


def _of_point(wanted: ExportFilter) -> list[ColumnElement[bool]]:
    return [] if wanted.model is None else [OperatingPointRow.model_name == wanted.model]


def _of_event(wanted: ExportFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(AuditRow.at >= wanted.since)
    if wanted.until is not None:
        found.append(AuditRow.at < wanted.until)
    return found


def _with_image(child: Any) -> Callable[[Select[Any]], Select[Any]]:
    return lambda statement: statement.join_from(child, ImageRow, child.image_id == ImageRow.id)


def _with_read(child: Any) -> Callable[[Select[Any]], Select[Any]]:
    return lambda statement: statement.join_from(child, ReadRow, child.read_id == ReadRow.id).join(
        ImageRow, ReadRow.image_id == ImageRow.id
    )


def _alone(table: Any) -> Callable[[Select[Any]], Select[Any]]:
    return lambda statement: statement.select_from(table)


_CASE = (ImageRow.sha256, ImageRow.label.label("case"))
_SIZE = (ImageRow.width.label("image_width"), ImageRow.height.label("image_height"))
_CURRENT = (~_replaced()).label("current")
_OF_READ = (ReadRow.image_id, ReadRow.reader, ReadRow.revision, _CURRENT)
_SETTLES = exists().where(ArbitrationRow.read_id == ReadRow.id).label("settles")
_REFERENCE = func.json_array_length(ImageRow.reference_boxes)
SOURCES: dict[TableName, Source] = {
    "images": Source(ImageRow.id, _own(ImageRow, *_NOT_NEEDED), _alone(ImageRow), _of_image),
    "reference_boxes": Source(
        ImageRow.id,
        (ImageRow.id, *_CASE, *_SIZE, ImageRow.reference_boxes),
        _alone(ImageRow),
        lambda wanted: [*_of_image(wanted), _REFERENCE > 0],
        func.coalesce(func.sum(_REFERENCE), 0),
    ),
    "reads": Source(
        ReadRow.id,
        (
            *_own(ReadRow),
            *_CASE,
            select(func.count())
            .where(BoxRow.read_id == ReadRow.id)
            .correlate(ReadRow)
            .scalar_subquery()
            .label("boxes"),
            _CURRENT,
            _SETTLES,
        ),
        _with_image(ReadRow),
        _of_read,
    ),
    "boxes": Source(
        BoxRow.id,
        (
            *_own(BoxRow),
            *_CASE,
            *_SIZE,
            *_OF_READ,
        ),
        _with_read(BoxRow),
        _of_read,
    ),
    "rejected_regions": Source(
        RejectedRegionRow.id,
        (*_own(RejectedRegionRow), *_CASE, *_SIZE, *_OF_READ),
        _with_read(RejectedRegionRow),
        _of_read,
    ),
    "scores": Source(
        ScoreRow.id,
        (
            *_own(ScoreRow),
            *_CASE,
            ImageRow.warnings.label("image_warnings"),
        ),
        _with_image(ScoreRow),
        _of_score,
    ),
    "operating_points": Source(
        OperatingPointRow.id,
        _own(OperatingPointRow),
        _alone(OperatingPointRow),
        _of_point,
    ),
    "audit_events": Source(AuditRow.id, _own(AuditRow), _alone(AuditRow), _of_event),
}


class ExportRepository:
    """Reads one state of the database a page at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def count(self, table: TableName, wanted: ExportFilter) -> int:
        """How many rows a table would have."""
        source = SOURCES[table]
        counted = func.count() if source.counted is None else source.counted
        statement = source.joined(select(counted)).where(*source.conditions(wanted))
        return int(self._connection.scalar(statement) or 0)

    def pages(
        self, table: TableName, wanted: ExportFilter, rows: int = PAGE_ROWS
    ) -> Iterator[list[dict[str, Any]]]:
        """The rows in the order of their ids; never more than a page of them in memory."""
        source, last = SOURCES[table], 0
        statement = source.joined(select(*source.columns)).where(*source.conditions(wanted))
        statement = statement.order_by(source.key).limit(rows)
        while True:
            found = self._connection.execute(statement.where(source.key > last)).mappings().all()
            if found:
                yield [plain(row) for row in found]
                last = found[-1]["id"]
            if len(found) < rows:
                return

    def readers(self) -> list[str]:
        """Who has read, by name."""
        statement = select(ReadRow.reader).group_by(ReadRow.reader)
        return list(self._connection.scalars(statement.order_by(by_code_point(ReadRow.reader))))

    def models(self) -> list[str]:
        """Models that there are scores, reads or operating points of, by name."""
        found: set[str] = set()
        for column in (ScoreRow.model_name, ReadRow.model_name, OperatingPointRow.model_name):
            found.update(
                name for name in self._connection.scalars(select(column).distinct()) if name
            )
        return sorted(found)
