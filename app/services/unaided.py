"""When the AI stays hidden: one rule for every service that would tell of it."""

from __future__ import annotations

from app.services.access import Access
from app.services.people import Action, Person
from app.store.unit_of_work import UnitOfWork


class UnaidedFirst:
    """Whether a reader's first verdict comes before the AI is shown.

    Args:
        store: The database.
        access: Who may do what.
        always: Whether that holds for every reader, by setting.
    """

    def __init__(self, store: UnitOfWork, access: Access, *, always: bool) -> None:
        self.always = always
        self._store = store
        self._access = access

    def hides(self, reader: Person, image_id: int, *, unaided: bool) -> bool:
        """Whether nothing of the AI may be seen yet: who cannot read has no verdict to protect.

        Args:
            reader: Who looks.
            image_id: At which case.
            unaided: Whether the reader wishes to read so, setting or not.
        """
        if not (unaided or self.always) or not self._access.may(reader, Action.READ):
            return False
        with self._store.reading() as repositories:
            return repositories.reads.latest(image_id, reader.name) is None

    def hides_others(self, reader: Person, image_id: int) -> bool:
        """Whether others' verdicts must not be seen yet: not before one's own is saved.

        A first verdict without the AI is not the last word: the one with it comes before others'.
        """
        if not self._access.may(reader, Action.READ):
            return False
        with self._store.reading() as repositories:
            own = repositories.reads.latest(image_id, reader.name)
        return own is None or own.stage == "unaided"
