"""Erasing images for good: a patient's on request, or all that are older than the site keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from app.gateways.files import FilesError, ImageFiles
from app.gateways.home_lock import HomeLock
from app.services.access import Access
from app.services.people import Action, Person
from app.store.erasure_repository import ErasureRows
from app.store.records import ImageRecord
from app.store.unit_of_work import Repositories, UnitOfWork
from ddad_core.errors import RequestError

_IDS_ON_RECORD = 10_000


@dataclass(frozen=True)
class Which:
    """Whose images, or which ones; exactly one of the two.

    Attributes:
        patient: A patient's pseudonym.
        older_than_days: All taken in more than so many days ago, the demonstration gallery apart.
        keep_read: Of the latter leave those that somebody has read.
    """

    patient: str = ""
    older_than_days: int | None = None
    keep_read: bool = False

    def described(self) -> str:
        """As it goes on record."""
        if self.patient:
            return f"patient {self.patient}"
        return f"older than {self.older_than_days} days{' and unread' if self.keep_read else ''}"


@dataclass(frozen=True)
class ToErase:
    """What would be erased.

    Attributes:
        images: The images.
        rows: All that goes with them.
    """

    images: tuple[ImageRecord, ...]
    rows: ErasureRows


@dataclass(frozen=True)
class Erased:
    """What was erased.

    Attributes:
        rows: How much.
        left: What could not be removed from the disk, in sentences; `ddad-admin doctor --sweep`
            tries again.
    """

    rows: ErasureRows
    left: tuple[str, ...]


class ErasingService:
    """Removes images with their files and everything that was made of them."""

    def __init__(
        self, store: UnitOfWork, access: Access, files: ImageFiles, lock: HomeLock
    ) -> None:
        self._store = store
        self._access = access
        self._files = files
        self._lock = lock

    def find(self, person: Person, which: Which) -> ToErase:
        """Look what would be erased.

        Raises:
            ForbiddenError: The person may not erase.
            RequestError: It is not said which.
        """
        self._access.require(person, Action.ERASE)
        _check(which)
        with self._store.reading() as repositories:
            images = self._images(repositories, which)
            return ToErase(images, repositories.erasure.rows([image.id for image in images]))

    def erase(self, person: Person, which: Which, reason: str) -> Erased:
        """Erase: rows in one transaction, then files, then what the database left of them.

        The record of it has the pseudonym or the criterion, counts and image numbers, and stays.

        Raises:
            ForbiddenError: The person may not erase.
            RequestError: It is not said which or why, or there is nothing of the kind.
            FilesError: A backup is going on.
            StoreError: The database does not take it; nothing is erased. Or it cannot be made
                compact afterwards: everything is erased then, but bytes may be left in its file.
        """
        self._access.require(person, Action.ERASE)
        _check(which)
        if not reason.strip():
            problem = "An erasure needs a reason."
            raise RequestError(problem, "Say in a sentence why; it goes on record.")
        with self._lock.held():
            with self._store.writing() as repositories:
                images = self._images(repositories, which)
                if not images:
                    problem = f"There is no image of {which.described()}."
                    raise RequestError(problem, "Check the pseudonym or the number of days.")
                ids = [image.id for image in images]
                rows = repositories.erasure.rows(ids)
                repositories.erasure.remove(ids)
                before = asdict(rows) | {"ids": ids[:_IDS_ON_RECORD]}
                event = person.did(
                    "erasure", which.described(), before=before, reason=reason.strip()
                )
                repositories.audit.append(event)
            left = self._remove_files(images)
            self._store.compact()
        return Erased(rows, left)

    def _images(self, repositories: Repositories, which: Which) -> tuple[ImageRecord, ...]:
        if which.patient:
            return tuple(repositories.erasure.of_patient(which.patient))
        assert which.older_than_days is not None
        latest = _days_before(self._store.now(), which.older_than_days)
        return tuple(repositories.erasure.added_before(latest, unread_only=which.keep_read))

    def _remove_files(self, images: tuple[ImageRecord, ...]) -> tuple[str, ...]:
        left = []
        for image in images:
            try:
                self._files.remove(image.sha256)
            except FilesError as error:
                left.append(str(error))
        return tuple(left)


def _days_before(now: datetime, days: int) -> datetime:
    try:
        return now - timedelta(days=days)
    except OverflowError as error:
        problem = f"{days} days are longer than there are dates."
        raise RequestError(problem, "Give fewer.") from error


def _check(which: Which) -> None:
    days = which.older_than_days
    if bool(which.patient) == (days is not None) or (days is not None and days < 1):
        problem = "It must be said whose images, or how old ones in days, from 1 up."
        raise RequestError(problem, "Give a pseudonym or a number of days.")
