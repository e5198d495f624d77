"""Audit samples: cases drawn by chance, on record with their chance.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = ("audit_samples", "audit_sample_members")
# Members may be deleted only while this row exists: an erasure writes and removes it.
_ERASING = "SELECT 1 FROM installation WHERE name = 'erasing'"
_MEMBERS = "audit_sample_members"


def upgrade() -> None:
    op.create_table(
        "audit_samples",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_hash", sa.String(64), nullable=False),
        sa.Column("score_name", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("eligible", sa.Integer(), nullable=False),
        sa.Column("flagged", sa.Integer(), nullable=False),
        sa.Column("last_score_id", sa.Integer(), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("drawn_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_samples")),
        sa.CheckConstraint(
            "length(model_hash) = 64", name=op.f("ck_audit_samples_model_hash_length")
        ),
        sa.CheckConstraint("size >= 1 AND size <= eligible", name=op.f("ck_audit_samples_size")),
        sa.CheckConstraint("seed >= 0", name=op.f("ck_audit_samples_seed")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        _MEMBERS,
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("chance", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sample_id", "position", name=op.f("pk_audit_sample_members")),
        sa.ForeignKeyConstraint(
            ["sample_id"],
            ["audit_samples.id"],
            name=op.f("fk_audit_sample_members_sample_id_audit_samples"),
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_audit_sample_members_image_id_images")
        ),
        sa.UniqueConstraint(
            "sample_id", "image_id", name=op.f("uq_audit_sample_members_sample_id_image_id")
        ),
        sa.CheckConstraint(
            "chance > 0 AND chance <= 1", name=op.f("ck_audit_sample_members_chance")
        ),
    )
    op.create_index(op.f("ix_audit_sample_members_image_id"), _MEMBERS, ["image_id"])
    if op.get_bind().dialect.name == "postgresql":
        _guard_on_postgresql()
    else:
        _guard_on_sqlite()


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change_of_append_only_sample()")


def _guard_on_postgresql() -> None:
    op.execute(
        f"""
        CREATE FUNCTION refuse_change_of_append_only_sample() RETURNS trigger AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND TG_TABLE_NAME = '{_MEMBERS}' AND EXISTS ({_ERASING})
            THEN RETURN NULL; END IF;
            RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'integrity_constraint_violation';
        END
        $$ LANGUAGE plpgsql
        """
    )
    for table in _TABLES:
        op.execute(
            f"""
            CREATE TRIGGER {table}_append_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_append_only_sample()
            """
        )


def _guard_on_sqlite() -> None:
    for table in _TABLES:
        for change in ("UPDATE", "DELETE"):
            erasable = table == _MEMBERS and change == "DELETE"
            condition = f"WHEN NOT EXISTS ({_ERASING})" if erasable else ""
            op.execute(
                f"""
                CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} {condition}
                BEGIN SELECT RAISE(ABORT, '{table} is append-only: {change} refused'); END
                """
            )
