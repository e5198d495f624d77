from __future__ import annotations

import pytest

from app.services.passwords import (
    MAX_LENGTH,
    check_strength,
    hash_password,
    outdated,
    verify_password,
)
from ddad_core.errors import RequestError


@pytest.mark.parametrize(
    "password",
    ["", "short", "password1234", "123456789012", "aaaaaaaaaaaaaaaa", "qwertyuiop12",
     "Ana Ruiz Ana", "x" * (MAX_LENGTH + 1), "tab\tin the middle of it", "password" * 40],
)  # fmt: skip
def test_a_password_that_is_guessed_or_cannot_be_typed_is_refused(password: str) -> None:
    with pytest.raises(RequestError) as refusal:
        check_strength(password, ("ana", "Ana Ruiz"))
    assert refusal.value.next_step
    assert password == "" or password not in str(refusal.value)


@pytest.mark.parametrize(
    "password", ["seventeen quiet herons", "żółta łódka płynie", "k9#vQ2!mZ8@w"]
)
def test_a_good_password_is_taken(password: str) -> None:
    check_strength(password, ("ana", "Ana Ruiz"))


def test_a_hash_is_argon2id_salted_and_verifies_its_password_alone() -> None:
    first, second = hash_password("seventeen quiet herons"), hash_password("seventeen quiet herons")
    assert first != second and first.startswith("$argon2id$")
    assert verify_password("seventeen quiet herons", first)
    assert not verify_password("seventeen quiet heron", first)
    assert not verify_password("", first)
    assert not verify_password("seventeen quiet herons", "not a hash")
    assert not outdated(first)


def test_weaker_parameters_are_outdated() -> None:
    weak = "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43
    assert outdated(weak)


def test_nobody_has_the_password_of_no_account() -> None:
    assert not verify_password("what a name without an account is compared with", None)


def test_two_long_passwords_that_differ_at_the_end_differ() -> None:
    common = "x" * (MAX_LENGTH - 1)
    assert not verify_password(common + "a", hash_password(common + "b"))
    assert not verify_password("x" * (MAX_LENGTH + 5), hash_password("x" * MAX_LENGTH))
