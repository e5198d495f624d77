"""Passwords: refused when weak, kept as argon2id."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from ddad_core.errors import RequestError

MIN_LENGTH = 12
MAX_LENGTH = 256
MIN_STRENGTH = 3
"""Of zxcvbn's 0 to 4: "safely unguessable"."""
_GUESSED_LENGTH = 72  # zxcvbn takes longer than a second for very long ones
_HASHER = PasswordHasher()  # argon2id with RFC 9106's second recommendation: 64 MiB, 3 passes
_NOBODYS = _HASHER.hash("what a name without an account is compared with")


def check_strength(password: str, known: Sequence[str] = ()) -> None:
    """Refuse a password that others could guess.

    Args:
        password: As typed.
        known: What others know of the person, such as names.

    Raises:
        RequestError: It is too short, too long, not printable or easily guessed.
    """
    if len(password) < MIN_LENGTH:
        problem = f"The password has fewer than {MIN_LENGTH} characters."
        raise RequestError(problem, "Choose a longer one; a few unrelated words do well.")
    if len(password) > MAX_LENGTH:
        problem = f"The password has more than {MAX_LENGTH} characters."
        raise RequestError(problem, "Choose a shorter one.")
    if not password.isprintable():
        problem = "The password holds characters that cannot be typed."
        raise RequestError(problem, "Choose one that can be typed into the sign-in page.")
    found = zxcvbn(password[:_GUESSED_LENGTH], user_inputs=_words(known))
    if found["score"] < MIN_STRENGTH:
        why = found["feedback"]["warning"] or "It is easily guessed."
        problem = f"The password is too weak. {why.rstrip('.')}."
        raise RequestError(problem, "Choose a longer one; a few unrelated words do well.")


def generated_password() -> str:
    """A password of 120 random bits, for someone else to change."""
    return secrets.token_urlsafe(15)


def hash_password(password: str) -> str:
    """The password as argon2id in PHC form; takes about a tenth of a second, on purpose."""
    return _HASHER.hash(_encoded(password))


def verify_password(password: str, kept: str | None) -> bool:
    """Whether the password is the one that was kept; as slow where none was.

    Args:
        password: As typed.
        kept: In PHC form; None where there is no account, or none with a password.
    """
    try:
        _HASHER.verify(kept or _NOBODYS, _encoded(password))
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def outdated(kept: str) -> bool:
    """Whether a hash was made with weaker parameters than today's."""
    return _HASHER.check_needs_rehash(kept)


def _encoded(password: str) -> bytes:
    return password[: MAX_LENGTH + 1].encode("utf-8", "surrogatepass")


def _words(known: Sequence[str]) -> list[str]:
    return [word for text in known for word in (text, *text.split()) if word]
