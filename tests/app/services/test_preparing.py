"""Preparing a case: what is made, what goes on record, what is used when it is opened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.services.container import Services
from app.services.people import ForbiddenError, Person
from app.services.preparing import PreparedCase
from app.store.account_records import AuditFilter

ANA = Person.named("ana")


def opened(services: Services) -> int:
    with services.access._store.reading() as repositories:
        return repositories.audit.count(AuditFilter(actions=("view",)))


def test_a_prepared_picture_is_the_one_that_opening_shows_and_no_opening_on_record(loaded):
    case = loaded.worklist.list(ANA).rows[0].image_id
    prepared = loaded.preparing.begin(ANA, case).result(30)
    assert opened(loaded) == 0
    plain = loaded.reading.open_case(ANA, case)
    assert prepared.picture.display.pixels == plain.display.pixels
    view = loaded.reading.open_case(ANA, case, prepared=prepared)
    assert view.display is prepared.picture.display
    assert opened(loaded) == 2


def test_a_picture_of_another_record_is_not_used(loaded):
    case = loaded.worklist.list(ANA).rows[0].image_id
    prepared = loaded.preparing.prepare(ANA, case)
    other = PreparedCase(replace(prepared.image, sha256="0" * 64), prepared.picture)
    view = loaded.reading.open_case(ANA, case, prepared=other)
    assert view.display is not prepared.picture.display


def test_a_prepared_case_opens_for_nobody_who_may_not_look(loaded):
    case = loaded.worklist.list(ANA).rows[0].image_id
    prepared = loaded.preparing.prepare(ANA, case)
    nobody = Person("adam", frozenset({"administrator"}))
    with pytest.raises(ForbiddenError):
        loaded.preparing.prepare(nobody, case)
    with pytest.raises(ForbiddenError):
        loaded.reading.open_case(nobody, case, prepared=prepared)


def test_unaided_a_prepared_case_says_nothing_of_the_ai(loaded):
    case = loaded.worklist.list(ANA).rows[0].image_id
    prepared = loaded.preparing.prepare(ANA, case)
    assert loaded.reading.open_case(ANA, case, unaided=True, prepared=prepared).judgement is None
