"""Drafts of reads: one a reader and case, kept over sessions, forgotten with the read."""

from __future__ import annotations

import pytest

from app.services.container import Services
from app.services.drafts import DRAFT_LIMIT
from app.services.people import ForbiddenError, Person
from ddad_core.errors import RequestError

CONTENT = {"verdict": "uncertain", "boxes": [{"x": 1.5}], "comment": "Ödem?"}


def test_a_draft_is_its_readers_alone(loaded: Services, ids, ana: Person, ben: Person) -> None:
    image = next(iter(ids.values()))
    assert loaded.reading.draft(ana, image) is None
    loaded.reading.keep_draft(ana, image, {"comment": "first"})
    loaded.reading.keep_draft(ana, image, CONTENT)
    assert loaded.reading.draft(ana, image) == CONTENT
    assert loaded.reading.draft(ben, image) is None
    loaded.reading.keep_draft(ana, image, None)
    assert loaded.reading.draft(ana, image) is None


def test_saving_the_read_forgets_the_draft(loaded: Services, ids, ana: Person, draft) -> None:
    first, second, *_ = ids.values()
    for image in (first, second):
        loaded.reading.keep_draft(ana, image, CONTENT)
    loaded.reading.save(ana, first, "nih-ae-u", draft())
    assert loaded.reading.draft(ana, first) is None
    assert loaded.reading.draft(ana, second) == CONTENT


@pytest.mark.parametrize("role", ["administrator", "auditor"])
def test_who_may_not_read_keeps_no_drafts(loaded: Services, ids, role) -> None:
    person, image = Person.named("Somebody", role), next(iter(ids.values()))
    for act in (
        lambda: loaded.reading.keep_draft(person, image, CONTENT),
        lambda: loaded.reading.keep_draft(person, image, None),
        lambda: loaded.reading.draft(person, image),
    ):
        with pytest.raises(ForbiddenError):
            act()


def test_drafts_of_no_case_or_without_end_are_refused(loaded: Services, ids, ana: Person) -> None:
    with pytest.raises(RequestError, match="no case number 999"):
        loaded.reading.keep_draft(ana, 999, CONTENT)
    image = next(iter(ids.values()))
    with pytest.raises(RequestError, match="too large"):
        loaded.reading.keep_draft(ana, image, {"comment": "x" * DRAFT_LIMIT})
    assert loaded.reading.draft(ana, image) is None
