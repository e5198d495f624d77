"""The one place that decides whether a person may do something. Every service asks it first."""

from __future__ import annotations

from app.services.people import Action, ForbiddenError, Person, SignedOutError, permitted
from app.store.account_records import Role
from app.store.unit_of_work import UnitOfWork


class Access:
    """Checks permissions against the account as it is now, not as it was at sign-in."""

    def __init__(self, store: UnitOfWork) -> None:
        self._store = store

    def require(self, person: Person, action: Action) -> None:
        """Let the person go on, or refuse and put the refusal on record.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
            ForbiddenError: None of the person's roles allows it.
            StoreError: The database cannot be asked; nothing is allowed then.
        """
        try:
            if action in permitted(self.roles(person)):
                return
        except SignedOutError:
            with self._store.writing() as repositories:
                event = person.did("denied", action.value, reason="signed out")
                repositories.audit.append(event)
            raise
        with self._store.writing() as repositories:
            repositories.audit.append(person.did("denied", action.value))
        problem = f"You may not {action.value}: none of your roles allows it."
        raise ForbiddenError(problem, "Ask an administrator if you should.")

    def may(self, person: Person, action: Action) -> bool:
        """Whether to offer an act; asking leaves no record.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
        """
        return action in permitted(self.roles(person))

    def roles(self, person: Person) -> frozenset[Role]:
        """The person's roles now.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
        """
        if person.user_id is None:
            return person.roles
        with self._store.reading() as repositories:
            user = repositories.users.get(person.user_id)
            ended = person.session_id is not None and (
                (session := repositories.sessions.get(person.session_id)) is None
                or session.ended_at is not None
            )
        if user is None or not user.active or ended:
            problem = "You are signed out."
            raise SignedOutError(problem, "Sign in again; unsaved reads are kept as drafts.")
        return frozenset(user.roles)
