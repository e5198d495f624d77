"""Accounts, sessions, the chain of audit events, drafts; erasure of a patient past the triggers.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Reads and boxes may be deleted only while this row of `installation` exists, which an erasure
# writes and removes within its own transaction.
_ERASING = "SELECT 1 FROM installation WHERE name = 'erasing'"
_ERASABLE = ("reads", "boxes")


def upgrade() -> None:
    _create_users()
    _create_sessions()
    _create_audit_events()
    _create_drafts()
    if op.get_bind().dialect.name == "postgresql":
        _guard_on_postgresql()
    else:
        _guard_on_sqlite()


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_function(""))
    else:
        for table in _ERASABLE:
            op.execute(f"DROP TRIGGER {table}_no_delete")
            op.execute(_sqlite_trigger(table, "DELETE", ""))
    for table in ("drafts", "audit_events", "sessions", "users"):
        op.drop_table(table)


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("issuer", sa.Text()),
        sa.Column("subject", sa.Text()),
        sa.Column("must_change_password", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("failed_attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True)),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("password_changed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name_key", name=op.f("uq_users_name_key")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_users_issuer_subject")),
        sa.CheckConstraint("failed_attempts >= 0", name=op.f("ck_users_failed_attempts")),
        sqlite_autoincrement=True,
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("end_reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_sessions_token_sha256")),
        sa.CheckConstraint(
            "length(token_sha256) = 64", name=op.f("ck_sessions_token_sha256_length")
        ),
        sa.CheckConstraint(
            "method IN ('password', 'single sign-on')", name=op.f("ck_sessions_method")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"])


def _create_audit_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Integer()),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON()),
        sa.Column("after", sa.JSON()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sa.CheckConstraint("length(hash) = 64", name=op.f("ck_audit_events_hash_length")),
        sa.CheckConstraint("length(previous) = 64", name=op.f("ck_audit_events_previous_length")),
        sa.CheckConstraint("id >= 1", name=op.f("ck_audit_events_id")),
    )
    for column in ("at", "actor", "action", "subject"):
        op.create_index(op.f(f"ix_audit_events_{column}"), "audit_events", [column])


def _create_drafts() -> None:
    op.create_table(
        "drafts",
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("reader", "image_id", name=op.f("pk_drafts")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_drafts_image_id_images")
        ),
    )


def _guard_on_postgresql() -> None:
    op.execute(
        _function(
            f"""
            IF TG_OP = 'DELETE' AND TG_TABLE_NAME IN ('reads', 'boxes') AND EXISTS ({_ERASING})
            THEN RETURN NULL; END IF;
            """
        )
    )
    op.execute(
        """
        CREATE TRIGGER audit_events_append_only
        BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_append_only_table()
        """
    )


def _function(exception: str) -> str:
    return f"""
        CREATE OR REPLACE FUNCTION refuse_change_of_append_only_table() RETURNS trigger AS $$
        BEGIN
            {exception}
            RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'integrity_constraint_violation';
        END
        $$ LANGUAGE plpgsql
        """


def _guard_on_sqlite() -> None:
    for table in _ERASABLE:
        op.execute(f"DROP TRIGGER {table}_no_delete")
        op.execute(_sqlite_trigger(table, "DELETE", f"WHEN NOT EXISTS ({_ERASING})"))
    for change in ("UPDATE", "DELETE"):
        op.execute(_sqlite_trigger("audit_events", change, ""))


def _sqlite_trigger(table: str, change: str, condition: str) -> str:
    return f"""
        CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} {condition}
        BEGIN SELECT RAISE(ABORT, '{table} is append-only: {change} refused'); END
        """
