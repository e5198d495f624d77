"""Single sign-on: Streamlit talks to the provider, the gate decides who that is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope

from app.services.people import NAME_LIMIT
from app.sign_on_settings import CALLBACK, SignOnSettings
from app.store.account_records import Role

LOGIN = "/auth/login"
AUTH_PATHS = (LOGIN, CALLBACK)
CLOSED_PATHS = ("/auth/logout", *AUTH_PATHS)
"""Streamlit's own; signed in or not, nobody gets there but on the way through the provider."""
USER_COOKIES = "_streamlit_user"
"""How the names of Streamlit's cookies of a person start; none of them is let in or out."""


@dataclass(frozen=True)
class Identity:
    """Whom the provider says has signed in.

    Attributes:
        issuer: The provider.
        subject: Its own name for the person, which never changes.
        name: What the account is to be called.
        full_name: How people call them.
        roles: From the groups that the provider lists; others give none.
    """

    issuer: str
    subject: str
    name: str
    full_name: str
    roles: frozenset[Role]


@dataclass(frozen=True)
class Answer:
    """What Streamlit answered, kept from the browser."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]

    def cookies(self) -> tuple[dict[str, str], list[bytes]]:
        """The cookies of a person by name, and the others as they were set."""
        persons: dict[str, str] = {}
        others = []
        for name, value in self.headers:
            if name.lower() != b"set-cookie":
                continue
            found = _parsed(value)
            for key in found:
                if key.startswith(USER_COOKIES):
                    persons[key] = found[key].value
            if not any(key.startswith(USER_COOKIES) for key in found):
                others.append(value)
        return persons, others


class SingleSignOn:
    """What the gate needs of single sign-on.

    Args:
        settings: Checked.
        login_url: Makes the address, on this server, that leads to the provider.
        read_user: Checks the signature of the cookies that Streamlit has set, and reads them;
            None if they are not genuine.
    """

    def __init__(
        self,
        settings: SignOnSettings,
        login_url: Callable[[], str],
        read_user: Callable[[Mapping[str, str]], Mapping[str, Any] | None],
    ) -> None:
        self.name = settings.name
        self.login_url = login_url
        self._settings = settings
        self._read_user = read_user

    def identity(self, cookies: Mapping[str, str]) -> Identity | None:
        """Whom Streamlit's cookies stand for; None if they are forged, expired or say too little.

        Args:
            cookies: As set in Streamlit's answer to the provider's callback, by name.
        """
        user = self._read_user(cookies)
        if user is None or not user.get("iss") or not user.get("sub"):
            return None
        subject = str(user["sub"])
        name = next((str(user[k]) for k in ("preferred_username", "email") if user.get(k)), subject)
        groups = _listed(_claim(user, self._settings.roles_claim))
        return Identity(
            issuer=str(user["iss"]),
            subject=subject,
            name=_printable(name) or _printable(subject),
            full_name=_printable(str(user.get("name") or name)) or _printable(subject),
            roles=frozenset(r for group, r in self._settings.roles.items() if group in groups),
        )


def without_user_cookies(scope: Scope) -> Scope:
    """The same request without Streamlit's own cookies of a person."""
    if not any(n == b"cookie" and USER_COOKIES.encode() in v for n, v in scope["headers"]):
        return scope
    headers = []
    for name, value in scope["headers"]:
        kept = value
        if name == b"cookie":
            parts = [part.strip() for part in value.split(b";")]
            kept = b"; ".join(p for p in parts if not p.startswith(USER_COOKIES.encode()))
        headers.append((name, kept))
    return {**scope, "headers": headers}


async def kept_answer(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """Ask the app without showing its answer to anybody."""
    status, headers = 500, []

    async def keep(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message.get("headers", ()))

    await app(scope, receive, keep)
    return Answer(status, headers)


def _parsed(header: bytes) -> SimpleCookie:
    try:
        return SimpleCookie(header.decode("latin-1"))
    except CookieError:
        return SimpleCookie()


def _claim(user: Mapping[str, Any], path: Sequence[str]) -> Any:
    whole = user.get(".".join(path))  # a name may have dots of its own, as URLs do
    if whole is not None:
        return whole
    found: Any = user
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _listed(claim: Any) -> frozenset[str]:
    """A claim's groups: a list of them, or one text with commas or blanks between."""
    if isinstance(claim, str):
        return frozenset({claim, *claim.replace(",", " ").split()})
    if isinstance(claim, list | tuple):
        return frozenset(one for one in claim if isinstance(one, str))
    return frozenset()


def _printable(text: str) -> str:
    return " ".join("".join(c for c in text if c.isprintable()).split())[:NAME_LIMIT].strip()
