from __future__ import annotations

import zlib

import numpy as np
import pytest
from sqlalchemy import text

from app.services import reading
from app.services.container import Services
from app.services.people import Person
from app.settings import REPOSITORY
from app.store.account_records import AuditFilter
from ddad_core.errors import RequestError
from ddad_core.imaging import read_radiograph
from ddad_core.imaging.geometry import to_network_grey

Ids = dict[str, int]


def test_large_case_opens_smaller_and_comes_in_full_when_asked(
    loaded: Services, ids: Ids, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = ids["00000150"]
    whole = loaded.reading.open_case(ana, image_id).display
    monkeypatch.setattr(reading, "PREVIEW_SIDE", 256)
    small = loaded.reading.open_case(ana, image_id).display
    full = loaded.viewing.full_display(ana, loaded.reading.open_case(ana, image_id))
    assert max(small.width, small.height) == 256 and len(small.pixels) < len(whole.pixels) / 4
    assert small.window == full.window and vars(full) == vars(whole)


def test_case_is_explained_by_what_its_model_reconstructs(
    loaded: Services, ids: Ids, ana: Person
) -> None:
    case = loaded.reading.open_case(ana, ids["00000150"])
    found = loaded.viewing.explain(ana, case)
    radiograph = read_radiograph((REPOSITORY / "data/demo/00000150_002.png").read_bytes())
    grey = to_network_grey(radiograph, found.size)
    for sent, expected in zip(
        (found.a, found.b), loaded.models.reconstruct(case.model.name, grey), strict=True
    ):
        shown = np.frombuffer(zlib.decompress(sent), np.uint8).reshape(found.size, found.size)
        np.testing.assert_array_equal(shown, expected)
        # In the image's own values it is a likeness of the image.
        low, high = radiograph.pixels.min(), radiograph.pixels.max()
        values = shown * found.slope + found.intercept
        assert low <= values.min() and values.max() <= high + 1e-6
        likeness = np.corrcoef(values.ravel(), grey.ravel())[0, 1]
        assert likeness > 0.8
    assert len(found.a) + len(found.b) <= 2 * found.size**2


def test_case_read_without_the_ai_is_not_explained_before_its_verdict(
    loaded: Services, ids: Ids, ana: Person
) -> None:
    case = loaded.reading.open_case(ana, ids["00000150"], unaided=True)
    assert case.judgement is None
    with pytest.raises(RequestError, match="Your verdict first"):
        loaded.viewing.explain(ana, case)


def test_another_image_of_the_patient_is_shown_beside_and_that_is_on_record(
    loaded: Services, ids: Ids, ana: Person
) -> None:
    first, second, third = sorted(ids.values())
    with loaded.access._store.writing() as repositories:
        statement = text("UPDATE images SET patient = 'P-1' WHERE id IN (:a, :b)")
        repositories.images._connection.execute(statement, {"a": first, "b": second})
    case = loaded.reading.open_case(ana, first)
    found = loaded.viewing.beside(ana, case, second)
    alone = loaded.reading.open_case(ana, second)
    assert found.image == alone.image
    assert vars(found.picture.display) == vars(alone.display)
    with loaded.access._store.reading() as repositories:
        events = repositories.audit.find(AuditFilter(subject=f"image {second}"))
    assert {"beside": first, "ai_shown": False} in [event.after for event in events]
    stranger = loaded.reading.open_case(ana, third)
    for case_seen, other in ((case, third), (case, first), (stranger, first), (case, 999)):
        with pytest.raises(RequestError, match="no other image of this patient"):
            loaded.viewing.beside(ana, case_seen, other)
