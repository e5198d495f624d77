"""Batches, assignments, arbitrations, who has which case open, saved views.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_batches()
    _create_assignments()
    _create_arbitrations()
    _create_presence()
    _create_saved_views()


def downgrade() -> None:
    for table in ("saved_views", "presence", "arbitrations", "assignments"):
        op.drop_table(table)
    op.drop_index(op.f("ix_images_batch_id"), table_name="images")
    op.execute("ALTER TABLE images DROP COLUMN batch_id")
    op.drop_table("batches")


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("name", name=op.f("uq_batches_name")),
        sqlite_autoincrement=True,
    )
    # In words, as in revision 0003: rebuilding the table would lose its checks.
    op.execute(
        "ALTER TABLE images ADD COLUMN batch_id INTEGER "
        "CONSTRAINT fk_images_batch_id_batches REFERENCES batches (id)"
    )
    op.create_index(op.f("ix_images_batch_id"), "images", ["batch_id"])


def _create_assignments() -> None:
    op.create_table(
        "assignments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("assigned_by", sa.Text(), nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_assignments_image_id_images")
        ),
        sa.UniqueConstraint("image_id", "reader", name=op.f("uq_assignments_image_id_reader")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_assignments_reader_image_id"), "assignments", ["reader", "image_id"]
    )


def _create_arbitrations() -> None:
    op.create_table(
        "arbitrations",
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("read_id", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_arbitrations")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_arbitrations_image_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["read_id"], ["reads.id"], name=op.f("fk_arbitrations_read_id_reads")
        ),
        sa.UniqueConstraint("read_id", name=op.f("uq_arbitrations_read_id")),
    )


def _create_presence() -> None:
    op.create_table(
        "presence",
        sa.Column("tab", sa.String(32), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Integer()),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tab", name=op.f("pk_presence")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_presence_image_id_images")
        ),
    )
    op.create_index(op.f("ix_presence_image_id"), "presence", ["image_id"])


def _create_saved_views() -> None:
    op.create_table(
        "saved_views",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("wish", sa.JSON(), nullable=False),
        sa.Column("shared", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_saved_views_owner_name")),
        sqlite_autoincrement=True,
    )
