from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, home: Path, small_gallery: Path) -> Callable[..., int]:
    """Run one command on a home of its own, from a folder that has nothing to do with it."""
    monkeypatch.chdir(home.parent)
    for name in ("DDAD_DATABASE_URL", "DDAD_DATABASE_URL_FILE", "DDAD_WEIGHTS", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DDAD_HOME", str(home))
    monkeypatch.setenv("DDAD_GALLERY", str(small_gallery))
    monkeypatch.setenv("DDAD_DEVICE", "cpu")
    return lambda *arguments: main([str(a) for a in arguments])
