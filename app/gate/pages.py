"""The gate's own pages: signing in, the first account, signing out. They need no script."""

from __future__ import annotations

import base64
import hashlib
import html
import math

from starlette.responses import HTMLResponse, Response

SIGN_IN = "/gate/sign-in"
SIGN_OUT = "/gate/sign-out"
FIRST_ACCOUNT = "/gate/first-account"
SINGLE_SIGN_ON = "/gate/single-sign-on"


def sign_in_page(
    status: int,
    message: str = "",
    wait: float = 0.0,
    *,
    target: str = "/",
    name: str = "",
    provider: str = "",
) -> HTMLResponse:
    """Ask for name and password.

    Args:
        status: Of the response.
        message: What went wrong, or empty.
        wait: Seconds until the next try is taken.
        target: Local path to go to afterwards.
        name: As typed before.
        provider: What the provider of single sign-on is called; empty if there is none.
    """
    seconds = math.ceil(wait)
    told = f"{message} Next try in {_span(seconds)}." if seconds else message
    body = f"""<p class="note">Sign in to open the worklist.</p>
<form method="post" action="{SIGN_IN}">
<input type="hidden" name="next" value="{_text(target)}">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" required maxlength="80"
  {"" if name else "autofocus"} value="{_text(name)}" {_invalid(told)}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
  maxlength="256" {"autofocus" if name else ""} {_invalid(told)}>
{_error(told)}
<button type="submit">Sign in</button></form>"""
    if provider:
        href = f"{SINGLE_SIGN_ON}?{_query(target)}"
        body += f'<a class="button" href="{_text(href)}">Sign in by {_text(provider)}</a>'
    response = _page(body, status)
    if seconds:
        response.headers["Retry-After"] = str(seconds)
    return response


def first_account_page(
    status: int,
    message: str = "",
    *,
    needs_code: bool,
    name: str = "",
    full_name: str = "",
) -> HTMLResponse:
    """Ask for the first account of an installation.

    Args:
        status: Of the response.
        message: What went wrong, or empty.
        needs_code: Whether the setup code is asked for.
        name: As typed before.
        full_name: As typed before.
    """
    code = f"""<label for="code">Setup code</label>
<input id="code" name="code" autocomplete="off" required maxlength="64" {_invalid(message)}>
<p class="hint">The server printed it where it was started.</p>"""
    body = f"""<p class="note">There is no account yet. Make the first one: it may do everything,
and makes the others.</p>
<form method="post" action="{FIRST_ACCOUNT}">
<label for="name">Name to sign in with</label>
<input id="name" name="name" autocomplete="username" required maxlength="80" autofocus
  value="{_text(name)}" {_invalid(message)}>
<p class="hint">Reads are stored under it.</p>
<label for="full_name">Full name</label>
<input id="full_name" name="full_name" autocomplete="name" required maxlength="80"
  value="{_text(full_name)}">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="new-password" required
  maxlength="256" {_invalid(message)}>
<p class="hint">12 characters or more; a few unrelated words do well.</p>
<label for="again">Password once more</label>
<input id="again" name="again" type="password" autocomplete="new-password" required
  maxlength="256" {_invalid(message)}>
{code if needs_code else ""}
{_error(message)}
<button type="submit">Make the account</button></form>"""
    return _page(body, status)


def sign_out_page(name: str) -> HTMLResponse:
    """Ask before a session ends."""
    return _page(
        f"""<p class="note">You are signed in as {_text(name)}. Signing out ends the session in
every tab of this browser; unsaved reads are kept as drafts.</p>
<form method="post" action="{SIGN_OUT}"><button type="submit" autofocus>Sign out</button></form>
<a class="button" href="/">Stay signed in</a>""",
        200,
    )


def going_on_page(target: str, words: str = "You are signed in.") -> HTMLResponse:
    """Lead on to a local path by a page of this site.

    A browser that comes from another site leaves strict cookies out, of a redirect, too; on the
    step from this page to the next it sends them.
    """
    body = f"""<p class="note">{_text(words)}</p>
<a class="button" href="{_text(target)}">Go on</a>"""
    return _page(body, 200, f'<meta http-equiv="refresh" content="0; url={_text(target)}">')


def problem_page(status: int, sentence: str) -> HTMLResponse:
    """Say what went wrong, with a way back."""
    body = f'<p class="note" role="alert">{_text(sentence)}</p><a class="button" href="/">Back</a>'
    return _page(body, status)


def in_theme(response: Response, theme: str) -> None:
    """Show one of the gate's pages in this theme; anything else stays as it is."""
    if theme == "light" and response.body.startswith(_BEGINNING.encode()):
        light = _BEGINNING.replace("dark", "light").encode()
        response.body = light + response.body.removeprefix(_BEGINNING.encode())
        response.headers["Content-Length"] = str(len(response.body))


def _page(body: str, status: int, head: str = "") -> HTMLResponse:
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": _POLICY}
    return HTMLResponse(_FRAME.replace("{head}", head).replace("{body}", body), status, headers)


def _text(words: str) -> str:
    # Braces would be taken for places to fill in.
    return html.escape(words).replace("{", "&#123;").replace("}", "&#125;")


def _query(target: str) -> str:
    from urllib.parse import urlencode  # noqa: PLC0415

    return urlencode({"next": target})


def _invalid(message: str) -> str:
    return f'aria-invalid="{"true" if message else "false"}" aria-describedby="error"'


def _error(message: str) -> str:
    return f'<p id="error" role="alert" aria-live="assertive">{_text(message)}</p>'


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds <= 120 else f"{math.ceil(seconds / 60)} min"


_STYLE = """
:root { color-scheme: dark; --page: #0b0d10; --field: #12161b; --edge: #6b7682; --text: #d5dbe1;
  --strong: #eef2f6; --quiet: #9aa5b1; --accent: #4fb3bf; --hover: #66c3ce; --on: #06181b;
  --focus: #8fd6de; --wrong: #f0b27a; }
[data-theme="light"] { color-scheme: light; --page: #fff; --field: #fff; --edge: #7b8794;
  --text: #24303a; --strong: #0f1a24; --quiet: #55626f; --accent: #0f7482; --hover: #0b6472;
  --on: #fff; --focus: #0b6472; --wrong: #9a4d00; }
@media (min-width: 2400px) { html { font-size: 125%; } }
@media (min-width: 3200px) { html { font-size: 150%; } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--page);
  color: var(--text); font: .94rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { box-sizing: border-box; width: min(24rem, 100vw); padding: 2rem 1.5rem; }
h1 { margin: 0; font-size: 1.3rem; font-weight: 600; color: var(--strong); }
.note { margin: .2rem 0 1.8rem; color: var(--quiet); font-size: .9rem; }
label { display: block; margin-bottom: .4rem; }
input, button { box-sizing: border-box; width: 100%; padding: .65rem .75rem; font: inherit;
  border-radius: 4px; }
input { background: var(--field); color: inherit; border: 1px solid var(--edge); }
input[aria-invalid="true"] { border-color: var(--wrong); }
button { margin-top: 1rem; background: var(--accent); color: var(--on); border: 0;
  font-weight: 600; cursor: pointer; }
button:hover { background: var(--hover); }
:is(input, button, a):focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
#error { min-height: 1.5rem; margin: .6rem 0 0; color: var(--wrong); }
input + label { margin-top: 1rem; }
a.button { display: block; box-sizing: border-box; margin-top: .8rem; padding: .6rem .75rem;
  border: 1px solid var(--edge); border-radius: 4px; color: var(--text); text-align: center;
  text-decoration: none; }
a.button:hover { border-color: var(--focus); }
.hint + label { margin-top: 1rem; }
.hint { margin: .35rem 0 0; color: var(--quiet); font-size: .85rem; }
.disclaimer { margin-top: 2.5rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_BEGINNING = '<!doctype html>\n<html lang="en" data-theme="dark">'
_FRAME = f"""{_BEGINNING}<head><meta charset="utf-8"><title>DDAD Review</title>{{head}}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><style>{_STYLE}</style></head>
<body><main><h1>DDAD Review</h1>{{body}}
<p class="hint disclaimer">Decision support for research. Not a medical device: not for diagnosis,
triage or any decision about a patient.</p></main></body></html>
"""
