"""Reads that came from another site: which, under what number there, and when.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COLUMNS = ("origin", "external_id", "imported_at")


def upgrade() -> None:
    op.add_column("reads", sa.Column("origin", sa.Text()))
    op.add_column("reads", sa.Column("external_id", sa.Text()))
    op.add_column("reads", sa.Column("imported_at", sa.DateTime(timezone=True)))
    op.create_index(op.f("ix_reads_external_id"), "reads", ["external_id"], unique=True)


def downgrade() -> None:
    op.drop_index(op.f("ix_reads_external_id"), "reads")
    # In words, as in revision 0003: rebuilding the table would lose its checks and triggers.
    for name in reversed(_COLUMNS):
        op.execute(f"ALTER TABLE reads DROP COLUMN {name}")
