"""The identity rules, on a real database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.identity import Conflict, Known, New, place
from app.store.engine import create_store_engine
from app.store.records import ImageRecord, NewImage
from app.store.unit_of_work import UnitOfWork
from tests.databases import Databases

Add = Callable[..., ImageRecord]
PIXELS, OTHER_PIXELS = "1" * 64, "2" * 64


@pytest.fixture
def store(databases: Databases, tmp_path: Path) -> UnitOfWork:
    return UnitOfWork(create_store_engine(databases.url(tmp_path)))


@pytest.fixture
def add(store: UnitOfWork) -> Add:
    def add(digit: str, **changes: object) -> ImageRecord:
        values: dict[str, object] = {
            "sha256": digit * 64, "origin": "upload", "label": f"CXR-{digit}", "format": "dicom",
            "bits": 12, "width": 9, "height": 9, "slope": 1.0, "intercept": 0.0,
            "added_by": "ana", "thumbnail": b"\xff\xd8", **changes,
        }  # fmt: skip
        with store.writing() as repositories:
            return repositories.images.add(NewImage(**values))  # type: ignore[arg-type]

    return add


def found(store: UnitOfWork, digit: str, instance: str | None, pixels: str) -> object:
    with store.reading() as repositories:
        return place(repositories, sha256=digit * 64, instance=instance, pixel_sha256=pixels)


def test_the_same_bytes_are_the_same_image_whatever_else_is_said(store: UnitOfWork, add: Add):
    image = add("a", instance="I-1", pixel_sha256=PIXELS)
    assert found(store, "a", "I-2", OTHER_PIXELS) == Known(image, same_bytes=True)


def test_the_same_pixels_under_the_same_uid_are_the_same_image(store: UnitOfWork, add: Add):
    image = add("a", instance="I-1", pixel_sha256=PIXELS)
    assert found(store, "b", "I-1", PIXELS) == Known(image, same_bytes=False)


def test_other_pixels_under_the_same_uid_are_a_conflict_with_all_of_them(
    store: UnitOfWork, add: Add
):
    images = [add("a", instance="I-1", pixel_sha256=PIXELS), add("b", instance="I-1")]
    add("c", instance="I-2", pixel_sha256=OTHER_PIXELS)
    assert found(store, "d", "I-1", OTHER_PIXELS) == Conflict(tuple(images))


def test_one_of_several_in_conflict_is_known_again(store: UnitOfWork, add: Add):
    add("a", instance="I-1", pixel_sha256=PIXELS)
    second = add("b", instance="I-1", pixel_sha256=OTHER_PIXELS)
    assert found(store, "c", "I-1", OTHER_PIXELS) == Known(second, same_bytes=False)


@pytest.mark.parametrize("empty", [None, ""])
def test_empty_identifiers_are_never_merged(store: UnitOfWork, add: Add, empty: str | None):
    add("a", instance=empty, pixel_sha256=PIXELS)
    assert found(store, "b", empty, PIXELS) == New()


def test_equal_pixels_under_another_uid_are_another_image(store: UnitOfWork, add: Add):
    add("a", instance="I-1", pixel_sha256=PIXELS)
    assert found(store, "b", "I-2", PIXELS) == New()
