"""Sessions: how long they last, what keeps them, and that all their sockets end with them."""

from __future__ import annotations

import asyncio
import json

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from app.gate import asgi
from app.gate import sessions as sessions_module
from app.gate.asgi import AccessGate
from app.gate.own_routes import OwnRoutes
from app.gate.pages import SIGN_OUT
from app.gate.sessions import Sessions
from app.gate.streamlit_side import is_activity
from app.services.signing_in import SigningIn
from tests.app.gate.conftest import ACTIVITY, CODE, Browser, open_and_close, refused, waiting

IDLE = 15 * 60
CLOSED = {"type": "websocket.close", "code": 1008}


def reasons(store) -> list[str]:
    with store.reading() as repositories:
        return [e.reason for e in repositories.audit.find() if e.action == "session ended"]


def seen_at(store):
    with store.reading() as repositories:
        (session,) = repositories.sessions.list_open()
    return session.seen_at


def message(content: bytes) -> dict:
    return {"type": "websocket.receive", "bytes": content}


# How long


def test_a_session_ends_after_fifteen_idle_minutes(browser, clock, store, sessions):
    browser.sign_in()
    clock.pass_on(IDLE - 1)
    assert browser.ask("GET", "/media/x").status == 200
    clock.pass_on(2)
    assert browser.ask("GET", "/").status == 401
    assert refused(open_and_close(browser))
    sessions.refresh()
    assert reasons(store) == ["idle"]


def test_a_session_ends_after_twelve_hours_whatever_is_done(browser, clock, store, sessions):
    browser.sign_in()
    for _ in range(12 * 6 - 1):
        clock.pass_on(600)
        assert browser.ask("GET", "/", accept="text/html").status == 200
    clock.pass_on(599)
    assert browser.ask("GET", "/", accept="text/html").status == 200
    clock.pass_on(2)
    assert browser.ask("GET", "/", accept="text/html").status == 401
    sessions.refresh()
    assert reasons(store) == ["open for too long"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "counts"),
    [
        ("GET", "/review", {"accept": "text/html,*/*"}, True),
        ("POST", "/gate/active", {}, True),
        ("GET", "/gate/session", {"accept": "*/*"}, False),
        ("GET", "/_stcore/health", {"accept": "*/*"}, False),
        ("GET", "/media/x.png", {"accept": "image/*"}, False),
        ("POST", "/gate/active", {"origin": "https://evil.example"}, False),
    ],
)
def test_what_counts_as_activity(browser, clock, method, path, headers, counts):
    browser.sign_in()
    clock.pass_on(IDLE - 1)
    browser.ask(method, path, **headers)
    clock.pass_on(2)
    assert (browser.ask("GET", "/x").status == 200) is counts


def test_the_page_is_told_how_long_the_session_lasts(browser, clock):
    assert browser.ask("GET", "/gate/session").status == 401
    browser.sign_in()
    clock.pass_on(100)
    told = json.loads(browser.ask("GET", "/gate/session").text)
    assert told == {"signed_in": True, "seconds_left": IDLE - 100, "may_stay": True}
    told = json.loads(browser.ask("POST", "/gate/active").text)
    assert told["seconds_left"] == IDLE


def test_towards_twelve_hours_nothing_makes_it_last_longer(browser, clock, sessions):
    browser.sign_in()
    session = sessions.find(browser.token)
    clock.pass_on(12 * 3600 - 60)
    sessions.touch(session)
    assert sessions.seconds_left(session) == 60
    assert not sessions.may_stay(session)


# What the database hears and says


def test_activity_is_written_at_most_once_a_minute(browser, clock, store, sessions):
    browser.sign_in()
    began = clock.now()
    for seconds in range(1, 60):
        clock.pass_on(1)
        browser.ask("POST", "/gate/active")
        sessions.refresh()
        assert seen_at(store) == began, seconds
    clock.pass_on(1)
    sessions.refresh()
    assert (seen_at(store) - began).total_seconds() == 59
    browser.ask("POST", "/gate/active")
    sessions.refresh(write_all=True)
    assert seen_at(store) == clock.now()


def test_sessions_survive_a_restart(browser, app, rules, accounts, clock, store):
    browser.sign_in()
    clock.pass_on(120)
    fresh = Sessions(SigningIn(store), clock.now)
    own = OwnRoutes(app, accounts, fresh, None, CODE, clock=clock.seconds)
    again = Browser(AccessGate(app, rules, sessions=fresh, own=own))
    again.token = browser.token
    assert again.ask("GET", "/").status == 401
    fresh.refresh()
    assert again.ask("GET", "/").status == 200
    session = fresh.find(browser.token)
    assert fresh.seconds_left(session) == IDLE - 120


@pytest.mark.parametrize("how", ["session ended", "account removed"])
def test_what_another_process_ends_is_over_after_the_next_look(browser, store, sessions, user, how):
    browser.sign_in()
    session = sessions.find(browser.token)
    with store.writing() as repositories:
        if how == "session ended":
            repositories.sessions.end(session.record.id, "elsewhere")
        else:
            repositories.users.change(user.id, active=False)
    sessions.refresh()
    assert session.over
    assert browser.ask("GET", "/").status == 401


def test_a_session_that_opens_while_the_database_is_asked_stays(door, sessions, accounts):
    """It is not in the list that was read a moment before."""
    browser = Browser(door)
    listed = accounts.open_sessions

    def slow():
        found = listed()
        browser.sign_in()
        return found

    accounts.open_sessions = slow
    sessions.refresh()
    assert browser.ask("GET", "/").status == 200


def test_a_list_read_before_signing_out_brings_nothing_back(browser, sessions, accounts):
    browser.sign_in()
    listed = accounts.open_sessions

    def slow():
        found = listed()
        browser.ask("POST", SIGN_OUT)
        return found

    accounts.open_sessions = slow
    sessions.refresh()
    assert sessions.find(browser.token) is None
    assert browser.ask("GET", "/").status == 401
    accounts.open_sessions = listed
    sessions.refresh()
    assert sessions._dropped == set()


def test_a_look_that_fails_is_not_the_last(browser, store, user, sessions, accounts, monkeypatch):
    monkeypatch.setattr(asgi, "REFRESH_SECONDS", 0.01)
    listed, tries = accounts.open_sessions, []

    def failing():
        tries.append(1)
        if len(tries) < 4:
            raise ZeroDivisionError
        return listed()

    accounts.open_sessions = failing

    async def run():
        async def serving(scope, receive, send):
            while len(tries) < 6:
                await asyncio.sleep(0.01)

        browser.door._app = serving
        await asyncio.wait_for(browser.door({"type": "lifespan"}, None, None), 3)

    asyncio.run(run())
    assert len(tries) >= 6


def test_a_database_out_of_reach_ends_no_session_and_extends_none(
    browser, clock, sessions, accounts, monkeypatch
):
    browser.sign_in()
    monkeypatch.setattr(accounts, "open_sessions", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sessions.refresh()
    assert browser.ask("GET", "/").status == 200
    clock.pass_on(IDLE + 1)
    assert browser.ask("GET", "/").status == 401


def test_sessions_are_bounded(door, sessions, clock, store, monkeypatch):
    monkeypatch.setattr(sessions_module, "MAX_SESSIONS", 3)
    browsers = [Browser(door) for _ in range(5)]
    for browser in browsers:
        browser.sign_in()
        clock.pass_on(1)
    sessions.refresh()
    assert [one.ask("GET", "/").status for one in browsers] == [401, 401, 200, 200, 200]
    assert reasons(store) == ["too many sessions were open"] * 2


# Sockets


def test_signing_out_closes_the_sockets_of_every_tab(browser, app):
    browser.sign_in()

    async def run():
        tabs = [asyncio.create_task(browser.socket(waiting())) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert not any(tab.done() for tab in tabs)
        await browser.asking("POST", SIGN_OUT)
        return await asyncio.wait_for(asyncio.gather(*tabs), 2)

    for sent in asyncio.run(run()):
        assert sent == [{"type": "websocket.accept"}, CLOSED]


def test_a_removed_users_sockets_close_within_the_next_look(browser, store, user, monkeypatch):
    monkeypatch.setattr(asgi, "REFRESH_SECONDS", 0.05)
    browser.sign_in()

    async def run():
        started = asyncio.Event()

        async def serving(scope, receive, send):
            started.set()
            await asyncio.sleep(60)

        browser.door._app, kept = serving, browser.door._app
        life = asyncio.create_task(browser.door({"type": "lifespan"}, None, None))
        await started.wait()
        browser.door._app = kept
        opening = asyncio.create_task(browser.socket(waiting()))
        await asyncio.sleep(0.05)
        with store.writing() as repositories:
            repositories.users.change(user.id, active=False)
        sent = await asyncio.wait_for(opening, 2)
        life.cancel()
        await asyncio.wait([life])
        return sent

    assert asyncio.run(run())[-1] == CLOSED


def test_an_open_socket_closes_when_its_session_runs_out(browser, clock):
    browser.sign_in()
    clock.pass_on(IDLE - 0.05)

    async def run():
        asyncio.get_running_loop().call_later(0.04, clock.pass_on, 1)
        return await asyncio.wait_for(browser.socket(waiting()), 2)

    assert asyncio.run(run())[-1] == CLOSED


def test_a_socket_stays_when_the_session_was_made_longer(browser, clock, sessions):
    browser.sign_in()
    session = sessions.find(browser.token)
    clock.pass_on(IDLE - 0.05)

    async def run():
        queue = waiting()
        opening = asyncio.create_task(browser.socket(queue))
        await asyncio.sleep(0.02)
        sessions.touch(session)
        await asyncio.sleep(0.1)
        queue.put_nowait(message(b"still here"))
        queue.put_nowait({"type": "websocket.disconnect", "code": 1000})
        return await asyncio.wait_for(opening, 2)

    assert {"type": "websocket.send", "bytes": b"still here"} in asyncio.run(run())


def test_what_comes_over_a_socket_after_the_end_is_not_passed_on(browser, clock):
    browser.sign_in()

    async def run():
        queue = waiting()
        opening = asyncio.create_task(browser.socket(queue))
        await asyncio.sleep(0.05)
        clock.pass_on(IDLE + 1)
        queue.put_nowait(message(b"too late"))
        return await asyncio.wait_for(opening, 2)

    assert asyncio.run(run())[1:] == [CLOSED]


@pytest.mark.parametrize(
    ("contents", "counts"),
    [
        ([], False),
        ([ACTIVITY], False),  # the page's own, when it opens or finds its connection again
        ([ACTIVITY, b"by itself"], False),
        ([ACTIVITY, ACTIVITY], True),
    ],
)
def test_messages_of_a_person_keep_the_session(browser, clock, contents, counts):
    browser.sign_in()
    clock.pass_on(IDLE - 1)

    async def run():
        queue = waiting()
        for content in contents:
            queue.put_nowait(message(content))
        queue.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await browser.socket(queue)

    asyncio.run(run())
    clock.pass_on(2)
    assert (browser.ask("GET", "/x").status == 200) is counts


def back_message(**fields) -> bytes:
    made = BackMsg()
    if "rerun" in fields:
        made.rerun_script.is_auto_rerun = fields["rerun"] == "auto"
        made.rerun_script.query_string = ""
    if fields.get("heartbeat"):
        made.app_heartbeat = True
    return made.SerializeToString()


def test_reruns_by_themselves_and_heartbeats_are_no_activity():
    assert is_activity(back_message(rerun="person"))
    assert not is_activity(back_message(rerun="auto"))
    assert not is_activity(back_message(heartbeat=True))
    assert not is_activity(b"\xff\xff no message")
    assert not is_activity(b"")
