"""A server on a home of its own, a cut gallery and a Chromium that can reach this machine only."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg

from app.opening import open_store
from app.services.passwords import hash_password
from app.services.people import ROLES
from app.settings import load_settings
from app.store.account_records import NewUser

PASSWORD = "violet kettle moss 41"
REPOSITORY = Path(__file__).resolve().parents[1]
GALLERY = REPOSITORY / "data" / "demo"
VIEWPORT = {"width": 1920, "height": 1080}
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path, port: int, **more: str) -> dict[str, str]:
    """This process's environment without its own settings of the app."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("DDAD_")}
    return {
        **own,
        "DDAD_HOME": str(home),
        "PORT": str(port),
        "PYTHONPATH": str(REPOSITORY),
        **more,
    }


def answers(url: str) -> bool:
    """Whether there is an answer; the page of the signed-out counts."""
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except HTTPError as error:
        return error.code == 401
    except (URLError, OSError):
        return False


class Launched:
    """A command in a process group of its own, ended as a whole."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env=dict(environ),
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, urls: Sequence[str], seconds: float) -> None:
        """Wait until every URL has answered."""
        end = time.monotonic() + seconds
        left = list(urls)
        while left:
            if answers(left[0]):
                left.pop(0)
                continue
            if self.process.poll() is not None or time.monotonic() > end:
                message = f"{left[0]} did not answer within {seconds:.0f} s:\n{self.said()}"
                raise TimeoutError(message)
            time.sleep(0.05)

    def said(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, ending)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
                return


def page_urls(port: int) -> tuple[str, str]:
    root = f"http://127.0.0.1:{port}"
    return f"{root}/gate/health", f"{root}/"


def copy_gallery(folder: Path, count: int) -> Path:
    """The first radiographs of the shipped gallery, with its list cut to them."""
    folder.mkdir()
    with (GALLERY / "gallery.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:count]
    for row in rows:
        shutil.copy(GALLERY / row["file"], folder)
    with (folder / "gallery.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@contextlib.contextmanager
def fresh_server(images: int) -> Iterator[tuple[str, int]]:
    """`python -m app.serve` on a new home with so many images; its address and process id."""
    with tempfile.TemporaryDirectory(prefix="ddad-bench-") as name:
        folder = Path(name)
        port = free_port()
        gallery = copy_gallery(folder / "gallery", images)
        environ = environment(folder / "home", port, DDAD_GALLERY=str(gallery))
        loading = [sys.executable, "-m", "app.cli", "import", "--gallery"]
        subprocess.run(
            loading, check=True, env=environ, cwd=REPOSITORY, timeout=180, capture_output=True
        )
        serving = [sys.executable, "-m", "app.serve"]
        server = Launched(serving, environ, REPOSITORY, folder / "server.log")
        try:
            server.wait_for(page_urls(port), 60)
            _homes[f"http://127.0.0.1:{port}"] = folder / "home"
            yield f"http://127.0.0.1:{port}", server.process.pid
        except Exception as error:
            if (status := server.process.poll()) is not None:
                error.add_note(f"The server had ended with status {status}:\n{server.said()}")
            raise
        finally:
            server.stop()


def chromium_path() -> str:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(path).exists():
        message = "Chromium is missing: apt-get install chromium, or set CHROMIUM."
        raise FileNotFoundError(message)
    return path


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as api:
        browser = api.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


_homes: dict[str, Path] = {}
"""The home of each server that runs, by its address."""


def home_of(address: str) -> Path:
    """The home of a server that runs."""
    return _homes[address]


def add_user(home: Path, name: str) -> None:
    """An account whose password is `PASSWORD` and that may do everything, if it is not there."""
    store = open_store(load_settings({"DDAD_HOME": str(home)}))
    new = NewUser(
        name=name,
        full_name=name,
        roles=ROLES,
        password_hash=hash_password(PASSWORD),
        created_by="benchmark",
    )
    with store.writing() as repositories:
        if repositories.users.by_name(name) is None:
            repositories.users.add(new)


def enter(browser: Browser, address: str, name: str) -> Page:
    """A reader's own session, on the worklist."""
    add_user(_homes[address], name)
    context = browser.new_context(viewport=VIEWPORT)
    form = {"name": name, "password": PASSWORD}
    context.request.post(f"{address}/gate/sign-in", form=form, max_redirects=0)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto(address)
    page.get_by_role("button", name="Start reading").wait_for()
    page.locator("button.row").first.wait_for()
    return page


def is_sign_of_life(frame: bytes | str) -> bool:
    """Whether a message on the page's socket is one that a timer sends, whatever the hand does.

    An open case asks every 20 seconds who else has it open.
    """
    return isinstance(frame, bytes) and BackMsg.FromString(frame).rerun_script.is_auto_rerun
