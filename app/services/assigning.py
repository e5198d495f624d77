"""Who is to read what: cases dealt to readers, and taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.services.access import Access
from app.services.people import Action, Person, permitted
from app.store.account_records import AuditAction
from app.store.unit_of_work import Repositories, UnitOfWork
from ddad_core.errors import RequestError

MOST_READERS_PER_CASE = 2
MOST_CASES = 10_000
"""Cases of one assignment."""


@dataclass(frozen=True)
class ReaderLoad:
    """Somebody whom cases can be assigned to, or were.

    Attributes:
        name: Of the account.
        full_name: How people call them.
        left: Cases assigned to them that they have not read.
        active: Whether they can be given more.
    """

    name: str
    full_name: str
    left: int
    active: bool = True


@dataclass(frozen=True)
class AssignmentOutcome:
    """What became of an assignment.

    Attributes:
        cases: Cases of which somebody got something to read.
        given: How many each reader got, by name.
        enough: Cases that as many as asked for have read or are to read already.
        nobody_left: Cases that all chosen readers have read or are to read already.
    """

    cases: int
    given: Mapping[str, int] = field(default_factory=dict)
    enough: int = 0
    nobody_left: int = 0


class AssigningService:
    """Deals cases out and takes them back."""

    def __init__(
        self, store: UnitOfWork, access: Access, *, readers_per_case: int | None = None
    ) -> None:
        self.readers_per_case = readers_per_case or 1
        self._store = store
        self._access = access

    def readers(self, person: Person) -> tuple[ReaderLoad, ...]:
        """Everybody who can be given cases, and whoever else has some left.

        Raises:
            ForbiddenError: The person may not assign cases.
        """
        self._access.require(person, Action.ASSIGN)
        with self._store.reading() as repositories:
            return _readers(repositories, person)

    def assign(
        self,
        person: Person,
        image_ids: Sequence[int],
        readers: Sequence[str],
        *,
        readers_per_case: int | None = None,
    ) -> AssignmentOutcome:
        """Deal cases out evenly, each to as many of the readers as it still needs.

        Who has read a case, or is to read it, counts; nobody gets one twice.

        Args:
            person: Who assigns.
            image_ids: The cases.
            readers: Names of accounts.
            readers_per_case: How many are to read each case; None for the installation's number.

        Raises:
            ForbiddenError: The person may not assign cases.
            RequestError: There is no such case or reader, or too few or too many of them.
        """
        self._access.require(person, Action.ASSIGN)
        wanted = readers_per_case or self.readers_per_case
        ids = list(dict.fromkeys(image_ids))
        names = list(dict.fromkeys(readers))
        _check(ids, names, wanted)
        with self._store.writing() as repositories:
            known = {one.name for one in _readers(repositories, person) if one.active}
            if unknown := [name for name in names if name not in known]:
                problem = f"{unknown[0]} cannot be given cases."
                raise RequestError(problem, "Choose among the accounts that may store reads.")
            _check_cases(repositories, ids)
            outcome, pairs = _dealt(repositories, ids, names, wanted)
            repositories.assignments.add(pairs, person.name)
            _put_on_record(repositories, person, "assignment", pairs)
        return outcome

    def take_back(
        self, person: Person, image_ids: Sequence[int], reader: str | None = None
    ) -> Mapping[str, int]:
        """Take unread cases back from a reader, or from all; tell how many from whom.

        Raises:
            ForbiddenError: The person may not assign cases.
        """
        self._access.require(person, Action.ASSIGN)
        with self._store.writing() as repositories:
            removed = repositories.assignments.remove(list(dict.fromkeys(image_ids)), reader)
            _put_on_record(repositories, person, "assignment taken back", removed)
        return Counter(name for _, name in removed)

    def take_all_back(self, person: Person, reader: str) -> int:
        """Take back all that a reader has not read.

        Raises:
            ForbiddenError: The person may not assign cases.
        """
        self._access.require(person, Action.ASSIGN)
        with self._store.writing() as repositories:
            removed = repositories.assignments.remove_all(reader)
            _put_on_record(repositories, person, "assignment taken back", removed)
        return len(removed)


def _check(ids: Sequence[int], names: Sequence[str], wanted: int) -> None:
    if not ids:
        problem = "No case is chosen."
        raise RequestError(problem, "Choose some, or widen the filter.")
    if len(ids) > MOST_CASES:
        problem = f"{len(ids)} cases are more than can be assigned at once."
        raise RequestError(problem, f"Assign at most {MOST_CASES}.")
    if not 1 <= wanted <= MOST_READERS_PER_CASE:
        problem = f"{wanted} readers a case are not possible."
        raise RequestError(problem, f"Choose from 1 to {MOST_READERS_PER_CASE}.")
    if len(names) < wanted:
        problem = f"For {wanted} readers a case {wanted} must be chosen; there are {len(names)}."
        raise RequestError(problem, "Choose more readers, or fewer for each case.")


def _check_cases(repositories: Repositories, ids: Sequence[int]) -> None:
    there = repositories.images.there(ids)
    if missing := [one for one in ids if one not in there]:
        problem = f"There is no case number {missing[0]}."
        raise RequestError(problem, "Load the worklist anew and choose again.")


def _readers(repositories: Repositories, person: Person) -> tuple[ReaderLoad, ...]:
    left = repositories.assignments.left()
    users = repositories.users.list_all()
    found = [
        ReaderLoad(one.name, one.full_name or one.name, left.pop(one.name, 0), active=True)
        for one in users
        if one.active and Action.READ in permitted(one.roles)
    ]
    if person.user_id is None and person.name not in {one.name for one in users}:
        # Nobody signs in: a demonstration, or a command.
        found.append(ReaderLoad(person.name, person.name, left.pop(person.name, 0)))
    called = {one.name: one.full_name or one.name for one in users}
    found += [
        ReaderLoad(name, called.get(name, name), count, active=False)
        for name, count in sorted(left.items())
    ]
    return tuple(found)


def _dealt(
    repositories: Repositories, ids: Sequence[int], names: Sequence[str], wanted: int
) -> tuple[AssignmentOutcome, list[tuple[int, str]]]:
    """Who gets what: for each case those chosen who have got least so far."""
    assigned = repositories.assignments.readers_of(ids)
    read = repositories.assignments.read_by(ids)
    given: Counter[str] = Counter()
    pairs: list[tuple[int, str]] = []
    cases = enough = nobody_left = 0
    for image_id in ids:
        engaged = {*assigned.get(image_id, ()), *read.get(image_id, ())}
        missing = wanted - len(engaged)
        able = [name for name in names if name not in engaged]
        if missing <= 0:
            enough += 1
        elif not able:
            nobody_left += 1
        else:
            cases += 1
            chosen = sorted(able, key=lambda name: (given[name], names.index(name)))[:missing]
            given.update(chosen)
            pairs += [(image_id, name) for name in chosen]
    return AssignmentOutcome(cases, dict(given), enough, nobody_left), pairs


def _put_on_record(
    repositories: Repositories,
    person: Person,
    action: AuditAction,
    pairs: Sequence[tuple[int, str]],
) -> None:
    """One event a reader, with the numbers of the cases."""
    cases: dict[str, list[int]] = {}
    for image_id, name in pairs:
        cases.setdefault(name, []).append(image_id)
    for name, ids in cases.items():
        told = {"images": ids}
        given = action == "assignment"
        event = person.did(
            action,
            f"user {name}",
            before=None if given else told,
            after=told if given else None,
        )
        repositories.audit.append(event)
