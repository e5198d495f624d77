"""Operating points with their scope, and proposals with their decisions."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from app.store.engine import create_store_engine
from app.store.errors import StoreConflictError, StoreError
from app.store.migrate import migrate
from app.store.proposal_records import NewDecision, NewProposal
from app.store.unit_of_work import UnitOfWork
from tests.app.store.conftest import MODEL
from tests.app.store.test_store_migrations import move, schema_of

KEY = (*MODEL.values(), "a_intra")
EVIDENCE = {"source": "Stored reads", "proposed": {"sensitivity": [0.9, 0.8, 0.95]}, "n": 50}


def proposal(**changes: Any) -> NewProposal:
    values = {
        **MODEL, "score_name": "a_intra", "threshold": 0.4, "policy": "p", "reason": "why",
        "set_by": "ana", "evidence": EVIDENCE, "present_id": None, "site": "North",
        "population": "adults", "restores": 1,
    }  # fmt: skip
    return NewProposal(**{**values, **changes})


def decision(of: int, kind: str, by: str, **changes: Any) -> NewDecision:
    return NewDecision(proposal_id=of, decision=kind, decided_by=by, **changes)  # type: ignore[arg-type]


def test_a_point_counts_for_its_own_population_and_site_only(store, new_operating_point):
    def in_force(population: str, site: str) -> float | None:
        with store.reading() as repos:
            found = repos.operating_points.in_force(*KEY, population=population, site=site)
        return found and found.threshold

    with store.writing() as repos:
        old = repos.operating_points.append(new_operating_point(0.1))
        assert (old.kind, old.site, old.population, old.evidence) == ("image", None, None, {})
    assert in_force("adults", "North") == in_force("children", "") == 0.1
    with store.writing() as repos:
        here = new_operating_point(0.2, population="adults", site="North", evidence=EVIDENCE)
        saved = repos.operating_points.append(here)
        repos.operating_points.append(
            new_operating_point(0.3, population="adults", site="South", approved_by="ben")
        )
    assert saved.evidence == EVIDENCE
    assert in_force("adults", "North") == 0.2
    assert in_force("adults", "South") == 0.3
    assert in_force("children", "North") == in_force("adults", "East") == 0.1
    with store.reading() as repos:
        assert [one.version for one in repos.operating_points.of_model("demo")] == [1, 2, 3]
        assert repos.operating_points.current(*KEY).threshold == 0.3


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "pixel"},
        {"map_name": "inter"},
        {"kind": "voxel"},
        {"approved_by": "ana"},
        {"approved_by": "ANA"},
        {"restores": -1},
    ],
)
def test_a_point_that_breaks_a_rule_is_refused(store, new_operating_point, wrong):
    with pytest.raises(StoreError, match="breaks a rule"), store.writing() as repos:
        repos.operating_points.append(new_operating_point(**wrong))


def test_a_proposal_comes_back_with_what_became_of_it(store, new_operating_point):
    with store.writing() as repos:
        point = repos.operating_points.append(new_operating_point())
        first = repos.proposals.append(proposal(present_id=point.id))
        second = repos.proposals.append(proposal(kind="pixel", map_name="inter", restores=None))
        repos.proposals.append(proposal(model_name="another"))
        made = repos.proposals.decide(
            decision(first.id, "approved", "ben", operating_point_id=point.id), "ana"
        )
    assert made.decided_at.tzinfo is not None
    with store.reading() as repos:
        found = repos.proposals.of_model("demo")
        assert repos.proposals.get(99) is None and repos.proposals.count() == 3
    assert [(one.id, one.decision) for one in found] == [(first.id, made), (second.id, None)]
    assert (found[0].evidence, found[0].present_id, found[0].restores) == (EVIDENCE, point.id, 1)
    assert (found[1].kind, found[1].map_name, found[1].set_by) == ("pixel", "inter", "ana")


@pytest.mark.parametrize(
    ("kind", "by", "proposer"),
    [
        ("approved", "ana", "ana"),
        ("approved", "Ana", "ana"),
        ("refused", "ana", "ana"),
        ("withdrawn", "ben", "ana"),
        ("approved", "ana", "ben"),  # ben did not propose it
        ("forgotten", "ben", "ana"),
    ],
)
def test_the_database_lets_nobody_approve_their_own(store, new_operating_point, kind, by, proposer):
    with store.writing() as repos:
        point = repos.operating_points.append(new_operating_point())
        made = repos.proposals.append(proposal())
    with pytest.raises(StoreError, match="breaks a rule"), store.writing() as repos:
        repos.proposals.decide(decision(made.id, kind, by, operating_point_id=point.id), proposer)


def test_a_proposal_is_decided_once_and_never_changed(store, engine):
    with store.writing() as repos:
        made = repos.proposals.append(proposal())
        repos.proposals.decide(decision(made.id, "refused", "ben", reason="too few"), "ana")
    with pytest.raises(StoreConflictError), store.writing() as repos:
        repos.proposals.decide(decision(made.id, "withdrawn", "ana"), "ana")
    for statement in (
        "UPDATE proposals SET threshold = 0.9",
        "DELETE FROM proposal_decisions",
        "UPDATE proposal_decisions SET decided_by = 'cy'",
        "DELETE FROM proposals",
        "UPDATE operating_points SET approved_by = 'cy'",
    ):
        if "operating_points" in statement and engine.dialect.name == "sqlite":
            continue  # no row to refuse: SQLite's triggers fire for each
        with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))


def test_points_of_an_older_database_stay_in_force_and_go_back_down(databases, tmp_path):
    url = databases.url(tmp_path / "older", migrated=False)
    engine = create_store_engine(url)
    move(engine, command.upgrade, "0005")
    before = schema_of(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO operating_points (model_name, model_hash, score_name, threshold, "
                "version, policy, reason, set_by, set_at) VALUES ('demo', :h, 'a_intra', 0.25, 1, "
                "'p', 'r', 'ana', '2030-01-01')"
            ),
            {"h": "e" * 64},
        )
    assert migrate(url) is True
    store = UnitOfWork(engine)
    with store.writing() as repos:
        found = repos.operating_points.in_force(*KEY, population="adults", site="North")
        assert (found.threshold, found.kind, found.override_reason) == (0.25, "image", "")
        repos.proposals.append(proposal(present_id=found.id))
    move(engine, command.downgrade, "0005")
    assert schema_of(engine) == before
    assert "proposals" not in inspect(engine).get_table_names()
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT threshold FROM operating_points")) == 0.25
    for statement in ("UPDATE operating_points SET threshold = 1", "DELETE FROM operating_points"):
        with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    assert migrate(url) is True
    engine.dispose()
