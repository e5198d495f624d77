"""Regions of a map that a reader rejected, kept with the read.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLE = "rejected_regions"
_FUNCTION = "refuse_change_of_append_only_regions"
# As for reads and boxes, since revision 0004.
_ERASING = "SELECT 1 FROM installation WHERE name = 'erasing'"


def upgrade() -> None:
    numbers = ("pixel_threshold", "x", "y", "width", "height", "peak", "peak_x", "peak_y")
    op.create_table(
        _TABLE,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("read_id", sa.Integer(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("map_name", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in numbers),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{_TABLE}")),
        sa.ForeignKeyConstraint(["read_id"], ["reads.id"], name=op.f(f"fk_{_TABLE}_read_id_reads")),
        sa.UniqueConstraint("read_id", "index", name=op.f(f"uq_{_TABLE}_read_id_index")),
        sa.CheckConstraint("width > 0 AND height > 0", name=op.f(f"ck_{_TABLE}_size")),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        _guard_on_postgresql()
        return
    for change, condition in (("UPDATE", ""), ("DELETE", f"WHEN NOT EXISTS ({_ERASING})")):
        op.execute(
            f"""
            CREATE TRIGGER {_TABLE}_no_{change.lower()} BEFORE {change} ON {_TABLE} {condition}
            BEGIN SELECT RAISE(ABORT, '{_TABLE} is append-only: {change} refused'); END
            """
        )


def downgrade() -> None:
    op.drop_table(_TABLE)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP FUNCTION {_FUNCTION}")


def _guard_on_postgresql() -> None:
    op.execute(
        f"""
        CREATE FUNCTION {_FUNCTION}() RETURNS trigger AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND EXISTS ({_ERASING}) THEN RETURN NULL; END IF;
            RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'integrity_constraint_violation';
        END
        $$ LANGUAGE plpgsql
        """
    )
    op.execute(
        f"""
        CREATE TRIGGER {_TABLE}_append_only
        BEFORE UPDATE OR DELETE OR TRUNCATE ON {_TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()
        """
    )
