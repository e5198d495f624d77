"""`python -m app.serve`: real servers on free loopback ports, spoken to without a browser."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from app import gate, serve
from app.settings import REPOSITORY, ConfigurationError

PASSWORD = "correct horse battery"
SCRIPT = """
import sys
import streamlit as st
from app.gate import ensure_guarded, serving_is_guarded
ensure_guarded("0.0.0.0")
options = ("client.showErrorDetails", "client.toolbarMode", "server.maxUploadSize",
    "browser.gatherUsageStats", "server.fileWatcherType", "theme.base", "theme.primaryColor")
st.write("MARKER", *[f"{name}={st.get_option(name)}" for name in options])
st.write(f"guarded={serving_is_guarded()}", f"torch={'torch' in sys.modules}")
st.write(f"bootstrap={'app.bootstrap' in sys.modules}")
"""


def free_port(family=socket.AF_INET):
    with socket.socket(family) as one:
        one.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        return one.getsockname()[1]


@dataclass
class Served:
    process: subprocess.Popen
    port: int
    said: str
    seconds: float

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        reply = connection.getresponse()
        reply.text = reply.read().decode("utf-8", "replace")
        connection.close()
        return reply

    def socket(self, host="127.0.0.1", **headers):
        return connect(
            f"ws://{host}:{self.port}/_stcore/stream",
            sock=socket.create_connection(("127.0.0.1", self.port), timeout=10),
            subprotocols=["streamlit"],
            additional_headers=headers,
            proxy=None,
            open_timeout=10,
        )

    def sign_in(self, password=PASSWORD):
        reply = self.ask(
            "POST",
            gate.SIGN_IN,
            urlencode({"password": password}),
            Origin=f"http://127.0.0.1:{self.port}",
        )
        return reply, reply.getheader("set-cookie", "").partition(";")[0]

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=15)
        return self.process.returncode, errors


def start(folder, **environment):
    script = folder / "page.py"
    script.write_text(SCRIPT)
    port = free_port()
    code = (
        "import sys, pathlib, app.serve as s; "
        f"sys.exit(s.main(['--port', '{port}'], script=pathlib.Path({str(script)!r})))"
    )
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,  # another folder than the repository's
        env={**kept, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = process.stdout.readline()
    served = Served(process, port, said, time.monotonic() - began)
    if not said:
        pytest.fail(process.stderr.read())
    return served


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    served = start(
        tmp_path_factory.mktemp("guarded"), DDAD_ACCESS_PASSWORD=PASSWORD, DDAD_MAX_UPLOAD_MB="7"
    )
    yield served
    if served.process.poll() is None:
        served.stop()


def until_marker(stream, marker):
    """Run the page over a socket and read until it says the marker."""
    back = BackMsg()
    back.rerun_script.query_string = ""
    stream.send(back.SerializeToString())
    said = ""
    while marker not in said:
        message = ForwardMsg()
        message.ParseFromString(stream.recv(timeout=10))
        said += str(message.delta)
    return said


def test_it_says_where_it_is_once_it_is_there(guarded):
    assert guarded.said == f"DDAD Review is at http://127.0.0.1:{guarded.port}\n"
    assert guarded.ask("GET", gate.HEALTH).status == 200
    assert guarded.seconds < 15  # about 1 s; generous for a busy machine


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/index.html"),
        ("GET", "/_stcore/health"),
        ("GET", "/_stcore/host-config"),
        ("GET", "/_stcore/stream"),
        ("GET", "/_stcore/metrics"),
        ("GET", "/media/x.png"),
        ("GET", "/static/js/main.js"),
        ("GET", "/gate/%2e%2e/_stcore/health"),
        ("GET", "/gate/health/../../_stcore/health"),
        ("HEAD", "/"),
        ("OPTIONS", "/_stcore/upload_file/s/f"),
        ("PUT", "/_stcore/upload_file/s/f"),
        ("DELETE", "/_stcore/upload_file/s/f"),
        ("POST", "/_stcore/agent/interact"),
        ("BREW", "/"),
    ],
)
def test_signed_out_http_gets_nothing_of_streamlit(guarded, method, path):
    reply = guarded.ask(method, path, "x" * 100 if method in ("PUT", "POST") else None)
    assert reply.status == 401
    assert "streamlit" not in (reply.text + str(reply.headers)).lower()


def test_signed_out_websocket_gets_nothing(guarded):
    for headers in ({}, {"Cookie": f"{gate.COOKIE}=made-up"}):
        with pytest.raises(InvalidStatus) as caught:
            guarded.socket(**headers)
        assert caught.value.response.status_code == 403
        assert "streamlit" not in str(caught.value.response.headers).lower()


def test_signed_in_the_page_and_the_socket_work_until_sign_out(guarded):
    reply, cookie = guarded.sign_in()
    assert reply.status == 303
    page = guarded.ask("GET", "/", Cookie=cookie)
    assert page.status == 200
    assert "<title>Streamlit</title>" in page.text
    assert page.getheader("x-frame-options") == "DENY"
    with pytest.raises(InvalidStatus):
        guarded.socket(Cookie=cookie, Origin="https://evil.example")
    with guarded.socket(Cookie=cookie) as stream:
        said = until_marker(stream, "bootstrap=")
        assert guarded.ask("POST", gate.SIGN_OUT, Cookie=cookie).status == 303
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                stream.recv(timeout=10)
        assert caught.value.rcvd.code == 1008
    assert guarded.ask("GET", "/", Cookie=cookie).status == 401
    assert "guarded=True" in said
    # The project's options, whatever folder the server was started in.
    assert "client.showErrorDetails=none" in said
    assert "client.toolbarMode=minimal" in said
    assert "server.maxUploadSize=7" in said
    assert "browser.gatherUsageStats=False" in said
    assert "server.fileWatcherType=none" in said
    assert "theme.base=dark" in said
    # What makes a start slow stays out of it.
    assert "torch=False" in said
    assert "bootstrap=False" in said


def test_an_upload_over_the_limit_is_refused_by_its_length(guarded):
    _, cookie = guarded.sign_in()
    too_long = str(7 * 2**20 + serve.FORM_OVERHEAD_BYTES + 1)
    path = "/_stcore/upload_file/s/f"
    assert guarded.ask("PUT", path, Cookie=cookie, Content_Length=too_long).status == 413


def test_interrupting_ends_it_in_order_with_a_socket_open(guarded):
    _, cookie = guarded.sign_in()
    with guarded.socket(Cookie=cookie) as stream:
        until_marker(stream, "MARKER")
        began = time.monotonic()
        status, errors = guarded.stop()
        assert time.monotonic() - began < 10
    assert status == 0
    assert errors == ""


def test_on_loopback_no_password_is_needed_but_the_host_must_be_this_machine(tmp_path):
    served = start(tmp_path)
    try:
        assert "<title>Streamlit</title>" in served.ask("GET", "/").text
        assert served.ask("GET", "/", Host="evil.example").status == 400
        with pytest.raises(InvalidStatus) as caught:
            served.socket("evil.example", Origin=f"http://evil.example:{served.port}")
        assert caught.value.response.status_code == 403
        with served.socket(Origin=f"http://127.0.0.1:{served.port}") as stream:
            until_marker(stream, "MARKER")
    finally:
        status, errors = served.stop(signal.SIGTERM)
    assert errors == ""
    assert status in (0, -signal.SIGTERM)


@pytest.fixture
def nothing_listens(monkeypatch):
    monkeypatch.setattr(serve, "listen", lambda _: pytest.fail("it went on to listen"))


@pytest.mark.usefixtures("nothing_listens")
@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.0.2.1", "0", "::ffff:127.0.0.1", "2001:db8::1"]
)
def test_an_open_address_without_a_password_is_refused_in_one_sentence(host, capsys):
    assert serve.main(["--host", host, "--port", "18999"], {}) == 2
    assert serve.main(["--port", "18999"], {"DDAD_HOST": host or "0.0.0.0"}) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 2
    assert "can be reached from other machines." in captured.err
    assert "Set DDAD_ACCESS_PASSWORD" in captured.err


@pytest.mark.usefixtures("nothing_listens")
@pytest.mark.parametrize(
    "environment",
    [{"DDAD_ACCESS_PASSWORD": "short"}, {"DDAD_ACCESS_PASSWORD": " " * 20}, {"PORT": "x"}],
)
def test_a_bad_setting_is_refused_in_one_sentence(environment, capsys):
    assert serve.main(["--host", "0.0.0.0"], environment) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.usefixtures("nothing_listens")
def test_a_name_is_judged_by_all_the_addresses_it_stands_for(monkeypatch, capsys):
    known = {
        "ward-pc": ["127.0.1.1", "192.0.2.7"],
        "localhost": ["192.0.2.7"],
    }
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, **_: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]
        ],
    )
    for host in known:
        assert serve.main(["--host", host], {}) == 2
        assert f"{host} can be reached from other machines." in capsys.readouterr().err
    known["ward-pc"] = ["127.0.1.1"]
    serve.check_addresses("ward-pc", serve.resolve("ward-pc", 1), "")


def test_a_password_allows_an_open_address():
    serve.check_addresses("0.0.0.0", serve.resolve("0.0.0.0", 18999), PASSWORD)


def test_an_unknown_name_is_refused_in_one_sentence(capsys):
    assert serve.main(["--host", "no such name"], {"DDAD_ACCESS_PASSWORD": PASSWORD}) == 2
    assert capsys.readouterr().err.startswith("No address is known for 'no such name'.")
    with pytest.raises(ConfigurationError):
        serve.resolve("a" * 70 + ".example", 80)  # not a name at all


def test_a_taken_port_is_told_in_one_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert serve.main(["--port", str(port)], {}) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Port {port} on 127.0.0.1 is already in use. ")
    assert "--port" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x", "1" * 5000])
def test_a_port_that_is_none_is_wrong_usage(port):
    with pytest.raises(SystemExit) as caught:
        serve.main(["--port", port], {})
    assert caught.value.code == 2


def test_all_addresses_of_localhost_are_listened_on():
    port = free_port()
    sockets = serve.listen(serve.resolve("localhost", port))
    try:
        with socket.create_connection(("localhost", port), timeout=2):
            pass
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("0.0.0.0", "http://127.0.0.1:80 and this machine's other addresses"),
        ("", "http://127.0.0.1:80 and this machine's other addresses"),
    ],
)
def test_the_announced_address_can_be_opened(host, where):
    assert serve.announcement(host, 80) == f"DDAD Review is at {where}"


def test_serving_the_app_is_the_default():
    assert serve.MAIN == Path(serve.__file__).with_name("main.py")
