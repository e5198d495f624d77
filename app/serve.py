"""`python -m app.serve`: Streamlit behind the gate."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import streamlit as st
import uvicorn
from starlette.types import ASGIApp
from streamlit import config

from app.addresses import is_loopback
from app.gate import AccessGate, mark_serving
from app.gate.asgi import Rules
from app.gate.own_routes import OwnRoutes, setup_code
from app.gate.requests import HostRules
from app.gate.sessions import IDLE, Sessions
from app.gate.sign_on import SingleSignOn
from app.gate.streamlit_side import (
    content_policy,
    is_activity,
    login_url,
    page,
    read_user,
    sign_on_secrets,
)
from app.gateways.keyfile import load_or_create_key
from app.opening import open_store
from app.services.people import Person
from app.services.preferences import preferences_of
from app.services.settings_record import record_settings
from app.services.signing_in import SigningIn
from app.settings import (
    REPOSITORY,
    ConfigurationError,
    Settings,
    load_settings,
    refuse_replaced,
)
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import DdadError

MAIN = REPOSITORY / "app" / "main.py"
# What a form adds around the file it carries.
FORM_OVERHEAD_BYTES = 2**20
EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (names them, binds nothing)
IPV6_MISSING = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

Address = tuple[socket.AddressFamily, tuple[Any, ...]]


def resolve(host: str, port: int) -> list[Address]:
    """The socket addresses that a host stands for.

    Raises:
        ConfigurationError: No address is known for the host.
    """
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        problem = f"No address is known for {host!r}."
        raise ConfigurationError(
            problem, "Serve on 127.0.0.1 (the default), or name it."
        ) from error
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def check_demonstration(host: str, addresses: Sequence[Address]) -> None:
    """Refuse to show the demonstration to other machines.

    Args:
        host: As the user gave it, to be named in the error.
        addresses: What it stands for: what is checked is what is then bound.

    Raises:
        ConfigurationError: An address is not loopback.
    """
    if not _beyond_loopback(addresses):
        return
    who = host or "Every address"
    problem = f"{who} can be reached from other machines; the demonstration has no accounts."
    raise ConfigurationError(problem, "Serve it on 127.0.0.1 (the default), or unset DDAD_DEMO.")


def _beyond_loopback(addresses: Sequence[Address]) -> bool:
    return not all(is_loopback(address[0]) for _, address in addresses)


def listen(addresses: Sequence[Address]) -> list[socket.socket]:
    """Listen on all addresses, before anything slow starts.

    Raises:
        OSError: One cannot be listened on. A machine without IPv6 may lack the IPv6 ones.
    """
    listening: list[socket.socket] = []
    try:
        for family, address in addresses:
            # Named, or asyncio leaves Nagle's algorithm on: 40 ms more for many an answer.
            one = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listening.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6 and len(addresses) > 1:
                # Else [::] takes the IPv4 port as well, which then counts as in use.
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                one.bind(address)
            except OSError as error:
                if error.errno not in IPV6_MISSING or len(addresses) == 1:
                    raise
                listening.pop().close()
                continue
            one.listen(128)
    except OSError:
        for one in listening:
            one.close()
        raise
    return listening


def build_app(
    settings: Settings,
    addresses: Sequence[Address],
    script: Path = MAIN,
    idle: timedelta = IDLE,
) -> AccessGate:
    """Open the database, and put the gate in front of Streamlit.

    Args:
        settings: Checked.
        addresses: What is listened on.
        script: Streamlit's main script.
        idle: How long a session lasts when nothing is done; tests shorten it.

    Raises:
        StoreError: The database cannot be opened or upgraded.
        ConfigurationError: It is to be a demonstration, and the database has accounts.
    """
    # Streamlit looks for .streamlit/config.toml in the working directory and beside the script.
    os.chdir(REPOSITORY)
    config.set_option("server.maxUploadSize", settings.max_upload_mb)
    config.set_option("server.address", settings.host)
    config.set_option("server.port", settings.port)
    # The list in config.toml is for `streamlit run`; here the gate judges host names.
    config.set_option("server.allowedHosts", [])
    # Whose messages the page takes a theme from: its own only, for none may frame it.
    config.set_option("client.allowedOrigins", ["http://*:*", "https://*:*"])
    store = open_store(settings)
    secret = load_or_create_key(settings.home / "cookie.secret").hex()
    config.set_option("server.cookieSecret", secret)
    sign_on = settings.sign_on
    app = st.App(script, secrets=sign_on_secrets(sign_on, secret) if sign_on else None)
    accounts = SigningIn(store)
    if settings.demo:
        if accounts.has_accounts():
            problem = f"The database in {settings.home} has accounts, so it is no demonstration's."
            raise ConfigurationError(problem, "Give DDAD_DEMO_HOME a folder of its own.")
        gate = AccessGate(app, _rules(settings, addresses), sessions=None, own=None)
    else:
        record_settings(store, Person("app.serve"), settings.in_force)
        gate = _with_accounts(app, settings, addresses, Sessions(accounts, idle=idle), store)
    mark_serving(gate)
    return gate


def _with_accounts(
    app: ASGIApp,
    settings: Settings,
    addresses: Sequence[Address],
    sessions: Sessions,
    store: UnitOfWork,
) -> AccessGate:
    accounts = SigningIn(store)
    provider = SingleSignOn(settings.sign_on, login_url, read_user) if settings.sign_on else None
    code = setup_code()
    own = OwnRoutes(
        app,
        accounts,
        sessions,
        provider,
        code,
        # A proxy on this machine may not say for whom it asks.
        chosen_theme=lambda name: preferences_of(store, name).theme,
        always_code=_beyond_loopback(addresses)
        or bool(settings.allowed_hosts or settings.trusted_proxies),
    )
    rules = _rules(settings, addresses)
    gate = AccessGate(app, rules, sessions=sessions, own=own, sign_on=provider is not None)
    if not accounts.has_accounts():
        gate.hint = (
            "There is no account yet: the first page makes the first one. "
            f"From another machine it asks for the setup code {code}"
        )
    return gate


def _rules(settings: Settings, addresses: Sequence[Address]) -> Rules:
    open_to_others = _beyond_loopback(addresses) and not settings.allowed_hosts
    names = frozenset() if settings.demo else frozenset(settings.allowed_hosts)
    return Rules(
        hosts=HostRules(names, any_address=open_to_others and not settings.demo),
        proxies=settings.trusted_proxies,
        max_body_bytes=settings.max_upload_mb * 2**20 + FORM_OVERHEAD_BYTES,
        content_policy=content_policy(),
        is_activity=is_activity,
        page=page().encode(),
    )


def announcement(host: str, port: int) -> str:
    """Where to find the app, as a sentence."""
    if host in EVERY_ADDRESS:
        return f"DDAD Review is at http://127.0.0.1:{port} and this machine's other addresses"
    return f"DDAD Review is at http://{f'[{host}]' if ':' in host else host}:{port}"


class _Server(uvicorn.Server):
    """Says where the app is once it is really there.

    Attributes:
        hint: What else to say then; empty for nothing.
    """

    hint = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            for said in (announcement(self.config.host, self.config.port), self.hint):
                sys.stdout.write(f"{said}\n" if said else "")
            sys.stdout.flush()


def main(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    script: Path = MAIN,
    idle: timedelta = IDLE,
) -> int:
    """Serve until interrupted; return the exit status.

    0 after an orderly end; 1 if the app cannot start; 2 if the settings forbid serving.
    """
    arguments = _arguments(argv)
    try:
        environ = os.environ if environ is None else environ
        refuse_replaced(environ)
        settings = load_settings(environ)
        host = settings.host if arguments.host is None else arguments.host.strip()
        port = arguments.port or settings.port
        in_force = {**settings.in_force, "DDAD_HOST": host, "PORT": str(port)}
        settings = replace(settings, host=host, port=port, in_force=in_force)
        addresses = resolve(settings.host, settings.port)
        if settings.demo:
            check_demonstration(settings.host, addresses)
        sockets = listen(addresses)
    except DdadError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{_why_not_listening(error, settings)}\n")
        return 1
    try:
        app = build_app(settings, addresses, script, idle)
    except DdadError as error:
        for one in sockets:
            one.close()
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, ConfigurationError) else 1
    return _serve(settings, app, sockets)


def _serve(settings: Settings, app: AccessGate, sockets: list[socket.socket]) -> int:
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=3,
            ws_max_size=64 * 2**20,
            ws_per_message_deflate=False,  # pixels come compressed
            server_header=False,
            proxy_headers=False,
        )
    )
    server.hint = app.hint
    try:
        server.run(sockets)
    except KeyboardInterrupt:
        pass  # raised again by the server once it has shut down in order
    return 0 if server.started else 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app.serve", description=__doc__)
    parser.add_argument("--host", help="address (default: DDAD_HOST, else 127.0.0.1)")
    parser.add_argument("--port", type=_port, help="port (default: PORT, else 8501)")
    return parser.parse_args(argv)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535):
        problem = f"{text!r} is not a port; use a whole number from 1 to 65535"
        raise argparse.ArgumentTypeError(problem)
    return int(text)


def _why_not_listening(error: OSError, settings: Settings) -> str:
    where = f"Port {settings.port} on {settings.host or 'every address'}"
    step = f"Choose another, as in: python -m app.serve --port {settings.port % 65535 + 1}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is already in use. {step}"
    return f"{where} cannot be used: {error.strerror}. {step}"


if __name__ == "__main__":
    sys.exit(main())
