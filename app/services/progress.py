"""How far a reader has come today."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from statistics import median

from app.services.access import Access
from app.services.people import Action, Person
from app.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Day:
    """A reader's day in numbers.

    Attributes:
        read: Cases of which they saved a read.
        left: Cases assigned to them that they have not read, whenever that was.
        median_seconds: Half of the day's first reads took less time; None before one was timed.
    """

    read: int
    left: int
    median_seconds: float | None


class ProgressService:
    """Tells readers about their own day, and nobody else's."""

    def __init__(self, store: UnitOfWork, access: Access) -> None:
        self._store = store
        self._access = access

    def day(self, reader: Person, since: datetime) -> Day:
        """The reader's day.

        Args:
            reader: Whose.
            since: When it began.

        Raises:
            ForbiddenError: The reader may not store reads.
        """
        self._access.require(reader, Action.READ)
        with self._store.reading() as repositories:
            found = repositories.assignments.day(reader.name, since)
        return Day(found.read, found.left, median(found.seconds) if found.seconds else None)
