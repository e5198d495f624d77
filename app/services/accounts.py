"""Accounts: made, changed and removed by administrators; every change on record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.services.access import Access
from app.services.passwords import check_strength, hash_password, verify_password
from app.services.people import ROLES, Action, Person, SignedOutError, checked_name
from app.services.signing_in import (
    NAME_TAKEN,
    REMOVED,
    SigningIn,
    end_open_sessions,
    seconds_locked,
)
from app.store.account_records import AuditAction, NewUser, Role, SessionRecord, UserRecord
from app.store.errors import StoreConflictError
from app.store.unit_of_work import Repositories, UnitOfWork
from ddad_core.errors import RequestError

LOCKED = "account locked"
PASSWORD_CHANGED = "password changed"  # noqa: S105 (names an event)


@dataclass(frozen=True)
class NewAccount:
    """An account to be made.

    Attributes:
        name: To sign in with; reads are stored under it.
        full_name: How people call them; the name if empty.
        roles: At least one.
        password: To begin with; its owner chooses another at the first sign-in.
    """

    name: str
    full_name: str
    roles: tuple[Role, ...]
    password: str = field(repr=False)


@dataclass(frozen=True)
class AccountState:
    """An account as an administrator sees it.

    Attributes:
        user: As stored, without its password's hash.
        sessions: How many are open.
        locked: Whether wrong passwords locked it, now.
        last_seen: When its owner last did something, UTC; None if they never signed in.
    """

    user: UserRecord
    sessions: int
    locked: bool
    last_seen: datetime | None


class AccountsService(SigningIn):
    """Signing in, for the gate, and the care of accounts, for administrators."""

    def __init__(self, store: UnitOfWork, access: Access) -> None:
        super().__init__(store)
        self._access = access

    def list_users(self, person: Person) -> list[AccountState]:
        """Every account, by name.

        Raises:
            ForbiddenError: The person does not look after accounts.
        """
        self._access.require(person, Action.MANAGE_USERS)
        now = self._now()
        with self._store.reading() as repositories:
            users = repositories.users.list_all()
            open_ones = [session.user_id for session in repositories.sessions.list_open()]
            seen = repositories.sessions.last_seen()
        return [
            AccountState(
                user,
                open_ones.count(user.id),
                seconds_locked(user, now) > 0,
                seen.get(user.id),
            )
            for user in users
        ]

    def create(self, person: Person, new: NewAccount) -> UserRecord:
        """Make an account; its owner must choose a password of their own at the first sign-in.

        Raises:
            ForbiddenError: The person does not look after accounts.
            RequestError: The name is taken or unusable, there is no role, the password is weak.
        """
        self._access.require(person, Action.MANAGE_USERS)
        name, full_name = checked_name(new.name), checked_name(new.full_name or new.name)
        roles = _checked_roles(new.roles)
        check_strength(new.password, (name, full_name))
        row = NewUser(
            name=name,
            full_name=full_name,
            roles=roles,
            password_hash=hash_password(new.password),
            must_change_password=True,
            created_by=person.name,
        )
        try:
            with self._store.writing() as repositories:
                user = repositories.users.add(row)
                repositories.audit.append(
                    person.did("user created", _subject(user), after=_facts(user))
                )
                return user
        except StoreConflictError as error:
            raise RequestError(NAME_TAKEN, "Choose another name.") from error

    def change_roles(
        self, person: Person, user_id: int, roles: Sequence[Role], reason: str
    ) -> UserRecord:
        """Give an account other roles; they count at once.

        Raises:
            ForbiddenError: The person does not look after accounts.
            RequestError: No role, no reason, no such account, the roles come from the provider,
                or it is the last administrator's.
        """
        checked = _checked_roles(roles)
        with self._changing(person, reason) as change:
            user = change.user(user_id)
            if user.issuer is not None:
                problem = "The roles of this account come from its sign-in provider."
                raise RequestError(problem, "Change them there.")
            if "administrator" not in checked:
                change.needs_another_administrator(user)
            return change.to(user, roles=checked)

    def rename(self, person: Person, user_id: int, full_name: str) -> UserRecord:
        """Call a person differently; the name that they sign in with stays.

        Raises:
            ForbiddenError: The person does not look after accounts.
            RequestError: The name cannot be used, or there is no such account.
        """
        checked = checked_name(full_name)
        with self._changing(person, "renamed") as change:
            return change.to(change.user(user_id), full_name=checked)

    def remove(self, person: Person, user_id: int, reason: str) -> UserRecord:
        """Take an account's access away, in every open tab at once; its reads stay.

        Raises:
            ForbiddenError: The person does not look after accounts.
            RequestError: No reason, no such account, or it is the last administrator's.
        """
        with self._changing(person, reason) as change:
            user = change.user(user_id)
            change.needs_another_administrator(user)
            change.end_sessions(user, REMOVED)
            return change.to(user, active=False)

    def bring_back(self, person: Person, user_id: int, reason: str) -> UserRecord:
        """Give a removed account its access back.

        Raises:
            ForbiddenError: The person does not look after accounts.
            RequestError: No reason, or no such account.
        """
        with self._changing(person, reason) as change:
            return change.to(
                change.user(user_id), active=True, failed_attempts=0, locked_until=None
            )

    def reset_password(
        self, person: Person, user_id: int, password: str, reason: str = "password reset"
    ) -> UserRecord:
        """Set a password that its owner must change at the next sign-in; sessions end.

        Raises:
            ForbiddenError: The person does not look after accounts.
            RequestError: The password is weak, or the account is not a local one.
        """
        self._access.require(person, Action.MANAGE_USERS)
        with self._store.reading() as repositories:
            user = _found(repositories, user_id)
        _needs_password(user)
        check_strength(password, (user.name, user.full_name))
        digest = hash_password(password)  # slow on purpose, so before others have to wait
        with self._changing(person, reason) as change:
            user = change.user(user_id)
            change.end_sessions(user, PASSWORD_CHANGED)
            return change.to(
                user,
                password_hash=digest,
                must_change_password=True,
                failed_attempts=0,
                locked_until=None,
            )

    def unlock(self, person: Person, user_id: int, reason: str = "unlocked") -> UserRecord:
        """Let a locked account try again.

        Raises:
            ForbiddenError: The person does not look after accounts.
            RequestError: There is no such account.
        """
        with self._changing(person, reason) as change:
            return change.to(change.user(user_id), failed_attempts=0, locked_until=None)

    def own(self, person: Person) -> tuple[UserRecord, list[SessionRecord]]:
        """The person's own account and open sessions, the newest first.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
            RequestError: The person has no account.
        """
        self._access.roles(person)
        with self._store.reading() as repositories:
            user = repositories.users.get(person.user_id) if person.user_id else None
            if user is None:
                problem = "There is no account here: this is a demonstration or a command."
                raise RequestError(problem)
            return user, repositories.sessions.list_open(user.id)[::-1]

    def change_password(self, person: Person, old: str, new: str) -> None:
        """Choose a password of one's own; the person's other sessions end.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
            RequestError: The old one is wrong, or the new one is weak or the same.
        """
        user, _ = self.own(person)
        _needs_password(user)
        if seconds_locked(user, self._now()) > 0:
            problem = "This account is locked after too many wrong passwords."
            raise RequestError(problem, "Try again later, or ask an administrator to unlock it.")
        if not verify_password(old, user.password_hash):
            self._count_wrong_password(person, user)
            problem = "The present password is wrong."
            raise RequestError(problem, "Nothing was changed; type it again.")
        check_strength(new, (user.name, user.full_name))
        if new == old:
            problem = "The new password is the old one."
            raise RequestError(problem, "Choose another.")
        digest = hash_password(new)
        with self._store.writing() as repositories:
            self._still(repositories, person, user)
            change = _Change(repositories, person, "own password")
            change.end_sessions(user, PASSWORD_CHANGED, but=person.session_id)
            change.to(user, password_hash=digest, must_change_password=False)

    def _still(self, repositories: Repositories, person: Person, seen: UserRecord) -> None:
        """Refuse to go on if account, password or session changed while it was looked at."""
        user = repositories.users.get(seen.id)
        session = repositories.sessions.get(person.session_id) if person.session_id else None
        over = person.session_id is not None and (session is None or session.ended_at is not None)
        if user is None or not user.active or over or user.password_hash != seen.password_hash:
            problem = "The account was changed meanwhile."
            raise SignedOutError(problem, "Nothing was changed; sign in again.")

    def _count_wrong_password(self, person: Person, user: UserRecord) -> None:
        """As at the sign-in page: whoever finds an open session must not guess here instead."""
        with self._store.writing() as repositories:
            event = person.did("denied", "change own password", reason="wrong password")
            repositories.audit.append(event)
            user = _found(repositories, user.id)  # other tries may have come in between
            if self._count_failure(repositories, user, person.address).wait > 0:
                _Change(repositories, person, "").end_sessions(user, LOCKED)

    def end_other_sessions(self, person: Person) -> int:
        """End the person's sessions but this one; tell how many.

        Raises:
            SignedOutError: The account was removed, or the session has ended.
        """
        user, _ = self.own(person)
        with self._store.writing() as repositories:
            change = _Change(repositories, person, "")
            return change.end_sessions(user, "ended from another session", but=person.session_id)

    @contextmanager
    def _changing(self, person: Person, reason: str) -> Iterator[_Change]:
        self._access.require(person, Action.MANAGE_USERS)
        if not reason.strip():
            problem = "A change of an account needs a reason."
            raise RequestError(problem, "Say in a sentence why it changes.")
        with self._store.writing() as repositories:
            yield _Change(repositories, person, reason.strip())


@dataclass(frozen=True)
class _Change:
    """What can happen to an account within one unit of work."""

    repositories: Repositories
    person: Person
    reason: str

    def user(self, user_id: int) -> UserRecord:
        return _found(self.repositories, user_id)

    def needs_another_administrator(self, user: UserRecord) -> None:
        others = [
            other
            for other in self.repositories.users.list_all()
            if other.id != user.id and other.active and "administrator" in other.roles
        ]
        if "administrator" in user.roles and user.active and not others:
            problem = f"{user.name} is the last administrator."
            raise RequestError(problem, "Make someone else an administrator first.")

    def end_sessions(self, user: UserRecord, reason: str, but: int | None = None) -> int:
        return end_open_sessions(self.repositories, self.person, user, reason, but)

    def to(self, user: UserRecord, **values: Any) -> UserRecord:
        changed = self.repositories.users.change(user.id, **values)
        before, after = _facts(user), _facts(changed)
        if "password_hash" in values:
            after["password"] = "changed"  # noqa: S105 (no password)
        action: AuditAction = "user changed"
        event = self.person.did(
            action, _subject(user), before=before, after=after, reason=self.reason
        )
        self.repositories.audit.append(event)
        return changed


def _found(repositories: Repositories, user_id: int) -> UserRecord:
    user = repositories.users.get(user_id)
    if user is None:
        problem = f"There is no account number {user_id}."
        raise RequestError(problem, "Reload the list.")
    return user


def _subject(user: UserRecord) -> str:
    return f"user {user.name}"


def _facts(user: UserRecord) -> dict[str, Any]:
    """What the audit tells of an account."""
    return {
        "full_name": user.full_name,
        "roles": list(user.roles),
        "active": user.active,
        "must_change_password": user.must_change_password,
        "locked": user.locked_until is not None,
    }


def _checked_roles(roles: Sequence[str]) -> tuple[Role, ...]:
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        problem = f"There is no role {unknown[0]!r}." if unknown else "An account needs a role."
        raise RequestError(problem, f"Choose from: {', '.join(ROLES)}.")
    return tuple(role for role in ROLES if role in roles)


def _needs_password(user: UserRecord) -> None:
    if user.password_hash is None:
        problem = f"{user.name} signs in through a provider and has no password here."
        raise RequestError(problem, "Change it there.")
