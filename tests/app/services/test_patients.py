"""The images beside the one in view, on the shipped cases."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from app.services.container import Services
from app.services.patients import RelatedImages
from app.services.people import Person
from app.services.worklist import Wish
from app.store.engine import create_store_engine
from app.store.records import ImageRecord
from app.store.unit_of_work import UnitOfWork
from tests.databases import Databases
from tests.exports import tables


@pytest.fixture
def images(loaded: Services, loaded_home: Path, databases: Databases) -> list[ImageRecord]:
    """Three images: the first two of one patient, the first and the third in conflict."""
    engine = create_store_engine(databases.url(loaded_home))
    with engine.begin() as connection:
        connection.execute(text("UPDATE images SET patient = 'P-1' WHERE id IN (1, 2)"))
        connection.execute(text("UPDATE images SET instance = 'I-1' WHERE id IN (1, 3)"))
    with UnitOfWork(engine).writing() as repositories:
        repositories.images.mark_conflict([1, 3])
        return sorted(repositories.images.list_all(), key=lambda image: image.id)


def test_the_patients_other_images_and_those_in_conflict_are_found(
    loaded: Services, images: list[ImageRecord], ana: Person, ben: Person, draft
):
    first, second, third = images
    loaded.reading.save(ana, second.id, "nih-ae-u", draft("abnormal"))
    found = loaded.patients.others_of(ana, first)
    (other,), (namesake,) = found.of_patient, found.in_conflict
    assert (other.image_id, other.label, other.status) == (second.id, second.label, "abnormal")
    assert other.facts == f"{second.view} · {second.age_years:.0f} y"
    assert (namesake.image_id, namesake.status) == (third.id, "unread")
    assert loaded.patients.others_of(ben, first).of_patient[0].status == "unread"


def test_an_image_without_pseudonyms_stands_alone(
    loaded: Services, images: list[ImageRecord], ana: Person
):
    assert loaded.patients.others_of(ana, images[1]).in_conflict == ()
    assert loaded.patients.others_of(ana, images[2]).of_patient == ()


def test_nobody_is_not_a_patient(loaded: Services, ana: Person):
    for row in loaded.worklist.list(ana).rows:
        image = loaded.reading.open_case(ana, row.image_id).image
        assert loaded.patients.others_of(ana, image) == RelatedImages()


def test_the_worklist_warns_of_a_conflict(loaded: Services, images: list[ImageRecord], ana: Person):
    rows = loaded.worklist.list(ana, Wish(show="warned")).rows
    warned = {row.image_id for row in rows if any("SOP Instance UID" in w for w in row.warnings)}
    assert warned == {1, 3}


def test_images_are_exported_with_pseudonym_conflict_and_kind_of_file(
    loaded: Services, images: list[ImageRecord]
):
    rows = tables(loaded.exporting, Person.named("Ana"))["images"]
    assert [(r["case"], r["patient"], r["conflict"], r["stored_as"]) for r in rows] == [
        (images[0].label, "P-1", True, "png"),
        (images[1].label, "P-1", False, "png"),
        (images[2].label, None, True, "png"),
    ]
