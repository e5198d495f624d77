"""All that a signed-in browser asked for, asked for again without a session: nothing comes back."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, Request
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.browser.conftest import PASSWORD, REPOSITORY, Server, make_export, sign_in

READY = '.ddad-viewer[data-ready="true"]'
COOKIE = "ddad_gate"
REFUSALS = (400, 401, 403)
WORDS = (b"Sign in first.\n", b"Refused: sent by a page of another site.\n")
"""All that is said to the signed-out, but for the page to sign in."""
KNOWN_ROUTES = (
    ("GET", "/"),
    ("GET", "/index.html"),
    ("GET", "/worklist"),
    ("GET", "/review"),
    ("GET", "/favicon.png"),
    ("GET", "/_stcore/health"),
    ("GET", "/healthz"),
    ("GET", "/_stcore/script-health-check"),
    ("GET", "/_stcore/host-config"),
    ("GET", "/_stcore/allowed-message-origins"),
    ("GET", "/_stcore/metrics"),
    ("GET", "/_stcore/stream"),
    ("GET", "/_stcore/agent/openapi.json"),
    ("GET", "/_stcore/bidi-components/ddad_viewer/viewer.js"),
    ("GET", "/_stcore/custom-component/x/index.html"),
    ("GET", "/component/x/index.html"),
    ("GET", "/media/0123456789abcdef.png"),
    ("GET", "/app/static/x.png"),
    ("GET", "/static/../_stcore/health"),
    ("GET", "/static/%2e%2e/_stcore/health"),
    ("GET", "//_stcore/health"),
    ("GET", "/auth/login"),
    ("GET", "/auth/logout"),
    ("GET", "/oauth2callback"),
    ("GET", "/gate/session"),
    ("POST", "/gate/active"),
    ("OPTIONS", "/_stcore/upload_file/s/f"),
    ("PUT", "/_stcore/upload_file/s/f"),
    ("DELETE", "/_stcore/upload_file/s/f"),
    ("POST", "/_stcore/agent/interact"),
    ("HEAD", "/"),
    ("PROPFIND", "/"),
)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    body: bytes | None = None
    kind: str = ""


@dataclass
class Recording:
    """What the browser did while it was signed in."""

    asked: list[Asked]
    answers: list[bytes]
    sockets: set[str]
    old_cookie: str
    foreign: set[str]


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


@pytest.fixture(scope="module")
def recording(server: Server, browser) -> Recording:
    """Worklist, review, upload, thresholds and export, with all that goes over the wire."""
    server.add_user("Dr Crawl")
    context: BrowserContext = browser.new_context(accept_downloads=True)
    page: Page = context.new_page()
    page.set_default_timeout(60_000)
    found = Recording([], [], set(), "", set())

    def on_request(request: Request) -> None:
        if request.url.startswith(server.url):
            body = request.post_data_buffer
            asked = Asked(request.method, path_of(request.url), body, request.resource_type)
            found.asked.append(asked)
        elif not request.url.startswith(("blob:", "data:")):
            found.foreign.add(request.url)

    page.on("request", on_request)
    page.on("websocket", lambda socket: found.sockets.add(path_of(socket.url)))
    sign_in(page, server, "Dr Crawl")
    page.goto(server.url)
    page.locator("button.row").first.wait_for()
    page.get_by_role("button", name="Start reading").click()
    page.locator(READY).wait_for()
    page.get_by_role("link", name="Upload", exact=True).first.click()
    noise = np.random.default_rng(5).integers(0, 255, (96, 80), np.uint8)
    done, png = cv2.imencode(".png", noise)
    assert done
    page.get_by_text("Upload radiographs").wait_for()
    page.wait_for_timeout(1500)  # the uploader takes files once the page has run
    chooser = page.locator('input[type="file"]').first
    chooser.set_input_files([{"name": "one.png", "mimeType": "image/png", "buffer": png.tobytes()}])
    page.get_by_text("Outcome of each file").wait_for()
    page.get_by_role("link", name="Thresholds", exact=True).first.click()
    page.get_by_text("In force:").wait_for()
    page.get_by_role("link", name="Export", exact=True).first.click()
    made = make_export(page)
    found.asked.append(Asked("GET", path_of(made.url), None, "download"))
    found.answers.append(made.path().read_bytes())
    (cookie,) = [one for one in context.cookies() if one["name"] == COOKIE]
    found.old_cookie = f"{COOKIE}={cookie['value']}"
    # While still signed in the same addresses do answer: the recording is worth replaying.
    alive = [one for one in found.asked if one.kind == "download"]
    assert [ask(server, one, found.old_cookie)[0] for one in alive] == [200]
    assert context.request.post(f"{server.url}/gate/sign-out", max_redirects=0).status == 303
    context.close()
    return found


def ask(server: Server, asked: Asked, cookie: str = "", **more: str) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Cookie": cookie} if cookie else {}
    connection.request(asked.method, asked.path, asked.body, {**headers, **more})
    reply = connection.getresponse()
    body = reply.read()
    found = (reply.status, body, reply.getheader("content-type", ""))
    connection.close()
    return found


def nothing_of_a_patient(recording: Recording, answer: tuple[int, bytes, str]) -> None:
    status, body, kind = answer
    assert status in REFUSALS
    assert kind.startswith(("text/plain", "text/html", "application/json"))
    page_to_sign_in = b"<title>DDAD Review</title>" in body and b'name="password"' in body
    assert page_to_sign_in or body in (*WORDS, b"", b'{"signed_in":false}'), body[:200]
    for mark in (b"\x89PNG", b"\xff\xd8\xff", b"DICM", b"NIH 0"):
        assert mark not in body
    assert all(body != known for known in recording.answers)


COOKIES = {"none": "", "made up": f"{COOKIE}=made-up", "ended": None}


@pytest.mark.parametrize("how", COOKIES)
def test_every_recorded_address_is_refused(server: Server, recording: Recording, how: str) -> None:
    kinds = {asked.kind for asked in recording.asked}
    assert {"document", "script", "download"} <= kinds and kinds & {"xhr", "fetch"}
    paths = {asked.path for asked in recording.asked}
    for wanted in (r"/$", r"/static/js/", r"/_stcore/upload_file/", r"/media/", r"/_stcore/"):
        assert any(re.match(wanted, path) for path in paths), (wanted, sorted(paths))
    assert any(asked.method == "PUT" for asked in recording.asked)
    cookie = COOKIES[how] if COOKIES[how] is not None else recording.old_cookie
    for asked in dict.fromkeys(recording.asked):
        if asked.path == "/gate/health":
            continue
        for accept in ("*/*", "image/*", "text/html"):
            nothing_of_a_patient(recording, ask(server, asked, cookie, Accept=accept))


@pytest.mark.parametrize(("method", "path"), KNOWN_ROUTES)
def test_every_known_route_is_refused(
    server: Server, recording: Recording, method: str, path: str
) -> None:
    body = b"x" * 1000 if method in ("PUT", "POST") else None
    nothing_of_a_patient(recording, ask(server, Asked(method, path, body)))
    nothing_of_a_patient(recording, ask(server, Asked(method, path, body), recording.old_cookie))


def test_every_recorded_socket_is_refused(server: Server, recording: Recording) -> None:
    assert recording.sockets
    for path in recording.sockets | {"/_stcore/stream", "/", "/gate/session"}:
        for cookie in ("", f"{COOKIE}=made-up", recording.old_cookie):
            for origin in (server.url, "https://evil.example", None):
                headers = {"Cookie": cookie} if cookie else {}
                if origin:
                    headers["Origin"] = origin
                with pytest.raises(InvalidStatus) as caught:
                    connect(
                        f"ws://127.0.0.1:{server.port}{path}",
                        subprotocols=["streamlit"],
                        additional_headers=headers,
                        proxy=None,
                        open_timeout=10,
                    )
                assert caught.value.response.status_code == 403
                assert not caught.value.response.body


def test_nothing_is_told_to_anybody_else(recording: Recording) -> None:
    assert recording.foreign == set()


def test_an_upload_by_the_signed_out_leaves_nothing(server: Server, recording: Recording) -> None:
    before = sorted(path for path in server.home.rglob("images/**/*") if path.is_file())
    png = (REPOSITORY / "data" / "demo" / "00000193_019.png").read_bytes()
    uploads = [one for one in recording.asked if "/_stcore/upload_file/" in one.path]
    assert uploads
    for one in uploads:
        nothing_of_a_patient(recording, ask(server, Asked("PUT", one.path, png)))
    after = sorted(path for path in server.home.rglob("images/**/*") if path.is_file())
    assert after == before


def test_the_page_to_sign_in_is_all_there_is(server: Server, page: Page) -> None:
    """Crawled as a browser does: it loads one document and nothing else."""
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(path_of(request.url)))
    for path in ("/", "/review", "/export"):
        page.goto(f"{server.url}{path}")
        links = page.eval_on_selector_all("[href],[src],[action]", "all => all.length")
        assert links == 1  # the form's own target
    assert {one for one in loaded if one != "/favicon.ico"} == {"/", "/review", "/export"}
    assert PASSWORD not in page.content()
