from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.services.container import Services
from app.services.people import Person
from app.services.reading import ReadDraft
from app.services.worklist import Show, Sort, WorklistRow
from ddad_core.imaging.stored import THUMBNAIL_SIDE
from tests.databases import Databases

Ids = dict[str, int]
Draft = Callable[..., ReadDraft]


ANA, BEN = Person.named("Ana Ruiz"), Person.named("Ben Okafor")


def labels(services: Services, reader: Person, **wishes: str) -> list[str]:
    return [row.label for row in services.worklist.list(reader, **wishes).rows]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def mixed_home(
    tmp_path_factory: pytest.TempPathFactory,
    _loaded_home: Path,
    databases: Databases,
    build: Callable[[Path], Services],
    draft: Draft,
    changed_dicom: Callable[..., bytes],
) -> Path:
    """Three gallery cases, one read by Ana and two by Ben, and an upload with a warning."""
    home = databases.copy(_loaded_home, tmp_path_factory.mktemp("mixed") / "home")
    services = build(home)
    rows = services.worklist.list(ANA, sort="label").rows
    first, second = rows[0].image_id, rows[1].image_id
    services.intake.take(ANA, "x", changed_dicom(PatientAge="012Y", PatientSex="M"))
    services.reading.save(ANA, first, "nih-ae-u", draft("abnormal"))
    services.reading.save(BEN, first, "nih-ae-u", draft("normal"))
    services.reading.save(BEN, first, "nih-ae-u", draft("uncertain"))
    services.reading.save(BEN, second, "nih-ae-u", draft("normal"))
    return home


@pytest.fixture(scope="module")
def mixed(mixed_home: Path, build: Callable[[Path], Services]) -> Services:
    """Shared by all tests here, which only look."""
    return build(mixed_home)


@pytest.fixture
def ids(mixed: Services) -> Ids:
    return {row.label.split()[1][:8]: row.image_id for row in gallery_rows(mixed)}


def gallery_rows(services: Services) -> tuple[WorklistRow, ...]:
    return services.worklist.list(Person.named("Nobody"), show="gallery").rows


def test_empty_store_lists_nothing(empty: Services, ana: Person) -> None:
    found = empty.worklist.list(ana)
    assert (found.rows, found.total, found.unread, found.flagged) == ((), 0, 0, 0)
    assert empty.worklist.thumbnails(Person.named("Ana"), found.rows) == {}


def test_row_says_what_the_store_holds(mixed: Services, ids: Ids, ana: Person) -> None:
    row = next(r for r in mixed.worklist.list(ana).rows if r.image_id == ids["00000150"])
    case = mixed.reading.open_case(ana, row.image_id)
    assert (row.label, row.origin, row.facts) == ("NIH 00000150_002", "gallery", case.facts)
    found = case.judgement
    assert (row.score, row.percentile) == (found.score.score, found.score.percentile)
    assert (row.score_title, row.flagged) == (found.score_title, found.flagged)
    assert row.model == "nih-ae-u"
    assert row.added_at == case.image.added_at and row.added_at.tzinfo is not None


def test_read_state_belongs_to_each_reader(
    mixed: Services, ids: Ids, ana: Person, ben: Person
) -> None:
    def states(reader: Person) -> dict[int, tuple[str | None, int]]:
        rows = mixed.worklist.list(reader).rows
        return {r.image_id: (r.verdict, r.other_readers) for r in rows if r.origin == "gallery"}

    first, second, third = ids["00000150"], ids["00001426"], ids["00003391"]
    assert states(ana) == {first: ("abnormal", 1), second: (None, 1), third: (None, 0)}
    assert states(ben) == {first: ("uncertain", 1), second: ("normal", 0), third: (None, 0)}
    assert states(Person.named("New")) == {first: (None, 2), second: (None, 1), third: (None, 0)}
    counts = [mixed.worklist.list(r).unread for r in (ana, ben, Person.named("New"))]
    assert counts == [3, 2, 4]


def test_filters_show_what_they_name(mixed: Services, ana: Person) -> None:
    rows = {row.label: row for row in mixed.worklist.list(ana).rows}
    expected: dict[Show, set[str]] = {
        "all": set(rows),
        "read": {"NIH 00000150_002"},
        "unread": set(rows) - {"NIH 00000150_002"},
        "flagged": {label for label, row in rows.items() if row.flagged},
        # One gallery image says "PORTABLE" in the picture.
        "warned": {label for label in rows if label.startswith("CXR-")} | {"NIH 00000150_002"},
        "uploads": {label for label in rows if label.startswith("CXR-")},
        "gallery": {label for label in rows if label.startswith("NIH")},
    }
    assert len(rows) == 4 and len(expected["gallery"]) == 3
    for show, wanted in expected.items():
        found = mixed.worklist.list(ana, show=show)
        assert {row.label for row in found.rows} == wanted, show
        # The counts are over all cases, whatever is shown.
        assert (found.total, found.unread) == (4, 3)
        assert found.flagged == len(expected["flagged"])


def test_sorts_order_as_they_say(mixed: Services, ana: Person) -> None:
    def rows(sort: Sort) -> list[object]:
        return list(mixed.worklist.list(ana, sort=sort).rows)

    keys = [(r.percentile, r.score) for r in mixed.worklist.list(ana, sort="score").rows]
    assert keys == sorted(keys, reverse=True)
    added = [r.added_at for r in mixed.worklist.list(ana, sort="oldest").rows]
    assert added == sorted(added) and len(set(added)) == 4
    assert rows("newest") == rows("oldest")[::-1]
    assert labels(mixed, ana, sort="label") == sorted(labels(mixed, ana))
    assert labels(mixed, ana) == labels(mixed, ana, sort="score")


@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("", 4),
        ("   ", 4),
        ("00000150", 1),
        ("nih 0000", 3),
        ("cxr", 1),
        ("CXR-", 1),
        ("abnormal", 1),
        ("ap 55 y", 1),
        ("dx", 1),
        ("1024", 4),
        ("nothing like it", 0),
        ("%", 0),
        ("' OR 1=1 --", 0),
    ],
)
def test_search_finds_every_word_in_any_case(
    mixed: Services, ana: Person, search: str, count: int
) -> None:
    assert len(labels(mixed, ana, search=search)) == count


def test_verdicts_of_others_are_not_found(mixed: Services, ana: Person) -> None:
    """A reader's own call must not be swayed by another's."""
    assert labels(mixed, ana, search="uncertain") == []


def test_filter_and_search_go_together(mixed: Services, ana: Person) -> None:
    assert labels(mixed, ana, show="unread", search="nih 0000", sort="label") == [
        "NIH 00001426_000",
        "NIH 00003391_001",
    ]


def test_listing_runs_no_network(mixed: Services, ana: Person, no_network: None) -> None:
    assert mixed.worklist.list(ana).total == 4


def test_listing_reads_no_pixels(
    mixed_home: Path,
    databases: Databases,
    tmp_path: Path,
    build: Callable[[Path], Services],
    ana: Person,
) -> None:
    home = databases.copy(mixed_home, tmp_path / "home")
    shutil.rmtree(home / "images")
    services = build(home)
    found = services.worklist.list(ana)
    assert len(services.worklist.thumbnails(Person.named("Ana"), found.rows)) == 4


def test_thumbnails_are_small_jpegs_of_the_rows_asked_for(mixed: Services, ana: Person) -> None:
    rows = mixed.worklist.list(ana, show="gallery").rows
    thumbnails = mixed.worklist.thumbnails(Person.named("Ana"), rows[:2])
    assert set(thumbnails) == {row.image_id for row in rows[:2]}
    for data in thumbnails.values():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert image.shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE) and image.std() > 10
