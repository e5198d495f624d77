"""The shipped nginx example before a real server, over TLS on loopback. A missing nginx fails."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.settings import REPOSITORY
from tests.accounts import NAME, PASSWORD, create_account
from tests.browser.conftest import Server, free_port, make_gallery

EXAMPLE = REPOSITORY / "docs" / "deploy" / "nginx.conf"
HOST = "cxr.example.org"
SPOOFED = "203.0.113.77"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Proxy:
    """nginx over TLS, with the server behind it."""

    port: int
    plain_port: int
    server: Server
    trust: ssl.SSLContext

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20)
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sock = self.trust.wrap_socket(raw, server_hostname=HOST)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Host": HOST, **named})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def sign_in(self, password: str = PASSWORD) -> Answer:
        form = urlencode({"name": NAME, "password": password}).encode()
        return self.ask(
            "POST",
            "/gate/sign-in",
            form,
            Content_Type="application/x-www-form-urlencoded",
            Origin=f"https://{HOST}",
            X_Forwarded_For=SPOOFED,
        )

    def socket(self, cookie: str, origin: str = f"https://{HOST}"):  # noqa: ANN201
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return connect(
            f"wss://{HOST}/_stcore/stream",
            sock=raw,
            ssl=self.trust,
            server_hostname=HOST,
            origin=origin,  # type: ignore[arg-type]
            subprotocols=["streamlit"],  # type: ignore[list-item]
            additional_headers={"Cookie": cookie} if cookie else {},
        )


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    assert Path(nginx).exists(), "nginx is missing: apt-get install nginx"
    folder = tmp_path_factory.mktemp("proxy")
    server = Server(folder / "home", make_gallery(folder / "gallery", 1))
    server.environ |= {"DDAD_ALLOWED_HOSTS": HOST, "DDAD_TRUSTED_PROXIES": "127.0.0.1"}
    server.import_gallery()
    create_account(folder / "home")
    certificate, key = _certificate(folder)
    ports = free_port(), free_port()
    _configure(folder, server.port, ports, certificate, key)
    server.start()
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        _wait_for(ports[0])
        trust = ssl.create_default_context(cafile=str(certificate))
        yield Proxy(*ports, server, trust)
    finally:
        process.terminate()
        process.wait(20)
        server.stop()


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={HOST}"]
    command += ["-addext", f"subjectAltName=DNS:{HOST}"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    return certificate, key


def _configure(
    folder: Path, server_port: int, ports: tuple[int, int], certificate: Path, key: Path
) -> None:
    """The example with what it asks to replace replaced, in a frame that needs no rights."""
    example = EXAMPLE.read_text(encoding="utf-8")
    for given, ours in {
        "/etc/ssl/cxr/fullchain.pem": str(certificate),
        "/etc/ssl/cxr/privkey.pem": str(key),
        "http://127.0.0.1:8501": f"http://127.0.0.1:{server_port}",
        "listen 443 ssl": f"listen 127.0.0.1:{ports[0]} ssl",
        "listen 80": f"listen 127.0.0.1:{ports[1]}",
    }.items():
        assert given in example
        example = example.replace(given, ours)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n"
        f"error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{example}\n}}\n",
        encoding="utf-8",
    )


def _wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail("nginx did not listen within 20 s")


def test_signed_out_there_is_the_sign_in_page_and_nothing_else(proxy: Proxy) -> None:
    page = proxy.ask("GET", "/", Accept="text/html")
    assert page.status == 401
    assert b"Password" in page.body
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert proxy.ask("GET", "/_stcore/host-config", Accept="*/*").status == 401
    with pytest.raises(InvalidStatus) as refusal:
        proxy.socket("")
    assert refusal.value.response.status_code == 403


def test_signed_in_the_page_and_its_socket_come_through(proxy: Proxy) -> None:
    answer = proxy.sign_in()
    assert answer.status == 303
    cookie = answer.headers["Set-Cookie"]
    assert "secure" in cookie.lower() and "httponly" in cookie.lower()
    token = cookie.partition(";")[0]
    page = proxy.ask("GET", "/", Accept="text/html", Cookie=token)
    assert page.status == 200 and b"streamlit" in page.body.lower()
    with proxy.socket(token) as opened:
        assert opened.subprotocol == "streamlit"
        opened.ping().wait(5)
    with pytest.raises(InvalidStatus):
        proxy.socket(token, origin="https://elsewhere.example.org")


def test_the_address_on_record_is_the_clients_own_not_what_it_claims(proxy: Proxy) -> None:
    assert proxy.sign_in("a wrong password").status == 401
    from app.store.engine import create_store_engine  # noqa: PLC0415
    from app.store.unit_of_work import UnitOfWork  # noqa: PLC0415

    home = proxy.server.environ["DDAD_HOME"]
    store = UnitOfWork(create_store_engine(f"sqlite:///{home}/ddad.sqlite"))
    with store.reading() as repositories:
        events = [e for e in repositories.audit.find() if e.action.startswith("sign-in")]
    assert events and {e.address for e in events} == {"127.0.0.1"}


def test_what_is_too_large_is_refused_by_size(proxy: Proxy) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
        answer = proxy.ask("POST", "/gate/sign-in", b"x" * (102 * 2**20), Origin=f"https://{HOST}")
        assert answer.status == 413


def test_plain_http_is_sent_to_tls(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.plain_port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/worklist", headers={"Host": HOST})
        response = connection.getresponse()
        assert response.status == 301
        assert response.headers["Location"] == f"https://{HOST}/worklist"


def test_another_host_name_is_not_served(proxy: Proxy) -> None:
    assert proxy.ask("GET", "/", Host="evil.example.org").status == 400
