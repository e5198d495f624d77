"""Images in the database: everything but their pixels and maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, select, true, update

from app.store.records import ImageRecord, NewImage
from app.store.rows import columns_of, count_of, plain, values_of
from app.store.schema import ImageRow

_COLUMNS = columns_of(ImageRow, ImageRecord)
# Made once: an import asks these for every file, and to put one together takes longer than to run.
_ADD = insert(ImageRow).returning(*_COLUMNS)
_BY_SHA256 = select(*_COLUMNS).where(ImageRow.sha256 == bindparam("wanted"))
# Databases limit the number of values in one statement.
_IDS_PER_QUERY = 500


class ImageRepository:
    """Adds and finds images inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def add(self, new: NewImage, batch_id: int | None = None) -> ImageRecord:
        """Add an image. If its SHA-256 is there already, the unit of work ends in a conflict."""
        values = {**values_of(new), "batch_id": batch_id, "added_at": self._now()}
        row = self._connection.execute(_ADD, values).mappings().one()
        return ImageRecord(**plain(row))

    def get(self, image_id: int) -> ImageRecord | None:
        """The image with this id, or None."""
        return self._one(ImageRow.id == image_id)

    def by_sha256(self, sha256: str) -> ImageRecord | None:
        """The image made from the file with this SHA-256, or None."""
        row = self._connection.execute(_BY_SHA256, {"wanted": sha256}).mappings().one_or_none()
        return None if row is None else ImageRecord(**plain(row))

    def by_instance(self, instance: str) -> list[ImageRecord]:
        """Images with this pseudonym of the SOP Instance UID, the first one first.

        Several only where their pixels differ.
        """
        return self._many(ImageRow.instance == instance)

    def of_patient(self, patient: str, *, exclude_id: int | None = None) -> list[ImageRecord]:
        """Images of the patient with this pseudonym but one, the first one first."""
        others = ImageRow.id != exclude_id if exclude_id is not None else true()
        return self._many(ImageRow.patient == patient, others)

    def with_pseudonyms(self) -> int:
        """How many images have a pseudonym, of a patient or of the image itself."""
        named = ImageRow.patient.is_not(None) | ImageRow.instance.is_not(None)
        return self._connection.scalar(select(func.count()).where(named)) or 0

    def mark_conflict(self, ids: Iterable[int]) -> None:
        """Mark images as sharing a SOP Instance UID with another one of other pixels."""
        statement = update(ImageRow).where(ImageRow.id.in_(list(ids))).values(conflict=True)
        self._connection.execute(statement)

    def list_all(self) -> list[ImageRecord]:
        """Every image, the latest first."""
        statement = select(*_COLUMNS).order_by(ImageRow.added_at.desc(), ImageRow.id.desc())
        return [ImageRecord(**plain(row)) for row in self._connection.execute(statement).mappings()]

    def count(self) -> int:
        """How many images there are."""
        return count_of(self._connection, ImageRow)

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

    def there(self, image_ids: Sequence[int]) -> frozenset[int]:
        """Those of the ids that an image has."""
        found: set[int] = set()
        for start in range(0, len(image_ids), _IDS_PER_QUERY):
            ids = image_ids[start : start + _IDS_PER_QUERY]
            found.update(self._connection.scalars(select(ImageRow.id).where(ImageRow.id.in_(ids))))
        return frozenset(found)

    def _many(self, *conditions: ColumnElement[bool]) -> list[ImageRecord]:
        statement = select(*_COLUMNS).where(*conditions).order_by(ImageRow.id)
        return [ImageRecord(**plain(row)) for row in self._connection.execute(statement).mappings()]

    def _one(self, condition: ColumnElement[bool]) -> ImageRecord | None:
        statement = select(*_COLUMNS).where(condition)
        row = self._connection.execute(statement).mappings().one_or_none()
        return None if row is None else ImageRecord(**plain(row))
