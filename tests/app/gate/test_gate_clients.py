"""Host names that are answered, and whose word about a client is believed."""

from __future__ import annotations

import ipaddress

import pytest
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from app.gate.asgi import HEALTH
from app.gate.requests import HostRules, client_of
from tests.app.gate.conftest import Browser, open_and_close, refused

LOCAL = ["localhost", "LOCALHOST:8501", "127.0.0.1", "127.0.0.1:80", "[::1]:9", "127.0.0.2"]
OTHERS = [
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
    "2130706433",
    "x/gate/health?",
    "x/gate/health#",
]
ADDRESSES = ["192.168.1.5", "192.168.1.5:8501", "[2001:db8::1]:80", "0.0.0.0"]
NETWORKS = [ipaddress.ip_network(one) for one in ("10.0.0.0/8", "fd00::/8")]


def allowed(rules: HostRules, host: str | None) -> bool:
    return rules.allow(Headers({} if host is None else {"host": host}))


@pytest.mark.parametrize("host", LOCAL)
def test_names_of_this_machine_are_always_answered(host):
    assert allowed(HostRules(), host)
    assert allowed(HostRules(frozenset({"reading.example"})), host)


@pytest.mark.parametrize("host", OTHERS)
def test_names_that_nobody_listed_are_not(host):
    for rules in (HostRules(), HostRules(any_address=True), HostRules(frozenset({"a.example"}))):
        assert not allowed(rules, host)


@pytest.mark.parametrize("host", ADDRESSES)
def test_addresses_are_answered_where_others_can_reach_the_server(host):
    assert allowed(HostRules(any_address=True), host)
    assert not allowed(HostRules(), host)


def test_listed_names_are_answered_whatever_their_case_and_port():
    rules = HostRules(frozenset({"reading.example", "2001:db8::1"}))
    for host in ("reading.example", "READING.example:443", "[2001:db8::1]"):
        assert allowed(rules, host)


@pytest.mark.parametrize("host", OTHERS)
def test_a_wrong_host_gets_a_sentence_that_names_the_setting(door, app, host):
    browser = Browser(door)
    browser.sign_in()
    browser.host = host
    for path in ("/", HEALTH, "/gate/sign-in"):
        reply = browser.ask("GET", path)
        assert reply.status == 400
        assert "DDAD_ALLOWED_HOSTS" in reply.text
    assert refused(open_and_close(browser))
    assert app.reached == []


def seen(address: str, **headers: str):
    named = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {"type": "http", "scheme": "http", "client": (address, 1), "headers": named}
    return client_of(HTTPConnection(scope), NETWORKS)


@pytest.mark.parametrize(
    ("address", "forwarded", "expected"),
    [
        ("192.0.2.1", "203.0.113.1", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "198.51.100.9, 203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "203.0.113.1, 10.0.0.2", "203.0.113.1"),
        ("10.0.0.1", "evil, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1:4711", "203.0.113.1"),
        ("10.0.0.1", "[2001:db8::5]:4711", "2001:db8::5"),
        ("10.0.0.1", "[2001:db8::5]", "2001:db8::5"),
        ("::ffff:10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("", "203.0.113.1", ""),
    ],
)
def test_the_client_is_the_last_hop_that_no_trusted_proxy_has(address, forwarded, expected):
    assert seen(address, x_forwarded_for=forwarded).address == expected


def test_only_a_trusted_proxy_tells_of_tls():
    assert seen("10.0.0.1", x_forwarded_proto="https").https
    assert not seen("10.0.0.1", x_forwarded_proto="http").https
    assert not seen("192.0.2.1", x_forwarded_proto="https").https


def test_a_proxy_on_this_machine_makes_nobody_local():
    assert seen("127.0.0.1").on_this_machine
    assert seen("::1").on_this_machine
    for header in ("x_forwarded_for", "forwarded", "via", "x_real_ip"):
        assert not seen("127.0.0.1", **{header: "127.0.0.1"}).on_this_machine
    assert not seen("192.0.2.1").on_this_machine


def test_an_ipv6_subscriber_is_one_whatever_the_address():
    assert seen("2001:db8::1").subscriber == seen("2001:db8::2").subscriber
    assert seen("2001:db8::1").subscriber != seen("2001:db8:0:1::1").subscriber
    assert seen("::ffff:192.0.2.1").subscriber == seen("192.0.2.1").subscriber
