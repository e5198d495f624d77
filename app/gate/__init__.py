"""The access gate, and what the page behind it may ask of it in the same process."""

from __future__ import annotations

from collections.abc import Mapping

from app.addresses import is_loopback
from app.gate.asgi import AccessGate
from app.gate.own_routes import COOKIE
from app.secret_settings import ConfigurationError
from app.services.people import Person

__all__ = ["COOKIE", "AccessGate"]

DEMONSTRATION = Person.named("Demonstration", "reader", "arbiter", "lead", "auditor")
"""Who acts in the demonstration: everybody."""

_serving: AccessGate | None = None


def mark_serving(gate: AccessGate) -> None:
    """Remember the gate that this process serves behind."""
    global _serving  # noqa: PLW0603 (a fact of the process)
    _serving = gate


def ensure_guarded(server_address: str | None) -> None:
    """Refuse to run where Streamlit was started past the gate.

    Args:
        server_address: Streamlit's own ``server.address``; None means every address.

    Raises:
        ConfigurationError: There is no gate, so nobody could sign in; or the demonstration is
            reachable from elsewhere.
    """
    if _serving is None:
        problem = "The app was started without its access gate."
        raise ConfigurationError(problem, "Start it with `make run` or `python -m app.serve`.")
    if is_demonstration() and not is_loopback(server_address or ""):
        problem = "The demonstration has no accounts and may be shown on this machine only."
        raise ConfigurationError(problem, "Serve it on 127.0.0.1, as `make demo` does.")


def is_demonstration() -> bool:
    """Whether this process shows the demonstration, which knows no accounts."""
    return _serving is not None and _serving.sessions is None


def must_change_password(cookies: Mapping[str, str]) -> bool:
    """Whether the person's password was set by someone else."""
    sessions = _serving.sessions if _serving else None
    session = sessions.find(cookies.get(COOKIE, "")) if sessions else None
    return session is not None and session.user.must_change_password


def who_acts(cookies: Mapping[str, str]) -> Person | None:
    """The person whose session a browser's cookies name; None if they are signed out.

    Args:
        cookies: As the WebSocket of the page brought them.
    """
    if _serving is None:
        return None
    if _serving.sessions is None:
        return DEMONSTRATION
    session = _serving.sessions.find(cookies.get(COOKIE, ""))
    if session is None:
        return None
    user = session.user
    return Person(
        name=user.name,
        roles=frozenset(user.roles),
        user_id=user.id,
        session_id=session.record.id,
        address=session.address,
        full_name=user.full_name,
    )


def refresh() -> None:
    """Take over at once what was just changed about sessions and accounts in this process."""
    if _serving is not None and _serving.sessions is not None:
        _serving.sessions.refresh()
