"""`python -m benchmarks.gate`: what signing in costs, and what the gate adds to a request."""

from __future__ import annotations

import http.client
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from benchmarks.figures import Figure, show, tail
from benchmarks.serving import (
    PASSWORD,
    REPOSITORY,
    Launched,
    add_user,
    environment,
    free_port,
    page_urls,
)

COMMAND = "python -m benchmarks.gate"
NAME = "Dr Bench"
SIGN_INS = 30
ROUNDS = 1000
SIGN_IN_TARGET_S = 0.5
ADDED_TARGET_MS = 2.0
BARE = """
import sys, uvicorn, streamlit as st
from streamlit import config
from app.serve import MAIN
config.set_option("server.port", int(sys.argv[1]))
uvicorn.run(st.App(MAIN), port=int(sys.argv[1]), log_level="warning", access_log=False)
"""
"""The same Streamlit without the gate."""


class Client:
    """One kept connection, as browsers have."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Cookie": cookie} if cookie else {}

    def seconds(self, method: str, path: str) -> tuple[float, int]:
        """How long an answer takes, and its status."""
        began = time.perf_counter()
        self._connection.request(method, path, headers=self._headers)
        answer = self._connection.getresponse()
        answer.read()
        return time.perf_counter() - began, answer.status

    def sign_in(self) -> tuple[float, str]:
        """How long signing in takes, and the cookie."""
        form = urlencode({"name": NAME, "password": PASSWORD})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        began = time.perf_counter()
        self._connection.request("POST", "/gate/sign-in", form, kind)
        answer = self._connection.getresponse()
        answer.read()
        seconds = time.perf_counter() - began
        assert answer.status == 303, answer.status
        return seconds, (answer.getheader("set-cookie") or "").partition(";")[0]


def side_by_side(
    gated: Client, bare: Client, path: str, rounds: int
) -> tuple[list[float], list[float]]:
    """Milliseconds with and without the gate, in turn, so that both meet the same machine."""
    found: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds + 20):
        order = ((gated, found[0]), (bare, found[1]))
        for client, times in order if i % 2 else order[::-1]:
            seconds, status = client.seconds("GET", path)
            assert status == 200, status
            if i >= 20:  # the first ones warm up
                times.append(seconds * 1000)
    return found


def added(name: str, gated: Sequence[float], bare: Sequence[float]) -> Figure:
    difference = statistics.median(gated) - statistics.median(bare)
    late = float(np.percentile(gated, 95) - np.percentile(bare, 95))
    return Figure(
        f"What the gate adds to {name}",
        f"at most {ADDED_TARGET_MS:g} ms",
        f"{difference:.2f} ms (p95 {late:.2f} ms later): {tail(gated, 'ms', 2)} with, "
        f"{tail(bare, 'ms', 2)} without",
        COMMAND,
        difference <= ADDED_TARGET_MS,
    )


def run() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="ddad-bench-") as name:
        folder = Path(name)
        port, bare_port = free_port(), free_port()
        add_user(folder / "home", NAME)
        environ = environment(folder / "home", port)
        serving = Launched(
            [sys.executable, "-m", "app.serve"], environ, REPOSITORY, folder / "gated.log"
        )
        command = [sys.executable, "-c", BARE, str(bare_port)]
        plain = Launched(command, environ, REPOSITORY, folder / "bare.log")
        try:
            serving.wait_for(page_urls(port), 60)
            plain.wait_for([f"http://127.0.0.1:{bare_port}/_stcore/health"], 60)
            signed_in = [Client(port).sign_in() for _ in range(SIGN_INS)]
            gated, bare = Client(port, signed_in[-1][1]), Client(bare_port)
            small = side_by_side(gated, bare, "/_stcore/health", ROUNDS)
            page = side_by_side(gated, bare, "/", ROUNDS)
        finally:
            serving.stop()
            plain.stop()
    seconds = [one for one, _ in signed_in]
    return [
        Figure(
            "Signing in by name and password, from the form to the cookie",
            f"at most {SIGN_IN_TARGET_S:g} s",
            tail(seconds, "s", 3),
            COMMAND,
            float(np.percentile(seconds, 95)) <= SIGN_IN_TARGET_S,
        ),
        added("a small request", *small),
        added("the page", *page),
    ]


if __name__ == "__main__":
    show(run())
