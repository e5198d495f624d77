"""What each person prefers of the pages: the theme, and whether the guide was offered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from app.services.access import Access
from app.services.people import Person
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError

Theme = Literal["dark", "light"]
GuideState = Literal["new", "open", "done"]
THEMES: tuple[Theme, ...] = get_args(Theme)


@dataclass(frozen=True)
class Preferences:
    """As a person last left them.

    Attributes:
        theme: Of the pages; radiographs lie on black in both.
        guide: ``new`` before it was offered, ``open`` while it is on the screen, then ``done``.
        guide_step: Where in the guide the person is, from 0.
    """

    theme: Theme = "dark"
    guide: GuideState = "new"
    guide_step: int = 0


class PreferenceService:
    """Keeps preferences. They are no part of any result, so the audit trail leaves them out."""

    def __init__(self, store: UnitOfWork, access: Access) -> None:
        self._store = store
        self._access = access

    def of(self, person: Person) -> Preferences:
        """A person's own preferences.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
        """
        self._access.roles(person)
        return preferences_of(self._store, person.name)

    def choose_theme(self, person: Person, theme: str) -> None:
        """Keep the theme that a person chose.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
            RequestError: There is no such theme.
        """
        self._access.roles(person)
        if theme not in THEMES:
            problem = f"There is no theme called {theme!r}."
            raise RequestError(problem, "Choose dark or light.")
        self._put(person, theme=theme)

    def note_guide(self, person: Person, state: GuideState, step: int = 0) -> None:
        """Keep how far a person is with the guided first case.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
        """
        self._access.roles(person)
        self._put(person, guide=state, guide_step=step)

    def _put(self, person: Person, **values: object) -> None:
        with self._store.writing() as repositories:
            for name, value in values.items():
                repositories.preferences.put(person.name, name, value)


def preferences_of(store: UnitOfWork, name: str) -> Preferences:
    """The preferences under an account's name, whoever asks: for the gate, at signing in.

    What another version wrote and this one cannot use is left out.
    """
    with store.reading() as repositories:
        kept = repositories.preferences.all_of(name)
    theme, guide, step = kept.get("theme"), kept.get("guide"), kept.get("guide_step")
    return Preferences(
        theme=theme if theme in THEMES else "dark",
        guide=guide if guide in ("open", "done") else "new",
        guide_step=step if isinstance(step, int) and step >= 0 else 0,
    )
