from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.services.container import Services
from app.services.intake import Provenance
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.services.worklist import Wish, WorklistRow
from app.store.worklist_records import Show, Sort
from ddad_core.imaging.stored import THUMBNAIL_SIDE
from tests.databases import Databases

Ids = dict[str, int]
Draft = Callable[..., ReadDraft]


ANA, BEN = Person.named("Ana Ruiz"), Person.named("Ben Okafor")


def labels(services: Services, reader: Person, **wishes: str) -> list[str]:
    return [row.label for row in services.worklist.list(reader, Wish(**wishes)).rows]  # type: ignore[arg-type]


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
    rows = services.worklist.list(ANA, Wish(sort="label")).rows
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
    return services.worklist.list(Person.named("Nobody"), Wish(show="gallery")).rows


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
        found = mixed.worklist.list(ana, Wish(show=show))
        assert {row.label for row in found.rows} == wanted, show
        # The counts are over all cases, whatever is shown.
        assert (found.total, found.unread) == (4, 3)
        assert found.flagged == len(expected["flagged"])


def test_sorts_order_as_they_say(mixed: Services, ana: Person) -> None:
    def rows(sort: Sort) -> list[object]:
        return list(mixed.worklist.list(ana, Wish(sort=sort)).rows)

    keys = [(r.percentile, r.score) for r in mixed.worklist.list(ana, Wish(sort="score")).rows]
    assert keys == sorted(keys, reverse=True)
    added = [r.added_at for r in mixed.worklist.list(ana, Wish(sort="oldest")).rows]
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
    rows = mixed.worklist.list(ana, Wish(show="gallery")).rows
    thumbnails = mixed.worklist.thumbnails(Person.named("Ana"), rows[:2])
    assert set(thumbnails) == {row.image_id for row in rows[:2]}
    for data in thumbnails.values():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert image.shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE) and image.std() > 10


def test_pages_follow_each_other_and_the_order_is_that_of_all(mixed: Services, ana: Person) -> None:
    everything = [row.image_id for row in mixed.worklist.list(ana).rows]
    pages = [mixed.worklist.list(ana, offset=n, limit=1) for n in range(4)]
    assert [page.rows[0].image_id for page in pages] == everything
    assert {(page.matching, page.total) for page in pages} == {(4, 4)}
    assert mixed.worklist.order(ana) == tuple(everything)
    assert mixed.worklist.list(ana, offset=9, limit=1).rows == ()


def test_the_first_unread_case_is_found_on_any_page(mixed: Services, ana: Person) -> None:
    rows = mixed.worklist.list(ana).rows
    first = next(row.image_id for row in rows if row.verdict is None)
    for offset in range(4):
        assert mixed.worklist.list(ana, offset=offset, limit=1).first_unread == first
    assert mixed.worklist.list(ana, Wish("read")).first_unread is None


def test_disagreements_are_shown_to_who_has_read_the_case(
    mixed_home: Path,
    databases: Databases,
    tmp_path: Path,
    build: Callable[[Path], Services],
    draft: Draft,
) -> None:
    services = build(databases.copy(mixed_home, tmp_path / "home"))
    case = services.worklist.list(ANA, Wish("read")).rows[0].image_id
    assert labels(services, ANA, show="disagreement") == []  # abnormal and uncertain
    services.reading.save(BEN, case, "nih-ae-u", draft("normal"))
    assert labels(services, ANA, show="disagreement") == ["NIH 00000150_002"]
    assert labels(services, BEN, show="disagreement") == ["NIH 00000150_002"]
    assert labels(services, Person.named("New", "reader"), show="disagreement") == []
    services.reading.save(ANA, case, "nih-ae-u", draft("normal"))
    assert labels(services, ANA, show="disagreement") == []


def test_nearest_to_the_threshold_comes_first(mixed: Services, ana: Person) -> None:
    def distance(row: WorklistRow) -> float:
        reference = next(c for c in mixed.models.cards if c.name == row.model)
        low, high = np.quantile(reference.reference.of_score(reference.primary), (0.25, 0.75))
        threshold = mixed.models.operating_point(row.model).threshold
        assert row.score is not None
        return abs(row.score - threshold) / float(high - low)

    distances = [distance(row) for row in mixed.worklist.list(ana, Wish(sort="uncertainty")).rows]
    assert distances == sorted(distances) and len(set(distances)) == 4


def test_a_random_order_is_that_of_its_seed_for_everybody(mixed: Services, ana: Person) -> None:
    def order(reader: Person, seed: int) -> tuple[int, ...]:
        return mixed.worklist.order(reader, Wish(sort="random", seed=seed))

    assert order(ana, 3) == order(BEN, 3)
    assert sorted(order(ana, 3)) == sorted(mixed.worklist.order(ana))
    assert len({order(ana, seed) for seed in range(49)}) > 5


def test_a_model_and_a_time_can_be_asked_for(mixed: Services, ana: Person) -> None:
    rows = mixed.worklist.list(ana, Wish(sort="oldest")).rows
    child = [row.label for row in rows if row.model == "nih-ae-u"]
    assert labels(mixed, ana, model="nih-ae-u", sort="oldest") == child
    middle = rows[2].added_at
    later = mixed.worklist.list(ana, Wish(sort="oldest", since=middle)).rows
    earlier = mixed.worklist.list(ana, Wish(sort="oldest", until=middle)).rows
    assert [*earlier, *later] == list(rows) and len(earlier) == 2


@pytest.mark.parametrize(
    "age", [None, 0.5, 0.99, 1.0, 5.0, 5.99, 6.0, 17.9, 18.0, 85.5, 86.0, 110.0]
)
def test_the_database_chooses_the_model_that_the_core_chooses(
    empty: Services, ana: Person, small_png: Callable[[int], bytes], age: float | None
) -> None:
    provenance = Provenance(age_years=age)
    empty.intake.take(ana, "x", small_png(1), provenance)
    (row,) = empty.worklist.list(ana).rows
    assert row.model == empty.models.choose(age).name


def test_a_case_whose_file_is_gone_does_not_stop_the_list(
    mixed_home: Path, databases: Databases, tmp_path: Path, build: Callable[[Path], Services]
) -> None:
    home = databases.copy(mixed_home, tmp_path / "home")
    shutil.rmtree(home / "images")
    databases.query(home, "DELETE FROM scores WHERE image_id = 1")
    row = next(r for r in build(home).worklist.list(ANA).rows if r.image_id == 1)
    assert row.score is None and "no score yet" in row.warnings[-1]
