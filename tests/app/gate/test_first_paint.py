"""The page that comes in place of Streamlit's own: the same, but for its theme and name."""

from __future__ import annotations

import base64
import hashlib
import re

from app.gate.first_paint import theme_of
from app.gate.pages import in_theme, sign_in_page
from app.gate.streamlit_side import INDEX, content_policy, page


def test_the_theme_comes_before_every_script_and_its_hash_is_in_the_policy():
    found = page()
    script = re.search(r"<head><script>(.*?)</script>", found, re.DOTALL)
    assert script and "<script" not in found[: script.start()]
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in content_policy()
    assert "<title>DDAD Review</title>" in found
    rest = found.replace(script[0], "<head>").replace("DDAD Review</title>", "Streamlit</title>")
    assert rest == INDEX.read_text(encoding="utf-8")


def test_only_light_is_light():
    assert theme_of({"ddad_theme": "light"}) == "light"
    assert [theme_of(one) for one in ({}, {"ddad_theme": "x"}, {"ddad_theme": ""})] == ["dark"] * 3


def test_a_page_of_the_gate_changes_its_theme_and_nothing_else():
    dark, light = (sign_in_page(200, name='data-theme="dark"') for _ in range(2))
    in_theme(dark, "dark")
    in_theme(light, "light")
    assert light.headers["content-length"] == str(len(light.body)) == str(len(dark.body) + 1)
    assert light.body == dark.body.replace(b'data-theme="dark"', b'data-theme="light"', 1)
