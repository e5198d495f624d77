"""A server that shows the viewer alone, and pages of it in a real Chromium."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ddad_core.vocabulary import MAP_TITLES
from tests.browser.viewer.viewer_page import SCRIPT, Page

REPOSITORY = Path(__file__).parents[3]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    script = tmp_path_factory.mktemp("viewer") / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    port = free_port()
    options = {
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += [f"--{name}={value}" for name, value in options.items()]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until_healthy(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_until_healthy(process, port):
    for _ in range(200):
        assert process.poll() is None, "The test's Streamlit server ended by itself."
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("The test's Streamlit server did not come up in 20 s.")


@pytest.fixture(scope="package")
def context(browser):
    # One context for all: Streamlit's own scripts then come from the browser's cache.
    found = browser.new_context(viewport={"width": 1200, "height": 800})
    yield found
    found.close()


@pytest.fixture
def shown(server, context):
    page = context.new_page()
    viewer = Page(page)
    viewer.open(server)
    yield viewer
    page.close()


@pytest.fixture
def curved(shown):
    shown.page.get_by_text("Curved windows").click()
    shown.wait_for_image(3)
    return shown


@pytest.fixture
def every_map(shown):
    """The viewer with every map there is, A_inter by place first."""
    shown.page.get_by_text("Every map").click()
    shown.reported(lambda state: state["map_name"] == "c_inter")
    expect(shown.map_button).to_have_text(MAP_TITLES["c_inter"])
    return shown
