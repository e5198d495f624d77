from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.services import passwords, signing_in
from app.services.access import Access
from app.services.accounts import AccountsService, NewAccount
from app.services.people import ROLES, ForbiddenError, Person, SignedOutError
from app.services.signing_in import (
    IDLE_MINUTES,
    LOCK_MINUTES,
    MAX_ATTEMPTS,
    SESSION_HOURS,
    SIGNED_OUT,
    SignInError,
)
from app.store.account_records import AuditEvent
from app.store.engine import create_store_engine
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError
from tests.databases import Databases

PASSWORD = "seventeen quiet herons"
OTHER = "under the brass lantern"


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2030, 5, 1, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def forward(self, **span: float) -> None:
        self.time += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(databases: Databases, tmp_path: Path, clock: Clock) -> UnitOfWork:
    return UnitOfWork(create_store_engine(databases.url(tmp_path)), now=clock)


@pytest.fixture
def accounts(store: UnitOfWork) -> AccountsService:
    return AccountsService(store, Access(store))


@pytest.fixture
def ana(accounts: AccountsService) -> Person:
    """The first account, signed in."""
    accounts.create_first("ana", "Ana Ruiz", PASSWORD, "192.0.2.1")
    return signed_in(accounts, "ana", PASSWORD)


def signed_in(accounts: AccountsService, name: str, password: str) -> Person:
    found = accounts.sign_in(name, password, "192.0.2.1")
    return Person(found.user.name, frozenset(found.user.roles), found.user.id, found.session.id)


def events(store: UnitOfWork, *actions: str) -> list[AuditEvent]:
    with store.reading() as repositories:
        return [e for e in repositories.audit.iter_all() if not actions or e.action in actions]


def bob(accounts: AccountsService, ana: Person, *roles: str) -> int:
    new = NewAccount("bob", "Bob Lee", roles or ("reader",), OTHER)  # type: ignore[arg-type]
    return accounts.create(ana, new).id


def test_the_first_account_has_every_role_and_there_is_one_first_only(
    accounts: AccountsService, store: UnitOfWork
) -> None:
    assert not accounts.has_accounts()
    user = accounts.create_first("  ana ", "", PASSWORD, "192.0.2.1")
    assert (user.name, user.full_name, user.roles) == ("ana", "ana", ROLES)
    assert accounts.has_accounts()
    with pytest.raises(RequestError, match="already"):
        accounts.create_first("eve", "Eve", PASSWORD, "192.0.2.2")
    (event,) = events(store)
    assert (event.action, event.actor, event.address) == ("user created", "ana", "192.0.2.1")
    assert "argon2" not in str(event) and PASSWORD not in str(event)


def test_of_two_first_accounts_at_once_one_is_made(accounts: AccountsService) -> None:
    results: list[str] = []

    def make(name: str) -> None:
        try:
            results.append(accounts.create_first(name, name, PASSWORD, "").name)
        except RequestError:
            results.append("")

    threads = [threading.Thread(target=make, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(bool, results)) == [False, False, True]


def test_signing_in_gives_a_token_that_is_kept_nowhere(
    accounts: AccountsService,
    store: UnitOfWork,
    ana: Person,
    databases: Databases,
    tmp_path: Path,
) -> None:
    found = accounts.sign_in("ANA", PASSWORD, "192.0.2.9")
    assert len(found.token) >= 43 and found.token not in repr(found)
    assert found.session.token_sha256 == signing_in.token_hash(found.token)
    assert (found.session.address, found.session.method) == ("192.0.2.9", "password")
    everything = databases.everything(tmp_path)
    assert found.token.encode() not in everything
    assert PASSWORD.encode() not in everything
    assert b"$argon2id$" in everything
    newest = events(store, "sign-in")[-1]
    assert (newest.actor, newest.address) == ("ana", "192.0.2.9")


def test_the_tenth_wrong_password_locks_the_account_for_a_while(
    accounts: AccountsService, store: UnitOfWork, ana: Person, clock: Clock
) -> None:
    for attempt in range(MAX_ATTEMPTS):
        with pytest.raises(SignInError) as refusal:
            accounts.sign_in("ana", "wrong wrong wrong", "192.0.2.66")
        assert ("locked" in str(refusal.value)) == (attempt == MAX_ATTEMPTS - 1)
    with pytest.raises(SignInError, match="locked") as refusal:
        accounts.sign_in("ana", PASSWORD, "192.0.2.66")
    assert refusal.value.wait == pytest.approx(LOCK_MINUTES * 60)
    clock.forward(minutes=LOCK_MINUTES, seconds=1)
    assert accounts.sign_in("ana", PASSWORD, "").user.failed_attempts == 0
    assert len(events(store, "sign-in failed")) == MAX_ATTEMPTS + 1
    (locked,) = events(store, "account locked")
    assert (locked.subject, locked.address) == ("user ana", "192.0.2.66")


def test_a_right_password_forgives_wrong_ones(accounts: AccountsService, ana: Person) -> None:
    for _ in range(3):
        for _ in range(MAX_ATTEMPTS - 1):
            with pytest.raises(SignInError):
                accounts.sign_in("ana", "wrong wrong wrong", "")
        accounts.sign_in("ana", PASSWORD, "")


def test_nothing_tells_an_unknown_name_from_a_wrong_password(
    accounts: AccountsService,
    store: UnitOfWork,
    ana: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[str] = []
    real = passwords._HASHER.verify

    class Hasher:
        def verify(self, kept: str, given: bytes) -> bool:
            compared.append(kept)
            return real(kept, given)

    monkeypatch.setattr(passwords, "_HASHER", Hasher())
    told = []
    for name in ("ana", "nobody at all", ""):
        with pytest.raises(SignInError) as refusal:
            accounts.sign_in(name, "wrong wrong wrong", "")
        told.append((str(refusal.value), refusal.value.wait))
    assert len(set(told)) == 1
    assert len(compared) == 3  # as slow for the unknown
    assert all("nobody" not in str(event) for event in events(store))


def test_a_removed_account_is_told_what_an_unknown_one_is(
    accounts: AccountsService, ana: Person
) -> None:
    number = bob(accounts, ana)
    accounts.remove(ana, number, "left")
    with pytest.raises(SignInError, match="Name or password is wrong"):
        accounts.sign_in("bob", OTHER, "")
    accounts.bring_back(ana, number, "is back")
    assert accounts.sign_in("bob", OTHER, "").user.id == number


def test_sessions_end_when_idle_when_old_and_when_told(
    accounts: AccountsService, store: UnitOfWork, ana: Person, clock: Clock
) -> None:
    first = accounts.sign_in("ana", PASSWORD, "").session.id
    clock.forward(minutes=IDLE_MINUTES - 1)
    accounts.seen(first, clock())
    clock.forward(minutes=3)
    assert [session.id for session, _ in accounts.open_sessions()] == [first]
    accounts.end_session(first, SIGNED_OUT)
    accounts.end_session(first, SIGNED_OUT)
    assert accounts.open_sessions() == []
    assert len(events(store, "sign-out")) == 1
    old = accounts.sign_in("ana", PASSWORD, "").session.id
    for _ in range(SESSION_HOURS * 6):
        accounts.seen(old, clock())
        assert len(accounts.open_sessions()) == 1
        clock.forward(minutes=10)
    accounts.seen(old, clock())
    assert accounts.open_sessions() == []
    assert [e.reason for e in events(store, "session ended")] == ["idle", "open for too long"]


def test_removal_ends_sessions_at_once(accounts: AccountsService, ana: Person) -> None:
    number = bob(accounts, ana, "administrator")
    person = signed_in(accounts, "bob", OTHER)
    accounts.change_password(person, OTHER, "nine copper kettles sing")
    accounts.list_users(person)
    accounts.remove(ana, number, "left")
    with pytest.raises(SignedOutError):
        accounts.list_users(person)
    assert {user.name for _, user in accounts.open_sessions()} == {"ana"}


def test_the_last_administrator_stays(accounts: AccountsService, ana: Person) -> None:
    assert ana.user_id
    number = bob(accounts, ana, "administrator")
    accounts.remove(ana, number, "left")
    for act in (
        lambda: accounts.remove(ana, ana.user_id, "x"),  # type: ignore[arg-type]
        lambda: accounts.change_roles(ana, ana.user_id, ["reader"], "x"),  # type: ignore[arg-type]
    ):
        with pytest.raises(RequestError, match="last administrator"):
            act()
    accounts.bring_back(ana, number, "back")
    assert accounts.change_roles(ana, ana.user_id, ["reader"], "x").roles == ("reader",)
    with pytest.raises(ForbiddenError):
        accounts.list_users(ana)


def test_changes_are_on_record_with_before_after_and_reason(
    accounts: AccountsService, store: UnitOfWork, ana: Person
) -> None:
    number = bob(accounts, ana)
    accounts.change_roles(ana, number, ["lead", "reader"], "heads the group")
    (changed,) = events(store, "user changed")
    assert (changed.actor, changed.subject) == ("ana", "user bob")
    assert changed.reason == "heads the group"
    assert changed.before and changed.before["roles"] == ["reader"]
    assert changed.after and changed.after["roles"] == ["reader", "lead"]
    with pytest.raises(RequestError, match="reason"):
        accounts.change_roles(ana, number, ["reader"], "  ")
    assert len(events(store, "user changed")) == 1


@pytest.mark.parametrize("roles", [(), ("emperor",), ("reader", "emperor")])
def test_roles_that_are_none_are_refused(
    accounts: AccountsService, ana: Person, roles: tuple[str, ...]
) -> None:
    with pytest.raises(RequestError, match="role"):
        accounts.create(ana, NewAccount("bob", "", roles, OTHER))  # type: ignore[arg-type]
    assert len(accounts.list_users(ana)) == 1


def test_a_name_that_differs_in_case_or_width_alone_is_taken(
    accounts: AccountsService, ana: Person
) -> None:
    for name in ("ana", "ANA", "Ａna"):
        with pytest.raises(RequestError, match="already"):
            accounts.create(ana, NewAccount(name, "", ("reader",), OTHER))


def test_a_password_from_an_administrator_must_be_changed_by_its_owner(
    accounts: AccountsService, store: UnitOfWork, ana: Person
) -> None:
    bob(accounts, ana)
    person = signed_in(accounts, "bob", OTHER)
    elsewhere = signed_in(accounts, "bob", OTHER)
    assert accounts.own(person)[0].must_change_password
    with pytest.raises(RequestError, match="wrong"):
        accounts.change_password(person, "not the old one", "nine copper kettles sing")
    with pytest.raises(RequestError, match="old one"):
        accounts.change_password(person, OTHER, OTHER)
    accounts.change_password(person, OTHER, "nine copper kettles sing")
    assert not accounts.own(person)[0].must_change_password
    with pytest.raises(SignedOutError):
        accounts.own(elsewhere)
    with pytest.raises(SignInError):
        accounts.sign_in("bob", OTHER, "")
    accounts.sign_in("bob", "nine copper kettles sing", "")
    assert "kettles" not in str(events(store))


def test_a_reset_ends_sessions_and_unlocks(accounts: AccountsService, ana: Person) -> None:
    number = bob(accounts, ana)
    person = signed_in(accounts, "bob", OTHER)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(SignInError):
            accounts.sign_in("bob", "wrong wrong wrong", "")
    assert [state.locked for state in accounts.list_users(ana)] == [False, True]
    accounts.reset_password(ana, number, "nine copper kettles sing")
    with pytest.raises(SignedOutError):
        accounts.own(person)
    assert accounts.sign_in("bob", "nine copper kettles sing", "").user.must_change_password


def test_unlocking(accounts: AccountsService, ana: Person) -> None:
    number = bob(accounts, ana)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(SignInError):
            accounts.sign_in("bob", "wrong wrong wrong", "")
    accounts.unlock(ana, number)
    accounts.sign_in("bob", OTHER, "")


def test_guessing_the_present_password_in_an_open_session_locks_the_account(
    accounts: AccountsService, ana: Person
) -> None:
    bob(accounts, ana)
    person = signed_in(accounts, "bob", OTHER)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(RequestError, match="wrong"):
            accounts.change_password(person, "not the old one", "nine copper kettles sing")
    with pytest.raises(SignedOutError):
        accounts.own(person)
    with pytest.raises(SignInError, match="locked"):
        accounts.sign_in("bob", OTHER, "")


def test_a_password_reset_while_the_old_one_is_verified_wins(
    accounts: AccountsService, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = bob(accounts, ana)
    person = signed_in(accounts, "bob", OTHER)

    def reset_meanwhile(given: str, kept: str | None) -> bool:
        right = passwords.verify_password(given, kept)
        monkeypatch.undo()
        accounts.reset_password(ana, number, "nine copper kettles sing")
        return right

    monkeypatch.setattr(signing_in, "verify_password", reset_meanwhile)
    with pytest.raises(SignInError, match="wrong"):
        accounts.sign_in("bob", OTHER, "")
    assert accounts.sign_in("bob", "nine copper kettles sing", "").user.must_change_password
    accounts.reset_password(ana, number, OTHER)
    person = signed_in(accounts, "bob", OTHER)
    monkeypatch.setattr("app.services.accounts.verify_password", reset_meanwhile)
    with pytest.raises(SignedOutError):
        accounts.change_password(person, OTHER, "a password of the intruder's own")
    accounts.sign_in("bob", "nine copper kettles sing", "")


def test_when_somebody_was_last_seen(accounts: AccountsService, ana: Person, clock: Clock) -> None:
    bob(accounts, ana)
    assert [state.last_seen for state in accounts.list_users(ana)] == [clock(), None]


def test_other_sessions_can_be_ended(accounts: AccountsService, ana: Person) -> None:
    signed_in(accounts, "ana", PASSWORD)
    assert accounts.end_other_sessions(ana) == 1
    user, sessions = accounts.own(ana)
    assert user.name == "ana" and [s.id for s in sessions] == [ana.session_id]


class TestSingleSignOn:
    ISSUER = "https://id.example.org"

    def enter(
        self, accounts: AccountsService, *roles: str, subject: str = "s1", name: str = "zoe"
    ) -> signing_in.SignedIn:
        return accounts.sign_in_subject(
            self.ISSUER,
            subject,
            name,
            "Zoe Q",
            frozenset(roles),
            "192.0.2.4",  # type: ignore[arg-type]
        )

    def test_the_account_is_made_at_first_and_follows_the_provider(
        self, accounts: AccountsService, store: UnitOfWork
    ) -> None:
        first = self.enter(accounts, "reader")
        assert (first.user.name, first.user.roles) == ("zoe", ("reader",))
        assert first.session.method == "single sign-on"
        again = self.enter(accounts, "lead", name="zoe renamed")
        assert (again.user.id, again.user.name) == (first.user.id, "zoe")
        assert again.user.roles == ("lead",)
        assert [e.action for e in events(store)] == [
            "user created",
            "sign-in",
            "user changed",
            "sign-in",
        ]

    def test_nobody_without_a_role_gets_in_and_no_account_is_made(
        self, accounts: AccountsService, store: UnitOfWork
    ) -> None:
        with pytest.raises(SignInError, match="no role"):
            self.enter(accounts)
        assert not accounts.has_accounts()
        assert [e.action for e in events(store)] == ["sign-in failed"]

    def test_a_name_of_another_account_is_not_taken_over(
        self, accounts: AccountsService, ana: Person
    ) -> None:
        with pytest.raises(SignInError, match="already"):
            self.enter(accounts, "administrator", name="ANA")

    def test_a_removed_person_stays_out(self, accounts: AccountsService, ana: Person) -> None:
        accounts.remove(ana, self.enter(accounts, "reader").user.id, "left")
        with pytest.raises(SignInError, match="removed"):
            self.enter(accounts, "reader")

    def test_roles_withdrawn_at_the_provider_end_what_is_open(
        self, accounts: AccountsService, ana: Person
    ) -> None:
        found = self.enter(accounts, "reader")
        person = Person("zoe", frozenset(), found.user.id, found.session.id)
        with pytest.raises(SignInError, match="no role"):
            self.enter(accounts)
        with pytest.raises(SignedOutError):
            accounts.own(person)
        roles = {state.user.name: state.user.roles for state in accounts.list_users(ana)}
        assert roles["zoe"] == ()

    def test_there_is_no_password_to_sign_in_with_or_to_change(
        self, accounts: AccountsService, ana: Person
    ) -> None:
        found = self.enter(accounts, "reader")
        with pytest.raises(SignInError):
            accounts.sign_in("zoe", "", "")
        with pytest.raises(RequestError, match="provider"):
            accounts.reset_password(ana, found.user.id, OTHER)
        with pytest.raises(RequestError, match="provider"):
            accounts.change_roles(ana, found.user.id, ["lead"], "x")
        person = Person("zoe", frozenset(), found.user.id, found.session.id)
        with pytest.raises(RequestError, match="provider"):
            accounts.change_password(person, "", OTHER)
