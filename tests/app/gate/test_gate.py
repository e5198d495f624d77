"""The access gate before a stand-in app that records whatever reaches it."""

from __future__ import annotations

import asyncio
import html
import re

import pytest

from app import gate
from app.gate import own_routes
from app.gate.asgi import HEALTH, AccessGate
from app.gate.own_routes import COOKIE
from app.gate.pages import FIRST_ACCOUNT, SIGN_IN, SIGN_OUT
from app.settings import ConfigurationError
from tests.app.gate.conftest import (
    CODE,
    HOST,
    NAME,
    PASSWORD,
    PROXY,
    Browser,
    open_and_close,
    refused,
)

TWELVE_HOURS = 12 * 3600

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
        ("GET", "/auth/login"),
        ("GET", "/auth/logout"),
        ("GET", "/oauth2callback"),
        ("POST", "/gate/active"),
        ("GET", "/gate/session"),
        ("GET", "/gate/single-sign-on"),
        ("PROPFIND", "/"),
        ("gEt", "/"),
    ],
)
def test_nothing_is_shown_or_accepted_before_signing_in(browser, app, method, path):
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
    reply = browser.ask("GET", HEALTH)
    assert (reply.status, reply.text) == (200, "ok\n")
    assert app.reached == []


def test_the_sign_in_page_needs_nothing_from_elsewhere(browser):
    reply = browser.ask("GET", "/", accept="text/html,*/*")
    assert reply.headers["content-type"].startswith("text/html")
    assert not re.search(r"https?://|src=|<link|<script|@import|url\(", reply.text)
    assert '<label for="name">' in reply.text
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
    replies = [browser.ask("GET", "/"), browser.sign_in(), browser.ask("GET", "/media/x")]
    for reply in replies:
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["referrer-policy"] == "same-origin"
        assert reply.headers["cross-origin-opener-policy"] == "same-origin"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in reply.headers["permissions-policy"]
        assert reply.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in reply.headers
        assert reply.headers["content-security-policy"]
    assert replies[2].text == "the app"
    assert replies[2].headers["content-security-policy"] == "default-src 'self'"


def test_only_the_programs_own_files_may_be_kept_by_browsers(browser):
    browser.sign_in()
    assert "cache-control" not in browser.ask("GET", "/static/js/index.js").headers
    for path in ("/", "/media/x.png", "/_stcore/bidi-components/x", "/app/static/x", "/static"):
        assert browser.ask("GET", path).headers["cache-control"] == "no-store"


# Signing in and out


def test_the_right_password_opens_page_upload_and_socket(browser, app):
    reply = browser.sign_in()
    assert (reply.status, reply.headers["location"]) == (303, "/")
    assert browser.ask("GET", "/").text == "the app"
    assert browser.ask("PUT", "/_stcore/upload_file/s/f").text == "the app"
    sent = open_and_close(browser)
    assert sent[0] == {"type": "websocket.accept"}
    assert sent[1] == {"type": "websocket.send", "bytes": b"ping"}
    assert len(app.reached) == 3


@pytest.mark.parametrize("given", ["", "wrong", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper()])
def test_a_wrong_password_is_told_with_the_time_of_the_next_try(browser, app, given):
    reply = browser.sign_in(given)
    assert reply.status == 401
    assert reply.cookies == []
    assert "Name or password is wrong. Next try in 1 s." in reply.text
    assert 'aria-invalid="true"' in reply.text
    assert f'value="{NAME}"' in reply.text
    assert reply.headers["retry-after"] == "1"
    assert app.reached == []


def test_an_unknown_name_gets_the_same_answer_as_a_wrong_password(door):
    clients = {"eve": Browser(door, "192.0.2.1"), NAME: Browser(door, "192.0.2.2")}
    replies = [client.sign_in("wrong", name) for name, client in clients.items()]
    assert replies[0].text == replies[1].text.replace(NAME, "eve")
    assert replies[0].status == replies[1].status == 401


def test_a_form_without_a_password_is_a_failure(browser):
    assert browser.ask("POST", SIGN_IN, body=[b"\xff\xfe&&=;password"]).status == 401


def test_what_was_typed_is_never_repeated_as_markup(browser):
    text = browser.sign_in("<b>typed</b>", "<i>{body}").text
    assert "typed" not in html.unescape(text)
    assert "<i>" not in text and "&lt;i&gt;" in text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser):
    # The theme is no secret: a script reads it before the page is first drawn.
    cookie, theme = (one.lower() for one in browser.sign_in().cookies)
    assert theme.startswith("ddad_theme=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert f"max-age={TWELVE_HOURS}" in cookie
    assert "secure" not in cookie
    assert len(browser.token) >= 43  # 256 bits in base64


@pytest.mark.parametrize("proto", ["https", "HTTPS", "https, http"])
def test_the_cookie_is_secure_behind_tls(door, proto):
    assert "Secure" in Browser(door, scheme="https").sign_in().cookies[0]
    behind = Browser(door, PROXY).sign_in(x_forwarded_proto=proto)
    assert "Secure" in behind.cookies[0]
    assert "strict-transport-security" in behind.headers


def test_every_sign_in_gets_a_token_of_its_own_kept_only_as_a_hash(door):
    tokens = {Browser(door).sign_in().token for _ in range(5)}
    assert len(tokens) == 5
    kept = repr([vars(one) for one in door.sessions._by_hash.values()])
    assert not any(token in kept for token in tokens)


@pytest.mark.parametrize(
    ("target", "goes_to"),
    [
        ("/review", "/review"),
        ("/thresholds?model=a&b=%20", "/thresholds?model=a&b=%20"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\tx", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
        ("/gate/sign-out", "/"),
        ("/auth/logout", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_signing_in_leads_to_local_paths_only(door, target, goes_to):
    assert Browser(door).sign_in(target=target).headers["location"] == goes_to


def test_the_page_to_sign_in_remembers_where_one_was_heading(browser):
    text = browser.ask("GET", "/export?x=<>&y", accept="text/html").text
    assert 'name="next" value="/export?x=&lt;&gt;&amp;y"' in text


def test_who_must_change_the_password_is_led_there(door, store, user):
    with store.writing() as repositories:
        repositories.users.change(user.id, must_change_password=True)
    assert Browser(door).sign_in(target="/review").headers["location"] == "/"


def test_signing_in_again_ends_the_session_before(door, browser, sessions):
    first = browser.sign_in().token
    browser.sign_in()
    assert sessions.find(first) is None
    assert sessions.find(browser.token) is not None


def test_signing_out_ends_this_session_only(door, browser, store):
    other = Browser(door)
    other.sign_in()
    browser.sign_in()
    page = browser.ask("GET", SIGN_OUT)  # a page with a button: GET ends nothing
    assert page.status == 200 and "Ana Ruiz" in page.text
    assert browser.ask("GET", "/").status == 200
    reply = browser.ask("POST", SIGN_OUT)
    assert reply.status == 303
    assert f'{COOKIE}=""' in reply.cookies[0]
    assert browser.ask("GET", "/").status == 401
    assert other.ask("GET", "/").status == 200
    with store.reading() as repositories:
        assert [one.action for one in repositories.audit.find()][0] == "sign-out"
        assert len(repositories.sessions.list_open()) == 1


def test_the_gates_own_paths_never_reach_the_app(browser, app):
    browser.sign_in()
    for path in (SIGN_IN, FIRST_ACCOUNT):
        assert browser.ask("GET", path).headers["location"] == "/"
    assert browser.ask("GET", "/gate/other").status == 404
    for path in ("/auth/login", "/auth/logout", "/oauth2callback"):
        assert browser.ask("GET", path).status == 404
    assert app.reached == []


def test_coming_from_another_site_takes_one_more_step_which_sends_the_cookie(browser):
    headers = {"sec-fetch-site": "cross-site", "accept": "text/html"}
    reply = browser.ask("GET", "/review", **headers)
    assert reply.status == 200 and 'http-equiv="refresh" content="0; url=/review"' in reply.text
    assert "password" not in reply.text


def test_the_apps_own_cookies_of_a_person_do_not_reach_it(browser, app):
    browser.sign_in()
    browser.ask("GET", "/", cookie="a=b; _streamlit_user=forged; _streamlit_user_1=x; c=d")
    (cookie,) = [v for k, v in app.scopes[-1]["headers"] if k == b"cookie"]
    assert cookie.startswith(b"a=b; c=d; ")
    assert b"_streamlit" not in cookie


# The first account


@pytest.fixture
def local(empty_door):
    """A browser on this machine, before a gate without accounts."""
    return Browser(empty_door, "127.0.0.1", host="localhost:8501")


def form(**changes):
    fields = {"name": "ana", "full_name": "Ana Ruiz", "password": PASSWORD, "again": PASSWORD}
    return {**fields, **changes}


def test_without_accounts_every_page_asks_for_the_first(local, app):
    for path in ("/", "/review", SIGN_IN, FIRST_ACCOUNT):
        reply = local.ask("GET", path, accept="text/html")
        assert reply.status == 401 and "There is no account yet" in reply.text
        assert 'name="code"' not in reply.text
    assert local.ask("GET", "/media/x", accept="image/*").status == 401
    assert app.reached == []


def test_the_first_account_may_do_everything_and_is_signed_in(local, store):
    assert local.post(FIRST_ACCOUNT, form()).headers["location"] == "/"
    assert local.ask("GET", "/").text == "the app"
    with store.reading() as repositories:
        (user,) = repositories.users.list_all()
        actions = [one.action for one in repositories.audit.find()]
    assert set(user.roles) == {"reader", "arbiter", "lead", "administrator", "auditor"}
    assert actions == ["sign-in", "user created"]


def test_there_is_only_one_first_account(local, store):
    local.post(FIRST_ACCOUNT, form())
    second = Browser(local.door, "127.0.0.1", host="localhost")
    assert second.post(FIRST_ACCOUNT, form(name="eve")).cookies == []
    assert "There is no account yet" not in second.ask("GET", "/", accept="text/html").text
    with store.reading() as repositories:
        assert repositories.users.count() == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"again": PASSWORD + "x"}, "The two passwords differ."),
        ({"password": "short", "again": "short"}, "fewer than 12 characters"),
        ({"password": "passwordpassword", "again": "passwordpassword"}, "too weak"),
        ({"name": "  "}, "needs a name"),
    ],
)
def test_what_is_wrong_with_the_first_account_is_said(local, store, changes, said):
    reply = local.post(FIRST_ACCOUNT, form(**changes))
    assert reply.status == 400 and said in reply.text
    assert 'value="Ana Ruiz"' in reply.text and PASSWORD not in reply.text
    with store.reading() as repositories:
        assert repositories.users.count() == 0


@pytest.mark.parametrize(
    ("address", "host", "headers"),
    [
        ("192.0.2.1", HOST, {}),
        ("127.0.0.1", HOST, {}),
        ("127.0.0.1", "localhost", {"x_forwarded_for": "192.0.2.1"}),
        ("127.0.0.1", "localhost", {"forwarded": "for=192.0.2.1"}),
        (PROXY, "localhost", {"x_forwarded_for": "127.0.0.1"}),
    ],
)
def test_elsewhere_the_first_account_needs_the_code(empty_door, address, host, headers, store):
    far = Browser(empty_door, address, host=host)
    assert 'name="code"' in far.ask("GET", "/", accept="text/html", **headers).text
    for code in ("", "AAAA-BBBB-CCCD"):
        reply = far.post(FIRST_ACCOUNT, form(code=code), **headers)
        assert reply.status in (400, 429)
        assert reply.cookies == []
    with store.reading() as repositories:
        assert repositories.users.count() == 0
    far.door._own._attempts.forget("192.0.2.1")
    far.door._own._attempts.forget("127.0.0.1")
    assert far.post(FIRST_ACCOUNT, form(code=f" {CODE.lower()} "), **headers).status == 303


def test_guessing_the_setup_code_takes_ever_longer(empty_door):
    far = Browser(empty_door)
    assert far.post(FIRST_ACCOUNT, form(code="x")).status == 400
    assert far.post(FIRST_ACCOUNT, form(code=CODE)).status == 429


def test_a_setup_code_has_sixty_bits():
    codes = {own_routes.setup_code() for _ in range(100)}
    assert len(codes) == 100
    assert all(re.fullmatch(r"([A-Z2-9]{4}-){2}[A-Z2-9]{4}", code) for code in codes)
    assert len(own_routes.CODE_ALPHABET) == 32


# The demonstration, and past the gate


@pytest.fixture
def demonstration(app, rules):
    return Browser(AccessGate(app, rules, sessions=None, own=None), "127.0.0.1", host="localhost")


def test_the_demonstration_needs_no_account_but_keeps_the_other_rules(demonstration, app):
    assert demonstration.ask("GET", "/").text == "the app"
    assert open_and_close(demonstration)[0] == {"type": "websocket.accept"}
    reached = len(app.reached)
    for path in (SIGN_IN, FIRST_ACCOUNT, "/gate/session", "/auth/login", "/oauth2callback"):
        assert demonstration.ask("GET", path).status == 404
    assert demonstration.ask("PUT", "/x", origin="https://evil.example").status == 403
    assert refused(open_and_close(demonstration, origin="https://evil.example"))
    demonstration.host = "evil.example"
    assert demonstration.ask("GET", "/").status == 400
    assert len(app.reached) == reached


def test_start_and_end_of_the_server_reach_the_app(door, app):
    asyncio.run(door({"type": "lifespan"}, None, None))
    assert app.reached == [("lifespan", None)]


@pytest.fixture
def serving(monkeypatch):
    return lambda door: monkeypatch.setattr(gate, "_serving", door)


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "127.0.0.1", "localhost"])
def test_without_the_gate_nothing_is_shown_on_any_address(serving, address):
    serving(None)
    with pytest.raises(ConfigurationError) as caught:
        gate.ensure_guarded(address)
    assert "app.serve" in caught.value.next_step
    assert gate.who_acts({COOKIE: "x"}) is None
    assert not gate.is_demonstration()


def test_the_demonstration_is_for_this_machine_only(serving, demonstration):
    serving(demonstration.door)
    gate.ensure_guarded("127.0.0.1")
    for address in (None, "0.0.0.0", "192.0.2.1"):
        with pytest.raises(ConfigurationError, match="this machine only"):
            gate.ensure_guarded(address)
    person = gate.who_acts({})
    assert person.user_id is None and "administrator" not in person.roles


def test_who_acts_is_told_by_the_cookie_alone(serving, door, browser, user):
    serving(door)
    gate.ensure_guarded("0.0.0.0")
    browser.sign_in()
    browser.ask("GET", "/")
    person = gate.who_acts({COOKIE: browser.token})
    assert (person.name, person.full_name, person.user_id) == (NAME, "Ana Ruiz", user.id)
    assert person.roles == frozenset({"reader"})
    assert person.address == "192.0.2.1"
    assert person.session_id == door.sessions.find(browser.token).record.id
    assert gate.who_acts({}) is None
    assert gate.who_acts({COOKIE: "made up"}) is None
    assert not gate.must_change_password({COOKIE: browser.token})


def test_a_change_in_this_process_is_taken_over_at_once(serving, door, browser, store, user):
    serving(door)
    browser.sign_in()
    with store.writing() as repositories:
        repositories.users.change(user.id, must_change_password=True, roles=("auditor",))
    gate.refresh()
    assert gate.must_change_password({COOKIE: browser.token})
    assert gate.who_acts({COOKIE: browser.token}).roles == frozenset({"auditor"})
    with store.writing() as repositories:
        repositories.users.change(user.id, active=False)
    gate.refresh()
    assert gate.who_acts({COOKIE: browser.token}) is None
    assert browser.ask("GET", "/").status == 401
