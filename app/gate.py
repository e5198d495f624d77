"""The gate in front of Streamlit: hosts, origins and, where one is set, a password.

Pure ASGI, in front of every route: page, WebSocket, upload, media, static and component files.
Until the password is given nothing of the app is shown and nothing is accepted.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import ConfigurationError

COOKIE = "ddad_gate"
SESSION_SECONDS = 12 * 3600
MAX_SESSIONS = 10_000
MAX_CLIENTS = 10_000
FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
FORM_LIMIT_BYTES = 4096
SIGN_IN = "/gate/sign-in"
SIGN_OUT = "/gate/sign-out"
HEALTH = "/gate/health"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_active = False


def is_loopback(host: str) -> bool:
    """Whether an address to bind to is reachable from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def mark_active() -> None:
    """Remember that this process serves behind the gate."""
    global _active  # noqa: PLW0603 (a fact of the process)
    _active = True


def ensure_guarded(server_address: str | None) -> None:
    """Refuse to run where Streamlit was started past the gate on an open address.

    Args:
        server_address: Streamlit's own ``server.address``; None means every address.

    Raises:
        ConfigurationError: The app is reachable from elsewhere without the gate.
    """
    if not _active and not is_loopback(server_address or ""):
        problem = "The app was started on an open address without its access gate."
        raise ConfigurationError(problem, "Start it with `make run` or `python -m app.serve`.")


class AttemptLog:
    """Failures by client; the delay doubles with each. Memory is bounded.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds until this client may try again; 0 if now."""
        count, last = self._failures.get(client, (0, 0.0))
        if not count:
            return 0.0
        delay = min(FIRST_DELAY * 2.0 ** min(count - 1, 30), LONGEST_DELAY)
        return max(0.0, last + delay - self._clock())

    def failed(self, client: str) -> None:
        """Count a failure."""
        count, _ = self._failures.pop(client, (0, 0.0))
        self._failures[client] = (count + 1, self._clock())
        while len(self._failures) > MAX_CLIENTS:
            self._failures.popitem(last=False)

    def forget(self, client: str) -> None:
        """Clear a client after success."""
        self._failures.pop(client, None)


class Sessions:
    """Who has given the password: hashes of random tokens, with an end.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def open(self) -> str:
        """Make a token."""
        token = secrets.token_urlsafe(32)
        self._ends[_digest(token)] = self._clock() + SESSION_SECONDS
        while len(self._ends) > MAX_SESSIONS:
            self._ends.popitem(last=False)
        return token

    def valid(self, token: str) -> bool:
        """Whether a token is known and has not ended."""
        return self._ends.get(_digest(token), 0.0) > self._clock()

    def close(self, token: str) -> None:
        """End a token."""
        self._ends.pop(_digest(token), None)


@dataclass(frozen=True)
class GatePolicy:
    """What the gate asks for.

    Attributes:
        password: Empty for none (loopback only).
        loopback_only: Accept only requests that name this machine (against DNS rebinding).
        max_body_bytes: Largest request body let through.
    """

    password: str
    loopback_only: bool
    max_body_bytes: int


class AccessGate:
    """ASGI middleware that lets a request through to the app or answers it itself.

    Args:
        app: What lies behind.
        policy: What is asked for.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, app: ASGIApp, policy: GatePolicy, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._policy = policy
        self._secret = _digest(policy.password)
        self._sessions = Sessions(clock)
        self._attempts = AttemptLog(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_security_headers(send))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        allowed = self._host_allowed(headers) and _same_origin(headers) and self._entered(headers)
        if not allowed:
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008})  # before accept: HTTP 403
            return
        await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._own_answer(request)
        if response is None:
            limit = self._policy.max_body_bytes
            await self._app(scope, _limited(receive, limit), send)
        else:
            await response(scope, receive, send)

    async def _own_answer(self, request: Request) -> Response | None:
        """The gate's answer; None lets the request through."""
        headers, path = request.headers, request.url.path
        if not self._host_allowed(headers):
            return PlainTextResponse("This host name is not served here.\n", 400)
        if path == HEALTH:
            return PlainTextResponse("ok\n")
        if self._policy.password and path == SIGN_IN and request.method == "POST":
            return await self._sign_in(request)
        if path == SIGN_OUT and request.method == "POST":
            return self._sign_out(request)
        if not self._entered(headers):
            if request.method == "GET" and "text/html" in headers.get("accept", "text/html"):
                return _page("", 401)
            return PlainTextResponse("Sign in first.\n", 401)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._policy.max_body_bytes:
            return PlainTextResponse("The upload is too large.\n", 413)
        return None

    async def _sign_in(self, request: Request) -> Response:
        client = request.client.host if request.client else "unknown"
        wait = self._attempts.wait(client)
        if wait > 0:
            response = _page(f"Too many attempts. Try again in {wait:.0f} s.", 429)
            response.headers["Retry-After"] = str(max(1, round(wait)))
            return response
        if not _same_origin(request.headers):
            return PlainTextResponse("Sign in from this site's own page.\n", 403)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > FORM_LIMIT_BYTES:
                return PlainTextResponse("The form is too large.\n", 413)
        if self._attempts.wait(client) > 0:  # others failed while this form was on its way
            return _page("Too many attempts. Try again in a moment.", 429)
        given = parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]
        if not hmac.compare_digest(_digest(given), self._secret):
            self._attempts.failed(client)
            return _page("Wrong password.", 401)
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
        if not _same_origin(request.headers):
            return PlainTextResponse("Sign out from this site's own page.\n", 403)
        self._sessions.close(request.cookies.get(COOKIE, ""))
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE)
        return response

    def _entered(self, headers: Headers) -> bool:
        if not self._policy.password:
            return True
        request = Request({"type": "http", "headers": headers.raw})
        return self._sessions.valid(request.cookies.get(COOKIE, ""))

    def _host_allowed(self, headers: Headers) -> bool:
        if not self._policy.loopback_only:
            return True
        return _host_name(headers.get("host", "")) in LOOPBACK_NAMES


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _same_origin(headers: Headers) -> bool:
    """Whether a browser sent this from a page of the same host; other programs send no origin."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    return bool(origin != "null" and urlsplit(origin).netloc == headers.get("host"))


def _is_https(request: Request) -> bool:
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))


def _limited(receive: Receive, limit: int) -> Receive:
    """Hang up on a body that grows past the limit without having said its length."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return message if taken <= limit else {"type": "http.disconnect"}

    return receiving


def _with_security_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["X-Frame-Options"] = "DENY"
            headers["Referrer-Policy"] = "same-origin"
        await send(message)

    return sending


def _page(message: str, status: int) -> HTMLResponse:
    body = _SIGN_IN_PAGE.replace("{message}", html.escape(message))
    return HTMLResponse(
        body,
        status,
        {
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
            "form-action 'self'; frame-ancestors 'none'",
        },
    )


_SIGN_IN_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>DDAD Review: sign in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: #0b0d10;
  color: #d5dbe1; font: 15px/1.5 system-ui, sans-serif; }}
form {{ width: 20rem; }}
h1 {{ font-size: 1.25rem; font-weight: 600; margin: 0 0 1.5rem; }}
label {{ display: block; margin-bottom: .4rem; }}
input, button {{ box-sizing: border-box; width: 100%; padding: .6rem .7rem; font: inherit;
  border-radius: 4px; }}
input {{ background: #14181d; color: inherit; border: 1px solid #3a444f; }}
button {{ margin-top: 1rem; background: #4fb3bf; color: #06181b; border: 0; font-weight: 600;
  cursor: pointer; }}
input:focus-visible, button:focus-visible {{ outline: 2px solid #4fb3bf; outline-offset: 2px; }}
p {{ min-height: 1.5rem; margin: .8rem 0 0; color: #f0b27a; }}
</style></head><body><form method="post" action="{SIGN_IN}">
<h1>DDAD Review</h1>
<label for="password">Access password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
  autofocus>
<button type="submit">Open</button><p role="alert">{{message}}</p>
</form></body></html>
"""
