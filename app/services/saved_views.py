"""Views of the worklist under names of their own, and the batches it can be filtered by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, get_args

from app.services.access import Access
from app.services.people import Action, Person
from app.store.records import Origin
from app.store.team_records import BatchRecord, SavedViewRecord
from app.store.unit_of_work import Repositories, UnitOfWork
from app.store.worklist_records import Show, Sort, Wish
from ddad_core.errors import RequestError

__all__ = ["BatchRecord", "SavedView", "SavedViewsService"]

NAME_LIMIT = 60
_NOT_KEPT = ("unaided",)
"""Of a wish: how somebody reads is their own matter, not the view's."""
_CHOICES = {"show": get_args(Show), "sort": get_args(Sort), "origin": get_args(Origin)}
_TIMES = ("since", "until")


@dataclass(frozen=True)
class SavedView:
    """A view that a person is offered.

    Attributes:
        id: Of the view.
        name: Of the view.
        wish: What it shows.
        shared: Whether everybody is offered it.
        owner: Who saved it.
        mine: Whether the person may change it: their own, and what is shared for a lead.
    """

    id: int
    name: str
    wish: Wish
    shared: bool
    owner: str
    mine: bool


class SavedViewsService:
    """Keeps views."""

    def __init__(self, store: UnitOfWork, access: Access) -> None:
        self._store = store
        self._access = access

    def offered(self, person: Person) -> tuple[SavedView, ...]:
        """The person's own views and shared ones, by name.

        Raises:
            ForbiddenError: The person may not look at cases.
        """
        self._access.require(person, Action.VIEW_CASES)
        lead = self._access.may(person, Action.ASSIGN)
        with self._store.reading() as repositories:
            found = repositories.saved_views.offered_to(person.name)
        return tuple(
            SavedView(
                id=one.id,
                name=one.name,
                wish=_wish(one.wish),
                shared=one.shared,
                owner=one.owner,
                mine=_may_change(one, person, lead=lead),
            )
            for one in found
        )

    def batches(self, person: Person) -> tuple[BatchRecord, ...]:
        """Batches with cases left, the latest first.

        Raises:
            ForbiddenError: The person may not look at cases.
        """
        self._access.require(person, Action.VIEW_CASES)
        with self._store.reading() as repositories:
            return tuple(repositories.batches.list_all())

    def save(self, person: Person, name: str, wish: Wish, *, shared: bool = False) -> bool:
        """Keep a view, in place of the person's own of that name; tell whether there was one.

        Raises:
            ForbiddenError: The person may not look at cases, or not share views.
            RequestError: The name is empty, too long or holds control characters.
        """
        self._access.require(person, Action.VIEW_CASES)
        if shared:
            self._access.require(person, Action.ASSIGN)
        name = _checked_name(name)
        kept = _plain(wish)
        with self._store.writing() as repositories:
            before = _named(repositories, person.name, name)
            if before is None:
                view_id = repositories.saved_views.add(person.name, name, kept, shared=shared).id
            else:
                view_id = before.id
                repositories.saved_views.change(view_id, wish=kept, shared=shared)
            after = {"owner": person.name, "shared": shared}
            repositories.audit.append(person.did("saved view", f"view {view_id}", after=after))
        return before is not None

    def rename(self, person: Person, view_id: int, name: str) -> None:
        """Give a view another name.

        Raises:
            ForbiddenError: The person may not look at cases.
            RequestError: The view is not theirs to change, or the name is taken or unfit.
        """
        self._access.require(person, Action.VIEW_CASES)
        lead = self._access.may(person, Action.ASSIGN)
        name = _checked_name(name)
        with self._store.writing() as repositories:
            view = _own(repositories, view_id, person, lead=lead)
            other = _named(repositories, view.owner, name)
            if other is not None and other.id != view.id:
                problem = f"There is a view called {name} already."
                raise RequestError(problem, "Choose another name.")
            repositories.saved_views.change(view.id, name=name)
            told = {"owner": view.owner, "renamed": True}
            repositories.audit.append(person.did("saved view", f"view {view.id}", after=told))

    def delete(self, person: Person, view_id: int) -> None:
        """Forget a view.

        Raises:
            ForbiddenError: The person may not look at cases.
            RequestError: The view is not theirs to change.
        """
        self._access.require(person, Action.VIEW_CASES)
        lead = self._access.may(person, Action.ASSIGN)
        with self._store.writing() as repositories:
            view = _own(repositories, view_id, person, lead=lead)
            repositories.saved_views.remove(view.id)
            before = {"owner": view.owner, "shared": view.shared}
            repositories.audit.append(person.did("saved view", f"view {view.id}", before=before))


def _may_change(view: SavedViewRecord, person: Person, *, lead: bool) -> bool:
    return view.owner == person.name or (view.shared and lead)


def _own(
    repositories: Repositories, view_id: int, person: Person, *, lead: bool
) -> SavedViewRecord:
    view = repositories.saved_views.get(view_id)
    if view is None or not _may_change(view, person, lead=lead):
        problem = "There is no such view of yours."
        raise RequestError(problem, "Load the worklist anew: somebody may have removed it.")
    return view


def _named(repositories: Repositories, owner: str, name: str) -> SavedViewRecord | None:
    offered = repositories.saved_views.offered_to(owner)
    return next((one for one in offered if (one.owner, one.name) == (owner, name)), None)


def _checked_name(text: str) -> str:
    name = " ".join(text.split())
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        problem = f"The name of a view has 1 to {NAME_LIMIT} printable characters."
        raise RequestError(problem, "Type another one.")
    return name


def _plain(wish: Wish) -> dict[str, Any]:
    """The wish as JSON: what is as if nothing was asked is left out."""
    nothing = Wish()
    found = {f.name: getattr(wish, f.name) for f in fields(Wish) if f.name not in _NOT_KEPT}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
        if value != getattr(nothing, name)
    }


def _wish(kept: Mapping[str, Any]) -> Wish:
    """The wish as far as this version understands it: another one may have saved it."""
    found: dict[str, Any] = {}
    for one in fields(Wish):
        if one.name not in kept or one.name in _NOT_KEPT:
            continue
        value = kept[one.name]
        if one.name in _CHOICES and value not in _CHOICES[one.name]:
            continue
        found[one.name] = datetime.fromisoformat(value) if one.name in _TIMES else value
    return Wish(**found)
