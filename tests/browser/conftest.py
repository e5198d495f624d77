"""A real server on a fresh home, and a real Chromium. A missing browser fails, never skips."""

from __future__ import annotations

import csv
import functools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Download, Page, Playwright, sync_playwright

from app.opening import open_store
from app.services.passwords import hash_password
from app.settings import load_settings
from app.store.account_records import NewUser, Role, UserRecord
from tests.eight_maps import copy_weights, give_eight_maps

PASSWORD = "violet kettle moss 41"
REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@functools.cache
def password_hash() -> str:
    return hash_password(PASSWORD)


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
        self.home = home
        self.idle_seconds: int | None = None
        self.admin, self.serve = "app.cli", "tests.browser.served"
        if weights is not None:
            self.environ["DDAD_WEIGHTS"] = str(weights)
            self.admin = "tests.eight_maps"
            self.environ["DDAD_TEST_EIGHT_MAPS"] = "1"
        self.process: subprocess.Popen[bytes] | None = None

    def import_gallery(self) -> None:
        command = [sys.executable, "-m", self.admin, "import", "--gallery"]
        subprocess.run(command, check=True, env=self.environ, cwd=REPOSITORY, timeout=120)

    def add_user(self, name: str, *roles: Role, must_change_password: bool = False) -> UserRecord:
        """An account whose password is `PASSWORD`; without roles it has all but administrator."""
        store = open_store(load_settings({"DDAD_HOME": str(self.home)}))
        new = NewUser(
            name=name,
            full_name=name,
            roles=roles or ("reader", "arbiter", "lead", "auditor"),
            password_hash=password_hash(),
            must_change_password=must_change_password,
            created_by="test",
        )
        with store.writing() as repositories:
            return repositories.users.by_name(name) or repositories.users.add(new)

    def free_cases(self) -> None:
        """Those that earlier tests left open, as 90 s without a sign of life do."""
        store = open_store(load_settings({"DDAD_HOME": str(self.home)}))
        with store.writing() as repositories:
            repositories.presence.sweep(store.now() + timedelta(seconds=1))

    def start(self) -> None:
        command = [sys.executable, "-m", self.serve]
        if self.idle_seconds is not None:
            command.append(str(self.idle_seconds))
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

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)
        self.process = None

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


def sign_in(page: Page, server: Server, name: str) -> None:
    """Give the page's browser the cookie of a session; the form itself has its own test."""
    form = {"name": name, "password": PASSWORD}
    url = f"{server.url}/gate/sign-in"
    answer = page.context.request.post(url, form=form, max_redirects=0)
    if answer.status == 429:  # an earlier test typed a wrong password a moment ago
        time.sleep(int(answer.headers["retry-after"]))
        answer = page.context.request.post(url, form=form, max_redirects=0)
    assert answer.status == 303, answer.text()


def make_export(page: Page) -> Download:
    """Make the export that the Export screen is set to, and download it."""
    page.get_by_role("button", name="Make the export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ddad-export").click()
    return download.value


@pytest.fixture
def enter() -> Callable[..., None]:
    """Open the app, signed in as somebody who may do everything but look after accounts."""

    def entering(page: Page, server: Server, name: str = "Dr Browser", *roles: Role) -> None:
        server.add_user(name, *roles)
        sign_in(page, server, name)
        page.goto(server.url)
        page.get_by_role("button", name="Start reading").wait_for()

    return entering
