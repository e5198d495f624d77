"""Audit samples, and evidence as columns."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text

from app.store.errors import StoreError
from app.store.evidence_records import NewAuditSample
from app.store.unit_of_work import UnitOfWork
from app.store.worklist_records import ModelTerms, Wish, WorklistQuestion

ROOT = Path(__file__).parents[3]
HASH = "e" * 64


def sample(**changes):
    values = {
        "model_name": "demo", "model_hash": HASH, "score_name": "a_intra", "threshold": 0.5,
        "rule": "all scored cases", "seed": 7, "size": 2, "eligible": 3, "flagged": 1,
        "last_score_id": 3, "drawn_by": "lea",
    }  # fmt: skip
    return NewAuditSample(**{**values, **changes})


@pytest.fixture
def three(store, new_image, new_score):
    """Three scored cases, the middle one of the gallery, and a draw of the last and the first."""
    with store.writing() as repos:
        for digit, changes in (
            ("a", {"age_years": 40.0}),
            ("b", {"origin": "gallery", "reference_label": 1}),
            ("c", {}),
        ):
            image = repos.images.add(new_image(digit, **changes))
            repos.scores.add_or_get(new_score(image.id, score=image.id / 10))
        return repos.samples.append(sample(), [3, 1])


def test_a_draw_comes_back_with_its_members_in_order(store, three):
    with store.reading() as repos:
        assert repos.samples.of_model("demo", HASH, "a_intra") == [three]
        assert repos.samples.of_model("demo", HASH, "a_rec") == []
        assert repos.samples.of_model("demo", "f" * 64, "a_intra") == []
        assert repos.samples.members(three.id) == [3, 1]


@pytest.mark.parametrize("table", ["audit_samples", "audit_sample_members"])
def test_a_draw_cannot_be_changed(engine, three, table):
    column = "size" if table == "audit_samples" else "chance"
    for change in (f"UPDATE {table} SET {column} = 1", f"DELETE FROM {table}"):
        with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
            connection.execute(text(change))


def test_an_erased_image_leaves_the_draw_and_takes_its_membership_along(store, engine, three):
    with store.writing() as repos:
        repos.erasure.remove([3])
    with store.reading() as repos:
        assert repos.samples.of_model("demo", HASH, "a_intra") == [three]
        assert repos.samples.members(three.id) == [1]
    with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_sample_members"))


def test_a_case_is_drawn_once(store, three):
    with pytest.raises(StoreError), store.writing() as repos:
        repos.samples.append(sample(), [1, 1])


def test_the_worklist_shows_members_alone(store, three):
    terms = ModelTerms("demo", HASH, None, None, "a_intra", (), 0.5)
    question = WorklistQuestion(
        reader="ana",
        models=[terms],
        wish=Wish(show="sample", sort="oldest"),
        now=store.now(),
        alive_since=store.now(),
    )
    with store.reading() as repos:
        assert repos.worklist.ids(question) == [1, 3]


def test_one_step_down_loses_draws_alone_and_up_again_is_guarded(store, engine, three):
    config = Config(ROOT / "alembic.ini")

    def move(run, revision):
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            run(config, revision)

    move(command.downgrade, "0008-1")
    assert not {"audit_samples", "audit_sample_members"} & set(inspect(engine).get_table_names())
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM images")) == 3
        assert connection.scalar(text("SELECT count(*) FROM scores")) == 3
    move(command.upgrade, "head")
    with store.writing() as repos:
        assert repos.samples.of_model("demo", HASH, "a_intra") == []
        repos.samples.append(sample(), [1, 2])
    with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_samples"))


def test_scores_come_as_columns_and_only_current_ones(store, three):
    with store.reading() as repos:
        found = repos.evidence.scores("demo", HASH, "a_intra", ["a_rec"])
        assert found.image_id.tolist() == [1, 2, 3] and found.score.tolist() == [0.1, 0.2, 0.3]
        assert found.score_id.tolist() == [1, 2, 3]
        assert found.age[0] == 40.0 and np.isnan(found.age[1:]).all()
        assert found.reference.tolist() == [-1, 1, -1]
        assert found.arrived.tolist() == [True, False, True]
        assert len(repos.evidence.scores("demo", HASH, "a_intra", ["c_rec"]).image_id) == 0
        assert len(repos.evidence.scores("demo", HASH, "a_rec", []).image_id) == 0


def test_the_last_read_at_a_stage_counts(store, three, new_read):
    with store.writing() as repos:
        repos.reads.append(new_read(1, verdict="normal", stage="unaided"))
        repos.reads.append(new_read(1, verdict="abnormal", confidence=4))
        repos.reads.append(new_read(1, verdict="uncertain"))
        repos.reads.append(new_read(1, "ben", verdict="normal", stage="unaided"))
    with store.reading() as repos:
        both, alone, aided = (
            repos.evidence.reads(stages)
            for stages in (("unaided", "aided"), ("unaided",), ("aided",))
        )
    assert list(zip(both.reader, both.verdict, strict=True)) == [
        ("ana", "uncertain"), ("ben", "normal"),
    ]  # fmt: skip
    assert list(zip(alone.reader, alone.verdict, strict=True)) == [
        ("ana", "normal"), ("ben", "normal"),
    ]  # fmt: skip
    assert (aided.reader, aided.verdict, aided.stage) == (("ana",), ("uncertain",), ("aided",))


def test_days_leave_the_gallery_out(engine, new_image):
    days = iter(datetime(2026, 3, day, tzinfo=UTC) for day in (1, 4, 9))
    store = UnitOfWork(engine, now=lambda: next(days))
    with store.reading() as repos:
        assert repos.evidence.days() is None
    with store.writing() as repos:
        repos.images.add(new_image("a"))
        repos.images.add(new_image("b"))
        repos.images.add(new_image("c", origin="gallery"))
    with store.reading() as repos:
        assert repos.evidence.days() == (date(2026, 3, 1), date(2026, 3, 4))
