"""Who has which case open, so that nobody opens another's without being told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app.services.access import Access
from app.services.people import Action, Person
from app.store.unit_of_work import Repositories, UnitOfWork
from ddad_core.errors import RequestError

ALIVE = timedelta(seconds=90)
"""A tab that gives no sign of life for longer counts as closed."""
SIGN_OF_LIFE_SECONDS = 20
"""How often a tab gives one; a browser may slow a tab that nobody looks at to once a minute."""


@dataclass(frozen=True)
class OpenElsewhere:
    """Somebody else who has a case open.

    Attributes:
        name: How people call them.
        minutes: For how long, whole minutes.
    """

    name: str
    minutes: int


class PresenceService:
    """Keeps one open case a browser tab. Short-lived and not on record: opening a case is.

    Only who may store reads is noted and told: an auditor's look takes no case from a reader.
    """

    def __init__(self, store: UnitOfWork, access: Access) -> None:
        self._store = store
        self._access = access

    def open(self, person: Person, tab: str, image_id: int) -> tuple[OpenElsewhere, ...]:
        """Note that a case is open in a tab, or still is; tell who else had it open before.

        Args:
            person: Who opened it.
            tab: A random name of the browser tab, the same for as long as it lives.
            image_id: The case.

        Raises:
            ForbiddenError: The person may not look at cases.
            RequestError: There is no such case.
        """
        self._access.require(person, Action.VIEW_CASES)
        if not self._access.may(person, Action.READ):
            return ()
        now = self._store.now()
        with self._store.writing() as repositories:
            presence = repositories.presence
            if not presence.touch(tab, image_id, alive_since=now - ALIVE):
                _check_there(repositories, image_id)
                presence.sweep(now - ALIVE)
                presence.put(tab, image_id, person.name, person.session_id)
            mine = presence.of_tab(tab)
            others = presence.others(person.name, alive_since=now - ALIVE, image_ids=[image_id])
        return tuple(
            OpenElsewhere(one.full_name or one.reader, int((now - one.since).total_seconds() // 60))
            for one in others
            if mine is None or one.since <= mine
        )

    def leave(self, person: Person, tab: str) -> None:
        """Note that a tab has no case open any more.

        Raises:
            ForbiddenError: The person may not look at cases.
        """
        self._access.require(person, Action.VIEW_CASES)
        with self._store.writing() as repositories:
            repositories.presence.remove(tab)

    def taken(self, person: Person) -> frozenset[int]:
        """Cases that others have open now.

        Raises:
            ForbiddenError: The person may not look at cases.
        """
        self._access.require(person, Action.VIEW_CASES)
        since = self._store.now() - ALIVE
        with self._store.reading() as repositories:
            others = repositories.presence.others(person.name, alive_since=since)
        return frozenset(one.image_id for one in others)


def _check_there(repositories: Repositories, image_id: int) -> None:
    if repositories.images.get(image_id) is None:
        problem = f"There is no case number {image_id}."
        raise RequestError(problem, "Go back to the worklist and open another.")
