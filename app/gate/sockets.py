"""A WebSocket lives as long as the session that opened it, and no message longer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gate.sessions import Session, Sessions

PERSON_KNOWN_ACTIVE_SECONDS = 1.0


async def serve_socket(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    sessions: Sessions,
    session: Session,
    is_activity: Callable[[bytes], bool],
) -> None:
    """Pass a socket on to the app, and close it at both ends once its session is over.

    Args:
        app: What lies behind the gate.
        scope: Of the socket.
        receive: Messages from the browser.
        send: Messages to the browser.
        sessions: Knows how long a session lasts.
        session: The one that opened the socket.
        is_activity: Whether a message tells that the person did something.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    ending = asyncio.ensure_future(ended.wait())
    getting: asyncio.Future[Message] | None = None
    closed, greeted = False, False

    def end() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: so is the socket
            loop.call_soon_threadsafe(ended.set)

    def note(message: Message) -> None:
        nonlocal greeted
        content = message.get("bytes")
        if not content or sessions.seconds_since_touch(session) < PERSON_KNOWN_ACTIVE_SECONDS:
            return
        if is_activity(content):
            # The first is the page's own, also when the connection was lost for a while.
            if greeted:
                sessions.touch(session)
            greeted = True

    async def receiving() -> Message:
        nonlocal getting, closed
        while (left := sessions.seconds_left(session)) > 0:
            if getting is None:
                getting = asyncio.ensure_future(receive())
            await asyncio.wait({getting, ending}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if getting.done() and sessions.seconds_left(session) > 0:
                message, getting = getting.result(), None
                note(message)
                return message
        if not closed:
            closed = True
            await send({"type": "websocket.close", "code": 1008})
        return {"type": "websocket.disconnect", "code": 1008}

    async def sending(message: Message) -> None:
        if not closed and not session.over:
            await send(message)

    sessions.watch(session, end)
    try:
        await app(scope, receiving, sending)
    finally:
        sessions.unwatch(session, end)
        ending.cancel()
        if getting is not None:
            getting.cancel()
