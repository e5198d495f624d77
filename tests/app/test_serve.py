"""`python -m app.serve`: real servers on free loopback ports, spoken to without a browser."""

import contextlib
import http.client
import os
import re
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

from app import serve
from app.gate import COOKIE
from app.gate.asgi import HEALTH
from app.gate.pages import FIRST_ACCOUNT, SIGN_IN, SIGN_OUT
from app.gate.requests import HostRules
from app.opening import open_store
from app.services.signing_in import SigningIn
from app.settings import REPOSITORY, ConfigurationError, load_settings

NAME = "ana"
PASSWORD = "violet kettle moss 41"
SCRIPT = """
import sys
import streamlit as st
from app import gate
gate.ensure_guarded(st.get_option("server.address"))
person = gate.who_acts(st.context.cookies)
options = ("client.showErrorDetails", "client.toolbarMode", "server.maxUploadSize",
    "browser.gatherUsageStats", "server.fileWatcherType", "theme.dark.primaryColor")
st.write("MARKER", *[f"{name}={st.get_option(name)}" for name in options])
st.write(f"person={person.name} from={person.address}", f"torch={'torch' in sys.modules}")
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
            SIGN_IN,
            urlencode({"name": NAME, "password": password}),
            Origin=f"http://127.0.0.1:{self.port}",
        )
        return reply, reply.getheader("set-cookie", "").partition(";")[0]

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=15)
        return self.process.returncode, errors


def add_account(home):
    store = open_store(load_settings({"DDAD_HOME": str(home)}))
    SigningIn(store).create_first(NAME, "Ana Ruiz", PASSWORD, "")
    return store


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
        env={
            **kept,
            "PYTHONPATH": str(REPOSITORY),
            "DDAD_HOME": str(folder / "home"),
            **environment,
        },
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
    folder = tmp_path_factory.mktemp("guarded")
    add_account(folder / "home")
    served = start(folder, DDAD_MAX_UPLOAD_MB="7")
    yield served
    if served.process.poll() is None:
        served.stop()


def until_marker(stream, marker, wanted="delta"):
    """Run the page over a socket and read until it says the marker."""
    back = BackMsg()
    back.rerun_script.query_string = ""
    stream.send(back.SerializeToString())
    said = ""
    while marker not in said:
        message = ForwardMsg()
        message.ParseFromString(stream.recv(timeout=10))
        said += str(message.delta)
        if message.WhichOneof("type") == wanted:
            said += str(message)
    return said


def test_it_says_where_it_is_once_it_is_there(guarded):
    assert guarded.said == f"DDAD Review is at http://127.0.0.1:{guarded.port}\n"
    assert guarded.ask("GET", HEALTH).status == 200
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
    for headers in ({}, {"Cookie": f"{COOKIE}=made-up"}):
        with pytest.raises(InvalidStatus) as caught:
            guarded.socket(**headers)
        assert caught.value.response.status_code == 403
        assert "streamlit" not in str(caught.value.response.headers).lower()


def test_signed_in_the_page_and_the_socket_work_until_sign_out(guarded):
    reply, cookie = guarded.sign_in()
    assert reply.status == 303
    page = guarded.ask("GET", "/", Cookie=cookie, Accept="text/html")
    assert page.status == 200
    assert "<title>DDAD Review</title>" in page.text
    assert 'light ? "#ffffff" : "#0b0d10"' in page.text.split("<script", 2)[1]  # dark by default
    assert page.getheader("x-frame-options") == "DENY"
    with pytest.raises(InvalidStatus):
        guarded.socket(Cookie=cookie, Origin="https://evil.example")
    with guarded.socket(Cookie=cookie) as stream:
        said = until_marker(stream, "bootstrap=")
        assert guarded.ask("POST", SIGN_OUT, Cookie=cookie).status == 303
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                stream.recv(timeout=10)
        assert caught.value.rcvd.code == 1008
    assert guarded.ask("GET", "/", Cookie=cookie).status == 401
    assert "person=ana from=127.0.0.1" in said
    # The project's options, whatever folder the server was started in.
    assert "client.showErrorDetails=none" in said
    assert "client.toolbarMode=minimal" in said
    assert "server.maxUploadSize=7" in said
    assert "browser.gatherUsageStats=False" in said
    assert "server.fileWatcherType=none" in said
    assert "theme.dark.primaryColor=#4fb3bf" in said
    # What makes a start slow stays out of it.
    assert "torch=False" in said
    assert "bootstrap=False" in said


def test_an_upload_over_the_limit_is_refused_by_its_length(guarded):
    _, cookie = guarded.sign_in()
    too_long = str(7 * 2**20 + serve.FORM_OVERHEAD_BYTES + 1)
    path = "/_stcore/upload_file/s/f"
    assert guarded.ask("PUT", path, Cookie=cookie, Content_Length=too_long).status == 413


def test_an_upload_without_a_length_is_cut_off_at_the_limit(guarded):
    """A real session of Streamlit, so that nothing but the size is wrong."""
    _, cookie = guarded.sign_in()
    health = guarded.ask("GET", "/_stcore/health", Cookie=cookie)
    token = re.search(r"_streamlit_xsrf=([^;]*)", str(health.headers))[1]
    with guarded.socket(Cookie=cookie) as stream:
        said = until_marker(stream, "MARKER", wanted="new_session")
        session = re.search(r'session_id: "([0-9a-f-]{36})"', said)[1]
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as one:
            head = (
                f"PUT /_stcore/upload_file/{session}/f HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{guarded.port}\r\nTransfer-Encoding: chunked\r\n"
                f"Cookie: {cookie}; _streamlit_xsrf={token}\r\nX-Xsrftoken: {token}\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            )
            one.sendall(head.encode())
            begin = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
            one.sendall(b"%x\r\n%s\r\n" % (len(begin), begin))
            with contextlib.suppress(OSError):  # closed before all was sent, as it should be
                for _ in range(12):
                    one.sendall(b"100000\r\n" + b"x" * 2**20 + b"\r\n")
            assert one.recv(12) == b"HTTP/1.1 413"


def test_interrupting_ends_it_in_order_with_a_socket_open(guarded):
    _, cookie = guarded.sign_in()
    with guarded.socket(Cookie=cookie) as stream:
        until_marker(stream, "MARKER")
        began = time.monotonic()
        status, errors = guarded.stop()
        assert time.monotonic() - began < 10
    assert status == 0
    assert errors == ""


def test_first_start_asks_for_the_first_account_and_goes_on_from_there(tmp_path):
    served = start(tmp_path)
    try:
        hint = served.process.stdout.readline()
        assert "setup code" in hint
        assert served.ask("GET", "/").status == 401
        assert "There is no account yet" in served.ask("GET", "/").text
        assert served.ask("GET", "/", Host="evil.example").status == 400
        with pytest.raises(InvalidStatus) as caught:
            served.socket("evil.example", Origin=f"http://evil.example:{served.port}")
        assert caught.value.response.status_code == 403
        form = {"name": NAME, "full_name": "Ana", "password": PASSWORD, "again": PASSWORD}
        made = served.ask("POST", FIRST_ACCOUNT, urlencode(form))
        assert made.status == 303
        cookie = made.getheader("set-cookie").partition(";")[0]
        with served.socket(Cookie=cookie) as stream:
            until_marker(stream, "MARKER")
    finally:
        status, errors = served.stop(signal.SIGTERM)
    assert errors == ""
    assert status in (0, -signal.SIGTERM)
    again = start(tmp_path)
    try:
        assert again.ask("GET", "/", Cookie=cookie).status == 200  # over the restart
        assert "There is no account yet" not in again.ask("GET", "/").text
    finally:
        assert again.stop()[1] == ""
    store = open_store(load_settings({"DDAD_HOME": str(tmp_path / "home")}))
    with store.reading() as repositories:
        events = list(repositories.audit.find())
    changes = [event for event in events if event.action == "settings changed"]
    # The port of the second start is another.
    assert [sorted(event.after) for event in changes][0] == ["PORT"]
    assert "DDAD_SITE" in changes[-1].after and changes[-1].before is None


def test_the_demonstration_opens_without_an_account_in_a_home_of_its_own(tmp_path):
    served = start(tmp_path, DDAD_DEMO="1", DDAD_DEMO_HOME=str(tmp_path / "demo"))
    try:
        assert "<title>Streamlit</title>" in served.ask("GET", "/").text
        assert served.ask("GET", "/", Host="evil.example").status == 400
        with served.socket() as stream:
            assert "person=Demonstration" in until_marker(stream, "bootstrap=")
    finally:
        served.stop(signal.SIGTERM)
    assert not (tmp_path / "home").exists()
    assert (tmp_path / "demo" / "ddad.sqlite").exists()


def test_a_demonstration_of_a_database_with_accounts_is_refused(tmp_path, capsys):
    add_account(tmp_path / "home")
    environment = {"DDAD_DEMO": "1", "DDAD_DEMO_HOME": str(tmp_path / "home")}
    assert serve.main(["--port", str(free_port())], environment) == 2
    assert "has accounts" in capsys.readouterr().err


@pytest.fixture
def nothing_listens(monkeypatch):
    monkeypatch.setattr(serve, "listen", lambda _: pytest.fail("it went on to listen"))


@pytest.mark.usefixtures("nothing_listens")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "0", "2001:db8::1"])
def test_a_demonstration_on_an_open_address_is_refused_in_one_sentence(host, capsys):
    assert serve.main(["--host", host, "--port", "18999"], {"DDAD_DEMO": "1"}) == 2
    given = {"DDAD_HOST": host or "0.0.0.0", "DDAD_DEMO": "1"}
    assert serve.main(["--port", "18999"], given) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 2
    assert "can be reached from other machines" in captured.err
    assert "unset DDAD_DEMO" in captured.err


@pytest.mark.usefixtures("nothing_listens")
@pytest.mark.parametrize(
    "environment",
    [{"DDAD_ACCESS_PASSWORD": "correct horse battery"}, {"DDAD_DEMO": "2"}, {"PORT": "x"}],
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
        assert serve.main(["--host", host], {"DDAD_DEMO": "1"}) == 2
        assert f"{host} can be reached from other machines" in capsys.readouterr().err
    known["ward-pc"] = ["127.0.1.1"]
    serve.check_demonstration("ward-pc", serve.resolve("ward-pc", 1))


def test_which_hosts_are_answered_follows_from_where_it_serves():
    near, far = serve.resolve("127.0.0.1", 18999), serve.resolve("0.0.0.0", 18999)
    plain, named = load_settings({}), load_settings({"DDAD_ALLOWED_HOSTS": "a.example"})
    assert serve._rules(plain, near).hosts == HostRules()
    assert serve._rules(plain, far).hosts == HostRules(any_address=True)
    assert serve._rules(named, far).hosts == HostRules(frozenset({"a.example"}))


def test_an_unknown_name_is_refused_in_one_sentence(capsys):
    assert serve.main(["--host", "no such name"], {}) == 2
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


def test_answers_do_not_wait_for_acknowledgements():
    """What asyncio looks at before it turns Nagle's algorithm off, on connections taken."""
    (listening,) = serve.listen(serve.resolve("127.0.0.1", free_port()))
    with listening, socket.create_connection(listening.getsockname(), timeout=2):
        taken, _ = listening.accept()
        with taken:
            assert taken.proto == socket.IPPROTO_TCP


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
