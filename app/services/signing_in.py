"""Signing in: accounts, their sessions, and what happens to wrong passwords."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.services.passwords import check_strength, hash_password, outdated, verify_password
from app.services.people import ROLES, Person, checked_name
from app.store.account_records import (
    AuditAction,
    NewSession,
    NewUser,
    Role,
    SessionRecord,
    UserRecord,
)
from app.store.errors import StoreConflictError
from app.store.unit_of_work import Repositories, UnitOfWork
from ddad_core.errors import DdadError, RequestError

MAX_ATTEMPTS = 10
LOCK_MINUTES = 15
IDLE_MINUTES = 15
SESSION_HOURS = 12
SIGNED_OUT = "signed out"
IDLE = "idle"
TOO_LONG = "open for too long"
REMOVED = "account removed"
NO_ROLE = "no role any more"
NAME_TAKEN = "There is an account of that name already."


@dataclass(frozen=True)
class SignedIn:
    """A session just begun.

    Attributes:
        token: The cookie's value: 256 random bits. Kept nowhere.
        session: As stored.
        user: Whose.
    """

    token: str = field(repr=False)
    session: SessionRecord
    user: UserRecord


class SignInError(DdadError):
    """Nobody was signed in.

    Attributes:
        wait: Seconds until the next try counts; 0 if at once.
    """

    def __init__(self, problem: str, next_step: str = "", wait: float = 0.0) -> None:
        super().__init__(problem, next_step)
        self.wait = wait


def token_hash(token: str) -> str:
    """By which a session is found again."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class SigningIn:
    """What the gate asks; every method may block."""

    def __init__(self, store: UnitOfWork) -> None:
        self._store = store

    def has_accounts(self) -> bool:
        """Whether anybody has an account yet."""
        with self._store.reading() as repositories:
            return repositories.users.count() > 0

    def create_first(self, name: str, full_name: str, password: str, address: str) -> UserRecord:
        """Make the first account, with every role.

        Raises:
            RequestError: There is an account already, or a value cannot be used.
        """
        name, full_name = checked_name(name), checked_name(full_name or name)
        check_strength(password, (name, full_name))
        digest = hash_password(password)
        with self._store.writing() as repositories:
            if repositories.users.count():
                problem = "There is an account already."
                raise RequestError(problem, "Sign in, or ask its owner for one of your own.")
            new = NewUser(
                name=name, full_name=full_name, roles=ROLES, password_hash=digest, created_by=name
            )
            user = repositories.users.add(new)
            repositories.audit.append(
                _person(user, address).did(
                    "user created",
                    f"user {name}",
                    after={"full_name": full_name, "roles": list(user.roles)},
                    reason="first account",
                )
            )
            return user

    def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """Begin a session, or count a failure.

        Raises:
            SignInError: Unknown name, wrong password, removed or locked account; the first
                three in the same words, after the same time.
        """
        with self._store.reading() as repositories:
            user = repositories.users.by_name(" ".join(name.split()))
        usable = user is not None and user.active
        right = verify_password(password, user.password_hash if user and usable else None)
        with self._store.writing() as repositories:
            # As it is now: other tries, or a new password, may have come in between.
            verified = user.password_hash if user else None
            user = repositories.users.get(user.id) if user else None
            right = right and user is not None and user.password_hash == verified
            error = self._refusal(repositories, user, address, right=right)
            if error is None:
                assert user
                return self._begin(repositories, user, password, address)
        raise error  # after the commit: the failure is on record

    def sign_in_subject(
        self,
        issuer: str,
        subject: str,
        name: str,
        full_name: str,
        roles: frozenset[Role],
        address: str,
    ) -> SignedIn:
        """Begin a session of a person whom an OpenID Connect provider vouches for.

        The account is made at the first time; its roles are the provider's every time.

        Raises:
            SignInError: No role, a removed account, or a name that another account has.
        """
        try:
            name = checked_name(name)
            full_name = checked_name(full_name or name)
        except RequestError as error:
            raise SignInError(error.problem, "Ask your provider's administrator.") from error
        ordered = tuple(role for role in ROLES if role in roles)
        try:
            with self._store.writing() as repositories:
                user = repositories.users.by_subject(issuer, subject)
                refusal = _refusal_of(repositories, user, name, ordered)
                if refusal:
                    _fail(repositories, user, address, refusal)
                    if user is not None and not ordered:
                        _withdraw_roles(repositories, user, address)
                else:
                    user = _account_of(
                        repositories, user, issuer, subject, name, full_name, ordered, address
                    )
                    return self._open(repositories, user, address, "single sign-on")
        except StoreConflictError as error:
            raise SignInError(NAME_TAKEN, "Ask an administrator.") from error
        raise SignInError(refusal, "Ask an administrator.")

    def open_sessions(self) -> list[tuple[SessionRecord, UserRecord]]:
        """Sessions that go on; those of removed accounts or past their time are ended."""
        now = self._now()
        with self._store.reading() as repositories:
            users = {user.id: user for user in repositories.users.list_all()}
            found = repositories.sessions.list_open()
        over = [(session, reason) for session in found if (reason := _end_of(session, users, now))]
        for session, reason in over:
            self.end_session(session.id, reason)
        ended = {session.id for session, _ in over}
        return [(one, users[one.user_id]) for one in found if one.id not in ended]

    def note_failure(self, reason: str, address: str) -> None:
        """Put on record that somebody could not sign in, where no account was named."""
        with self._store.writing() as repositories:
            _fail(repositories, None, address, reason)

    def seen(self, session_id: int, at: datetime) -> None:
        """Note that a session's person did something."""
        with self._store.writing() as repositories:
            repositories.sessions.seen(session_id, at)

    def end_session(self, session_id: int, reason: str, address: str = "") -> None:
        """End a session, if it has not ended."""
        with self._store.writing() as repositories:
            session = repositories.sessions.get(session_id)
            if session is None or not repositories.sessions.end(session_id, reason):
                return
            user = repositories.users.get(session.user_id)
            assert user
            person = _person(user, address or session.address)
            action: AuditAction = "sign-out" if reason == SIGNED_OUT else "session ended"
            repositories.audit.append(person.did(action, f"session {session_id}", reason=reason))

    def _now(self) -> datetime:
        return self._store.now()

    def _refusal(
        self, repositories: Repositories, user: UserRecord | None, address: str, *, right: bool
    ) -> SignInError | None:
        """Why the account is not let in, put on record; None if it is."""
        if user is None or not user.active:
            _fail(repositories, user, address, REMOVED if user else "no such account")
            return _wrong()
        if (wait := seconds_locked(user, self._now())) > 0:
            _fail(repositories, user, address, "locked")
            return _locked(wait)
        return None if right else self._count_failure(repositories, user, address)

    def _count_failure(
        self, repositories: Repositories, user: UserRecord, address: str
    ) -> SignInError:
        failures = user.failed_attempts + 1
        _fail(repositories, user, address, "wrong password")
        if failures < MAX_ATTEMPTS:
            repositories.users.change(user.id, failed_attempts=failures)
            return _wrong()
        until = self._now() + timedelta(minutes=LOCK_MINUTES)
        repositories.users.change(user.id, failed_attempts=0, locked_until=until)
        repositories.audit.append(
            _person(user, address).did(
                "account locked",
                f"user {user.name}",
                after={"until": until.isoformat()},
                reason=f"{failures} wrong passwords in a row",
            )
        )
        return _locked(LOCK_MINUTES * 60.0)

    def _begin(
        self, repositories: Repositories, user: UserRecord, password: str, address: str
    ) -> SignedIn:
        changes: dict[str, object] = {"failed_attempts": 0, "locked_until": None}
        if user.password_hash and outdated(user.password_hash):
            changes["password_hash"] = hash_password(password)
            changes["password_changed_at"] = user.password_changed_at
        return self._open(repositories, repositories.users.change(user.id, **changes), address)

    def _open(
        self,
        repositories: Repositories,
        user: UserRecord,
        address: str,
        method: str = "password",
    ) -> SignedIn:
        token = secrets.token_urlsafe(32)
        new = NewSession(
            token_sha256=token_hash(token),
            user_id=user.id,
            address=address,
            method=method,  # type: ignore[arg-type]
        )
        session = repositories.sessions.open(new)
        person = _person(user, address)
        repositories.audit.append(
            person.did("sign-in", f"session {session.id}", after={"method": method})
        )
        return SignedIn(token, session, user)


def _person(user: UserRecord, address: str) -> Person:
    return Person(user.name, frozenset(user.roles), user.id, address=address)


def _fail(repositories: Repositories, user: UserRecord | None, address: str, reason: str) -> None:
    # A name without an account is not kept: people type passwords there.
    person = _person(user, address) if user else Person("", address=address)
    subject = f"user {user.name}" if user else "unknown user"
    repositories.audit.append(person.did("sign-in failed", subject, reason=reason))


def _wrong() -> SignInError:
    return SignInError("Name or password is wrong.")


def _locked(seconds: float) -> SignInError:
    minutes = max(1, round(seconds / 60))
    problem = "This account is locked after too many wrong passwords."
    step = f"Try again in {minutes} min, or ask an administrator to unlock it."
    return SignInError(problem, step, seconds)


def seconds_locked(user: UserRecord, now: datetime) -> float:
    """Seconds until a password is taken again; 0 or less if one is now."""
    return 0.0 if user.locked_until is None else (user.locked_until - now).total_seconds()


def _end_of(session: SessionRecord, users: dict[int, UserRecord], now: datetime) -> str:
    """Why a session is over; empty if it is not."""
    if not users[session.user_id].active:
        return REMOVED
    if now - session.opened_at >= timedelta(hours=SESSION_HOURS):
        return TOO_LONG
    # "Seen" is written to the minute.
    if now - session.seen_at >= timedelta(minutes=IDLE_MINUTES + 1):
        return IDLE
    return ""


def _refusal_of(
    repositories: Repositories, user: UserRecord | None, name: str, roles: tuple[Role, ...]
) -> str:
    if user is not None and not user.active:
        return "This account was removed."
    if not roles:
        return "Your provider names no role for you here."
    namesake = repositories.users.by_name(name)
    if user is None and namesake is not None:
        return NAME_TAKEN
    return ""


def _account_of(
    repositories: Repositories,
    user: UserRecord | None,
    issuer: str,
    subject: str,
    name: str,
    full_name: str,
    roles: tuple[Role, ...],
    address: str,
) -> UserRecord:
    """The person's account: made, or brought to what the provider says now."""
    if user is None:
        new = NewUser(
            name=name,
            full_name=full_name,
            roles=roles,
            issuer=issuer,
            subject=subject,
            created_by="single sign-on",
        )
        user = repositories.users.add(new)
        after = {"full_name": full_name, "roles": list(roles), "issuer": issuer}
        event = _person(user, address).did(
            "user created", f"user {user.name}", after=after, reason="first single sign-on"
        )
    elif (user.full_name, user.roles) != (full_name, roles):
        before = {"full_name": user.full_name, "roles": list(user.roles)}
        # Reads are stored under the name: it stays, whatever the provider calls them later.
        user = repositories.users.change(user.id, full_name=full_name, roles=roles)
        after = {"full_name": full_name, "roles": list(roles)}
        event = _person(user, address).did(
            "user changed",
            f"user {user.name}",
            before=before,
            after=after,
            reason="as the provider says",
        )
    else:
        return user
    repositories.audit.append(event)
    return user


def end_open_sessions(
    repositories: Repositories,
    person: Person,
    user: UserRecord,
    reason: str,
    but: int | None = None,
) -> int:
    """End an account's sessions, all but one perhaps, on record; tell how many."""
    ended = 0
    for session in repositories.sessions.list_open(user.id):
        if session.id != but and repositories.sessions.end(session.id, reason):
            ended += 1
            subject, after = f"session {session.id}", {"user": user.name}
            event = person.did("session ended", subject, after=after, reason=reason)
            repositories.audit.append(event)
    return ended


def _withdraw_roles(repositories: Repositories, user: UserRecord, address: str) -> None:
    """The provider names no role any more: what the account still may do and has open ends."""
    person = _person(user, address)
    end_open_sessions(repositories, person, user, NO_ROLE)
    if user.roles:
        repositories.users.change(user.id, roles=())
        repositories.audit.append(
            person.did(
                "user changed",
                f"user {user.name}",
                before={"roles": list(user.roles)},
                after={"roles": []},
                reason="as the provider says",
            )
        )
