"""The theme, known before anything is painted: a script at the head of the app's page.

Which theme a browser shows lies in a cookie that the page's switch writes, too; the account's own
choice is put there at signing in. It tells nothing about anybody, so scripts may read it.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Send

THEME_COOKIE = "ddad_theme"
YEAR_SECONDS = 365 * 24 * 3600


def theme_of(cookies: Mapping[str, str]) -> str:
    """The theme that a browser shows: light where it was chosen, else dark."""
    return "light" if cookies.get(THEME_COOKIE) == "light" else "dark"


def remember_theme(response: Response, theme: str, *, https: bool) -> None:
    """Have the browser show this theme from now on."""
    response.set_cookie(
        THEME_COOKIE, theme, max_age=YEAR_SECONDS, samesite="lax", secure=https, httponly=False
    )


def with_page(send: Send, page: bytes) -> Send:
    """Send this page in place of the one that lies behind.

    Only for a request whose answer is Streamlit's page: every path of the app has the same.
    """
    replaced = False

    async def sending(message: Message) -> None:
        nonlocal replaced
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            replaced = message["status"] == 200 and headers.get("content-type", "").startswith(
                "text/html"
            )
            if replaced:
                headers["Content-Length"] = str(len(page))
                for name in ("content-encoding", "etag", "last-modified"):
                    del headers[name]
        elif replaced:
            if message.get("more_body"):
                return
            message = {"type": "http.response.body", "body": page}
        await send(message)

    return sending
