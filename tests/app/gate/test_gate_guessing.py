"""Guessing, large bodies, and requests that other sites send."""

from __future__ import annotations

import asyncio

import pytest

from app.gate import attempts, requests
from app.gate.pages import SIGN_IN, SIGN_OUT
from app.gate.threads import Workers
from tests.app.gate.conftest import (
    HOST,
    MAX_BODY,
    NAME,
    PROXY,
    Browser,
    open_and_close,
    refused,
)

# Guessing


def test_the_delay_doubles_to_a_minute(browser, clock):
    delays = []
    for _ in range(10):
        assert browser.sign_in("wrong", "nobody").status == 401
        delays.append(browser.door._own._attempts.wait(browser.address))
        clock.pass_on(delays[-1])
    assert delays == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_during_the_delay_even_the_right_password_is_not_looked_at(browser, clock):
    for _ in range(4):
        browser.sign_in("wrong")
        clock.pass_on(4)
    browser.sign_in("wrong")
    clock.pass_on(3.5)
    reply = browser.sign_in()
    assert reply.status == 429
    assert reply.headers["retry-after"] == "5"
    assert "set-cookie" not in reply.headers
    assert browser.reads == 0
    clock.pass_on(4.5)
    assert browser.sign_in().status == 303


def test_refused_attempts_do_not_lengthen_the_delay(browser, clock):
    browser.sign_in("wrong")
    for _ in range(50):
        assert browser.sign_in("wrong").status == 429
    clock.pass_on(0.5)
    assert browser.sign_in().status == 303


def test_one_client_does_not_delay_another(door, browser):
    browser.sign_in("wrong")
    assert Browser(door, "192.0.2.2").sign_in().status == 303


def test_success_resets_the_count_of_that_client_only(door, browser, clock):
    other = Browser(door, "192.0.2.2")
    for _ in range(4):
        browser.sign_in("wrong")
        other.sign_in("wrong")
        clock.pass_on(4)
    assert browser.sign_in().status == 303
    browser.sign_in("wrong")
    other.sign_in("wrong")
    assert door._own._attempts.wait(browser.address) == 0.5
    assert door._own._attempts.wait(other.address) == 8


def test_guessing_from_many_addresses_delays_nobody_else(door):
    for number in range(50):
        Browser(door, f"198.51.100.{number}").sign_in("wrong", "somebody else")
    assert Browser(door, "192.0.2.9").sign_in().status == 303


def test_one_account_is_locked_after_ten_tries_from_anywhere(door):
    for number in range(9):
        assert Browser(door, f"198.51.100.{number}").sign_in("wrong").status == 401
    locked = Browser(door, "198.51.100.9").sign_in("wrong")
    assert "locked" in locked.text and "Next try in 15 min" in locked.text
    assert Browser(door, "192.0.2.9").sign_in().cookies == []


def test_old_failures_are_forgotten(door, browser, clock):
    for number in range(40):
        Browser(door, f"198.51.100.{number}").sign_in("wrong")
        clock.pass_on(60)
    clock.pass_on(attempts.FORGET_SECONDS + 1)
    browser.sign_in("wrong")
    assert door._own._attempts.wait(browser.address) == 0.5


def test_one_ipv6_subscriber_is_one_client(door):
    Browser(door, "2001:db8::1").sign_in("wrong")
    assert Browser(door, "2001:db8::2").sign_in().status == 429
    assert Browser(door, "2001:db8:0:1::1").sign_in().status == 303


def test_a_forwarded_address_is_believed_from_a_trusted_proxy_only(door, browser):
    browser.sign_in("wrong", x_forwarded_for="203.0.113.1")
    assert browser.sign_in(x_forwarded_for="203.0.113.2").status == 429
    behind = Browser(door, PROXY)
    behind.sign_in("wrong", x_forwarded_for="203.0.113.1")
    assert behind.sign_in(x_forwarded_for="evil, 203.0.113.1").status == 429
    assert behind.sign_in(x_forwarded_for="203.0.113.1, 203.0.113.2").status == 303


def test_two_guesses_at_once_count_as_two(door):
    """The form of the second comes while the first is being judged."""
    outcomes = []

    async def guess(hold):
        async def receive():
            await hold.wait()
            return {"type": "http.request", "body": b"name=ana&password=wrong", "more_body": False}

        async def send(message):
            outcomes.extend([message["status"]] if "status" in message else [])

        await door(Browser(door).scope("http", "POST", SIGN_IN, {}), receive, send)

    async def run():
        hold = asyncio.Event()
        guesses = [asyncio.create_task(guess(hold)) for _ in range(5)]
        await asyncio.sleep(0)
        hold.set()
        await asyncio.gather(*guesses)

    asyncio.run(run())
    assert sorted(outcomes) == [401, 429, 429, 429, 429]


def test_memory_is_bounded(door, monkeypatch):
    monkeypatch.setattr(attempts, "MAX_CLIENTS", 20)
    for number in range(100):
        door._own._attempts.failed(f"client {number}")
    assert len(door._own._attempts._clients) == 20


def test_too_many_who_sign_in_at_once_are_told_to_wait(door, monkeypatch):
    monkeypatch.setattr(door._own, "_judging", Workers("few", 1, 1))

    async def run():
        body = [f"name={NAME}&password=x".encode()]
        tries = [Browser(door, f"192.0.2.{n}").asking("POST", SIGN_IN, body=body) for n in range(5)]
        return sorted(reply.status for reply in await asyncio.gather(*tries))

    assert asyncio.run(run()) == [401, 401, 503, 503, 503]


# Bodies


def test_a_large_form_is_refused_unread(browser):
    reply = browser.ask("POST", SIGN_IN, body=[b"x"], content_length="4097")
    assert reply.status == 413
    assert browser.reads == 0


@pytest.mark.parametrize("length", ["-1", "4e3", "٤", ""])
def test_a_length_that_is_no_number_is_refused(browser, length):
    assert browser.ask("POST", SIGN_IN, content_length=length).status == 413


def test_an_endless_form_is_cut_off(browser):
    reply = browser.ask("POST", SIGN_IN, body=[b"x" * 1024] * 1000)
    assert reply.status == 413
    assert browser.reads == 5


def test_a_slow_form_is_cut_off(door, monkeypatch):
    monkeypatch.setattr(requests, "FORM_SECONDS", 0.02)
    sent = []

    async def never():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    scope = Browser(door).scope("http", "POST", SIGN_IN, {})
    asyncio.run(door(scope, never, send))
    assert sent[0]["status"] == 413


def test_a_client_that_leaves_during_the_form_breaks_nothing(door):
    async def gone():
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    asyncio.run(door(Browser(door).scope("http", "POST", SIGN_IN, {}), gone, send))


def test_an_upload_over_the_limit_is_refused_early(browser, app):
    browser.sign_in()
    path = "/_stcore/upload_file/s/f"
    assert browser.ask("PUT", path, content_length=str(MAX_BODY + 1)).status == 413
    assert app.reached == []
    assert browser.ask("PUT", path, content_length=str(MAX_BODY)).status == 200


def test_an_upload_without_a_length_is_cut_off_at_the_limit(browser, app):
    browser.sign_in()
    path = "/_stcore/upload_file/s/f"
    reply = browser.ask("PUT", path, body=[b"x" * 1000] * 50)
    assert reply.status == 413
    assert reply.headers["connection"] == "close"
    assert browser.reads == MAX_BODY // 1000 + 1
    assert app.read == MAX_BODY
    assert browser.ask("PUT", path, body=[b"x" * 1000] * 10).text == "the app"


def test_a_lie_about_the_length_helps_nobody(browser, app):
    browser.sign_in()
    path = "/_stcore/upload_file/s/f"
    assert browser.ask("PUT", path, body=[b"x" * 6000] * 2, content_length="5").status == 413
    assert app.read == 6000


def test_what_breaks_in_the_app_is_not_hidden_by_the_limit(browser, app):
    browser.sign_in()
    with pytest.raises(ConnectionError):
        browser.ask("PUT", "/_stcore/upload_file/s/f", body=[])


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
    assert browser.ask("POST", SIGN_OUT, **headers).status == 403
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
