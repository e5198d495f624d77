"""What the gate answers itself: signing in and out, the first account, the state of a session."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from app.addresses import is_loopback
from app.gate.attempts import AttemptLog
from app.gate.first_paint import remember_theme
from app.gate.pages import (
    FIRST_ACCOUNT,
    SIGN_IN,
    SIGN_OUT,
    SINGLE_SIGN_ON,
    first_account_page,
    going_on_page,
    problem_page,
    sign_in_page,
    sign_out_page,
)
from app.gate.requests import Client, is_page_load, local_path, small_form
from app.gate.sessions import LONGEST, Session, Sessions
from app.gate.sign_on import SingleSignOn, kept_answer
from app.gate.threads import BusyError, Workers
from app.services.signing_in import SIGNED_OUT, SignedIn, SignInError, SigningIn
from ddad_core.errors import DdadError, RequestError

log = logging.getLogger(__name__)

COOKIE = "ddad_gate"
NEXT_COOKIE = "ddad_next"
NEXT_SECONDS = 600
SESSION = "/gate/session"
ACTIVE = "/gate/active"
TOO_MANY = "Too many attempts."
BAD_FORM = "The form is too large or came too slowly.\n"
CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True)
class Asked:
    """A request with what the gate found out about it."""

    request: Request
    client: Client
    session: Session | None


def setup_code() -> str:
    """A code of 60 random bits that is easily typed."""
    letters = "".join(secrets.choice(CODE_ALPHABET) for _ in range(12))
    return "-".join(letters[i : i + 4] for i in (0, 4, 8))


class OwnRoutes:
    """The gate's own paths.

    Args:
        app: What lies behind; asked for the way to a provider.
        accounts: The accounts service.
        sessions: Who is signed in.
        sign_on: Single sign-on, or None.
        code: What the first account must be made with from elsewhere.
        always_code: Whether it must be from here, too: others may come in through this machine.
        chosen_theme: The theme that an account's name prefers.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        app: ASGIApp,
        accounts: SigningIn,
        sessions: Sessions,
        sign_on: SingleSignOn | None,
        code: str,
        *,
        always_code: bool = False,
        chosen_theme: Callable[[str], str] = lambda _: "dark",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._accounts = accounts
        self._sessions = sessions
        self._sign_on = sign_on
        self._code = code.encode()
        self._always_code = always_code
        self._chosen_theme = chosen_theme
        self._attempts = AttemptLog(clock)
        self._has_accounts = False
        # argon2 takes much memory and time: two at once, and few waiting.
        self._judging = Workers("sign-in", 2, 30)
        self._asking = Workers("accounts", 2, 200)

    async def answer(self, asked: Asked) -> Response:
        """Answer a request for one of the gate's own paths."""
        path, method = asked.request.scope["path"], asked.request.method
        routes = {
            (SIGN_IN, "POST"): self._post_sign_in,
            (FIRST_ACCOUNT, "POST"): self._post_first_account,
            (SIGN_OUT, "POST"): self._post_sign_out,
            (SESSION, "GET"): self._get_session,
            (ACTIVE, "POST"): self._post_active,
            (SINGLE_SIGN_ON, "GET"): self._get_single_sign_on,
        }
        route = routes.get((path, method))
        if route is not None:
            return await self._told(route, asked)
        if asked.session is None:
            return await self.signed_out(asked)
        if path == SIGN_OUT and method == "GET":
            return sign_out_page(asked.session.user.full_name)
        if path in (SIGN_IN, FIRST_ACCOUNT) and method == "GET":
            return RedirectResponse("/", 303)
        return PlainTextResponse("Not found.\n", 404)

    async def signed_out(self, asked: Asked) -> Response:
        """What the signed-out get of any path: the page to sign in, or the first account's."""
        request = asked.request
        wants_page = "text/html" in request.headers.get("accept", "text/html")
        if request.method != "GET" or not wants_page:
            return PlainTextResponse("Sign in first.\n", 401)
        return await self._told(self._signed_out_page, asked)

    async def returned(self, asked: Asked) -> Response:
        """Take over whom the provider sends back, or say why not."""
        return await self._told(self._returned, asked)

    async def _told(self, route: Callable[[Asked], Any], asked: Asked) -> Response:
        """What goes wrong on the server, as a sentence."""
        try:
            response: Response = await route(asked)
        except BusyError as error:
            response = problem_page(503, str(error))
            response.headers["Retry-After"] = "5"
        except DdadError as error:
            log.warning("The gate could not answer: %s", error)
            response = problem_page(503, str(error))
        return response

    async def _signed_out_page(self, asked: Asked) -> Response:
        request = asked.request
        target = local_path(_path_of(request))
        if not await self._there_are_accounts():
            return first_account_page(401, needs_code=self._needs_code(asked))
        if request.headers.get("sec-fetch-site") == "cross-site" and is_page_load(request):
            # Coming from another site the browser left the cookie out; it may have one.
            return going_on_page(target, "Opening DDAD Review.")
        return self._sign_in_page(401, target=target)

    def _sign_in_page(
        self, status: int, message: str = "", wait: float = 0.0, **kept: str
    ) -> Response:
        provider = self._sign_on.name if self._sign_on else ""
        return sign_in_page(status, message, wait, provider=provider, **kept)

    async def _note(self, reason: str, address: str) -> None:
        """Put a failure on record."""
        await self._asking.run(lambda: self._accounts.note_failure(reason, address))

    def _needs_code(self, asked: Asked) -> bool:
        return self._always_code or _comes_from_elsewhere(asked)

    async def _there_are_accounts(self) -> bool:
        if not self._has_accounts:
            self._has_accounts = await self._asking.run(self._accounts.has_accounts)
        return self._has_accounts

    async def _post_sign_in(self, asked: Asked) -> Response:
        client = asked.client
        if (wait := self._attempts.wait(client.subscriber)) > 0:
            return self._sign_in_page(429, TOO_MANY, wait)
        form = await small_form(asked.request)
        if form is None:
            return PlainTextResponse(BAD_FORM, 413)
        name, target = form.get("name", ""), local_path(form.get("next", "/"))
        kept = {"name": name[:80], "target": target}
        # Others may have failed while the form was coming.
        if (wait := self._attempts.wait(client.subscriber)) > 0:
            return self._sign_in_page(429, TOO_MANY, wait, **kept)
        # Counted before it is judged, so that guesses sent together do not share one wait.
        self._attempts.failed(client.subscriber)
        try:
            signed_in = await self._judging.run(
                lambda: self._accounts.sign_in(name, form.get("password", ""), client.address)
            )
        except SignInError as error:
            wait = max(error.wait, self._attempts.wait(client.subscriber))
            return self._sign_in_page(401, str(error), wait, **kept)
        except DdadError:
            self._attempts.forget(client.subscriber)
            raise
        self._attempts.forget(client.subscriber)
        if signed_in.user.must_change_password:
            target = "/"  # to where that is done; other pages are not there yet
        return await self._enter(RedirectResponse(target, 303), asked, signed_in)

    async def _post_first_account(self, asked: Asked) -> Response:
        client = asked.client
        if await self._there_are_accounts():
            return RedirectResponse("/", 303)
        needs_code = self._needs_code(asked)
        if (wait := self._attempts.wait(client.subscriber)) > 0:
            said = f"{TOO_MANY} Next try in {wait:.0f} s."
            return first_account_page(429, said, needs_code=needs_code)
        form = await small_form(asked.request)
        if form is None:
            return PlainTextResponse(BAD_FORM, 413)
        name, full_name = form.get("name", ""), form.get("full_name", "")
        password = form.get("password", "")

        def again(message: str) -> Response:
            return first_account_page(
                400, message, needs_code=needs_code, name=name[:80], full_name=full_name[:80]
            )

        given = form.get("code", "").strip().upper().encode("utf-8", "replace")
        if needs_code and not hmac.compare_digest(given, self._code):
            self._attempts.failed(client.subscriber)
            await self._note("wrong setup code", client.address)
            return again("That is not the setup code. The server printed it where it was started.")
        if password != form.get("again", ""):
            return again("The two passwords differ. Type the same one twice.")
        try:
            await self._judging.run(
                lambda: self._accounts.create_first(name, full_name, password, client.address)
            )
        except RequestError as error:
            return again(str(error))
        signed_in = await self._judging.run(
            lambda: self._accounts.sign_in(name, password, client.address)
        )
        self._has_accounts = True
        return await self._enter(RedirectResponse("/", 303), asked, signed_in)

    async def _post_sign_out(self, asked: Asked) -> Response:
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        if asked.session is not None:
            await self._end(asked.session, asked.client)
        return response

    async def _get_session(self, asked: Asked) -> Response:
        """How long the session lasts; asking is no activity."""
        if asked.session is None:
            return JSONResponse({"signed_in": False}, 401)
        left = self._sessions.seconds_left(asked.session)
        return JSONResponse(
            {
                "signed_in": True,
                "seconds_left": round(left, 1),
                "may_stay": self._sessions.may_stay(asked.session),
            }
        )

    async def _post_active(self, asked: Asked) -> Response:
        if asked.session is not None:
            self._sessions.touch(asked.session)
        return await self._get_session(asked)

    async def _get_single_sign_on(self, asked: Asked) -> Response:
        if self._sign_on is None:
            return await self.signed_out(asked)
        response = RedirectResponse(self._sign_on.login_url(), 303)
        response.set_cookie(
            NEXT_COOKIE,
            local_path(asked.request.query_params.get("next", "/")),
            max_age=NEXT_SECONDS,
            httponly=True,
            samesite="lax",  # it comes back with the provider's redirect
            secure=asked.client.https,
        )
        return response

    async def _returned(self, asked: Asked) -> Response:
        assert self._sign_on is not None
        request, client = asked.request, asked.client
        answer = await kept_answer(self._app, request.scope, request.receive)
        cookies, others = answer.cookies()
        identity = self._sign_on.identity(cookies)
        if identity is None:
            await self._note("single sign-on did not work", asked.client.address)
            said = f"{self._sign_on.name[:1].upper()}{self._sign_on.name[1:]} did not work."
            return self._sign_in_page(401, f"{said} Start it again from this page.")
        try:
            signed_in = await self._asking.run(
                lambda: self._accounts.sign_in_subject(
                    identity.issuer,
                    identity.subject,
                    identity.name,
                    identity.full_name,
                    identity.roles,
                    client.address,
                )
            )
        except SignInError as error:
            return self._sign_in_page(403, str(error))
        target = local_path(request.cookies.get(NEXT_COOKIE, "/"))
        response = await self._enter(going_on_page(target), asked, signed_in)
        response.delete_cookie(NEXT_COOKIE, httponly=True, samesite="lax")
        response.raw_headers.extend((b"set-cookie", value) for value in others)
        return response

    async def _enter(self, response: Response, asked: Asked, signed_in: SignedIn) -> Response:
        """Give the browser its cookie; a session it had before ends."""
        if asked.session is not None:
            await self._end(asked.session, asked.client)
        self._sessions.add(signed_in.session, signed_in.user, asked.client.address)
        response.set_cookie(
            COOKIE,
            signed_in.token,
            max_age=int(LONGEST.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=asked.client.https,
        )
        theme = await self._asking.run(lambda: self._chosen_theme(signed_in.user.name))
        remember_theme(response, theme, https=asked.client.https)
        return response

    async def _end(self, session: Session, client: Client) -> None:
        self._sessions.drop(session)
        await self._asking.run(
            lambda: self._accounts.end_session(session.record.id, SIGNED_OUT, client.address)
        )


def _comes_from_elsewhere(asked: Asked) -> bool:
    """Whoever sits at this machine may make the first account; others show that they run it."""
    host = asked.request.headers.get("host", "").rpartition(":")[0] or asked.request.headers.get(
        "host", ""
    )
    return not (asked.client.on_this_machine and is_loopback(host))


def _path_of(request: Request) -> str:
    query = request.scope.get("query_string", b"").decode("latin-1")
    path: str = request.scope["path"]
    return f"{path}?{query}" if query else path
