"""A gate before a stand-in app that records what reaches it, on a real database."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher

from app.gate.asgi import AccessGate, Rules
from app.gate.own_routes import COOKIE, OwnRoutes
from app.gate.requests import HostRules
from app.gate.sessions import Sessions
from app.services import passwords
from app.services.signing_in import SigningIn
from app.store.account_records import NewUser, Role, UserRecord
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.unit_of_work import UnitOfWork

NAME = "ana"
PASSWORD = "violet kettle moss 41"
HOST = "ddad.example"
PROXY = "10.9.0.1"
CODE = "AAAA-BBBB-CCCC"
MAX_BODY = 10_000
ACTIVITY = b"a person did something"


class Clock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.utc = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
        self.monotonic = 1000.0

    def now(self) -> datetime:
        return self.utc

    def seconds(self) -> float:
        return self.monotonic

    def pass_on(self, seconds: float) -> None:
        self.utc += timedelta(seconds=seconds)
        self.monotonic += seconds


class App:
    """Records what reaches it; a WebSocket it accepts, and echoes until it is disconnected."""

    def __init__(self) -> None:
        self.reached: list = []
        self.read = 0
        self.scopes: list = []

    async def __call__(self, scope, receive, send):
        self.reached.append((scope["type"], scope.get("path")))
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "bytes": message["bytes"]})
            await send({"type": "websocket.send", "bytes": b"said after the end"})
        elif scope["type"] == "http":
            more = scope["method"] in ("PUT", "POST")
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError
                self.read += len(message.get("body", b""))
                more = message.get("more_body", False)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"the app"})


class Reply:
    def __init__(self, sent) -> None:
        self.status = sent[0]["status"]
        self.headers = {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}
        self.cookies = [v.decode() for k, v in sent[0]["headers"] if k.lower() == b"set-cookie"]
        self.text = b"".join(message.get("body", b"") for message in sent[1:]).decode()

    @property
    def token(self) -> str:
        (cookie,) = [one for one in self.cookies if one.startswith(f"{COOKIE}=")]
        return re.match(rf"{COOKIE}=([^;]*)", cookie)[1]


class Browser:
    """Sends requests to a gate, as one client address with one cookie."""

    def __init__(self, door, address="192.0.2.1", scheme="http", host=HOST) -> None:
        self.door, self.address, self.scheme, self.host = door, address, scheme, host
        self.token = None
        self.reads = 0

    def scope(self, kind, method, path, headers):
        all_headers = {"host": self.host, **headers}
        if self.token:
            cookie = f"{COOKIE}={self.token}"
            all_headers["cookie"] = "; ".join(filter(None, (headers.get("cookie"), cookie)))
        path, _, query = path.partition("?")
        return {
            "type": kind,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "scheme": self.scheme,
            "client": (self.address, 5000),
            "server": ("10.0.0.1", 80),
            "headers": [
                (k.lower().encode(), v.encode()) for k, v in all_headers.items() if v is not None
            ],
        }

    def ask(self, method, path, *, body=(b"",), **headers):
        return asyncio.run(self.asking(method, path, body=body, **headers))

    async def asking(self, method, path, *, body=(b"",), **headers):
        chunks = list(body)
        self.reads = 0
        sent = []

        async def receive():
            self.reads += 1
            if not chunks:
                return {"type": "http.disconnect"}
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message):
            sent.append(message)

        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.door(self.scope("http", method, path, headers), receive, send)
        return Reply(sent)

    def post(self, path, fields, **headers):
        reply = self.ask("POST", path, body=[urlencode(fields).encode()], **headers)
        if reply.status == 303 and any(one.startswith(f"{COOKIE}=") for one in reply.cookies):
            self.token = reply.token
        return reply

    def sign_in(self, password=PASSWORD, name=NAME, target="/", **headers):
        fields = {"name": name, "password": password, "next": target}
        return self.post("/gate/sign-in", fields, **headers)

    async def socket(self, incoming, **headers):
        """Open a WebSocket; return what was sent to it."""
        sent = []

        async def send(message):
            sent.append(message)

        await self.door(
            self.scope("websocket", "GET", "/_stcore/stream", headers), incoming.get, send
        )
        return sent


def waiting():
    """Messages for a socket: the handshake has come, nothing more."""
    queue = asyncio.Queue()
    queue.put_nowait({"type": "websocket.connect"})
    return queue


def open_and_close(browser, **headers):
    async def run():
        queue = waiting()
        queue.put_nowait({"type": "websocket.receive", "bytes": b"ping"})
        queue.put_nowait({"type": "websocket.disconnect", "code": 1000})
        return await browser.socket(queue, **headers)

    return asyncio.run(run())


def refused(sent):
    return sent == [{"type": "websocket.close", "code": 1008}]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture(autouse=True)
def _fast_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", fast)
    monkeypatch.setattr(passwords, "_NOBODYS", fast.hash("nobody's"))


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gate") / "empty.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(tmp_path: Path, _empty_database: Path, clock: Clock) -> UnitOfWork:
    path = shutil.copy(_empty_database, tmp_path / "gate.sqlite")
    return UnitOfWork(create_store_engine(f"sqlite:///{path}"), now=clock.now)


@pytest.fixture
def accounts(store: UnitOfWork) -> SigningIn:
    return SigningIn(store)


@pytest.fixture
def make_user(store: UnitOfWork) -> Callable[..., UserRecord]:
    def make(name: str = NAME, *roles: Role) -> UserRecord:
        new = NewUser(
            name=name,
            full_name="Ana Ruiz",
            roles=roles or ("reader",),
            password_hash=passwords.hash_password(PASSWORD),
            created_by="test",
        )
        with store.writing() as repositories:
            return repositories.users.add(new)

    return make


@pytest.fixture
def user(make_user: Callable[..., UserRecord]) -> UserRecord:
    return make_user()


@pytest.fixture
def sessions(accounts: SigningIn, clock: Clock) -> Sessions:
    return Sessions(accounts, clock.now)


@pytest.fixture
def rules() -> Rules:
    return Rules(
        hosts=HostRules(frozenset({HOST})),
        proxies=[ipaddress.ip_network(f"{PROXY}/32")],
        max_body_bytes=MAX_BODY,
        content_policy="default-src 'self'",
        is_activity=lambda content: content == ACTIVITY,
    )


@pytest.fixture
def empty_door(app, rules, accounts, sessions, clock) -> AccessGate:
    """A gate without accounts."""
    own = OwnRoutes(app, accounts, sessions, None, CODE, clock=clock.seconds)
    return AccessGate(app, rules, sessions=sessions, own=own)


@pytest.fixture
def door(empty_door: AccessGate, user: UserRecord) -> AccessGate:
    """A gate with one account."""
    return empty_door


@pytest.fixture
def browser(door: AccessGate) -> Browser:
    return Browser(door)
