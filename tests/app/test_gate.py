from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from app import gate
from app.gate import AccessGate, AttemptLog, GatePolicy, Sessions, ensure_guarded, is_loopback
from app.settings import ConfigurationError

PASSWORD = "correct horse battery"
LIMIT = 1000
Headers = dict[str, str]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Inner:
    """Stands for Streamlit: records every connection that reaches it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.reached.append(f"{scope['type']} {scope.get('method', '')} {scope.get('path', '')}")
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"SECRET"})


class Answer:
    def __init__(self, sent: Sequence[dict[str, Any]]) -> None:
        self.sent = sent
        start = next((m for m in sent if m["type"] == "http.response.start"), {})
        self.status = start.get("status")
        self.headers = [(k.decode(), v.decode()) for k, v in start.get("headers", [])]
        self.body = b"".join(m.get("body", b"") for m in sent)

    def __getitem__(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    @property
    def cookie(self) -> str:
        return (self["set-cookie"] or "").partition(";")[0]

    @property
    def accepted(self) -> bool:
        return any(m["type"] == "websocket.accept" for m in self.sent)


class Site:
    """A gate with a fake app behind it and a clock that only tests move."""

    def __init__(
        self, *, password: str = PASSWORD, loopback_only: bool = False, host: str = "review.example"
    ) -> None:
        self.inner, self.clock, self.host = Inner(), Clock(), host
        self.gate = AccessGate(
            self.inner, GatePolicy(password, loopback_only, LIMIT), clock=self.clock
        )

    async def connect(
        self,
        method: str,
        path: str,
        headers: Headers | None = None,
        body: Sequence[bytes] = (b"",),
        *,
        client: str | None = "10.0.0.9",
        scheme: str = "http",
    ) -> Answer:
        all_headers = {"host": self.host, **(headers or {})}
        scope: dict[str, Any] = {
            "type": "websocket" if method == "WS" else "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in all_headers.items()],
            "client": (client, 5) if client else None,
            "server": ("10.0.0.1", 80),
        }
        if method == "WS":
            scope["subprotocols"] = []
            incoming = [{"type": "websocket.connect"}]
        else:
            scope["method"] = method
            incoming = [
                {"type": "http.request", "body": part, "more_body": i + 1 < len(body)}
                for i, part in enumerate(body)
            ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0)
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.gate(scope, receive, send)
        return Answer(sent)

    def ask(self, method: str, path: str, *args: Any, **options: Any) -> Answer:
        return asyncio.run(self.connect(method, path, *args, **options))

    def try_password(self, text: str = PASSWORD, **options: Any) -> Answer:
        return self.ask("POST", gate.SIGN_IN, options.pop("headers", None), [form(text)], **options)

    def signed_in(self) -> Headers:
        answer = self.try_password()
        assert answer.status == 303
        return {"cookie": answer.cookie}


def form(password: str) -> bytes:
    return b"password=" + password.replace(" ", "+").encode()


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def unmarked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process in which nothing has been served yet, whatever other tests did."""
    monkeypatch.setattr(gate, "_active", False)
    yield


# What is closed before the password


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/review"),
        ("GET", "/media/0123abcd.png"),
        ("GET", "/static/js/main.js"),
        ("GET", "/app/static/x"),
        ("GET", "/component/ddad_viewer/index.html"),
        ("GET", "/_stcore/health"),
        ("GET", "/_stcore/host-config"),
        ("GET", "/_stcore/stream"),
        ("GET", "/gate/health/"),
        ("GET", "/gate/health/../../"),
        ("GET", "//gate/health"),
        ("GET", "/GATE/HEALTH"),
        ("GET", "/gate/sign-in"),
        ("HEAD", "/"),
        ("POST", "/_stcore/upload_file/a/b"),
        ("PUT", "/_stcore/upload_file/a/b"),
        ("DELETE", "/_stcore/upload_file/a/b"),
        ("OPTIONS", "/_stcore/upload_file/a/b"),
        ("PATCH", "/"),
        ("TRACE", "/"),
        ("get", "/"),
        ("PROPFIND", "/"),
        ("POST", "/gate/sign-in/"),
        ("PUT", "/gate/sign-in"),
    ],
)
def test_nothing_is_reached_without_the_password(site: Site, method: str, path: str) -> None:
    answer = site.ask(method, path, {"content-length": "4"}, [b"data"])
    assert answer.status == 401
    assert site.inner.reached == [] and b"SECRET" not in answer.body


def test_websocket_is_refused_without_the_password(site: Site) -> None:
    for path in ("/_stcore/stream", "/", gate.HEALTH, gate.SIGN_IN):
        answer = site.ask("WS", path)
        assert not answer.accepted
        assert answer.sent == [{"type": "websocket.close", "code": 1008}]
    assert site.inner.reached == []


def test_a_page_request_shows_the_sign_in_form_and_a_program_gets_a_sentence(site: Site) -> None:
    page = site.ask("GET", "/review", {"accept": "text/html,*/*"})
    assert b"<form" in page.body and page["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in (page["content-security-policy"] or "")
    program = site.ask("GET", "/_stcore/host-config", {"accept": "application/json"})
    assert program.body == b"Sign in first.\n"


def test_health_is_open_and_says_nothing_else(site: Site) -> None:
    answer = site.ask("GET", gate.HEALTH)
    assert (answer.status, answer.body) == (200, b"ok\n")
    assert site.inner.reached == []


def test_lifespan_reaches_the_app(site: Site) -> None:
    asyncio.run(site.gate({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert site.inner.reached == ["lifespan  "]


def test_every_answer_carries_the_security_headers(site: Site) -> None:
    cookie = site.signed_in()
    for answer in (site.ask("GET", "/"), site.ask("GET", "/", cookie), site.try_password("no")):
        assert answer["x-content-type-options"] == "nosniff"
        assert answer["x-frame-options"] == "DENY"
        assert answer["referrer-policy"] == "same-origin"


# Giving the password


def test_right_password_opens_page_and_socket(site: Site) -> None:
    cookie = site.signed_in()
    assert site.inner.reached == []
    assert site.ask("GET", "/", cookie).body == b"SECRET"
    assert site.ask("WS", "/_stcore/stream", cookie).accepted
    assert site.inner.reached == ["http GET /", "websocket  /_stcore/stream"]


@pytest.mark.parametrize(
    "body",
    [
        form("wrong"),
        form(PASSWORD + " "),
        form(PASSWORD.upper()),
        b"",
        b"password=",
        b"PASSWORD=" + PASSWORD.encode(),
        b"\xff\xfe\x00=\x80",
        b"password=x&password=" + PASSWORD.replace(" ", "+").encode(),
        b'{"password": "' + PASSWORD.encode() + b'"}',
    ],
)
def test_wrong_password_is_refused(site: Site, body: bytes) -> None:
    answer = site.ask("POST", gate.SIGN_IN, None, [body])
    assert answer.status == 401 and answer["set-cookie"] is None
    assert b"Wrong password." in answer.body


def test_password_may_arrive_in_pieces_and_hold_any_character() -> None:
    site = Site(password="ünïcode & sign=%41 +")
    quoted = b"password=%C3%BCn%C3%AFcode+%26+sign%3D%2541+%2B"
    answer = site.ask("POST", gate.SIGN_IN, None, [quoted[:15], quoted[15:20], quoted[20:]])
    assert answer.status == 303


def test_oversized_form_is_refused_before_all_of_it_is_read(site: Site) -> None:
    chunks = [b"password=" + b"a" * 3000] + [b"a" * 3000] * 1000
    answer = site.ask("POST", gate.SIGN_IN, None, chunks)
    assert answer.status == 413 and answer["set-cookie"] is None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://review.example:8080"},
        {"origin": "http://review.example.evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_sign_in_and_out_from_another_site_are_refused(site: Site, headers: Headers) -> None:
    assert site.try_password(headers=headers).status == 403
    cookie = site.signed_in()
    assert site.ask("POST", gate.SIGN_OUT, {**cookie, **headers}).status == 403
    assert site.ask("GET", "/", cookie).status == 200


@pytest.mark.xfail(strict=True, reason="urlsplit raises ValueError on it", raises=ValueError)
def test_malformed_origin_is_refused_not_an_error(site: Site) -> None:
    assert site.try_password(headers={"origin": "http://[review"}).status == 403


def test_sign_in_from_the_sites_own_page_is_accepted(site: Site) -> None:
    headers = {"origin": "https://review.example", "sec-fetch-site": "same-origin"}
    assert site.try_password(headers=headers).status == 303


# Guessing


def test_delay_doubles_with_each_failure_up_to_a_minute(site: Site) -> None:
    delays = []
    for _ in range(10):
        assert site.try_password("wrong").status == 401
        delay = site.gate._attempts.wait("10.0.0.9")
        delays.append(delay)
        site.clock.now += delay - 0.01
        early = site.try_password()  # even the right one has to wait
        assert early.status == 429 and early["set-cookie"] is None
        site.clock.now += 0.02
    assert delays == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert site.try_password().status == 303


def test_waiting_is_told_and_a_refused_try_does_not_lengthen_it(site: Site) -> None:
    for _ in range(5):
        site.try_password("wrong")
        site.clock.now += 60
    site.try_password("wrong")  # the sixth: 16 s
    site.clock.now += 5
    told = [site.try_password("wrong")["retry-after"] for _ in range(20)]
    assert told == ["11"] * 20
    assert "Try again in 11 s" in site.try_password().body.decode()
    site.clock.now += 11.01
    assert site.try_password().status == 303


@pytest.mark.xfail(strict=True, reason="rounded down: too early")
def test_a_client_that_obeys_retry_after_is_let_in(site: Site) -> None:
    for _ in range(4):
        site.try_password("wrong")
        site.clock.now += 60
    site.try_password("wrong")  # the fifth: 8 s
    site.clock.now += 0.6
    site.clock.now += float(site.try_password()["retry-after"] or 0)
    assert site.try_password().status == 303


def test_success_clears_the_failures_of_this_client_only(site: Site) -> None:
    for client in ("10.0.0.9", "10.0.0.8"):
        for _ in range(4):
            site.try_password("wrong", client=client)
            site.clock.now += 60
    site.try_password(client="10.0.0.9")
    site.try_password("wrong", client="10.0.0.9")
    site.try_password("wrong", client="10.0.0.8")
    assert site.gate._attempts.wait("10.0.0.9") == 0.5
    assert site.gate._attempts.wait("10.0.0.8") == 8


def test_clients_without_an_address_share_one_count(site: Site) -> None:
    site.try_password("wrong", client=None)
    assert site.try_password(client=None).status == 429


def test_simultaneous_attempts_get_one_guess_between_them(site: Site) -> None:
    async def attack() -> list[Answer]:
        guesses = [
            site.connect("POST", gate.SIGN_IN, None, [b"password=", f"guess{i}".encode(), b""])
            for i in range(50)
        ]
        return await asyncio.gather(*guesses)

    statuses = [answer.status for answer in asyncio.run(attack())]
    assert sorted(statuses) == [401] + [429] * 49


def test_attempt_log_forgets_the_oldest_first_and_stays_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "MAX_CLIENTS", 10)
    log = AttemptLog(Clock())
    for i in range(100):
        log.failed(f"client {i}")
        log.failed("client 0")  # stays, for it keeps failing
    assert len(log._failures) == 10
    assert log.wait("client 0") == gate.LONGEST_DELAY
    assert log.wait("client 50") == 0


def test_a_million_failures_do_not_overflow() -> None:
    log = AttemptLog(Clock())
    log._failures["a"] = (10**6, 1000.0)
    log.failed("a")
    assert log.wait("a") == gate.LONGEST_DELAY


# The cookie


def test_cookie_is_kept_from_scripts_and_other_sites(site: Site) -> None:
    cookie = site.try_password()["set-cookie"] or ""
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} <= attributes
    assert "secure" not in attributes
    assert PASSWORD not in cookie and len(cookie.partition(";")[0]) > 40


@pytest.mark.parametrize(
    "options", [{"scheme": "https"}, {"headers": {"x-forwarded-proto": "https"}}]
)
def test_cookie_is_secure_where_the_page_is(site: Site, options: dict[str, Any]) -> None:
    assert "; secure" in (site.try_password(**options)["set-cookie"] or "").lower()


def test_each_sign_in_gets_its_own_token(site: Site) -> None:
    assert site.signed_in() != site.signed_in()


def test_token_ends_after_twelve_hours(site: Site) -> None:
    cookie = site.signed_in()
    site.clock.now += 12 * 3600 - 1
    assert site.ask("GET", "/", cookie).status == 200
    site.clock.now += 1
    assert site.ask("GET", "/", cookie).status == 401
    assert not site.ask("WS", "/_stcore/stream", cookie).accepted


@pytest.mark.parametrize(
    "cookie",
    [
        "ddad_gate=",
        "ddad_gate=" + "A" * 43,
        "ddad_gate=" + PASSWORD,
        "ddad_gate",
        "ddad_gate=\xff\xfe",
        "=; ddad_gate=../../x; ;;",
        "session=1; ddad_gate=0; ddad_gate=1",
    ],
)
def test_forged_cookie_opens_nothing(site: Site, cookie: str) -> None:
    site.signed_in()
    assert site.ask("GET", "/", {"cookie": cookie}).status == 401
    assert not site.ask("WS", "/_stcore/stream", {"cookie": cookie}).accepted
    assert site.inner.reached == []


def test_only_a_hash_of_the_token_is_kept(site: Site) -> None:
    token = site.signed_in()["cookie"].partition("=")[2]
    assert token not in repr(site.gate._sessions._ends)


def test_sessions_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MAX_SESSIONS", 3)
    sessions = Sessions(Clock())
    tokens = [sessions.open() for _ in range(5)]
    assert [sessions.valid(token) for token in tokens] == [False, False, True, True, True]


def test_signing_out_ends_the_token_and_the_cookie(site: Site) -> None:
    cookie, other = site.signed_in(), site.signed_in()
    answer = site.ask("POST", gate.SIGN_OUT, cookie)
    assert answer.status == 303 and re.search("max-age=0", answer["set-cookie"] or "", re.I)
    assert site.ask("GET", "/", cookie).status == 401
    assert site.ask("GET", "/", other).status == 200


def test_a_link_cannot_sign_out(site: Site) -> None:
    cookie = site.signed_in()
    site.ask("GET", gate.SIGN_OUT, cookie)
    assert site.ask("GET", "/", cookie).status == 200


# Where a request comes from and what it names


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_socket_of_another_sites_page_is_refused_even_when_signed_in(
    site: Site, headers: Headers
) -> None:
    cookie = site.signed_in()
    assert not site.ask("WS", "/_stcore/stream", {**cookie, **headers}).accepted
    assert site.inner.reached == []
    own = {**cookie, "origin": "http://review.example"}
    assert site.ask("WS", "/_stcore/stream", own).accepted


def test_socket_of_another_sites_page_is_refused_without_a_password_too() -> None:
    site = Site(password="", loopback_only=True, host="localhost:8501")
    assert not site.ask("WS", "/_stcore/stream", {"origin": "https://evil.example"}).accepted
    assert site.ask("WS", "/_stcore/stream", {"origin": "http://localhost:8501"}).accepted


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8501",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "192.168.1.2:8501",
        "0.0.0.0:8501",
        "",
        "[",
        "[::1",
        "localhost:8501@evil.example",
    ],
)
def test_other_host_names_are_refused_on_loopback(host: str) -> None:
    """DNS rebinding: a foreign name that resolves to this machine."""
    site = Site(password="", loopback_only=True, host=host)
    assert site.ask("GET", "/").status == 400
    assert site.ask("PUT", "/_stcore/upload_file/a/b", None, [b"x"]).status == 400
    assert not site.ask("WS", "/_stcore/stream").accepted
    assert not site.ask("WS", "/_stcore/stream", {"origin": f"http://{host}"}).accepted
    assert site.inner.reached == []


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8501", "127.0.0.1:8501", "[::1]:8501", "127.0.0.1"],
)
def test_own_names_are_served_on_loopback(host: str) -> None:
    site = Site(password="", loopback_only=True, host=host)
    assert site.ask("GET", "/").body == b"SECRET"
    assert site.ask("WS", "/_stcore/stream").accepted


@pytest.mark.xfail(strict=True, reason="served on it, is_loopback says yes, every page 400")
def test_every_loopback_address_that_may_be_served_on_is_answered() -> None:
    assert is_loopback("127.0.0.2")
    assert Site(password="", loopback_only=True, host="127.0.0.2:8501").ask("GET", "/").status == 200


def test_any_host_name_is_served_behind_a_password(site: Site) -> None:
    cookie = site.signed_in()
    assert site.ask("GET", "/", {**cookie, "host": "other.example"}).status == 200


# Sizes


@pytest.mark.parametrize("length", [str(LIMIT + 1), "99999999999999999999", "-1", "1e3", "0x10"])
def test_body_that_claims_too_much_is_refused_unread(site: Site, length: str) -> None:
    headers = {**site.signed_in(), "content-length": length}
    answer = site.ask("PUT", "/_stcore/upload_file/a/b", headers, [b"x"])
    assert answer.status == 413 and site.inner.reached == []


def test_body_at_the_limit_passes(site: Site) -> None:
    headers = {**site.signed_in(), "content-length": str(LIMIT)}
    assert site.ask("PUT", "/_stcore/upload_file/a/b", headers).status == 200


# Started past the gate


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.5.5.5", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.2", False),
        ("example.com", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("127.1", False),
        ("2130706433", False),
    ],
)
def test_loopback_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.usefixtures("unmarked")
@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "10.1.2.3"])
def test_running_past_the_gate_on_an_open_address_is_refused(address: str | None) -> None:
    with pytest.raises(ConfigurationError, match="without its access gate") as refusal:
        ensure_guarded(address)
    assert "python -m app.serve" in refusal.value.next_step
    gate.mark_active()
    ensure_guarded(address)


@pytest.mark.usefixtures("unmarked")
def test_running_on_loopback_needs_no_gate() -> None:
    ensure_guarded("127.0.0.1")
    ensure_guarded("localhost")
