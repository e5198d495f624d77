"""The gate in front of Streamlit: hosts, origins and, where one is set, a password.

Pure ASGI, in front of every route: page, WebSocket, upload, media, static and component files.
Until the password is given nothing of the app is shown and nothing is accepted.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import secrets
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gate_pages import SIGN_IN, SIGN_OUT, sign_in_page, sign_out_page
from app.gate_state import SESSION_SECONDS, AttemptLog, Session, Sessions
from app.settings import ConfigurationError

COOKIE = "ddad_gate"
FORM_LIMIT_BYTES = 4096
FORM_SECONDS = 10.0
OWN_PATHS = "/gate/"
HEALTH = "/gate/health"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HOST_HEADER = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.IGNORECASE)

_serving = False


def is_loopback(host: str) -> bool:
    """Whether a host, by address or as localhost, is reachable from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def mark_serving() -> None:
    """Remember that this process serves behind the gate."""
    global _serving  # noqa: PLW0603 (a fact of the process)
    _serving = True


def serving_is_guarded() -> bool:
    """Whether this process serves behind the gate."""
    return _serving


def ensure_guarded(server_address: str | None, password_gate_active: bool | None = None) -> None:
    """Refuse to run where Streamlit was started past the gate on an open address.

    Args:
        server_address: Streamlit's own ``server.address``; None means every address.
        password_gate_active: Whether the gate is in front; None asks `serving_is_guarded`.

    Raises:
        ConfigurationError: The app is reachable from elsewhere without the gate.
    """
    guarded = serving_is_guarded() if password_gate_active is None else password_gate_active
    if not guarded and not is_loopback(server_address or ""):
        problem = "The app was started on an open address without its access gate."
        raise ConfigurationError(problem, "Start it with `make run` or `python -m app.serve`.")


class AccessGate:
    """ASGI middleware that lets a request through to the app or answers it itself.

    Args:
        app: What lies behind.
        password: Empty for none. Then only requests that name this machine are let through, so that
            no web page can reach the app by a name of its own (DNS rebinding). With a password, a
            proxy on this machine may pass on requests for its own name.
        max_body_bytes: Largest request body let through.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        password: str,
        max_body_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._key = secrets.token_bytes(32)
        self._needs_password = bool(password)
        self._expected = self._digest(password)
        self._max_body_bytes = max_body_bytes
        self._sessions = Sessions(clock)
        self._attempts = AttemptLog(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            send = _with_security_headers(send)
            answer = await self._own_answer(Request(scope, receive))
            await (self._app if answer is None else answer)(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        headers = connection.headers
        session = self._session(connection)
        entered = session is not None or not self._needs_password
        if not (entered and self._host_allowed(headers) and _origin_is_own(headers)):
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008})  # before accept: HTTP 403
        elif session is None:
            await self._app(scope, receive, send)
        else:
            await self._app(scope, *self._until_session_ends(session, receive, send))

    def _until_session_ends(
        self, session: Session, receive: Receive, send: Send
    ) -> tuple[Receive, Send]:
        """Close a socket at both ends once its session is over."""
        closed = False

        async def receiving() -> Message:
            nonlocal closed
            getting = asyncio.ensure_future(receive())
            ending = asyncio.ensure_future(session.ended.wait())
            try:
                await asyncio.wait(
                    {getting, ending},
                    timeout=self._sessions.seconds_left(session),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if getting.done() and self._sessions.seconds_left(session) > 0:
                    return getting.result()
            finally:
                getting.cancel()
                ending.cancel()
            if not closed:
                closed = True
                await send({"type": "websocket.close", "code": 1008})
            return {"type": "websocket.disconnect", "code": 1008}

        async def sending(message: Message) -> None:
            if not closed:
                await send(message)

        return receiving, sending

    async def _own_answer(self, request: Request) -> Response | None:
        """The gate's answer; None lets the request through."""
        # request.url is built from the Host header; the path in the scope is what was asked for.
        path, method, headers = request.scope["path"], request.method, request.headers
        if not self._host_allowed(headers):
            return PlainTextResponse("This host name is not served here.\n", 400)
        if path == HEALTH and method in SAFE_METHODS:
            return PlainTextResponse("ok\n")
        if method not in SAFE_METHODS and not _same_origin(headers):
            return PlainTextResponse("Refused: sent by a page of another site.\n", 403)
        if path == SIGN_IN and method == "POST" and self._needs_password:
            return await self._sign_in(request)
        if path == SIGN_OUT and method == "POST":
            return self._sign_out(request)
        if self._needs_password and self._session(request) is None:
            if method == "GET" and "text/html" in headers.get("accept", "text/html"):
                return sign_in_page(401)
            return PlainTextResponse("Sign in first.\n", 401)
        if path.startswith(OWN_PATHS):
            if path == SIGN_OUT and self._needs_password:
                return sign_out_page()
            if path in (SIGN_IN, SIGN_OUT):
                return RedirectResponse("/", 303)
            return PlainTextResponse("Not found.\n", 404)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._max_body_bytes:
            return PlainTextResponse("The upload is too large.\n", 413)
        return None

    async def _sign_in(self, request: Request) -> Response:
        client = _client(request)
        if (wait := self._attempts.wait(client)) > 0:
            return sign_in_page(429, "Too many attempts.", wait)
        body = await _small_body(request)
        if body is None:
            return PlainTextResponse("The form is too large or came too slowly.\n", 413)
        if (wait := self._attempts.wait(client)) > 0:  # others failed while the form was coming
            return sign_in_page(429, "Too many attempts.", wait)
        given = parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]
        if not hmac.compare_digest(self._digest(given), self._expected):
            self._attempts.failed(client)
            return sign_in_page(401, "Wrong password.", self._attempts.wait(client))
        self._attempts.forget(client)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            COOKIE,
            self._sessions.open(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=_is_https(request),
        )
        return response

    def _sign_out(self, request: Request) -> Response:
        self._sessions.close(request.cookies.get(COOKIE, ""))
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    def _session(self, connection: HTTPConnection) -> Session | None:
        return self._sessions.find(connection.cookies.get(COOKIE, ""))

    def _host_allowed(self, headers: Headers) -> bool:
        if self._needs_password:
            return True
        match = HOST_HEADER.fullmatch(headers.get("host", ""))
        return match is not None and is_loopback(match[1])

    def _digest(self, text: str) -> bytes:
        """A digest whose length and comparison tell nothing of the text."""
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")


def _client(request: Request) -> str:
    """Who counts as one client: an IPv4 address or an IPv6 /64, which one subscriber holds."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else f"{int(address) >> 64:016x}/64"
    return host


def _origin_is_own(headers: Headers) -> bool:
    """Whether the page that sent this is of the same host; programs other than browsers say none.

    Any scheme: behind a proxy that ends TLS, the browser's scheme is not the one seen here.
    """
    origin, host = headers.get("origin"), headers.get("host", "").lower()
    return origin is None or origin.lower() in (f"http://{host}", f"https://{host}")


def _same_origin(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site", "same-origin")
    return site in ("same-origin", "none") and _origin_is_own(headers)


def _is_https(request: Request) -> bool:
    forwarded = request.headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    return "https" in (request.scope.get("scheme"), forwarded)


async def _small_body(request: Request) -> bytes | None:
    """The body; None if it is too large, too slow or cut off."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > FORM_LIMIT_BYTES:
        return None
    body = b""
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > FORM_LIMIT_BYTES:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return body


def _with_security_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["X-Frame-Options"] = "DENY"
            headers["Referrer-Policy"] = "same-origin"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
        await send(message)

    return sending
