"""Who and what an image is, as pseudonyms and digests; how it is stored; the key's fingerprint.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = {
    "patient": "TEXT",
    "instance": "TEXT",
    "pixel_sha256": "VARCHAR(64) "
    "CONSTRAINT ck_images_pixel_sha256_length CHECK (length(pixel_sha256) = 64)",
    "stored_as": "TEXT DEFAULT 'png' NOT NULL "
    "CONSTRAINT ck_images_stored_as CHECK (stored_as IN ('png', 'dicom'))",
    "stored_sha256": "VARCHAR(64) "
    "CONSTRAINT ck_images_stored_sha256_length CHECK (length(stored_sha256) = 64)",
    "conflict": "BOOLEAN DEFAULT false NOT NULL",
}
_INDEXED = ("patient", "instance", "pixel_sha256")


def upgrade() -> None:
    # In words, because Alembic adds no check to a column of SQLite but by rebuilding the table,
    # which would let ids be given again. Both databases understand these.
    for name, definition in _COLUMNS.items():
        op.execute(f"ALTER TABLE images ADD COLUMN {name} {definition}")
    for name in _INDEXED:
        op.create_index(op.f(f"ix_images_{name}"), "images", [name])
    op.create_table(
        "installation",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation")),
    )


def downgrade() -> None:
    op.drop_table("installation")
    for name in reversed(_INDEXED):
        op.drop_index(op.f(f"ix_images_{name}"), "images")
    for name in reversed(_COLUMNS):
        op.execute(f"ALTER TABLE images DROP COLUMN {name}")
