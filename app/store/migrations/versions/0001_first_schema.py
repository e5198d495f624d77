"""Images, scores, operating points, reads and boxes; the last three append-only.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_APPEND_ONLY = ("operating_points", "reads", "boxes")


def upgrade() -> None:
    _create_images()
    _create_scores()
    _create_operating_points()
    _create_reads()
    _create_boxes()
    _guard_append_only_tables()


def downgrade() -> None:
    # The triggers go with their tables.
    for table in ("boxes", "reads", "operating_points", "scores", "images"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change_of_append_only_table()")


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text()),
        sa.Column("view", sa.Text()),
        sa.Column("body_part", sa.Text()),
        sa.Column("age_years", sa.Double()),
        sa.Column("sex", sa.Text()),
        sa.Column("spacing_row_mm", sa.Double()),
        sa.Column("spacing_col_mm", sa.Double()),
        sa.Column("bits", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("slope", sa.Double(), nullable=False),
        sa.Column("intercept", sa.Double(), nullable=False),
        sa.Column("windows", sa.JSON(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("reference_label", sa.Integer()),
        sa.Column("reference_boxes", sa.JSON(), nullable=False),
        sa.Column("attribution", sa.Text()),
        sa.Column("thumbnail", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("sha256", name=op.f("uq_images_sha256")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_images_sha256_length")),
        sa.CheckConstraint("origin IN ('gallery', 'upload')", name=op.f("ck_images_origin")),
        sa.CheckConstraint("width > 0 AND height > 0", name=op.f("ck_images_size")),
        sa.CheckConstraint("reference_label IN (0, 1)", name=op.f("ck_images_reference_label")),
        sa.CheckConstraint("length(thumbnail) <= 16384", name=op.f("ck_images_thumbnail_size")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_images_added_at"), "images", ["added_at"])


def _create_scores() -> None:
    op.create_table(
        "scores",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_hash", sa.String(64), nullable=False),
        sa.Column("a_rec", sa.Double(), nullable=False),
        sa.Column("a_rec_single", sa.Double(), nullable=False),
        sa.Column("a_intra", sa.Double(), nullable=False),
        sa.Column("a_inter", sa.Double(), nullable=False),
        sa.Column("score_name", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("p_value", sa.Double(), nullable=False),
        sa.Column("percentile", sa.Double(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scores")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_scores_image_id_images")
        ),
        sa.UniqueConstraint(
            "image_id",
            "model_name",
            "model_hash",
            name=op.f("uq_scores_image_id_model_name_model_hash"),
        ),
        sa.CheckConstraint("length(model_hash) = 64", name=op.f("ck_scores_model_hash_length")),
        sa.CheckConstraint("p_value >= 0 AND p_value <= 1", name=op.f("ck_scores_p_value")),
        sa.CheckConstraint(
            "percentile >= 0 AND percentile <= 100", name=op.f("ck_scores_percentile")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_scores_model_name_model_hash_image_id"),
        "scores",
        ["model_name", "model_hash", "image_id"],
    )


def _create_operating_points() -> None:
    op.create_table(
        "operating_points",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_hash", sa.String(64), nullable=False),
        sa.Column("score_name", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replaces_id", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operating_points")),
        sa.ForeignKeyConstraint(
            ["replaces_id"],
            ["operating_points.id"],
            name=op.f("fk_operating_points_replaces_id_operating_points"),
        ),
        sa.UniqueConstraint(
            "model_name",
            "model_hash",
            "score_name",
            "version",
            name=op.f("uq_operating_points_model_name_model_hash_score_name_version"),
        ),
        sa.UniqueConstraint("replaces_id", name=op.f("uq_operating_points_replaces_id")),
        sa.CheckConstraint(
            "length(model_hash) = 64", name=op.f("ck_operating_points_model_hash_length")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_operating_points_version")),
        sqlite_autoincrement=True,
    )


def _create_reads() -> None:
    op.create_table(
        "reads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("replaces_id", sa.Integer()),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Integer()),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text()),
        sa.Column("model_hash", sa.String(64)),
        sa.Column("operating_point_id", sa.Integer()),
        sa.Column("score", sa.Double()),
        sa.Column("threshold", sa.Double()),
        sa.Column("map_name", sa.Text()),
        sa.Column("pixel_threshold", sa.Double()),
        sa.Column("opacity", sa.Double()),
        sa.Column("ai_visible", sa.Boolean(), nullable=False),
        sa.Column("seconds_to_verdict", sa.Double()),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reads")),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_reads_image_id_images")),
        sa.ForeignKeyConstraint(
            ["replaces_id"], ["reads.id"], name=op.f("fk_reads_replaces_id_reads")
        ),
        sa.ForeignKeyConstraint(
            ["operating_point_id"],
            ["operating_points.id"],
            name=op.f("fk_reads_operating_point_id_operating_points"),
        ),
        sa.UniqueConstraint(
            "image_id", "reader", "revision", name=op.f("uq_reads_image_id_reader_revision")
        ),
        sa.UniqueConstraint("replaces_id", name=op.f("uq_reads_replaces_id")),
        sa.CheckConstraint(
            "verdict IN ('normal', 'abnormal', 'uncertain', 'unreadable')",
            name=op.f("ck_reads_verdict"),
        ),
        sa.CheckConstraint("length(model_hash) = 64", name=op.f("ck_reads_model_hash_length")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_reads_revision")),
        sa.CheckConstraint("confidence BETWEEN 1 AND 5", name=op.f("ck_reads_confidence")),
        sa.CheckConstraint("opacity BETWEEN 0 AND 1", name=op.f("ck_reads_opacity")),
        sa.CheckConstraint("seconds_to_verdict >= 0", name=op.f("ck_reads_seconds_to_verdict")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_reads_image_id"), "reads", ["image_id"])


def _create_boxes() -> None:
    op.create_table(
        "boxes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("read_id", sa.Integer(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        sa.Column("width", sa.Double(), nullable=False),
        sa.Column("height", sa.Double(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_boxes")),
        sa.ForeignKeyConstraint(["read_id"], ["reads.id"], name=op.f("fk_boxes_read_id_reads")),
        sa.UniqueConstraint("read_id", "index", name=op.f("uq_boxes_read_id_index")),
        sa.CheckConstraint("width > 0 AND height > 0", name=op.f("ck_boxes_size")),
        sqlite_autoincrement=True,
    )


def _guard_append_only_tables() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            """
            CREATE FUNCTION refuse_change_of_append_only_table() RETURNS trigger AS $$
            BEGIN
                RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
                    USING ERRCODE = 'integrity_constraint_violation';
            END
            $$ LANGUAGE plpgsql
            """
        )
        for table in _APPEND_ONLY:
            # For each statement, because TRUNCATE knows no other way.
            op.execute(
                f"""
                CREATE TRIGGER {table}_append_only
                BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_append_only_table()
                """
            )
        return
    for table in _APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"""
                CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table}
                BEGIN SELECT RAISE(ABORT, '{table} is append-only: {change} refused'); END
                """
            )
