"""Images in the database: everything but their pixels and maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, insert, select

from app.store.records import ImageRecord, NewImage
from app.store.rows import columns_of, plain, values_of
from app.store.schema import ImageRow

_COLUMNS = columns_of(ImageRow, ImageRecord)
# Databases limit the number of values in one statement.
_IDS_PER_QUERY = 500


class ImageRepository:
    """Adds and finds images inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def add(self, new: NewImage) -> ImageRecord:
        """Add an image. If its SHA-256 is there already, the unit of work ends in a conflict."""
        statement = insert(ImageRow).values(**values_of(new), added_at=self._now())
        row = self._connection.execute(statement.returning(*_COLUMNS)).mappings().one()
        return ImageRecord(**plain(row))

    def get(self, image_id: int) -> ImageRecord | None:
        """The image with this id, or None."""
        return self._one(ImageRow.id == image_id)

    def by_sha256(self, sha256: str) -> ImageRecord | None:
        """The image made from the file with this SHA-256, or None."""
        return self._one(ImageRow.sha256 == sha256)

    def list_all(self) -> list[ImageRecord]:
        """Every image, the latest first."""
        statement = select(*_COLUMNS).order_by(ImageRow.added_at.desc(), ImageRow.id.desc())
        return [ImageRecord(**plain(row)) for row in self._connection.execute(statement).mappings()]

    def count(self) -> int:
        """How many images there are."""
        return self._connection.scalar(select(func.count()).select_from(ImageRow)) or 0

    def thumbnail(self, image_id: int) -> bytes | None:
        """The JPEG thumbnail of an image, or None if there is no such image."""
        return self._connection.scalar(select(ImageRow.thumbnail).where(ImageRow.id == image_id))

    def thumbnails(self, image_ids: Sequence[int]) -> dict[int, bytes]:
        """JPEG thumbnails by image id; an id without an image is left out."""
        found: dict[int, bytes] = {}
        for start in range(0, len(image_ids), _IDS_PER_QUERY):
            ids = image_ids[start : start + _IDS_PER_QUERY]
            statement = select(ImageRow.id, ImageRow.thumbnail).where(ImageRow.id.in_(ids))
            found.update((row.id, row.thumbnail) for row in self._connection.execute(statement))
        return found

    def _one(self, condition: ColumnElement[bool]) -> ImageRecord | None:
        statement = select(*_COLUMNS).where(condition)
        row = self._connection.execute(statement).mappings().one_or_none()
        return None if row is None else ImageRecord(**plain(row))
