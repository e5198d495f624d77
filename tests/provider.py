"""A real OpenID Connect provider on loopback, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

CLIENT_SECRET = "9b1f60e2c47d8a35"
ROLES = "cxr-readers=reader,cxr-leads=lead,cxr-admins=administrator"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Provider:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def know(self, subject: str, **claims: Any) -> None:
        """Make a person known, or change what is known of them."""
        request = Request(
            f"{self.url}/users/{subject}",
            json.dumps(claims).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        with urlopen(request, timeout=10) as answer:
            assert answer.status in (200, 201, 204)

    def settings(self, app_url: str) -> dict[str, str]:
        """The app's settings for it."""
        return {
            "DDAD_OIDC_METADATA_URL": f"{self.url}/.well-known/openid-configuration",
            "DDAD_OIDC_CLIENT_ID": "ddad",
            "DDAD_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "DDAD_OIDC_REDIRECT_URI": f"{app_url}/oauth2callback",
            "DDAD_OIDC_ROLES": ROLES,
            "DDAD_OIDC_NAME": "the hospital's sign-in",
        }


@contextlib.contextmanager
def provider(environ: Mapping[str, str] | None = None) -> Iterator[Provider]:
    """Run one until the end of the block."""
    found = Provider(free_port())
    command = [
        str(Path(sys.executable).with_name("oidc-provider-mock")),
        "--port",
        str(found.port),
    ]
    process = subprocess.Popen(
        command,
        env=dict(os.environ if environ is None else environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 30
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", found.port), timeout=1),
            ):
                break
            if time.monotonic() > end or process.poll() is not None:
                message = "the provider did not start"
                raise TimeoutError(message)
            time.sleep(0.05)
        yield found
    finally:
        process.terminate()
        process.wait(10)
