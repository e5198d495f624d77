"""The gate's own pages: signing in and signing out."""

from __future__ import annotations

import base64
import hashlib
import html
import math

from starlette.responses import HTMLResponse

SIGN_IN = "/gate/sign-in"
SIGN_OUT = "/gate/sign-out"


def sign_in_page(status: int, message: str = "", wait: float = 0.0) -> HTMLResponse:
    """Ask for the password.

    Args:
        status: Of the response.
        message: What went wrong, or empty.
        wait: Seconds until the next try is taken.
    """
    seconds = math.ceil(wait)
    told = f"{message} Next try in {seconds} s." if seconds else message
    form = _SIGN_IN_FORM.replace("{message}", html.escape(told))
    response = _page(form.replace("{invalid}", "true" if told else "false"), status)
    if seconds:
        response.headers["Retry-After"] = str(seconds)
    return response


def sign_out_page() -> HTMLResponse:
    """Ask before a session ends."""
    return _page(_SIGN_OUT_FORM, 200)


def _page(form: str, status: int) -> HTMLResponse:
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": _POLICY}
    return HTMLResponse(_FRAME.replace("{form}", form), status, headers)


_STYLE = """
:root { color-scheme: dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #0b0d10;
  color: #d5dbe1; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { box-sizing: border-box; width: min(24rem, 100vw); padding: 2rem 1.5rem; }
h1 { margin: 0; font-size: 1.3rem; font-weight: 600; color: #eef2f6; }
.note { margin: .2rem 0 1.8rem; color: #9aa5b1; font-size: .9rem; }
label { display: block; margin-bottom: .4rem; }
input, button { box-sizing: border-box; width: 100%; padding: .65rem .75rem; font: inherit;
  border-radius: 4px; }
input { background: #12161b; color: inherit; border: 1px solid #5b6672; }
input[aria-invalid="true"] { border-color: #f0b27a; }
button { margin-top: 1rem; background: #4fb3bf; color: #06181b; border: 0; font-weight: 600;
  cursor: pointer; }
button:hover { background: #66c3ce; }
input:focus-visible, button:focus-visible { outline: 2px solid #8fd6de; outline-offset: 2px; }
#error { min-height: 1.5rem; margin: .6rem 0 0; color: #f0b27a; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_FRAME = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>DDAD Review</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><style>{_STYLE}</style></head>
<body><main><h1>DDAD Review</h1>{{form}}</main></body></html>
"""
_SIGN_IN_FORM = f"""<p class="note">Sign in to open the worklist.</p>
<form method="post" action="{SIGN_IN}">
<label for="password">Access password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
  autofocus aria-invalid="{{invalid}}" aria-describedby="error">
<p id="error" role="alert" aria-live="assertive">{{message}}</p>
<button type="submit">Sign in</button></form>"""
_SIGN_OUT_FORM = f"""<p class="note">This ends the session in every tab of this browser.
Close tabs that still show a case.</p>
<form method="post" action="{SIGN_OUT}"><button type="submit" autofocus>Sign out</button></form>"""
