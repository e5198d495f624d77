"""Scores of the refined maps and of the maps calibrated by place; null where a model has none.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = ("r_dual", "r_intra", "c_rec", "c_intra", "c_inter")


def upgrade() -> None:
    with _scores() as scores:
        for name in _COLUMNS:
            scores.add_column(sa.Column(name, sa.Double()))


def downgrade() -> None:
    with _scores() as scores:
        for name in reversed(_COLUMNS):
            scores.drop_column(name)


def _scores() -> AbstractContextManager[BatchOperations]:
    # SQLite alters columns like these in place (dropping: since 3.35). Rebuilding the table, as
    # batches do otherwise, would lose its checks and let ids be given again.
    return op.batch_alter_table("scores", recreate="never")
