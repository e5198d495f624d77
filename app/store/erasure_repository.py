"""Removing images with all that was made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from app.store.records import ImageRecord
from app.store.region_schema import RejectedRegionRow
from app.store.rows import columns_of, plain
from app.store.sample_schema import AuditSampleMemberRow
from app.store.schema import BoxRow, DraftRow, ImageRow, InstallationRow, ReadRow, ScoreRow
from app.store.team_schema import ArbitrationRow, AssignmentRow, BatchRow, PresenceRow

ERASING = "erasing"
"""While a row of `installation` has this name, the triggers let reads and boxes be deleted."""

_COLUMNS = columns_of(ImageRow, ImageRecord)
_IDS_PER_QUERY = 500


@dataclass(frozen=True)
class ErasureRows:
    """Rows that are, or were, of some images.

    Attributes:
        images: Of images.
        scores: Of scores.
        reads: Revisions of reads.
        boxes: Of boxes.
        drafts: Of unsaved reads.
        rejected_regions: Of regions of maps that were rejected with reads.
        assignments: Of cases to readers.
        arbitrations: Of cases that were settled.
        audit_sample_members: Of cases in audit samples.
    """

    images: int = 0
    scores: int = 0
    reads: int = 0
    boxes: int = 0
    drafts: int = 0
    rejected_regions: int = 0
    assignments: int = 0
    arbitrations: int = 0
    audit_sample_members: int = 0


class ErasureRepository:
    """Finds and removes images inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def of_patient(self, patient: str) -> list[ImageRecord]:
        """Images of the patient with this pseudonym."""
        statement = select(*_COLUMNS).where(ImageRow.patient == patient).order_by(ImageRow.id)
        return [ImageRecord(**plain(row)) for row in self._connection.execute(statement).mappings()]

    def added_before(self, instant: datetime, *, unread_only: bool) -> list[ImageRecord]:
        """Images taken in before an instant, those of the demonstration gallery apart."""
        conditions = [ImageRow.added_at < instant, ImageRow.origin != "gallery"]
        if unread_only:
            conditions.append(~exists().where(ReadRow.image_id == ImageRow.id))
        statement = select(*_COLUMNS).where(*conditions).order_by(ImageRow.id)
        return [ImageRecord(**plain(row)) for row in self._connection.execute(statement).mappings()]

    def rows(self, image_ids: Sequence[int]) -> ErasureRows:
        """How many rows there are of these images."""
        found = [0] * 8
        for ids in _chunks(image_ids):
            reads = select(ReadRow.id).where(ReadRow.image_id.in_(ids))
            for place, (table, condition) in enumerate(
                (
                    (ScoreRow, ScoreRow.image_id.in_(ids)),
                    (ReadRow, ReadRow.image_id.in_(ids)),
                    (BoxRow, BoxRow.read_id.in_(reads)),
                    (DraftRow, DraftRow.image_id.in_(ids)),
                    (RejectedRegionRow, RejectedRegionRow.read_id.in_(reads)),
                    (AssignmentRow, AssignmentRow.image_id.in_(ids)),
                    (ArbitrationRow, ArbitrationRow.image_id.in_(ids)),
                    (AuditSampleMemberRow, AuditSampleMemberRow.image_id.in_(ids)),
                )
            ):
                statement = select(func.count()).select_from(table).where(condition)
                found[place] += self._connection.scalar(statement) or 0
        return ErasureRows(len(image_ids), *found)

    def remove(self, image_ids: Sequence[int]) -> None:
        """Delete the images and all rows that refer to them; SQLite overwrites them with zeros."""
        if self._connection.dialect.name == "sqlite":
            self._connection.exec_driver_sql("PRAGMA secure_delete = ON")
        self._connection.execute(insert(InstallationRow).values(name=ERASING, value="1"))
        for ids in _chunks(image_ids):
            instances = self._connection.scalars(
                select(ImageRow.instance).where(
                    ImageRow.id.in_(ids), ImageRow.conflict, ImageRow.instance.is_not(None)
                )
            ).all()
            reads = select(ReadRow.id).where(ReadRow.image_id.in_(ids))
            # Children first. A read and what it replaces are of one image, and both databases
            # check references when a statement ends.
            for statement in (
                delete(AuditSampleMemberRow).where(AuditSampleMemberRow.image_id.in_(ids)),
                delete(PresenceRow).where(PresenceRow.image_id.in_(ids)),
                delete(AssignmentRow).where(AssignmentRow.image_id.in_(ids)),
                delete(ArbitrationRow).where(ArbitrationRow.image_id.in_(ids)),
                delete(BoxRow).where(BoxRow.read_id.in_(reads)),
                delete(RejectedRegionRow).where(RejectedRegionRow.read_id.in_(reads)),
                delete(ReadRow).where(ReadRow.image_id.in_(ids)),
                delete(ScoreRow).where(ScoreRow.image_id.in_(ids)),
                delete(DraftRow).where(DraftRow.image_id.in_(ids)),
                delete(ImageRow).where(ImageRow.id.in_(ids)),
            ):
                self._connection.execute(statement)
            self._settle_conflicts([one for one in instances if one])
        # The name of a batch of which nothing is left says no more than whose it was.
        left = exists().where(ImageRow.batch_id == BatchRow.id)
        self._connection.execute(delete(BatchRow).where(~left))
        self._connection.execute(delete(InstallationRow).where(InstallationRow.name == ERASING))

    def _settle_conflicts(self, instances: Sequence[str]) -> None:
        """An image that is alone now contradicts nobody."""
        alone = (
            select(ImageRow.instance)
            .where(ImageRow.instance.in_(instances))
            .group_by(ImageRow.instance)
            .having(func.count() == 1)
        )
        statement = update(ImageRow).where(ImageRow.instance.in_(alone)).values(conflict=False)
        self._connection.execute(statement)


def _chunks(image_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Databases limit the number of values in one statement."""
    for start in range(0, len(image_ids), _IDS_PER_QUERY):
        yield image_ids[start : start + _IDS_PER_QUERY]
