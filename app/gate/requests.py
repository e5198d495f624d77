"""What a request says of its client, judged before anything is let through."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.addresses import Network, address_of, is_among, is_loopback, subscriber

FORM_LIMIT_BYTES = 4096
FORM_SECONDS = 10.0
HOST_HEADER = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.IGNORECASE)
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
LOCAL_PATH = re.compile(r"/(?!/)[\x21-\x5b\x5d-\x7e]{0,500}")
STATIC = "/static/"

PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "hid",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "serial",
        "usb",
        "xr-spatial-tracking",
    )
)


@dataclass(frozen=True)
class HostRules:
    """Which host names are answered, against DNS rebinding.

    Attributes:
        names: By name, in lower case; names of this machine always are.
        any_address: Whether every IP address is: an address cannot be rebound.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False

    def allow(self, headers: Headers) -> bool:
        """Whether the Host header names this server."""
        match = HOST_HEADER.fullmatch(headers.get("host", ""))
        if match is None:
            return False
        name = match[1].lower()
        bare = name.removeprefix("[").removesuffix("]")
        if is_loopback(name) or bare in self.names:
            return True
        return self.any_address and address_of(bare) is not None


@dataclass(frozen=True)
class Client:
    """Where a request really came from.

    Attributes:
        address: As told by the socket, or by a trusted proxy.
        subscriber: Whom attempts are counted for.
        https: Whether the browser speaks TLS.
        on_this_machine: Whether it surely comes from this machine, not through a proxy here.
    """

    address: str
    subscriber: str
    https: bool
    on_this_machine: bool


def client_of(connection: HTTPConnection, proxies: Sequence[Network]) -> Client:
    """Who is at the other end; headers of proxies are believed only from trusted ones."""
    headers = connection.headers
    address = connection.client.host if connection.client else ""
    https = connection.scope.get("scheme") in ("https", "wss")
    forwarded = any(name in headers for name in FORWARDED)
    if is_among(address, proxies):
        proto = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
        https = https or proto in ("https", "wss")
        address = _forwarded_for(headers, address, proxies)
    return Client(
        address=address,
        subscriber=subscriber(address),
        https=https,
        on_this_machine=is_loopback(address) and not forwarded,
    )


def _forwarded_for(headers: Headers, address: str, proxies: Sequence[Network]) -> str:
    """The last address that no trusted proxy has: those before it anybody may have written."""
    chain = ",".join(headers.getlist("x-forwarded-for")).split(",")
    for hop in reversed([one.strip() for one in chain if one.strip()]):
        # Some proxies add the port.
        found = address_of(hop.strip("[]")) or address_of(hop.rpartition(":")[0].strip("[]"))
        if found is None:
            break
        address = str(found)
        if not is_among(address, proxies):
            break
    return address


def origin_is_own(headers: Headers) -> bool:
    """Whether the page that sent this is of the same host; programs other than browsers say none.

    Any scheme: behind a proxy that ends TLS, the browser's scheme is not the one seen here.
    """
    origin, host = headers.get("origin"), headers.get("host", "").lower()
    return origin is None or origin.lower() in (f"http://{host}", f"https://{host}")


def same_origin(headers: Headers) -> bool:
    """Whether a page of this site sent the request, or the person themselves."""
    site = headers.get("sec-fetch-site", "same-origin")
    return site in ("same-origin", "none") and origin_is_own(headers)


def local_path(text: str) -> str:
    """The path to go to after signing in; the worklist if it leads elsewhere or to the gate."""
    fits = LOCAL_PATH.fullmatch(text) and not text.startswith(("/gate/", "/auth/", "/oauth2"))
    return text if fits else "/"


def is_page_load(request: Request) -> bool:
    """Whether a browser asks for a whole page."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


async def small_form(request: Request) -> dict[str, str] | None:
    """The fields of a form; None if it is too large, too slow or cut off."""
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
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: values[0] for name, values in fields.items()}


def with_security_headers(scope: Scope, send: Send, policy: str, *, https: bool) -> Send:
    """Add to each answer what keeps it out of caches, frames and other sites.

    Args:
        scope: Of the request.
        send: Where answers go.
        policy: Content security policy of the app's pages; the gate's own have theirs.
        https: Whether the browser speaks TLS.
    """
    # The program's own scripts and fonts hold nothing of a patient and may be kept.
    kept = scope["path"].startswith(STATIC)

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["X-Frame-Options"] = "DENY"
            headers["Referrer-Policy"] = "same-origin"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers["Permissions-Policy"] = PERMISSIONS
            headers.setdefault("Content-Security-Policy", policy)
            if not (kept and message["status"] == 200):
                headers["Cache-Control"] = "no-store"
            if https:
                headers["Strict-Transport-Security"] = "max-age=31536000"
        await send(message)

    return sending


async def with_limited_body(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, limit: int
) -> None:
    """Pass a request on, but no more than so many bytes of its body.

    Beyond that the client gets 413, and the app sees it leave.
    """
    taken, over, begun = 0, False, False

    async def receiving() -> Message:
        nonlocal taken, over
        if over:
            return {"type": "http.disconnect"}
        message = await receive()
        taken += len(message.get("body", b""))
        if taken <= limit:
            return message
        over = True
        if not begun:
            await too_large(send)
        return {"type": "http.disconnect"}

    async def sending(message: Message) -> None:
        nonlocal begun
        if not over:
            begun = True
            await send(message)

    try:
        await app(scope, receiving, sending)
    except Exception:
        if not over:
            raise  # else it is how the app takes that the client seems to have left


async def too_large(send: Send) -> None:
    """Answer 413 and have the connection closed: what else comes on it is not read."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"The upload is too large.\n"})
