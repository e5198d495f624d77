"""The estimated log density ratio, A_ratio; null where a model has none.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In place: rebuilding the table would lose its checks and let ids be given again.
    with op.batch_alter_table("scores", recreate="never") as scores:
        scores.add_column(sa.Column("a_ratio", sa.Double()))


def downgrade() -> None:
    with op.batch_alter_table("scores", recreate="never") as scores:
        scores.drop_column("a_ratio")
