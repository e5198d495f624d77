"""A real server on a fresh home, and a real Chromium. A missing browser fails, never skips."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.eight_maps import copy_weights, give_eight_maps

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`python -m app.serve` on a home of its own; may be stopped and started again."""

    def __init__(self, home: Path, gallery: Path, weights: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            **os.environ,
            "DDAD_HOME": str(home),
            "DDAD_GALLERY": str(gallery),
            "PORT": str(self.port),
            "PYTHONPATH": str(REPOSITORY),
        }
        self.environ.pop("DDAD_ACCESS_PASSWORD", None)
        self.admin, self.serve = "app.cli", "app.serve"
        if weights is not None:
            self.environ["DDAD_WEIGHTS"] = str(weights)
            self.admin = self.serve = "tests.eight_maps"
        self.process: subprocess.Popen[bytes] | None = None

    def import_gallery(self) -> None:
        command = [sys.executable, "-m", self.admin, "import", "--gallery"]
        subprocess.run(command, check=True, env=self.environ, cwd=REPOSITORY, timeout=120)

    def start(self) -> None:
        command = [sys.executable, "-m", self.serve]
        self.process = subprocess.Popen(command, env=self.environ, cwd=REPOSITORY)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                with urlopen(f"{self.url}/gate/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        self.stop()
        pytest.fail("the server did not answer within 60 s")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


def make_gallery(folder: Path, count: int) -> Path:
    """The first images of the shipped gallery, with its list cut to them."""
    source = REPOSITORY / "data" / "demo"
    folder.mkdir()
    with (source / "gallery.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)[:count]
    for row in rows:
        shutil.copy(source / row["file"], folder)
    with (folder / "gallery.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    found = Server(folder / "home", make_gallery(folder / "gallery", 4))
    found.import_gallery()
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def eight_map_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As ``server``, with a model that has all eight maps."""
    folder = tmp_path_factory.mktemp("eight")
    (folder / "weights").mkdir()
    weights = give_eight_maps(copy_weights(folder / "weights"))
    found = Server(folder / "home", make_gallery(folder / "gallery", 4), weights)
    found.import_gallery()
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def playwright_api() -> Iterator[Playwright]:
    with sync_playwright() as api:
        yield api


@pytest.fixture(scope="session")
def browser(playwright_api: Playwright) -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    assert Path(path).exists(), "Chromium is missing: apt-get install chromium, or set CHROMIUM"
    found = playwright_api.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
    yield found
    found.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    found = context.new_page()
    found.set_default_timeout(20_000)
    yield found
    context.close()


@pytest.fixture
def enter() -> Callable[[Page, Server, str], None]:
    """Open the app and say who is reading."""

    def entering(page: Page, server: Server, name: str = "Dr Browser") -> None:
        page.goto(server.url)
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_role("button", name="Start reading").wait_for()

    return entering
