"""Colours of the interface stand in two places, so that both themes are whole."""

from __future__ import annotations

import re

from app.settings import REPOSITORY

LITERAL = re.compile(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(")
ALLOWED = (
    "style.css",  # the tokens of both themes
    "charts.py",  # the same for figures, which no stylesheet reaches
    "change_record.py",  # printed: always dark on white
    "performance.py",
    "performance_charts.py",
    "viewer",  # an image is looked at on black in either theme
)


def test_colours_are_written_with_the_tokens_alone():
    folder = REPOSITORY / "app" / "ui"
    found = [
        f"{path.relative_to(folder)}:{number}: {line.strip()}"
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".py", ".css", ".js", ".html"}
        if path.relative_to(folder).parts[0] not in ALLOWED
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LITERAL.search(line)
    ]
    assert found == []


def test_both_themes_have_the_same_tokens():
    text = (REPOSITORY / "app" / "ui" / "style.css").read_text(encoding="utf-8")
    dark, light = re.findall(r"^:root[^{]*\{(.*?)\n\}", text, re.DOTALL | re.MULTILINE)
    names = [set(re.findall(r"(--ddad-[\w-]+):", part)) for part in (dark, light)]
    assert names[0] - names[1] == {"--ddad-image"}  # black in either
    assert names[1] <= names[0]
