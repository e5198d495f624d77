from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.store.engine import create_store_engine
from app.store.records import NewImage, NewOperatingPoint, NewRead, NewScore
from app.store.unit_of_work import UnitOfWork
from tests.databases import Databases

MODEL = {"model_name": "demo", "model_hash": "e" * 64}


@pytest.fixture
def url(databases: Databases, tmp_path: Path) -> str:
    return databases.url(tmp_path / "home")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_store_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> UnitOfWork:
    return UnitOfWork(engine)


@pytest.fixture
def new_image() -> Callable[..., NewImage]:
    def build(digit: str = "a", **changes: object) -> NewImage:
        values = {
            "sha256": digit * 64,
            "origin": "upload",
            "label": "CXR-AAAAAA",
            "format": "dicom",
            "bits": 12,
            "width": 2500,
            "height": 3000,
            "slope": 0.5,
            "intercept": -10.0,
            "added_by": "ana",
            "thumbnail": b"\xff\xd8 jpeg",
        }
        return NewImage(**{**values, **changes})

    return build


@pytest.fixture
def new_score() -> Callable[..., NewScore]:
    def build(image_id: int, **changes: object) -> NewScore:
        values = {
            **MODEL,
            "image_id": image_id,
            "a_rec": 0.4,
            "a_rec_single": 0.5,
            "a_intra": 0.6,
            "a_inter": 0.7,
            "score_name": "a_intra",
            "score": 0.6,
            "p_value": 0.02,
            "percentile": 98.5,
            "seconds": 0.1,
            "warnings": ("Lateral view.",),
        }
        return NewScore(**{**values, **changes})

    return build


@pytest.fixture
def new_read() -> Callable[..., NewRead]:
    def build(image_id: int, reader: str = "ana", **changes: object) -> NewRead:
        values = {
            "image_id": image_id,
            "reader": reader,
            "verdict": "abnormal",
            "ai_visible": True,
        }
        return NewRead(**{**values, **changes})

    return build


@pytest.fixture
def new_operating_point() -> Callable[..., NewOperatingPoint]:
    def build(threshold: float = 0.5, **changes: object) -> NewOperatingPoint:
        values = {
            **MODEL,
            "score_name": "a_intra",
            "threshold": threshold,
            "policy": "sensitivity >= 0.95",
            "reason": "first set of the site",
            "set_by": "ana",
        }
        return NewOperatingPoint(**{**values, **changes})

    return build
