from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.services.container import Services
from app.services.models import ModelService
from app.services.people import Person
from app.services.read_draft import ReadDraft

Ids = dict[str, int]


@pytest.fixture
def ids(loaded: Services) -> Ids:
    """The ids of the three cases, by the last digits of their labels."""
    rows = loaded.worklist.list(Person.named("Nobody")).rows
    return {row.label.split()[1][:8]: row.image_id for row in rows}


@pytest.fixture(scope="session")
def draft() -> Callable[..., ReadDraft]:
    def make(verdict: str = "normal", **changes: Any) -> ReadDraft:
        values: dict[str, Any] = {
            "verdict": verdict,
            "confidence": None,
            "findings": (),
            "comment": "",
            "boxes": (),
            "map_name": "inter",
            "pixel_threshold": 0.5,
            "opacity": 0.45,
            "ai_visible": True,
            "seconds": 12.5,
        }
        return ReadDraft(**{**values, **changes})

    return make


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on nothing may be scored."""

    def fail(*_: object) -> None:
        pytest.fail("A network ran.")

    monkeypatch.setattr(ModelService, "score", fail)
