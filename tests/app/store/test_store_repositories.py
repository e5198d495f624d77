from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text

from app.store.errors import StoreConflictError, StoreError
from app.store.records import Box, WindowRecord
from app.store.unit_of_work import UnitOfWork

MODEL = ("demo", "e" * 64)


@pytest.fixture
def image(store, new_image):
    with store.writing() as repos:
        return repos.images.add(new_image())


def test_image_comes_back_as_it_was_added(store, new_image):
    new = new_image(
        windows=(
            WindowRecord(2048.0, 4096.0, "NORMAL"),
            WindowRecord(40.0, 400.0),
            WindowRecord(40.0, 400.0, "S", "sigmoid"),
            WindowRecord(1.5, 3.0, "", "lut", bytes(range(8)), 4095),
        ),
        warnings=("Pixel spacing is unknown.", "Äußere Ränder"),
        reference_label=1,
        reference_boxes=(Box(1.5, 2.0, 30.0, 40.25, "nodule"),),
        age_years=61.5,
        sex="F",
        view="PA",
    )
    with store.writing() as repos:
        added = repos.images.add(new)
    with store.reading() as repos:
        assert repos.images.get(added.id) == added
        assert repos.images.by_sha256(new.sha256) == added
        assert repos.images.thumbnail(added.id) == new.thumbnail
    for name in ("windows", "warnings", "reference_boxes", "slope", "intercept", "view", "sex"):
        assert getattr(added, name) == getattr(new, name)


def test_windows_written_before_there_were_curves_are_read(store, engine, new_image):
    with store.writing() as repos:
        linear = repos.images.add(new_image(windows=(WindowRecord(9.0, 4.0, "N"),)))
    with engine.connect() as connection:
        written = connection.scalar(text("SELECT CAST(windows AS TEXT) FROM images"))
    assert json.loads(written) == [{"center": 9.0, "width": 4.0, "name": "N"}]
    with store.reading() as repos:
        assert repos.images.get(linear.id).windows == (WindowRecord(9.0, 4.0, "N"),)


def test_a_large_table_is_kept_small(store, engine, new_image):
    entries = b"".join(min(i, 65535).to_bytes(2, "little") for i in range(65536))
    with store.writing() as repos:
        repos.images.add(new_image(windows=(WindowRecord(0.0, 65535.0, "", "lut", entries, 1),)))
    with engine.connect() as connection:
        written = connection.scalar(text("SELECT CAST(windows AS TEXT) FROM images"))
    with store.reading() as repos:
        assert repos.images.list_all()[0].windows[0].table == entries
    assert len(written) < 200_000


def test_what_is_not_there_is_none_or_empty(store):
    with store.reading() as repos:
        assert repos.images.get(1) is None
        assert repos.images.by_sha256("a" * 64) is None
        assert repos.images.thumbnail(1) is None
        assert repos.images.thumbnails([]) == {}
        assert repos.images.list_all() == []
        assert repos.images.count() == 0
        assert repos.scores.for_image(1, *MODEL) is None
        assert repos.scores.for_model(*MODEL) == []
        assert repos.reads.latest(1, "ana") is None
        assert repos.reads.latest_for_all() == []
        assert list(repos.reads.iter_all()) == []
        assert repos.operating_points.current(*MODEL, "a_intra") is None


def test_images_are_listed_latest_first(engine, new_image):
    times = iter(datetime(2030, 1, day, tzinfo=UTC) for day in (2, 3, 1))
    store = UnitOfWork(engine, now=lambda: next(times))
    with store.writing() as repos:
        for digit in "abc":
            repos.images.add(new_image(digit))
    with store.reading() as repos:
        assert [image.sha256[0] for image in repos.images.list_all()] == ["b", "a", "c"]
        assert repos.images.count() == 3


def test_thumbnails_of_more_images_than_one_query_takes(store, new_image):
    with store.writing() as repos:
        ids = [
            repos.images.add(new_image(sha256=f"{n:064x}", thumbnail=b"%d" % n)).id
            for n in range(600)
        ]
    with store.reading() as repos:
        found = repos.images.thumbnails([*ids, 99999])
    assert found == {image_id: b"%d" % n for n, image_id in enumerate(ids)}


def test_same_file_twice_is_a_conflict(store, image, new_image):
    with pytest.raises(StoreConflictError), store.writing() as repos:
        repos.images.add(new_image())


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "abc"},
        {"origin": "email"},
        {"width": 0},
        {"reference_label": 2},
        {"thumbnail": b"x" * 20_000},
    ],
)
def test_image_that_breaks_a_rule_is_refused(store, new_image, changes):
    with pytest.raises(StoreError, match="breaks a rule"), store.writing() as repos:
        repos.images.add(new_image(**changes))


def test_id_of_a_removed_image_is_never_given_again(store, engine, image, new_image):
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM images"))
    with store.writing() as repos:
        assert repos.images.add(new_image()).id > image.id


def test_times_come_back_in_utc(engine, new_image):
    local = datetime(2030, 3, 1, 23, 30, 15, 123456, tzinfo=timezone(timedelta(hours=-5)))
    store = UnitOfWork(engine, now=lambda: local)
    with store.writing() as repos:
        image_id = repos.images.add(new_image()).id
    with store.reading() as repos:
        added_at = repos.images.get(image_id).added_at
    assert added_at == local
    assert added_at.utcoffset() == timedelta(0)
    with engine.connect() as connection:
        stored = connection.scalar(text("SELECT CAST(added_at AS TEXT) FROM images"))
    assert stored.removesuffix("+00") == "2030-03-02 04:30:15.123456"


def test_time_without_zone_is_refused(engine, new_image):
    store = UnitOfWork(engine, now=lambda: datetime(2030, 1, 1))  # noqa: DTZ001
    with pytest.raises(StoreError), store.writing() as repos:
        repos.images.add(new_image())
    with store.reading() as repos:
        assert repos.images.count() == 0


def test_first_score_stays(store, image, new_score):
    with store.writing() as repos:
        first = repos.scores.add_or_get(new_score(image.id, score=0.6))
        second = repos.scores.add_or_get(new_score(image.id, score=0.9))
    assert second == first
    assert first.warnings == ("Lateral view.",)
    with store.reading() as repos:
        assert repos.scores.for_model(*MODEL) == [first]
        assert repos.scores.for_image(image.id, "demo", "f" * 64) is None


def test_score_that_is_put_replaces_the_one_before(store, image, new_score):
    with store.writing() as repos:
        first = repos.scores.add_or_get(new_score(image.id, score=0.6))
        other = repos.scores.add_or_get(new_score(image.id, model_hash="f" * 64))
        second = repos.scores.put(
            new_score(
                image.id, score_name="r_dual", score=0.9, r_dual=0.9, c_inter=-0.25, a_ratio=-1.5
            )
        )
    assert (second.id, second.score, second.r_dual, second.c_inter) == (first.id, 0.9, 0.9, -0.25)
    assert (second.value("a_ratio"), first.a_ratio) == (-1.5, None)
    assert (first.r_dual, first.value("a_rec"), second.value("r_dual")) == (None, 0.4, 0.9)
    with store.reading() as repos:
        assert repos.scores.list_all() == [second, other]


def test_score_that_is_put_first_is_stored(store, image, new_score):
    with store.writing() as repos:
        put = repos.scores.put(new_score(image.id, r_intra=0.5))
    with store.reading() as repos:
        assert repos.scores.list_all() == [put] and put.r_intra == 0.5


def test_scores_of_two_model_versions_stand_side_by_side(store, image, new_score):
    with store.writing() as repos:
        old = repos.scores.add_or_get(new_score(image.id))
        new = repos.scores.add_or_get(new_score(image.id, model_hash="f" * 64))
    with store.reading() as repos:
        assert repos.scores.for_image(image.id, *MODEL) == old
        assert repos.scores.for_model("demo", "f" * 64) == [new]


def test_score_of_no_image_is_refused(store, new_score):
    with pytest.raises(StoreError, match="breaks a rule"), store.writing() as repos:
        repos.scores.add_or_get(new_score(7))


def test_revisions_of_a_read_form_a_chain(store, image, new_read):
    with store.writing() as repos:
        first = repos.reads.append(new_read(image.id))
        second = repos.reads.append(new_read(image.id, verdict="normal"))
        other = repos.reads.append(new_read(image.id, "ben"))
    with store.writing() as repos:
        third = repos.reads.append(new_read(image.id, verdict="uncertain"))
    assert [read.revision for read in (first, second, third, other)] == [1, 2, 3, 1]
    assert [read.replaces_id for read in (first, second, third)] == [None, first.id, second.id]
    assert other.replaces_id is None
    with store.reading() as repos:
        assert repos.reads.latest(image.id, "ana") == third
        assert repos.reads.history(image.id, "ana") == [first, second, third]
        assert repos.reads.history(image.id) == [first, second, other, third]
        assert repos.reads.latest_for_all() == [third, other]
        assert repos.reads.latest_for_all("ben") == [other]
        assert list(repos.reads.iter_all()) == [first, second, other, third]


def test_read_keeps_its_boxes_and_what_was_on_the_screen(
    store, image, new_read, new_operating_point
):
    boxes = (Box(1.5, 2.5, 10, 20, "opacity"), Box(0, 0, 5, 5))
    with store.writing() as repos:
        point = repos.operating_points.append(new_operating_point())
        saved = repos.reads.append(
            new_read(
                image.id,
                confidence=4,
                findings=("opacity", "effusion"),
                comment="left base",
                model_name="demo",
                model_hash="e" * 64,
                operating_point_id=point.id,
                score=0.61,
                threshold=0.5,
                map_name="intra",
                pixel_threshold=0.3,
                opacity=0.4,
                ai_visible=False,
                seconds_to_verdict=12.5,
                boxes=boxes,
            )
        )
    with store.reading() as repos:
        read = repos.reads.latest(image.id, "ana")
    assert read == saved
    assert [(b.index, b.x, b.y, b.width, b.height, b.label) for b in read.boxes] == [
        (0, 1.5, 2.5, 10.0, 20.0, "opacity"),
        (1, 0.0, 0.0, 5.0, 5.0, ""),
    ]
    assert read.findings == ("opacity", "effusion")
    assert read.ai_visible is False


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "maybe"},
        {"confidence": 0},
        {"confidence": 6},
        {"opacity": 1.5},
        {"model_hash": "abc"},
        {"operating_point_id": 7},
        {"boxes": (Box(0, 0, 0, 5),)},
    ],
)
def test_read_that_breaks_a_rule_leaves_nothing(store, image, new_read, changes):
    with pytest.raises(StoreError, match="breaks a rule"), store.writing() as repos:
        repos.reads.append(new_read(image.id, **changes))
    with store.reading() as repos:
        assert list(repos.reads.iter_all()) == []


def test_read_of_no_image_is_refused(store, new_read):
    with pytest.raises(StoreError, match="no image with the id 7"), store.writing() as repos:
        repos.reads.append(new_read(7))


def test_all_reads_are_walked_past_one_query(store, image, new_read):
    with store.writing() as repos:
        for n in range(501):
            repos.reads.append(new_read(image.id, f"reader {n}", boxes=(Box(n, 0, 1, 1),)))
    with store.reading() as repos:
        walked = list(repos.reads.iter_all())
        assert len(repos.reads.latest_for_all()) == 501
        assert repos.reads.history(image.id) == walked
    assert [read.boxes[0].x for read in walked] == list(range(501))


def test_operating_points_are_numbered_by_score_and_model(store, new_operating_point):
    with store.writing() as repos:
        points = repos.operating_points
        first = points.append(new_operating_point(0.5))
        second = points.append(new_operating_point(0.6, reason="too many false alarms"))
        other = points.append(new_operating_point(0.7, model_hash="f" * 64))
    assert (first.version, first.replaces_id) == (1, None)
    assert (second.version, second.replaces_id) == (2, first.id)
    assert (other.version, other.replaces_id) == (1, None)
    with store.reading() as repos:
        assert repos.operating_points.current(*MODEL, "a_intra") == second
        assert repos.operating_points.history(*MODEL, "a_intra") == [first, second]
        assert repos.operating_points.current(*MODEL, "a_inter") is None
