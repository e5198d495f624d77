"""What an import looks up and appends inside one unit of work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from app.store.import_records import ImportedRead, KnownImage
from app.store.records import Box
from app.store.rows import columns_of, plain, values_of
from app.store.schema import BoxRow, ImageRow, ReadRow, UserRow
from app.store.user_repository import name_key

_IMAGE_COLUMNS = columns_of(ImageRow, KnownImage)
# Databases limit the number of values in one statement.
_PER_QUERY = 500
SITE_PREFIX = "site "
"""Begins the external id of a read whose installation is not known, only its site's name."""


class ImportRepository:
    """Matches reads of other sites with what is here, and appends them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def images(self, sha256: Collection[str], pixels: Collection[str]) -> list[KnownImage]:
        """Images made from files with these SHA-256, or of pixels with these, the first first."""
        found: dict[int, KnownImage] = {}
        for column, wanted in ((ImageRow.sha256, sha256), (ImageRow.pixel_sha256, pixels)):
            for chunk in _chunks(sorted(wanted)):
                statement = select(*_IMAGE_COLUMNS).where(column.in_(chunk))
                for row in self._connection.execute(statement).mappings():
                    found[row["id"]] = KnownImage(**plain(row))
        return [found[number] for number in sorted(found)]

    def names_here(self) -> set[str]:
        """Keys of the names of accounts, and of those who have read here."""
        local = select(ReadRow.reader).where(ReadRow.origin.is_(None)).distinct()
        names = {name_key(name) for name in self._connection.scalars(local)}
        return names | set(self._connection.scalars(select(UserRow.name_key)))

    def is_another(self, site: str, installation: str) -> bool:
        """Whether reads of a site of that name came from another installation than this one."""
        statement = select(ReadRow.id).where(
            ReadRow.origin == site,
            ~or_(
                ReadRow.external_id.startswith(f"{installation}:", autoescape=True),
                ReadRow.external_id.startswith(SITE_PREFIX, autoescape=True),
            ),
        )
        return self._connection.scalar(statement.limit(1)) is not None

    def set_reference(self, image_id: int, label: int | None, boxes: tuple[Box, ...]) -> None:
        """Give an image its label and boxes from outside."""
        statement = update(ImageRow).where(ImageRow.id == image_id)
        values = {"reference_label": label, "reference_boxes": boxes}
        self._connection.execute(statement.values(values))

    def append(self, reads: Sequence[ImportedRead], on_rows: Callable[[int], None]) -> None:
        """Store reads with their boxes under the numbers of revision that they have there.

        A revision points to the one before it if that is here. Reads are never updated, so those
        of a lower number go first.
        """
        for level in sorted({read.revision for read in reads}):
            for chunk in _chunks([read for read in reads if read.revision == level]):
                self._append(chunk, self._before(chunk, level))
                on_rows(len(chunk))

    def stamp(self) -> tuple[object, ...]:
        """Another one whenever something was stored or removed that a merge depends on."""
        asked: tuple[tuple[Any, ...], ...] = (
            (ReadRow, ReadRow.id, ReadRow.id),
            (UserRow, UserRow.id, UserRow.id),
            (ImageRow, ImageRow.id, ImageRow.reference_label),
        )
        return tuple(
            tuple(
                self._connection.execute(
                    select(func.count(), func.max(highest), func.count(given)).select_from(table)
                ).one()
            )
            for table, highest, given in asked
        )

    def counts(self) -> dict[str, int]:
        """Reads, boxes and reference labels here."""
        labels = select(func.count()).where(ImageRow.reference_label.is_not(None))
        return {
            "reads": self._connection.scalar(select(func.count()).select_from(ReadRow)) or 0,
            "boxes": self._connection.scalar(select(func.count()).select_from(BoxRow)) or 0,
            "reference labels": self._connection.scalar(labels) or 0,
        }

    def _before(self, reads: Sequence[ImportedRead], level: int) -> dict[tuple[int, str], int]:
        if level == 1:
            return {}
        statement = select(ReadRow.id, ReadRow.image_id, ReadRow.reader).where(
            ReadRow.revision == level - 1, ReadRow.image_id.in_({read.image_id for read in reads})
        )
        return {(row.image_id, row.reader): row.id for row in self._connection.execute(statement)}

    def _append(self, reads: Sequence[ImportedRead], before: dict[tuple[int, str], int]) -> None:
        rows = [
            {
                **values_of(read, without=("boxes", "rejected")),
                "replaces_id": before.get((read.image_id, read.reader)),
            }
            for read in reads
        ]
        self._connection.execute(insert(ReadRow), rows)
        with_boxes = [read for read in reads if read.boxes]
        if not with_boxes:
            return
        # Asked for afterwards: to have every insert answer its id takes three times as long.
        statement = select(ReadRow.external_id, ReadRow.id).where(
            ReadRow.external_id.in_([read.external_id for read in with_boxes])
        )
        ids = {row.external_id: row.id for row in self._connection.execute(statement)}
        boxes = [
            {**values_of(box), "read_id": ids[read.external_id], "index": index}
            for read in with_boxes
            for index, box in enumerate(read.boxes)
        ]
        self._connection.execute(insert(BoxRow), boxes)


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _PER_QUERY):
        yield values[start : start + _PER_QUERY]
