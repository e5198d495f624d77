"""What the gate must know of Streamlit: its messages, its page, its way to a provider."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit
from google.protobuf.message import DecodeError
from streamlit import config
from streamlit.auth_util import get_origin_from_redirect_uri
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.user_info import generate_login_redirect_url
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import (
    _get_signed_cookie_with_chunks,
    _parse_decoded_user_cookie,
)

from app.gate.first_paint import THEME_COOKIE
from app.sign_on_settings import SignOnSettings

INDEX = Path(streamlit.__file__).parent / "static" / "index.html"
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
PROVIDER = "default"
# Streamlit keeps the chosen theme by the path that the page was opened at.
START_SCRIPT = """
(() => {
  const root = document.documentElement;
  const light = /(?:^|; )%(cookie)s=light(?:;|$)/.test(document.cookie);
  root.dataset.theme = light ? "light" : "dark";
  root.style.colorScheme = root.dataset.theme;
  root.style.background = light ? "%(light)s" : "%(dark)s";
  try {
    localStorage.setItem(`stActiveTheme-${location.pathname}-v2`, light ? '"Light"' : '"Dark"');
  } catch { /* storage is closed to this page: its theme is then the system's */ }
})()
"""


def is_activity(content: bytes) -> bool:
    """Whether a message over the WebSocket tells that a person did something.

    Pages that run again by themselves, heartbeats and follow-up requests do not.
    """
    message = BackMsg()
    try:
        message.ParseFromString(content)
    except DecodeError:
        return False
    if message.WhichOneof("type") == "rerun_script":
        return not message.rerun_script.is_auto_rerun
    return message.WhichOneof("type") in ("file_urls_request", "stop_script")


def page() -> str:
    """Streamlit's page with the app's name, and the theme set before anything is painted."""
    script = START_SCRIPT % {
        "cookie": THEME_COOKIE,
        "light": config.get_option("theme.light.backgroundColor"),
        "dark": config.get_option("theme.dark.backgroundColor"),
    }
    text = INDEX.read_text(encoding="utf-8")
    text = re.sub(r"<title>.*?</title>", "<title>DDAD Review</title>", text)
    return text.replace("<head>", f"<head><script>{script}</script>", 1)


def content_policy() -> str:
    """The strictest content security policy under which Streamlit's page and ours work.

    Components of the second kind are modules made from text (blob:); styles are set by scripts;
    Vega and Arrow compile nothing here, so no evaluation of text is allowed.
    """
    scripts = INLINE_SCRIPT.findall(page())
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in scripts
    )
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' blob: {hashes}".strip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "media-src 'self' blob:",
            "worker-src 'self' blob:",
            "manifest-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "object-src 'none'",
            "frame-src 'none'",
            "frame-ancestors 'none'",
        )
    )


def sign_on_secrets(settings: SignOnSettings, cookie_secret: str) -> dict[str, Any]:
    """Streamlit's secrets for its own sign-in."""
    return {
        "auth": {
            "redirect_uri": settings.redirect_uri,
            "cookie_secret": cookie_secret,
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "server_metadata_url": settings.metadata_url,
        }
    }


def login_url() -> str:
    """The address that leads to the provider, as `st.login` makes it; good for two minutes."""
    return generate_login_redirect_url(PROVIDER)


def read_user(cookies: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The claims in Streamlit's cookies; None if they are forged, expired or another origin's."""
    try:
        decoded = _get_signed_cookie_with_chunks(dict(cookies), USER_COOKIE_NAME)
        if decoded is None:
            return None
        user = _parse_decoded_user_cookie(decoded, get_origin_from_redirect_uri() or "")
    except (ValueError, json.JSONDecodeError):
        return None
    return user if user.get("is_logged_in") is True else None
