"""What an operating point rests on, whom it is for, and changes that wait for a second person.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_POINTS = "operating_points"
_COLUMNS = {
    "kind": "TEXT DEFAULT 'image' NOT NULL "
    f"CONSTRAINT ck_{_POINTS}_kind CHECK (kind IN ('image', 'pixel'))",
    "map_name": f"TEXT CONSTRAINT ck_{_POINTS}_map_name "
    "CHECK ((kind = 'pixel') = (map_name IS NOT NULL))",
    "evidence": "JSON DEFAULT '{}' NOT NULL",
    "override_reason": "TEXT DEFAULT '' NOT NULL",
    "population": "TEXT",
    "site": "TEXT",
    "approved_by": f"TEXT CONSTRAINT ck_{_POINTS}_approved_by "
    "CHECK (lower(approved_by) <> lower(set_by))",
    "restores": f"INTEGER CONSTRAINT ck_{_POINTS}_restores CHECK (restores >= 0)",
}
_NEW_TABLES = ("proposals", "proposal_decisions")


def upgrade() -> None:
    # In words, as in revision 0003: rebuilding the table would lose its checks and triggers.
    for name, definition in _COLUMNS.items():
        op.execute(f"ALTER TABLE {_POINTS} ADD COLUMN {name} {definition}")
    _create_proposals()
    _create_decisions()
    for table in _NEW_TABLES:
        _guard(table)


def downgrade() -> None:
    for table in reversed(_NEW_TABLES):
        op.drop_table(table)

    for name in reversed(_COLUMNS):
        op.execute(f"ALTER TABLE {_POINTS} DROP COLUMN {name}")


def _create_proposals() -> None:
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_hash", sa.String(64), nullable=False),
        sa.Column("score_name", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("map_name", sa.Text()),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("override_reason", sa.Text(), nullable=False),
        sa.Column("population", sa.Text()),
        sa.Column("site", sa.Text()),
        sa.Column("restores", sa.Integer()),
        sa.Column("present_id", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
        sa.ForeignKeyConstraint(
            ["present_id"],
            ["operating_points.id"],
            name=op.f("fk_proposals_present_id_operating_points"),
        ),
        sa.UniqueConstraint("id", "set_by", name=op.f("uq_proposals_id_set_by")),
        sa.CheckConstraint("length(model_hash) = 64", name=op.f("ck_proposals_model_hash_length")),
        sa.CheckConstraint("kind IN ('image', 'pixel')", name=op.f("ck_proposals_kind")),
        sa.CheckConstraint(
            "(kind = 'pixel') = (map_name IS NOT NULL)", name=op.f("ck_proposals_map_name")
        ),
        sa.CheckConstraint("restores >= 0", name=op.f("ck_proposals_restores")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_proposals_model_name"), "proposals", ["model_name"])


def _create_decisions() -> None:
    op.create_table(
        "proposal_decisions",
        sa.Column("proposal_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("operating_point_id", sa.Integer()),
        sa.PrimaryKeyConstraint("proposal_id", name=op.f("pk_proposal_decisions")),
        sa.ForeignKeyConstraint(
            ["proposal_id", "proposed_by"],
            ["proposals.id", "proposals.set_by"],
            name=op.f("fk_proposal_decisions_proposal_id_proposals"),
        ),
        sa.ForeignKeyConstraint(
            ["operating_point_id"],
            ["operating_points.id"],
            name=op.f("fk_proposal_decisions_operating_point_id_operating_points"),
        ),
        sa.CheckConstraint(
            "decision IN ('approved', 'refused', 'withdrawn', 'overtaken')",
            name=op.f("ck_proposal_decisions_decision"),
        ),
        sa.CheckConstraint(
            "decision NOT IN ('approved', 'refused') OR lower(decided_by) <> lower(proposed_by)",
            name=op.f("ck_proposal_decisions_second_person"),
        ),
        sa.CheckConstraint(
            "decision <> 'withdrawn' OR decided_by = proposed_by",
            name=op.f("ck_proposal_decisions_own_proposal"),
        ),
        sa.CheckConstraint(
            "decision <> 'approved' OR operating_point_id IS NOT NULL",
            name=op.f("ck_proposal_decisions_outcome"),
        ),
    )


def _guard(table: str) -> None:
    """As for the other append-only tables, since revision 0001."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"""
            CREATE TRIGGER {table}_append_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_append_only_table()
            """
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"""
            CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table}
            BEGIN SELECT RAISE(ABORT, '{table} is append-only: {change} refused'); END
            """
        )
