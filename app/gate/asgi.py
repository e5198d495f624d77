"""The gate in front of Streamlit: nothing of the app is shown or accepted without an account.

Pure ASGI, in front of every route: page, WebSocket, upload, media, static and component files.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.addresses import Network
from app.gate.first_paint import theme_of, with_page
from app.gate.own_routes import COOKIE, Asked, OwnRoutes
from app.gate.pages import in_theme
from app.gate.requests import (
    Client,
    HostRules,
    client_of,
    is_page_load,
    origin_is_own,
    same_origin,
    too_large,
    with_limited_body,
    with_security_headers,
)
from app.gate.sessions import Session, Sessions
from app.gate.sign_on import AUTH_PATHS, CALLBACK, CLOSED_PATHS, without_user_cookies
from app.gate.sockets import serve_socket
from app.gate.threads import Workers
from ddad_core.errors import DdadError

log = logging.getLogger(__name__)

OWN_PATHS = "/gate/"
HEALTH = "/gate/health"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PAGE_PATH = re.compile(r"/[a-z-]*")
REFRESH_SECONDS = 1.0
WRONG_HOST = (
    "This host name is not served here. Open the app by a name that DDAD_ALLOWED_HOSTS lists, or "
    "add this name there.\n"
)


@dataclass(frozen=True)
class Rules:
    """What the gate lets through, whoever asks.

    Attributes:
        hosts: Names the server answers to.
        proxies: Whose word about clients is believed.
        max_body_bytes: Largest request body.
        content_policy: Content security policy of the app's pages.
        is_activity: Whether a message over a WebSocket tells that the person did something.
        page: What a browser that asks for a page of the app gets; empty for what lies behind.
    """

    hosts: HostRules
    proxies: Sequence[Network]
    max_body_bytes: int
    content_policy: str
    is_activity: Callable[[bytes], bool]
    page: bytes = b""


class AccessGate:
    """ASGI middleware that lets a request through to the app or answers it itself.

    Args:
        app: What lies behind.
        rules: What holds for everybody.
        sessions: Who is signed in; None for the demonstration, which knows no accounts.
        own: The gate's own paths; None for the demonstration.
        sign_on: Whether the ways to and from a provider are open.

    Attributes:
        hint: What to tell whoever starts the server; empty for nothing.
    """

    hint = ""

    def __init__(
        self,
        app: ASGIApp,
        rules: Rules,
        *,
        sessions: Sessions | None,
        own: OwnRoutes | None,
        sign_on: bool = False,
    ) -> None:
        assert (sessions is None) == (own is None)
        self._app = app
        self._rules = rules
        self.sessions = sessions
        self._own = own
        self._open_paths = AUTH_PATHS if sign_on else ()
        self._polling = Workers("sessions", 1, 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        if scope["type"] == "lifespan":
            async with self._kept_up_to_date():
                await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(without_user_cookies(scope), receive, send)
        elif scope["type"] == "http":
            await self._http(without_user_cookies(scope), receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        headers = connection.headers
        session = self._session(connection)
        entered = session is not None or self.sessions is None
        if not (entered and self._rules.hosts.allow(headers) and origin_is_own(headers)):
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008})  # before accept: HTTP 403
        elif session is None or self.sessions is None:
            await self._app(scope, receive, send)
        else:
            session.address = client_of(connection, self._rules.proxies).address
            activity = self._rules.is_activity
            await serve_socket(self._app, scope, receive, send, self.sessions, session, activity)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        client = client_of(request, self._rules.proxies)
        send = with_security_headers(scope, send, self._rules.content_policy, https=client.https)
        answer = await self._own_answer(request, client)
        if answer is not None:
            in_theme(answer, theme_of(request.cookies))
            await answer(scope, receive, send)
            return
        if self._rules.page and is_page_load(request) and PAGE_PATH.fullmatch(scope["path"]):
            send = with_page(send, self._rules.page)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._rules.max_body_bytes:
            await too_large(send)
            return
        await with_limited_body(self._app, scope, receive, send, self._rules.max_body_bytes)

    async def _own_answer(self, request: Request, client: Client) -> Response | None:
        """The gate's answer; None lets the request through."""
        # request.url is built from the Host header; the path in the scope is what was asked for.
        path, method, headers = request.scope["path"], request.method, request.headers
        if not self._rules.hosts.allow(headers):
            return PlainTextResponse(WRONG_HOST, 400)
        if path == HEALTH and method in SAFE_METHODS:
            return PlainTextResponse("ok\n")
        if method not in SAFE_METHODS and not same_origin(headers):
            return PlainTextResponse("Refused: sent by a page of another site.\n", 403)
        if self._own is None or self.sessions is None:
            closed = path.startswith(OWN_PATHS) or path in CLOSED_PATHS
            return PlainTextResponse("Not found.\n", 404) if closed else None
        session = self._session(request)
        asked = Asked(request, client, session)
        if path.startswith(OWN_PATHS):
            return await self._own.answer(asked)
        if path in self._open_paths and method == "GET":
            return await self._own.returned(asked) if path == CALLBACK else None
        if session is None:
            return await self._own.signed_out(asked)
        if path in CLOSED_PATHS:
            return PlainTextResponse("Not found.\n", 404)
        session.address = client.address
        if is_page_load(request):
            self.sessions.touch(session)
        return None

    def _session(self, connection: HTTPConnection) -> Session | None:
        if self.sessions is None:
            return None
        return self.sessions.find(connection.cookies.get(COOKIE, ""))

    @contextlib.asynccontextmanager
    async def _kept_up_to_date(self) -> AsyncIterator[None]:
        """While the server runs, take over what other processes do to sessions and accounts."""
        if self.sessions is None:
            yield
            return
        sessions = self.sessions
        await self._refresh(sessions)
        polling = asyncio.create_task(self._poll(sessions))
        try:
            yield
        finally:
            polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await polling
            await asyncio.to_thread(_write_what_is_left, sessions)

    async def _poll(self, sessions: Sessions) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._refresh(sessions)

    async def _refresh(self, sessions: Sessions) -> None:
        try:
            await self._polling.run(sessions.refresh)
        except DdadError as error:
            log.warning("Sessions could not be compared with the database: %s", error)
        except Exception:
            # It must go on looking: sessions end by their time meanwhile, and the services, which
            # ask the database at every act, refuse everything.
            log.exception("Sessions could not be compared with the database")


def _write_what_is_left(sessions: Sessions) -> None:
    try:
        sessions.refresh(write_all=True)
    except DdadError as error:
        log.warning("The last activity could not be written: %s", error)
