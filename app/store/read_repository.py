"""Reads in the database: every revision is kept, the last one of each reader counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, exists, insert, select
from sqlalchemy.orm import aliased

from app.store.errors import StoreError
from app.store.records import Box, BoxRecord, NewRead, ReadRecord, RejectedRegion
from app.store.region_schema import RejectedRegionRow
from app.store.rows import columns_of, count_of, plain, values_of
from app.store.schema import BoxRow, ImageRow, ReadRow

_PARTS = ("boxes", "rejected")
_READ_COLUMNS = columns_of(ReadRow, ReadRecord, without=_PARTS)
_BOX_COLUMNS = columns_of(BoxRow, BoxRecord)
_REGION_COLUMNS = columns_of(RejectedRegionRow, RejectedRegion)
# Databases limit the number of values in one statement.
_READS_PER_QUERY = 500


class ReadRepository:
    """Appends and finds reads inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def append(self, new: NewRead) -> ReadRecord:
        """Store the reader's next revision of the read of this image, with its boxes.

        Raises:
            StoreError: There is no such image, or the reader is another site's.
        """
        self._lock_image(new.image_id)
        replaced = self._connection.execute(
            select(ReadRow.id, ReadRow.revision, ReadRow.origin)
            .where(ReadRow.image_id == new.image_id, ReadRow.reader == new.reader)
            .order_by(ReadRow.revision.desc())
            .limit(1)
        ).one_or_none()
        if replaced is not None and replaced.origin is not None:
            problem = f"{new.reader} is a reader of another site, whose reads are not changed here."
            raise StoreError(problem, "Read under a name of your own.")
        statement = insert(ReadRow).values(
            **values_of(new, without=_PARTS),
            revision=1 if replaced is None else replaced.revision + 1,
            replaces_id=None if replaced is None else replaced.id,
            saved_at=self._now(),
        )
        row = self._connection.execute(statement.returning(*_READ_COLUMNS)).mappings().one()
        boxes = self._add_boxes(row["id"], new.boxes)
        return ReadRecord(**plain(row), boxes=boxes, rejected=self._reject(row["id"], new.rejected))

    def latest(self, image_id: int, reader: str) -> ReadRecord | None:
        """The reader's last revision for this image, or None."""
        statement = (
            _reads()
            .where(ReadRow.image_id == image_id, ReadRow.reader == reader)
            .order_by(ReadRow.revision.desc())
            .limit(1)
        )
        return next(iter(self._fetch(statement)), None)

    def history(self, image_id: int, reader: str | None = None) -> list[ReadRecord]:
        """Every revision for this image, of one reader or of all, in the order saved."""
        statement = _reads().where(ReadRow.image_id == image_id).order_by(ReadRow.id)
        if reader is not None:
            statement = statement.where(ReadRow.reader == reader)
        return self._fetch(statement)

    def numbered(self, ids: Sequence[int]) -> list[ReadRecord]:
        """The revisions with these ids."""
        return self._among(ReadRow.id, ids)

    def of_images(self, image_ids: Sequence[int]) -> list[ReadRecord]:
        """Every revision of everybody for these images."""
        return self._among(ReadRow.image_id, image_ids)

    def imported(self, external_ids: Sequence[str]) -> list[ReadRecord]:
        """The revisions that other sites know by these external ids."""
        return self._among(ReadRow.external_id, external_ids)

    def latest_for_all(self, reader: str | None = None) -> list[ReadRecord]:
        """The last revision for each image and reader, of one reader or of all."""
        newer = aliased(ReadRow)
        replaced = exists().where(
            newer.image_id == ReadRow.image_id,
            newer.reader == ReadRow.reader,
            newer.revision > ReadRow.revision,
        )
        statement = _reads().where(~replaced).order_by(ReadRow.image_id, ReadRow.reader)
        if reader is not None:
            statement = statement.where(ReadRow.reader == reader)
        return self._fetch(statement)

    def iter_all(self) -> Iterator[ReadRecord]:
        """Every revision of every read in the order saved, without holding them all at once."""
        last_id = 0
        while True:
            statement = _reads().where(ReadRow.id > last_id).order_by(ReadRow.id)
            reads = self._fetch(statement.limit(_READS_PER_QUERY))
            yield from reads
            if len(reads) < _READS_PER_QUERY:
                return
            last_id = reads[-1].id

    def count(self) -> int:
        """How many revisions of reads there are."""
        return count_of(self._connection, ReadRow)

    def count_boxes(self) -> int:
        """How many boxes they have."""
        return count_of(self._connection, BoxRow)

    def count_rejected(self) -> int:
        """How many regions were rejected with them; `iter_all` streams these with their reads."""
        return count_of(self._connection, RejectedRegionRow)

    def _lock_image(self, image_id: int) -> None:
        """Keep the image there, and its reads' numbers free, until the read is saved.

        Units of work write one at a time anyway; SQLite ignores the clause.
        """
        statement = select(ImageRow.id).where(ImageRow.id == image_id)
        if self._connection.scalar(statement.with_for_update(key_share=True)) is None:
            problem = f"There is no image with the id {image_id}, so the read was not saved."
            raise StoreError(problem, "Go back to the worklist and open the image again.")

    def _add_boxes(self, read_id: int, boxes: Sequence[Box]) -> tuple[BoxRecord, ...]:
        if not boxes:
            return ()
        rows = [
            {**values_of(box), "read_id": read_id, "index": index}
            for index, box in enumerate(boxes)
        ]
        self._connection.execute(insert(BoxRow), rows)
        return self._boxes_of([read_id])[read_id]

    def _reject(
        self, read_id: int, regions: Sequence[RejectedRegion]
    ) -> tuple[RejectedRegion, ...]:
        rows = [
            {**values_of(region), "read_id": read_id, "index": index}
            for index, region in enumerate(regions)
        ]
        if rows:
            self._connection.execute(insert(RejectedRegionRow), rows)
        return tuple(regions)

    def _among(self, column: Any, values: Sequence[Any]) -> list[ReadRecord]:
        found: list[ReadRecord] = []
        for start in range(0, len(values), _READS_PER_QUERY):
            chunk = values[start : start + _READS_PER_QUERY]
            found += self._fetch(_reads().where(column.in_(chunk)).order_by(ReadRow.id))
        return found

    def _fetch(self, statement: Select[Any]) -> list[ReadRecord]:
        rows = self._connection.execute(statement).mappings().all()
        reads: list[ReadRecord] = []
        for start in range(0, len(rows), _READS_PER_QUERY):
            reads.extend(self._with_boxes(rows[start : start + _READS_PER_QUERY]))
        return reads

    def _with_boxes(self, rows: Sequence[RowMapping]) -> Iterator[ReadRecord]:
        ids = [row["id"] for row in rows]
        boxes, rejected = self._boxes_of(ids), self._rejected_of(ids)
        for row in rows:
            yield ReadRecord(
                **plain(row),
                boxes=boxes.get(row["id"], ()),
                rejected=tuple(rejected.get(row["id"], ())),
            )

    def _boxes_of(self, read_ids: Sequence[int]) -> dict[int, tuple[BoxRecord, ...]]:
        statement = (
            select(*_BOX_COLUMNS)
            .where(BoxRow.read_id.in_(read_ids))
            .order_by(BoxRow.read_id, BoxRow.index)
        )
        boxes: dict[int, tuple[BoxRecord, ...]] = {}
        for row in self._connection.execute(statement).mappings():
            box = BoxRecord(**plain(row))
            boxes[box.read_id] = (*boxes.get(box.read_id, ()), box)
        return boxes

    def _rejected_of(self, read_ids: Sequence[int]) -> dict[int, list[RejectedRegion]]:
        table = RejectedRegionRow
        statement = (
            select(table.read_id, *_REGION_COLUMNS)
            .where(table.read_id.in_(read_ids))
            .order_by(table.read_id, table.index)
        )
        found: dict[int, list[RejectedRegion]] = {}
        for row in self._connection.execute(statement).mappings():
            values = plain(row)
            found.setdefault(values.pop("read_id"), []).append(RejectedRegion(**values))
        return found


def _reads() -> Select[Any]:
    return select(*_READ_COLUMNS)
