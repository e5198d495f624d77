"""The one place that decides whether a person may do something. Every service asks it first."""

from __future__ import annotations

from app.services.people import Action, ForbiddenError, Person, SignedOutError, permitted
from app.store.account_records import Role, UserRecord
from app.store.unit_of_work import UnitOfWork


class Access:
    """Checks permissions against the account as it is now, not as it was at sign-in."""

    def __init__(self, store: UnitOfWork) -> None:
        self._store = store

    def require(self, person: Person, action: Action) -> None:
        """Let the person go on, or refuse and put the refusal on record.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
            ForbiddenError: None of the person's roles allows it, or their password was set by
                someone else and not changed yet.
            StoreError: The database cannot be asked; nothing is allowed then.
        """
        try:
            user = self._user(person)
        except SignedOutError:
            self._deny(person, action, "signed out")
            raise
        if user is not None and user.must_change_password:
            self._deny(person, action, "password not changed")
            problem = "Your password was set by someone else."
            raise ForbiddenError(problem, "Choose one of your own on the Account page first.")
        if action in permitted(person.roles if user is None else user.roles):
            return
        self._deny(person, action)
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
        user = self._user(person)
        return person.roles if user is None else frozenset(user.roles)

    def _deny(self, person: Person, action: Action, reason: str = "") -> None:
        """Put a refusal on record."""
        with self._store.writing() as repositories:
            repositories.audit.append(person.did("denied", action.value, reason=reason))

    def _user(self, person: Person) -> UserRecord | None:
        """The account as it is now; None for who needs none."""
        if person.user_id is None:
            return None
        with self._store.reading() as repositories:
            user = repositories.users.get(person.user_id)
            ended = person.session_id is not None and (
                (session := repositories.sessions.get(person.session_id)) is None
                or session.ended_at is not None
            )
        if user is None or not user.active or ended:
            problem = "You are signed out."
            raise SignedOutError(problem, "Sign in again; unsaved reads are kept as drafts.")
        return user
