"""The access gate before a stand-in app that records whatever reaches it."""

import asyncio
import html
import re
from urllib.parse import urlencode

import pytest

from app import gate, gate_state
from app.settings import ConfigurationError

PASSWORD = "correct horse battery"
HOST = "ddad.example"
MAX_BODY = 10_000


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class App:
    """Records what reaches it; a WebSocket it accepts, and echoes until it is disconnected."""

    def __init__(self):
        self.reached = []

    async def __call__(self, scope, receive, send):
        self.reached.append((scope["type"], scope.get("path")))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
            await send({"type": "websocket.send", "text": "said after the end"})
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"the app"})


class Reply:
    def __init__(self, sent):
        self.status = sent[0]["status"]
        self.headers = {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}
        self.text = b"".join(message.get("body", b"") for message in sent[1:]).decode()

    @property
    def token(self):
        return re.match(rf"{gate.COOKIE}=([^;]*)", self.headers["set-cookie"])[1]


class Browser:
    """Sends requests to a gate, as one client address with one cookie."""

    def __init__(self, door, address="192.0.2.1", scheme="http", host=HOST):
        self.door, self.address, self.scheme, self.host = door, address, scheme, host
        self.token = None
        self.reads = 0

    def scope(self, kind, method, path, headers):
        all_headers = {"host": self.host, **headers}
        if self.token:
            all_headers["cookie"] = f"{gate.COOKIE}={self.token}"
        return {
            "type": kind,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "scheme": self.scheme,
            "client": (self.address, 5000),
            "server": ("10.0.0.1", 80),
            "headers": [
                (k.lower().encode(), v.encode()) for k, v in all_headers.items() if v is not None
            ],
        }

    def ask(self, method, path, *, body=(b"",), **headers):
        chunks = list(body)
        self.reads = 0
        sent = []

        async def receive():
            self.reads += 1
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message):
            sent.append(message)

        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        asyncio.run(self.door(self.scope("http", method, path, headers), receive, send))
        return Reply(sent)

    def sign_in(self, password=PASSWORD, **headers):
        body = urlencode({"password": password}).encode()
        reply = self.ask("POST", gate.SIGN_IN, body=[body], **headers)
        if reply.status == 303:
            self.token = reply.token
        return reply

    async def socket(self, incoming, **headers):
        """Open a WebSocket; return what was sent to it."""
        sent = []

        async def send(message):
            sent.append(message)

        await self.door(
            self.scope("websocket", "GET", "/_stcore/stream", headers), incoming.get, send
        )
        return sent


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def app():
    return App()


@pytest.fixture
def door(app, clock):
    return gate.AccessGate(app, password=PASSWORD, max_body_bytes=MAX_BODY, clock=clock)


@pytest.fixture
def browser(door):
    return Browser(door)


@pytest.fixture
def local(app, clock):
    """A browser on this machine, before a gate without a password."""
    door = gate.AccessGate(app, password="", max_body_bytes=MAX_BODY, clock=clock)
    return Browser(door, "127.0.0.1", host="localhost:8501")


def waiting():
    """Messages for a socket: the handshake has come, nothing more."""
    queue = asyncio.Queue()
    queue.put_nowait({"type": "websocket.connect"})
    return queue


def open_and_close(browser, **headers):
    async def run():
        queue = waiting()
        queue.put_nowait({"type": "websocket.receive", "text": "ping"})
        queue.put_nowait({"type": "websocket.disconnect", "code": 1000})
        return await browser.socket(queue, **headers)

    return asyncio.run(run())


def refused(sent):
    return sent == [{"type": "websocket.close", "code": 1008}]


# Signed out


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/review"),
        ("GET", "/_stcore/health"),
        ("GET", "/_stcore/host-config"),
        ("GET", "/_stcore/stream"),
        ("GET", "/media/0123.png"),
        ("GET", "/static/js/index.js"),
        ("GET", "/app/static/x.png"),
        ("GET", "/component/viewer/viewer.js"),
        ("GET", "/_stcore/bidi-components/viewer/viewer.js"),
        ("GET", "/gate/other"),
        ("GET", "/gate/../"),
        ("GET", "//"),
        ("HEAD", "/"),
        ("OPTIONS", "/_stcore/upload_file/s/f"),
        ("PUT", "/_stcore/upload_file/s/f"),
        ("DELETE", "/_stcore/upload_file/s/f"),
        ("POST", "/_stcore/agent/interact"),
        ("POST", "/gate/health"),
        ("PUT", "/gate/sign-in"),
        ("PROPFIND", "/"),
        ("gEt", "/"),
    ],
)
def test_nothing_is_shown_or_accepted_before_the_password(browser, app, method, path):
    reply = browser.ask(method, path, body=[b"x" * 1000] * 1000)
    assert reply.status == 401
    assert "the app" not in reply.text
    assert app.reached == []
    assert browser.reads == 0


def test_a_websocket_is_closed_before_it_is_accepted(browser, app):
    assert refused(open_and_close(browser))
    assert app.reached == []


@pytest.mark.parametrize("token", ["", "x", "a" * 5000, "\udcff", "None"])
def test_a_made_up_token_opens_nothing(browser, app, token):
    browser.token = token.encode("utf-8", "replace").decode()
    assert browser.ask("GET", "/").status == 401
    assert refused(open_and_close(browser))
    assert app.reached == []


def test_health_answers_without_the_app(browser, app):
    reply = browser.ask("GET", gate.HEALTH)
    assert (reply.status, reply.text) == (200, "ok\n")
    assert app.reached == []


def test_the_sign_in_page_needs_nothing_from_elsewhere(browser):
    reply = browser.ask("GET", "/", accept="text/html,*/*")
    assert reply.headers["content-type"].startswith("text/html")
    assert not re.search(r"https?://|src=|<link|<script|@import|url\(", reply.text)
    assert '<label for="password">' in reply.text
    assert "autofocus" in reply.text
    assert 'aria-live="assertive"' in reply.text
    assert reply.headers["cache-control"] == "no-store"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_other_programs_get_plain_text(browser):
    reply = browser.ask("GET", "/media/x", accept="image/*")
    assert reply.headers["content-type"].startswith("text/plain")


def test_security_headers_are_on_every_answer(browser):
    replies = [browser.ask("GET", "/"), browser.sign_in(), browser.ask("GET", "/")]
    for reply in replies:
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in reply.headers.get(
            "content-security-policy", "frame-ancestors 'none'"
        )
    assert replies[2].text == "the app"


# Signing in and out


def test_the_right_password_opens_page_upload_and_socket(browser, app):
    reply = browser.sign_in()
    assert (reply.status, reply.headers["location"]) == (303, "/")
    assert browser.ask("GET", "/").text == "the app"
    assert browser.ask("PUT", "/_stcore/upload_file/s/f").text == "the app"
    sent = open_and_close(browser)
    assert sent[0] == {"type": "websocket.accept"}
    assert sent[1] == {"type": "websocket.send", "text": "ping"}
    assert len(app.reached) == 3


def test_a_password_of_any_characters_works(app, clock):
    password = "Grüße & 100 % = „ja“ + 胸部"
    door = gate.AccessGate(app, password=password, max_body_bytes=1, clock=clock)
    assert Browser(door).sign_in(password).status == 303


@pytest.mark.parametrize("given", ["", "wrong", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper()])
def test_a_wrong_password_is_told_with_the_time_of_the_next_try(browser, app, given):
    reply = browser.sign_in(given)
    assert reply.status == 401
    assert "set-cookie" not in reply.headers
    assert "Wrong password. Next try in 1 s." in reply.text
    assert 'aria-invalid="true"' in reply.text
    assert reply.headers["retry-after"] == "1"
    assert app.reached == []


def test_a_form_without_a_password_is_a_failure(browser, clock):
    assert browser.ask("POST", gate.SIGN_IN, body=[b"\xff\xfe&&=;password"]).status == 401


def test_what_was_typed_is_never_repeated(browser):
    assert "<b>typed" not in html.unescape(browser.sign_in("<b>typed</b>").text)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser):
    cookie = browser.sign_in().headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert f"max-age={gate.SESSION_SECONDS}" in cookie
    assert "secure" not in cookie
    assert len(browser.token) >= 43  # 256 bits in base64


@pytest.mark.parametrize("proto", ["https", "HTTPS", "https, http"])
def test_the_cookie_is_secure_behind_tls(door, proto):
    assert "Secure" in Browser(door, scheme="https").sign_in().headers["set-cookie"]
    assert "Secure" in Browser(door).sign_in(x_forwarded_proto=proto).headers["set-cookie"]


def test_every_sign_in_gets_a_token_of_its_own_kept_only_as_a_hash(door):
    tokens = {Browser(door).sign_in().token for _ in range(5)}
    assert len(tokens) == 5
    kept = repr(vars(door._sessions))
    assert not any(token in kept for token in tokens)
    assert PASSWORD not in repr(vars(door))


def test_a_session_ends_after_twelve_hours(browser, clock):
    browser.sign_in()
    clock.now += 12 * 3600 - 1
    assert browser.ask("GET", "/").status == 200
    clock.now += 2
    assert browser.ask("GET", "/").status == 401
    assert refused(open_and_close(browser))


def test_signing_out_ends_this_session_only(door, browser):
    other = Browser(door)
    other.sign_in()
    browser.sign_in()
    assert browser.ask("GET", gate.SIGN_OUT).status == 200  # a page with a button: GET ends nothing
    assert browser.ask("GET", "/").status == 200
    reply = browser.ask("POST", gate.SIGN_OUT)
    assert reply.status == 303
    assert 'ddad_gate=""' in reply.headers["set-cookie"]
    assert browser.ask("GET", "/").status == 401
    assert other.ask("GET", "/").status == 200


def test_the_gates_own_paths_never_reach_the_app(browser, app):
    browser.sign_in()
    assert browser.ask("GET", gate.SIGN_IN).headers["location"] == "/"
    assert browser.ask("GET", "/gate/other").status == 404
    assert app.reached == []


def test_signing_out_closes_open_sockets(door, browser):
    browser.sign_in()

    async def run():
        opening = asyncio.create_task(browser.socket(waiting()))
        await asyncio.sleep(0.05)
        door._sessions.close(browser.token)
        return await asyncio.wait_for(opening, 2)

    sent = asyncio.run(run())
    assert sent == [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1008}]


def test_an_open_socket_closes_when_its_session_runs_out(browser, clock):
    browser.sign_in()
    clock.now += gate.SESSION_SECONDS - 0.05

    async def run():
        asyncio.get_running_loop().call_later(0.04, setattr, clock, "now", clock.now + 1)
        return await asyncio.wait_for(browser.socket(waiting()), 2)

    sent = asyncio.run(run())
    assert sent[-1] == {"type": "websocket.close", "code": 1008}


def test_what_comes_over_a_socket_after_the_end_is_not_passed_on(browser, clock):
    browser.sign_in()

    async def run():
        queue = waiting()
        opening = asyncio.create_task(browser.socket(queue))
        await asyncio.sleep(0.05)
        clock.now += gate.SESSION_SECONDS + 1
        queue.put_nowait({"type": "websocket.receive", "text": "too late"})
        return await asyncio.wait_for(opening, 2)

    assert asyncio.run(run())[1:] == [{"type": "websocket.close", "code": 1008}]


# Guessing


def test_the_delay_doubles_to_a_minute(browser, clock):
    delays = []
    for _ in range(10):
        assert browser.sign_in("wrong").status == 401
        delays.append(browser.door._attempts.wait(browser.address))
        clock.now += delays[-1]
    assert delays == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_during_the_delay_even_the_right_password_is_not_looked_at(browser, clock):
    for _ in range(4):
        browser.sign_in("wrong")
        clock.now += 4
    browser.sign_in("wrong")
    clock.now += 3.5
    reply = browser.sign_in()
    assert reply.status == 429
    assert reply.headers["retry-after"] == "5"
    assert "set-cookie" not in reply.headers
    assert browser.reads == 0
    clock.now += 4.5
    assert browser.sign_in().status == 303


def test_refused_attempts_do_not_lengthen_the_delay(browser, clock):
    browser.sign_in("wrong")
    for _ in range(50):
        assert browser.sign_in("wrong").status == 429
    clock.now += 0.5
    assert browser.sign_in().status == 303


def test_one_client_does_not_delay_another(door, browser):
    browser.sign_in("wrong")
    assert Browser(door, "192.0.2.2").sign_in().status == 303


def test_success_resets_the_count_of_that_client_only(door, browser, clock):
    other = Browser(door, "192.0.2.2")
    for _ in range(4):
        browser.sign_in("wrong")
        other.sign_in("wrong")
        clock.now += 4
    assert browser.sign_in().status == 303
    browser.sign_in("wrong")
    other.sign_in("wrong")
    assert door._attempts.wait(browser.address) == 0.5
    assert door._attempts.wait(other.address) == 8


def test_guessing_from_many_addresses_delays_everybody(door, clock):
    for number in range(gate_state.SHARED_ALLOWANCE + 20):
        Browser(door, f"198.51.100.{number}").sign_in("wrong")
    assert Browser(door, "192.0.2.9").sign_in().status == 429
    clock.now += 60
    assert Browser(door, "192.0.2.9").sign_in().status == 303


def test_old_failures_are_forgotten(door, browser, clock):
    for number in range(40):
        Browser(door, f"198.51.100.{number}").sign_in("wrong")
        clock.now += 60
    clock.now += gate_state.FORGET_SECONDS + 1
    browser.sign_in("wrong")
    assert door._attempts.wait(browser.address) == 0.5


def test_one_ipv6_subscriber_is_one_client(door):
    Browser(door, "2001:db8::1").sign_in("wrong")
    assert Browser(door, "2001:db8::2").sign_in().status == 429
    assert Browser(door, "2001:db8:0:1::1").sign_in().status == 303


def test_a_forwarded_address_is_not_believed(browser):
    browser.sign_in("wrong", x_forwarded_for="203.0.113.1")
    assert browser.sign_in(x_forwarded_for="203.0.113.2").status == 429


def test_two_guesses_at_once_count_as_two(door):
    """The form of the second comes while the first is being judged."""
    outcomes = []

    async def guess(hold):
        async def receive():
            await hold.wait()
            return {"type": "http.request", "body": b"password=wrong", "more_body": False}

        async def send(message):
            outcomes.extend([message["status"]] if "status" in message else [])

        await door(Browser(door).scope("http", "POST", gate.SIGN_IN, {}), receive, send)

    async def run():
        hold = asyncio.Event()
        guesses = [asyncio.create_task(guess(hold)) for _ in range(5)]
        await asyncio.sleep(0)
        hold.set()
        await asyncio.gather(*guesses)

    asyncio.run(run())
    assert sorted(outcomes) == [401, 429, 429, 429, 429]


def test_memory_is_bounded(door, clock, monkeypatch):
    monkeypatch.setattr(gate_state, "MAX_CLIENTS", 20)
    monkeypatch.setattr(gate_state, "MAX_SESSIONS", 20)
    for number in range(100):
        door._attempts.failed(f"client {number}")
    tokens = [door._sessions.open() for _ in range(100)]
    assert len(door._attempts._clients) == 20
    assert len(door._sessions._by_token) == 20
    assert door._sessions.find(tokens[0]) is None
    assert door._sessions.find(tokens[-1]) is not None
    clock.now += gate.SESSION_SECONDS + 1
    door._sessions.open()
    assert len(door._sessions._by_token) == 1


# Bodies


def test_a_large_form_is_refused_unread(browser):
    reply = browser.ask("POST", gate.SIGN_IN, body=[b"x"], content_length="4097")
    assert reply.status == 413
    assert browser.reads == 0


@pytest.mark.parametrize("length", ["-1", "4e3", "٤", ""])
def test_a_length_that_is_no_number_is_refused(browser, length):
    assert browser.ask("POST", gate.SIGN_IN, content_length=length).status == 413


def test_an_endless_form_is_cut_off(browser):
    reply = browser.ask("POST", gate.SIGN_IN, body=[b"x" * 1024] * 1000)
    assert reply.status == 413
    assert browser.reads == 5


def test_a_slow_form_is_cut_off(door, monkeypatch):
    monkeypatch.setattr(gate, "FORM_SECONDS", 0.02)
    sent = []

    async def never():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    scope = Browser(door).scope("http", "POST", gate.SIGN_IN, {})
    asyncio.run(door(scope, never, send))
    assert sent[0]["status"] == 413


def test_a_client_that_leaves_during_the_form_breaks_nothing(door):
    async def gone():
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    asyncio.run(door(Browser(door).scope("http", "POST", gate.SIGN_IN, {}), gone, send))


def test_an_upload_over_the_limit_is_refused_early(browser, app):
    browser.sign_in()
    path = "/_stcore/upload_file/s/f"
    assert browser.ask("PUT", path, content_length=str(MAX_BODY + 1)).status == 413
    assert app.reached == []
    assert browser.ask("PUT", path, content_length=str(MAX_BODY)).status == 200


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": ""},
        {"origin": f"http://{HOST}.evil.example"},
        {"origin": f"http://evil.example@{HOST}"},
        {"origin": f"http://{HOST}:8080"},
        {"origin": f"ftp://{HOST}"},
    ],
)
def test_another_origin_is_refused_in_forms_uploads_and_sockets(browser, app, headers):
    assert browser.sign_in(**headers).status == 403
    browser.sign_in()
    assert browser.ask("PUT", "/_stcore/upload_file/s/f", **headers).status == 403
    assert browser.ask("POST", gate.SIGN_OUT, **headers).status == 403
    assert refused(open_and_close(browser, **headers))
    assert app.reached == []
    assert browser.ask("GET", "/").status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_site_is_refused(browser, site):
    assert browser.sign_in(**{"sec-fetch-site": site}).status == 403


@pytest.mark.parametrize("origin", [f"http://{HOST}", f"https://{HOST}", f"HTTPS://{HOST.upper()}"])
def test_the_own_origin_is_accepted(browser, origin):
    assert browser.sign_in(**{"origin": origin, "sec-fetch-site": "same-origin"}).status == 303
    assert open_and_close(browser, origin=origin)[0] == {"type": "websocket.accept"}


# Without a password


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8501", "127.0.0.1", "127.0.0.1:80", "[::1]:9", "127.0.0.2"]
)
def test_names_of_this_machine_need_no_password(local, host):
    local.host = host
    assert local.ask("GET", "/").text == "the app"
    assert open_and_close(local, origin=f"http://{host}")[0] == {"type": "websocket.accept"}


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8501",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil@localhost",
        "localhost/evil",
        "localhost:x",
        "[::1",
        "[",
        "192.168.1.5",
        "0.0.0.0",
        "2130706433",
    ],
)
def test_any_other_name_is_refused_against_dns_rebinding(local, app, host):
    local.host = host
    assert local.ask("GET", "/").status == 400
    assert local.ask("GET", gate.HEALTH).status == 400
    assert refused(open_and_close(local))
    assert app.reached == []


def test_without_a_password_other_sites_are_refused_all_the_same(local, app):
    assert refused(open_and_close(local, origin="https://evil.example"))
    assert local.ask("PUT", "/_stcore/upload_file/s/f", origin="https://evil.example").status == 403
    assert app.reached == []


def test_without_a_password_there_is_nothing_to_sign_into(local):
    for path in (gate.SIGN_IN, gate.SIGN_OUT):
        assert local.ask("GET", path).headers["location"] == "/"
    assert "set-cookie" not in local.ask("POST", gate.SIGN_IN, body=[b"password="]).headers


def test_a_crooked_host_header_cannot_change_the_path(browser, app):
    for host in ("x/gate/health?", "x/gate/health#", "["):
        browser.host = host
        assert browser.ask("GET", "/").status == 401
    assert app.reached == []


def test_start_and_end_of_the_server_reach_the_app(door, app):
    asyncio.run(door({"type": "lifespan"}, None, None))
    assert app.reached == [("lifespan", None)]


# Past the gate


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "192.168.1.5", "ward-pc", "1"])
def test_an_open_address_without_the_gate_is_refused(address):
    with pytest.raises(ConfigurationError) as caught:
        gate.ensure_guarded(address, password_gate_active=False)
    assert "app.serve" in caught.value.next_step
    gate.ensure_guarded(address, password_gate_active=True)


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"])
def test_loopback_needs_no_gate(address):
    gate.ensure_guarded(address, password_gate_active=False)


def test_serving_behind_the_gate_is_remembered(monkeypatch):
    monkeypatch.setattr(gate, "_serving", False)
    with pytest.raises(ConfigurationError):
        gate.ensure_guarded("0.0.0.0")
    gate.mark_serving()
    assert gate.serving_is_guarded()
    gate.ensure_guarded("0.0.0.0")
