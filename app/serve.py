"""`python -m app.serve`: Streamlit behind the gate, on loopback unless a password is set."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st
import uvicorn
from streamlit import config

from app import gate
from app.settings import REPOSITORY, ConfigurationError, Settings, load_settings
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


def check_addresses(host: str, addresses: Sequence[Address], password: str) -> None:
    """Refuse addresses that others can reach unless a password is set.

    Args:
        host: As the user gave it, to be named in the error.
        addresses: What it stands for: what is checked is what is then bound.
        password: Empty for none.

    Raises:
        ConfigurationError: An address is not loopback and there is no password.
    """
    if password or all(gate.is_loopback(address[0]) for _, address in addresses):
        return
    problem = f"{host or 'Every address'} can be reached from other machines."
    raise ConfigurationError(
        problem, "Set DDAD_ACCESS_PASSWORD, or serve on 127.0.0.1 (the default)."
    )


def listen(addresses: Sequence[Address]) -> list[socket.socket]:
    """Listen on all addresses, before anything slow starts.

    Raises:
        OSError: One cannot be listened on. A machine without IPv6 may lack the IPv6 ones.
    """
    listening: list[socket.socket] = []
    try:
        for family, address in addresses:
            one = socket.socket(family, socket.SOCK_STREAM)
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


def build_app(settings: Settings, script: Path = MAIN) -> gate.AccessGate:
    """Put the gate in front of Streamlit."""
    # Streamlit looks for .streamlit/config.toml in the working directory and beside the script.
    os.chdir(REPOSITORY)
    config.set_option("server.maxUploadSize", settings.max_upload_mb)
    config.set_option("server.address", settings.host)
    config.set_option("server.port", settings.port)
    # The list in config.toml is for `streamlit run`; here the gate judges host names.
    config.set_option("server.allowedHosts", [])
    gate.mark_serving()
    return gate.AccessGate(
        st.App(script),
        password=settings.access_password,
        max_body_bytes=settings.max_upload_mb * 2**20 + FORM_OVERHEAD_BYTES,
    )


def announcement(host: str, port: int) -> str:
    """Where to find the app, as a sentence."""
    if host in EVERY_ADDRESS:
        return f"DDAD Review is at http://127.0.0.1:{port} and this machine's other addresses"
    return f"DDAD Review is at http://{f'[{host}]' if ':' in host else host}:{port}"


class _Server(uvicorn.Server):
    """Says where the app is once it is really there."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(announcement(self.config.host, self.config.port) + "\n")
            sys.stdout.flush()


def main(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    script: Path = MAIN,
) -> int:
    """Serve until interrupted; return the exit status.

    0 after an orderly end; 1 if the app cannot start; 2 if the settings forbid serving.
    """
    arguments = _arguments(argv)
    try:
        settings = load_settings(os.environ if environ is None else environ)
        settings = replace(
            settings,
            host=settings.host if arguments.host is None else arguments.host.strip(),
            port=arguments.port or settings.port,
        )
        addresses = resolve(settings.host, settings.port)
        check_addresses(settings.host, addresses, settings.access_password)
        sockets = listen(addresses)
    except DdadError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{_why_not_listening(error, settings)}\n")
        return 1
    return _serve(settings, script, sockets)


def _serve(settings: Settings, script: Path, sockets: list[socket.socket]) -> int:
    server = _Server(
        uvicorn.Config(
            build_app(settings, script),
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
