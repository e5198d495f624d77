from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.gateways.anchor import AnchorFile
from app.keeping.backup import Installation
from app.services.container import Services
from app.services.people import Person
from app.services.reading import ReadDraft
from app.store.account_records import NewSession, NewUser
from app.store.engine import create_store_engine
from app.store.records import Box
from app.store.unit_of_work import UnitOfWork
from tests.thresholds import put_in_force

OPERATOR = Person.named("ddad-admin (ana)")
MODEL = "nih-ae-u"


def draft(verdict: str = "abnormal", **changes: Any) -> ReadDraft:
    values: dict[str, Any] = {
        "verdict": verdict, "confidence": 4, "findings": (), "comment": "a shadow, lower left",
        "boxes": (Box(1, 2, 30, 40, "shadow"),), "map_name": None, "pixel_threshold": None,
        "opacity": None, "ai_visible": False, "seconds": 3.0,
    }  # fmt: skip
    return ReadDraft(**{**values, **changes})


@pytest.fixture
def used(loaded: Services, ana: Person, dicom_bytes: bytes) -> Services:
    """Services on a home with four cases, one DICOM, a row in every table and a session."""
    loaded.intake.take(ana, "x", dicom_bytes)
    rows = loaded.worklist.list(ana).rows
    for verdict in ("normal", "abnormal"):
        loaded.reading.save(ana, rows[0].image_id, MODEL, draft(verdict))
    put_in_force(loaded, ana, MODEL, 0.4, "first set of the site")
    with loaded.access._store.writing() as repositories:
        user = repositories.users.add(
            NewUser(name="ana", full_name="", roles=("administrator",), created_by="test")
        )
        session = NewSession(
            token_sha256="ab" * 32, user_id=user.id, address="192.0.2.7", method="password"
        )
        repositories.sessions.open(session)
        repositories.drafts.put("ana", rows[1].image_id, {"comment": "unsure"})
    return loaded


def store_at(home: Path) -> UnitOfWork:
    engine = create_store_engine(f"sqlite:///{home / 'ddad.sqlite'}")
    return UnitOfWork(engine, anchor=AnchorFile(home / "audit.anchor"))


@pytest.fixture
def installation_at() -> Iterator[Callable[[Path], Installation]]:
    def make(home: Path) -> Installation:
        url = f"sqlite:///{home / 'ddad.sqlite'}"
        return Installation(home, url, home / "pseudonym.key", store_at(home))

    yield make


@pytest.fixture
def installation(
    used: Services, loaded_home: Path, installation_at: Callable[[Path], Installation]
) -> Installation:
    return installation_at(loaded_home)
