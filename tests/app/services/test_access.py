from __future__ import annotations

from pathlib import Path

import pytest

from app.services.access import Access
from app.services.people import (
    PERMISSIONS,
    ROLES,
    Action,
    ForbiddenError,
    Person,
    SignedOutError,
    permitted,
)
from app.store.account_records import NewSession, NewUser, Role, UserRecord
from app.store.engine import create_store_engine
from app.store.unit_of_work import UnitOfWork
from tests.databases import Databases


@pytest.fixture
def store(databases: Databases, tmp_path: Path) -> UnitOfWork:
    return UnitOfWork(create_store_engine(databases.url(tmp_path)))


def account(store: UnitOfWork, *roles: Role) -> UserRecord:
    with store.writing() as repositories:
        return repositories.users.add(
            NewUser(name="ana", full_name="Ana Ruiz", roles=roles, created_by="test")
        )


def of(user: UserRecord, *claimed: Role) -> Person:
    return Person(user.name, frozenset(claimed), user.id, address="192.0.2.7")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", list(Action))
def test_a_role_may_what_the_table_says_and_nothing_else(
    store: UnitOfWork, role: Role, action: Action
) -> None:
    person = of(account(store, role))
    access = Access(store)
    if action in PERMISSIONS[role]:
        access.require(person, action)
        assert access.may(person, action)
        with store.reading() as repositories:
            assert repositories.audit.count() == 0
        return
    assert not access.may(person, action)
    with pytest.raises(ForbiddenError, match="You may not"):
        access.require(person, action)
    with store.reading() as repositories:
        (event,) = repositories.audit.find()
    assert (event.actor, event.action, event.subject) == ("ana", "denied", action.value)
    assert (event.actor_id, event.address) == (person.user_id, "192.0.2.7")


def test_what_counts_are_the_roles_of_now_not_those_of_sign_in(store: UnitOfWork) -> None:
    user = account(store, "reader")
    person = of(user, "lead", "administrator")
    access = Access(store)
    with pytest.raises(ForbiddenError):
        access.require(person, Action.SET_OPERATING_POINT)
    with store.writing() as repositories:
        repositories.users.change(user.id, roles=("lead",))
    access.require(person, Action.SET_OPERATING_POINT)


def test_a_removed_account_may_nothing_at_once(store: UnitOfWork) -> None:
    user = account(store, *ROLES)
    access = Access(store)
    access.require(of(user), Action.READ)
    with store.writing() as repositories:
        repositories.users.change(user.id, active=False)
    for action in Action:
        with pytest.raises(SignedOutError):
            access.require(of(user), action)


def test_an_ended_session_may_nothing(store: UnitOfWork) -> None:
    user = account(store, *ROLES)
    new = NewSession(token_sha256="0" * 64, user_id=user.id, address="", method="password")
    with store.writing() as repositories:
        opened = repositories.sessions.open(new)
    person = Person(user.name, frozenset(), user.id, opened.id)
    Access(store).require(person, Action.READ)
    with store.writing() as repositories:
        assert repositories.sessions.end(opened.id, "signed out")
        assert not repositories.sessions.end(opened.id, "again")
    with pytest.raises(SignedOutError):
        Access(store).require(person, Action.READ)
    with store.reading() as repositories:
        (event,) = repositories.audit.find()
    assert (event.action, event.subject, event.reason) == ("denied", "store reads", "signed out")


def test_an_account_that_never_was_and_a_session_that_never_was_may_nothing(
    store: UnitOfWork,
) -> None:
    user = account(store, *ROLES)
    for stranger in (Person("x", frozenset(ROLES), 999), Person("ana", frozenset(), user.id, 999)):
        with pytest.raises(SignedOutError):
            Access(store).require(stranger, Action.VIEW_CASES)


def test_no_role_and_an_unknown_role_may_nothing(store: UnitOfWork) -> None:
    assert permitted(()) == frozenset()
    assert permitted(("emperor",)) == frozenset()  # type: ignore[arg-type]
    for action in Action:
        with pytest.raises(ForbiddenError):
            Access(store).require(Person("nobody"), action)


def test_who_must_change_a_password_may_nothing_before(store: UnitOfWork) -> None:
    user = account(store, *ROLES)
    with store.writing() as repositories:
        repositories.users.change(user.id, must_change_password=True)
    for action in Action:
        with pytest.raises(ForbiddenError, match="set by someone else"):
            Access(store).require(of(user), action)
    with store.writing() as repositories:
        repositories.users.change(user.id, must_change_password=False)
    Access(store).require(of(user), Action.READ)
