"""Secrets among the settings: from the environment or from a private file, never a weak one."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ddad_core.errors import DdadError

MIN_SECRET_LENGTH = 12
MIN_DIFFERENT = 6
MAX_SECRET_BYTES = 4096
PLACEHOLDERS = (
    "changeme",
    "change-me",
    "change_me",
    "secret",
    "password",
    "example",
    "placeholder",
)
READABLE_BY_OTHERS = stat.S_IRWXO


class ConfigurationError(DdadError):
    """A setting cannot be used as given."""


def read_secret(name: str, environ: Mapping[str, str]) -> str:
    """The value of a secret setting: of ``NAME``, or of the file that ``NAME_FILE`` names.

    The file may be readable by its owner and its group, as secrets mounted into containers are,
    and by nobody else.

    Raises:
        ConfigurationError: Both are given, or the file cannot be read, is empty or is open to all.
    """
    value, file = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "").strip()
    if not file:
        return value
    if value:
        problem = f"Both {name} and {name}_FILE are set."
        raise ConfigurationError(problem, "Keep one of them.")
    path = Path(file)
    try:
        with path.open("rb") as opened:
            mode = path.stat().st_mode
            content = opened.read(MAX_SECRET_BYTES + 1)
        text = content.decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"The file that {name}_FILE names cannot be read: {_why(error)}."
        raise ConfigurationError(problem, "Name a text file that this account can read.") from error
    if mode & READABLE_BY_OTHERS:
        problem = f"The file that {name}_FILE names is open to every account of this machine."
        raise ConfigurationError(problem, f"Close it: chmod o-rwx {path}")
    if not text or len(content) > MAX_SECRET_BYTES:
        problem = f"The file that {name}_FILE names is empty or too long for a secret."
        raise ConfigurationError(problem, "Put the secret into it, on one line.")
    return text


def refuse_weak(name: str, value: str) -> None:
    """Refuse a secret that can be guessed.

    Raises:
        ConfigurationError: It is too short, repeats itself, or is the placeholder of an example.
    """
    plain = value.lower()
    guessed = any("".join(filter(str.isalpha, plain)) == word for word in PLACEHOLDERS)
    if len(value) < MIN_SECRET_LENGTH or len(set(value)) < MIN_DIFFERENT or guessed:
        # The value is never repeated.
        problem = f"{name} is too easily guessed."
        raise ConfigurationError(
            problem,
            f"Use {MIN_SECRET_LENGTH} random characters or more, as from: openssl rand -hex 24",
        )


def check_password_in(url: str) -> None:
    """Refuse a weak password in a database's URL; none at all is the server's own business.

    Raises:
        ConfigurationError: The password can be guessed.
    """
    try:
        password = urlsplit(url).password
    except ValueError:
        return  # SQLAlchemy says what is wrong with it
    if password:
        refuse_weak("The password in DDAD_DATABASE_URL", unquote(password))


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is not text"
