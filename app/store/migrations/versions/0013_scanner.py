"""The scanner that made an image, as a keyed pseudonym; unknown for images taken in before.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In words, as in revision 0003: rebuilding the table would lose its checks.
    op.execute("ALTER TABLE images ADD COLUMN station TEXT")


def downgrade() -> None:
    op.execute("ALTER TABLE images DROP COLUMN station")
