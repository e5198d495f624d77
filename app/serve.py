"""`python -m app.serve`: Streamlit behind the gate, on loopback unless a password is set."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st
import uvicorn
from streamlit import config

from app import gate
from app.settings import REPOSITORY, ConfigurationError, Settings, load_settings
from ddad_core.errors import DdadError

MAIN = REPOSITORY / "app" / "main.py"
FORM_OVERHEAD_BYTES = 2**20


def check_address(settings: Settings) -> None:
    """Refuse an address that others can reach unless a password is set.

    Raises:
        ConfigurationError: The address is not loopback and there is no password.
    """
    if not settings.access_password and not gate.is_loopback(settings.host):
        problem = f"{settings.host or 'Every address'} can be reached from other machines."
        raise ConfigurationError(
            problem, "Set DDAD_ACCESS_PASSWORD, or serve on 127.0.0.1 (the default)."
        )


def build_app(settings: Settings, script: Path = MAIN) -> gate.AccessGate:
    """Put the gate in front of Streamlit."""
    # Streamlit looks for .streamlit/config.toml in the working directory.
    os.chdir(REPOSITORY)
    config.set_option("server.maxUploadSize", settings.max_upload_mb)
    config.set_option("server.address", settings.host)
    config.set_option("server.port", settings.port)
    gate.mark_active()
    policy = gate.GatePolicy(
        password=settings.access_password,
        # With a password, a proxy on this machine may pass on requests for its own name.
        loopback_only=gate.is_loopback(settings.host) and not settings.access_password,
        max_body_bytes=settings.max_upload_mb * 2**20 + FORM_OVERHEAD_BYTES,
    )
    return gate.AccessGate(st.App(script), policy)


class _Server(uvicorn.Server):
    """Says where the app is once it is really there."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host = self.config.host
            shown = f"[{host}]" if ":" in host else host
            sys.stdout.write(f"DDAD Review is at http://{shown}:{self.config.port}\n")
            sys.stdout.flush()


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Serve until interrupted; return the exit status.

    0 after an orderly end; 1 if the port is taken; 2 if the settings forbid serving.
    """
    parser = argparse.ArgumentParser(prog="python -m app.serve", description=__doc__)
    parser.add_argument("--host", help="address (default: DDAD_HOST, else 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port (default: PORT, else 8501)")
    arguments = parser.parse_args(argv)
    try:
        settings = load_settings(os.environ if environ is None else environ)
        host = settings.host if arguments.host is None else arguments.host
        settings = replace(settings, host=host, port=arguments.port or settings.port)
        check_address(settings)
        sockets = [_listen(settings)]
    except DdadError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(
            f"Port {settings.port} on {settings.host} cannot be used: {error.strerror}. "
            "Choose another with PORT=8502 make run.\n"
        )
        return 1
    server = _Server(
        uvicorn.Config(
            build_app(settings),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            timeout_graceful_shutdown=3,
            ws_max_size=64 * 2**20,
            server_header=False,
            proxy_headers=False,
        )
    )
    server.run(sockets)
    return 0


def _listen(settings: Settings) -> socket.socket:
    """Bind now, so that a taken port is told in one sentence."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening


if __name__ == "__main__":
    sys.exit(main())
