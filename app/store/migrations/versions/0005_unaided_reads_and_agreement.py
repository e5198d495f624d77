"""Reads made before the AI was shown, and what a reader thinks of each map.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS = {
    "stage": "TEXT DEFAULT 'aided' NOT NULL "
    "CONSTRAINT ck_reads_stage CHECK (stage IN ('unaided', 'aided'))",
    "agreement": "JSON DEFAULT '{}' NOT NULL",
}


def upgrade() -> None:
    # In words, as in revision 0003: rebuilding the table would lose its checks and triggers.
    for name, definition in _COLUMNS.items():
        op.execute(f"ALTER TABLE reads ADD COLUMN {name} {definition}")


def downgrade() -> None:
    for name in reversed(_COLUMNS):
        op.execute(f"ALTER TABLE reads DROP COLUMN {name}")
