"""Single sign-on: what is believed of a provider, and the whole way there and back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from streamlit import config
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from app.gate import streamlit_side
from app.gate.asgi import HEALTH
from app.gate.own_routes import COOKIE
from app.gate.sign_on import Answer, SingleSignOn
from app.opening import open_store
from app.services.access import Access
from app.services.accounts import AccountsService
from app.services.people import Person
from app.services.signing_in import SigningIn
from app.settings import REPOSITORY, load_settings
from app.sign_on_settings import SignOnSettings
from tests.provider import Provider, free_port, provider

NAME, PASSWORD = "ana", "violet kettle moss 41"
CLAIMS: dict[str, Any] = {
    "iss": "https://provider.example",
    "sub": "4711",
    "preferred_username": "ben",
    "name": "Ben Okafor",
    "roles": ["cxr-readers", "canteen"],
}


def bridge(claim: str = "roles", user: Any = None) -> SingleSignOn:
    settings = SignOnSettings(
        metadata_url="https://provider.example/.well-known/openid-configuration",
        client_id="ddad",
        client_secret="9b1f60e2c47d8a35",
        redirect_uri="https://reading.example/oauth2callback",
        roles_claim=tuple(claim.split(".")),
        roles={"cxr-readers": "reader", "cxr-leads": "lead"},
        name="the hospital",
    )
    return SingleSignOn(settings, lambda: "/auth/login?provider=x", lambda _: user)


# What is believed


def test_claims_make_a_person() -> None:
    found = bridge(user=CLAIMS).identity({})
    assert found is not None
    assert (found.issuer, found.subject) == ("https://provider.example", "4711")
    assert (found.name, found.full_name) == ("ben", "Ben Okafor")
    assert found.roles == frozenset({"reader"})


@pytest.mark.parametrize(
    ("claim", "value", "roles"),
    [
        ("roles", ["cxr-leads", "cxr-readers"], {"lead", "reader"}),
        ("roles", "cxr-leads, other", {"lead"}),
        ("roles", "cxr-leads cxr-readers", {"lead", "reader"}),
        ("roles", ["CXR-LEADS", "lead", "cxr-leads-not"], set()),
        ("roles", [["cxr-leads"], 5, None], set()),
        ("roles", {"cxr-leads": True}, set()),
        ("roles", None, set()),
        ("roles", 7, set()),
    ],
)
def test_only_mapped_groups_give_roles(claim: str, value: Any, roles: set[str]) -> None:
    found = bridge(claim, {**CLAIMS, "roles": value}).identity({})
    assert found is not None and found.roles == roles


def test_a_claim_may_be_nested_or_have_dots_of_its_own() -> None:
    nested = {**CLAIMS, "realm_access": {"roles": ["cxr-leads"]}}
    dotted = {**CLAIMS, "https://a.example/groups": ["cxr-leads"]}
    for claim, user in (("realm_access.roles", nested), ("https://a.example/groups", dotted)):
        found = bridge(claim, user).identity({})
        assert found is not None and found.roles == {"lead"}
    assert bridge("realm_access.roles", CLAIMS).identity({}).roles == frozenset()  # type: ignore[union-attr]


@pytest.mark.parametrize("missing", ["iss", "sub"])
def test_without_issuer_or_subject_there_is_nobody(missing: str) -> None:
    assert bridge(user={**CLAIMS, missing: ""}).identity({}) is None
    assert bridge(user=None).identity({}) is None


def test_names_that_cannot_be_stored_are_made_fit() -> None:
    user = {**CLAIMS, "preferred_username": "b\u202een\n " + "x" * 200, "name": "\x00"}
    found = bridge(user=user).identity({})
    assert found is not None
    assert found.name.startswith("ben") and len(found.name) <= 80 and found.name.isprintable()
    assert found.full_name == "4711"


def test_cookies_of_a_person_are_told_from_the_others() -> None:
    answer = Answer(
        302,
        [
            (b"location", b"/"),
            (b"set-cookie", b"_streamlit_user=abc; HttpOnly; Path=/"),
            (b"Set-Cookie", b"_streamlit_user_1=def; HttpOnly; Path=/"),
            (b"set-cookie", b"_streamlit_user_tokens=ghi; Path=/"),
            (b"set-cookie", b"_streamlit_session=null; Path=/"),
        ],
    )
    persons, others = answer.cookies()
    assert persons == {
        "_streamlit_user": "abc",
        "_streamlit_user_1": "def",
        "_streamlit_user_tokens": "ghi",
    }
    assert others == [b"_streamlit_session=null; Path=/"]


@pytest.fixture
def cookie_secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    secret, before = "0f" * 32, config.get_option("server.cookieSecret")
    config.set_option("server.cookieSecret", secret)
    monkeypatch.setattr(
        streamlit_side, "get_origin_from_redirect_uri", lambda: "https://reading.example"
    )
    yield secret
    config.set_option("server.cookieSecret", before)


def signed(secret: str, name: str = "_streamlit_user", **changes: Any) -> str:
    user = {**CLAIMS, "origin": "https://reading.example", "is_logged_in": True, **changes}
    return create_signed_value(secret, name, json.dumps(user)).decode()


def test_a_genuine_cookie_is_read(cookie_secret: str) -> None:
    user = streamlit_side.read_user({"_streamlit_user": signed(cookie_secret)})
    assert user is not None and user["sub"] == "4711"


def test_forged_expired_and_foreign_cookies_are_nobodys(
    cookie_secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = signed(cookie_secret)
    bad = {
        "another secret": signed("1f" * 32),
        "another cookie": signed(cookie_secret, "_streamlit_user_tokens"),
        "another origin": signed(cookie_secret, origin="https://evil.example"),
        "not signed in": signed(cookie_secret, is_logged_in=False),
        "changed": genuine[:10] + ("A" if genuine[10] != "A" else "B") + genuine[11:],
        "cut": genuine[:-1],
        "empty": "",
        "no latin-1": "é\udcff",
    }
    for why, value in bad.items():
        assert streamlit_side.read_user({"_streamlit_user": value}) is None, why
    assert streamlit_side.read_user({}) is None
    real = time.time
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: real() + 40 * 86400)
    assert streamlit_side.read_user({"_streamlit_user": genuine}) is None


# The whole way, with a real provider


@dataclass
class Served:
    process: subprocess.Popen[str]
    url: str
    home: Path

    def accounts(self) -> AccountsService:
        store = open_store(load_settings({"DDAD_HOME": str(self.home)}))
        return AccountsService(store, Access(store))

    def events(self, action: str) -> list[Any]:
        with open_store(load_settings({"DDAD_HOME": str(self.home)})).reading() as repositories:
            return [event for event in repositories.audit.find() if event.action == action]


@pytest.fixture(scope="module")
def idp() -> Iterator[Provider]:
    with provider() as found:
        found.know("s-ben", preferred_username="ben", name="Ben Okafor", roles=["cxr-readers"])
        found.know("s-nobody", preferred_username="nobody", name="No Role", roles=["canteen"])
        found.know("s-ana", preferred_username="Ana", name="Another Ana", roles=["cxr-leads"])
        found.know("s-gone", preferred_username="gone", name="Gone Soon", roles=["cxr-readers"])
        yield found


@pytest.fixture(scope="module")
def served(idp: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sign-on")
    home, port = folder / "home", free_port()
    url = f"http://127.0.0.1:{port}"
    SigningIn(open_store(load_settings({"DDAD_HOME": str(home)}))).create_first(
        NAME, "Ana Ruiz", PASSWORD, ""
    )
    script = folder / "page.py"
    script.write_text("import streamlit as st\nst.write('MARKER')\n")
    code = (
        "import sys, pathlib, app.serve as s; "
        f"sys.exit(s.main(['--port', '{port}'], script=pathlib.Path({str(script)!r})))"
    )
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env={
            **environ,
            **idp.settings(url),
            "PYTHONPATH": str(REPOSITORY),
            "DDAD_HOME": str(home),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    if not process.stdout.readline():
        pytest.fail(process.stderr.read())
    yield Served(process, url, home)
    process.terminate()
    process.communicate(timeout=15)


def go_there(client: httpx.Client, served: Served, query: str = "") -> httpx.Response:
    """From the sign-in page to the provider's own page."""
    page = client.get(f"{served.url}/", headers={"accept": "text/html"})
    assert page.status_code == 401 and "Sign in by the hospital&#x27;s sign-in" in page.text
    first = client.get(f"{served.url}/gate/single-sign-on{query}")
    assert first.status_code == 303
    second = client.get(f"{served.url}{first.headers['location']}")
    assert second.status_code == 302
    return client.get(second.headers["location"])


def come_back(client: httpx.Client, there: httpx.Response, subject: str) -> str:
    """Be authorized by the provider; the address it sends one back to."""
    answer = client.post(str(there.url), data={"sub": subject})
    assert answer.status_code == 302
    return answer.headers["location"]


def sign_in(client: httpx.Client, served: Served, subject: str) -> httpx.Response:
    return client.get(come_back(client, go_there(client, served), subject))


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10, trust_env=False) as found:
        yield found


def signed_in(client: httpx.Client, served: Served) -> bool:
    return client.get(f"{served.url}/gate/session").status_code == 200


def test_a_person_of_the_provider_signs_in_with_the_roles_of_their_groups(
    client: httpx.Client, served: Served, idp: Provider
) -> None:
    there = go_there(client, served, "?next=/review")
    page = client.get(come_back(client, there, "s-ben"))
    assert page.status_code == 200 and 'content="0; url=/review"' in page.text
    assert COOKIE in client.cookies
    assert not any(name.startswith("_streamlit_user") for name in client.cookies)
    set_cookie = next(v for v in page.headers.get_list("set-cookie") if v.startswith(COOKIE))
    assert "HttpOnly" in set_cookie and "samesite=strict" in set_cookie.lower()
    assert signed_in(client, served)
    assert "<title>Streamlit</title>" in client.get(f"{served.url}/").text
    with open_store(load_settings({"DDAD_HOME": str(served.home)})).reading() as repositories:
        user = repositories.users.by_subject(idp.url, "s-ben")
    assert user is not None
    assert (user.name, user.full_name, user.roles) == ("ben", "Ben Okafor", ("reader",))
    assert served.events("sign-in")[0].after == {"method": "single sign-on"}

    idp.know("s-ben", preferred_username="ben", name="Ben Okafor", roles=["cxr-leads"])
    client.cookies.clear()
    assert sign_in(client, served, "s-ben").status_code == 200
    with open_store(load_settings({"DDAD_HOME": str(served.home)})).reading() as repositories:
        user = repositories.users.by_subject(idp.url, "s-ben")
    assert user is not None and user.roles == ("lead",)


@pytest.mark.parametrize(
    ("subject", "said"),
    [("s-nobody", "no role"), ("s-ana", "an account of that name already")],
)
def test_who_may_not_enter_is_told_why(
    client: httpx.Client, served: Served, subject: str, said: str
) -> None:
    page = sign_in(client, served, subject)
    assert page.status_code == 403 and said in page.text
    assert COOKIE not in client.cookies
    assert not signed_in(client, served)


def test_a_removed_account_gets_no_further(client: httpx.Client, served: Served) -> None:
    assert sign_in(client, served, "s-gone").status_code == 200
    accounts, admin = served.accounts(), Person.named("test")
    (gone,) = [one.user for one in accounts.list_users(admin) if one.user.name == "gone"]
    accounts.remove(admin, gone.id, "left")
    end = time.monotonic() + 5
    while signed_in(client, served):
        assert time.monotonic() < end, "the running session must end"
        time.sleep(0.1)
    client.cookies.clear()
    page = sign_in(client, served, "s-gone")
    assert page.status_code == 403 and "removed" in page.text
    assert not signed_in(client, served)


def test_a_callback_that_nobody_asked_for_opens_nothing(
    client: httpx.Client, served: Served
) -> None:
    back = come_back(client, go_there(client, served), "s-ben")
    with httpx.Client(timeout=10, trust_env=False) as other:
        for address in (
            back,
            f"{served.url}/oauth2callback",
            f"{served.url}/oauth2callback?state=x&code=y",
        ):
            page = other.get(address)
            assert page.status_code == 401 and "did not work" in page.text
            assert COOKIE not in other.cookies
    assert client.get(back).status_code == 200
    client.cookies.delete(COOKIE)
    assert client.get(back).status_code == 401  # a second time
    assert COOKIE not in client.cookies


def test_a_genuine_cookie_of_streamlit_is_no_way_in(client: httpx.Client, served: Served) -> None:
    """Even one signed with the server's own key: only the answer to a callback counts."""
    secret = (served.home / "cookie.secret").read_text().strip()
    value = signed(secret, origin=served.url, preferred_username="ben", sub="s-ben")
    headers = {"cookie": f"_streamlit_user={value}", "accept": "text/html"}
    for path in ("/", "/review", "/gate/session", "/oauth2callback", "/_stcore/health"):
        answer = client.get(f"{served.url}{path}", headers=headers)
        assert answer.status_code == 401, path
        assert COOKIE not in client.cookies


def test_only_the_way_to_the_provider_is_open(client: httpx.Client, served: Served) -> None:
    for path in ("/auth/logout", "/auth", "/auth/login/x", "/oauth2callback/x", "/auth/LOGIN"):
        assert client.get(f"{served.url}{path}").status_code == 401, path
    for path in ("/auth/login", "/oauth2callback"):
        assert client.post(f"{served.url}{path}").status_code == 401
    bare = client.get(f"{served.url}/auth/login")
    assert bare.status_code == 302 and bare.headers["location"] == "/"


def test_passwords_work_beside_it_and_secrets_stay_private(
    client: httpx.Client, served: Served
) -> None:
    form = {"name": NAME, "password": PASSWORD}
    assert client.post(f"{served.url}/gate/sign-in", data=form).status_code == 303
    assert signed_in(client, served)
    assert (served.home / "cookie.secret").stat().st_mode & 0o077 == 0
    assert client.get(f"{served.url}{HEALTH}").text == "ok\n"
    assert not re.search("9b1f60e2c47d8a35", client.get(f"{served.url}/").text)
