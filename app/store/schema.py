"""The tables. SQLite and PostgreSQL share them; a change here needs a migration beside it.

The triggers that make reads, boxes, operating points and audit events append-only stand in the
migrations.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    false,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.store.account_records import Role, SessionMethod
from app.store.column_types import BoxTuple, StorableText, TextTuple, UtcDateTime, WindowTuple
from app.store.records import Box, Origin, PointKind, Stage, StoredAs, Verdict, WindowRecord

THUMBNAIL_LIMIT_BYTES = 16 * 1024
SHA256_DIGITS = 64

# On SQLite an id would otherwise be given again after its row is removed, and an old link or an
# audit entry would then point at another patient's image.
NEVER_REUSE_IDS = {"sqlite_autoincrement": True}


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _sha256_length(column: str) -> CheckConstraint:
    return CheckConstraint(f"length({column}) = {SHA256_DIGITS}", name=f"{column}_length")


class Base(DeclarativeBase):
    """Shared metadata: every constraint has a name, so that a migration can find it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: StorableText, datetime: UtcDateTime}


class ImageRow(Base):
    """An image; its pixels and maps lie in the file store under its SHA-256."""

    __tablename__ = "images"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(SHA256_DIGITS))
    origin: Mapped[str]
    label: Mapped[str]
    format: Mapped[str]
    modality: Mapped[str | None]
    view: Mapped[str | None]
    body_part: Mapped[str | None]
    age_years: Mapped[float | None]
    sex: Mapped[str | None]
    spacing_row_mm: Mapped[float | None]
    spacing_col_mm: Mapped[float | None]
    bits: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    slope: Mapped[float]
    intercept: Mapped[float]
    windows: Mapped[tuple[WindowRecord, ...]] = mapped_column(WindowTuple)
    warnings: Mapped[tuple[str, ...]] = mapped_column(TextTuple)
    reference_label: Mapped[int | None]
    reference_boxes: Mapped[tuple[Box, ...]] = mapped_column(BoxTuple)
    attribution: Mapped[str | None]
    thumbnail: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    added_at: Mapped[datetime]
    added_by: Mapped[str]
    patient: Mapped[str | None]
    instance: Mapped[str | None]
    station: Mapped[str | None]
    pixel_sha256: Mapped[str | None] = mapped_column(String(SHA256_DIGITS))
    stored_as: Mapped[str] = mapped_column(server_default="png")
    stored_sha256: Mapped[str | None] = mapped_column(String(SHA256_DIGITS))
    conflict: Mapped[bool] = mapped_column(server_default=false())
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))

    __table_args__ = (
        UniqueConstraint("sha256"),
        _sha256_length("sha256"),
        _sha256_length("pixel_sha256"),
        _sha256_length("stored_sha256"),
        _one_of("stored_as", get_args(StoredAs)),
        _one_of("origin", get_args(Origin)),
        CheckConstraint("width > 0 AND height > 0", name="size"),
        CheckConstraint("reference_label IN (0, 1)", name="reference_label"),
        CheckConstraint(f"length(thumbnail) <= {THUMBNAIL_LIMIT_BYTES}", name="thumbnail_size"),
        Index(None, "added_at"),
        Index(None, "patient"),
        Index(None, "instance"),
        Index(None, "pixel_sha256"),
        Index(None, "batch_id"),
        NEVER_REUSE_IDS,
    )


class InstallationRow(Base):
    """What belongs to the installation as a whole, one value a name."""

    __tablename__ = "installation"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class ScoreRow(Base):
    """What one version of one model says of one image."""

    __tablename__ = "scores"

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    model_name: Mapped[str]
    model_hash: Mapped[str] = mapped_column(String(SHA256_DIGITS))
    a_rec: Mapped[float]
    a_rec_single: Mapped[float]
    a_intra: Mapped[float]
    a_inter: Mapped[float]
    r_dual: Mapped[float | None]
    r_intra: Mapped[float | None]
    c_rec: Mapped[float | None]
    c_intra: Mapped[float | None]
    c_inter: Mapped[float | None]
    a_ratio: Mapped[float | None]
    score_name: Mapped[str]
    score: Mapped[float]
    p_value: Mapped[float]
    percentile: Mapped[float]
    warnings: Mapped[tuple[str, ...]] = mapped_column(TextTuple)
    seconds: Mapped[float]
    scored_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("image_id", "model_name", "model_hash"),
        _sha256_length("model_hash"),
        CheckConstraint("p_value >= 0 AND p_value <= 1", name="p_value"),
        CheckConstraint("percentile >= 0 AND percentile <= 100", name="percentile"),
        Index(None, "model_name", "model_hash", "image_id"),
        NEVER_REUSE_IDS,
    )


class OperatingPointRow(Base):
    """A threshold the site set. Append-only."""

    __tablename__ = "operating_points"

    id: Mapped[int] = mapped_column(primary_key=True)
    model_name: Mapped[str]
    model_hash: Mapped[str] = mapped_column(String(SHA256_DIGITS))
    score_name: Mapped[str]
    threshold: Mapped[float]
    version: Mapped[int]
    policy: Mapped[str]
    reason: Mapped[str]
    set_by: Mapped[str]
    set_at: Mapped[datetime]
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("operating_points.id"))
    kind: Mapped[str] = mapped_column(server_default="image")
    map_name: Mapped[str | None]
    evidence: Mapped[Any] = mapped_column(JSON, nullable=False, server_default="{}")
    override_reason: Mapped[str] = mapped_column(server_default="")
    population: Mapped[str | None]
    site: Mapped[str | None]
    approved_by: Mapped[str | None]
    restores: Mapped[int | None]

    __table_args__ = (
        UniqueConstraint("model_name", "model_hash", "score_name", "version"),
        UniqueConstraint("replaces_id"),
        _sha256_length("model_hash"),
        CheckConstraint("version >= 1", name="version"),
        _one_of("kind", get_args(PointKind)),
        CheckConstraint("(kind = 'pixel') = (map_name IS NOT NULL)", name="map_name"),
        CheckConstraint("lower(approved_by) <> lower(set_by)", name="approved_by"),
        CheckConstraint("restores >= 0", name="restores"),
        NEVER_REUSE_IDS,
    )


class ReadRow(Base):
    """One revision of one reader's read of one image. Append-only."""

    __tablename__ = "reads"

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    reader: Mapped[str]
    revision: Mapped[int]
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("reads.id"))
    verdict: Mapped[str]
    confidence: Mapped[int | None]
    findings: Mapped[tuple[str, ...]] = mapped_column(TextTuple)
    comment: Mapped[str]
    model_name: Mapped[str | None]
    model_hash: Mapped[str | None] = mapped_column(String(SHA256_DIGITS))
    operating_point_id: Mapped[int | None] = mapped_column(ForeignKey("operating_points.id"))
    score: Mapped[float | None]
    threshold: Mapped[float | None]
    map_name: Mapped[str | None]
    pixel_threshold: Mapped[float | None]
    opacity: Mapped[float | None]
    ai_visible: Mapped[bool]
    seconds_to_verdict: Mapped[float | None]
    stage: Mapped[str] = mapped_column(server_default="aided")
    agreement: Mapped[Any] = mapped_column(JSON, nullable=False, server_default="{}")
    saved_at: Mapped[datetime]
    origin: Mapped[str | None]
    external_id: Mapped[str | None]
    imported_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("image_id", "reader", "revision"),
        UniqueConstraint("replaces_id"),
        _one_of("verdict", get_args(Verdict)),
        _one_of("stage", get_args(Stage)),
        _sha256_length("model_hash"),
        CheckConstraint("revision >= 1", name="revision"),
        CheckConstraint("confidence BETWEEN 1 AND 5", name="confidence"),
        CheckConstraint("opacity BETWEEN 0 AND 1", name="opacity"),
        CheckConstraint("seconds_to_verdict >= 0", name="seconds_to_verdict"),
        Index(None, "image_id"),
        Index(None, "external_id", unique=True),
        NEVER_REUSE_IDS,
    )


class BoxRow(Base):
    """A box of a read, in image pixels. Append-only."""

    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True)
    read_id: Mapped[int] = mapped_column(ForeignKey("reads.id"))
    index: Mapped[int]
    x: Mapped[float]
    y: Mapped[float]
    width: Mapped[float]
    height: Mapped[float]
    label: Mapped[str]

    __table_args__ = (
        UniqueConstraint("read_id", "index"),
        CheckConstraint("width > 0 AND height > 0", name="size"),
        NEVER_REUSE_IDS,
    )


class UserRow(Base):
    """An account. Never deleted: reads and audit events point to its name."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_key: Mapped[str]
    full_name: Mapped[str]
    roles: Mapped[tuple[Role, ...]] = mapped_column(TextTuple)
    password_hash: Mapped[str | None]
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    must_change_password: Mapped[bool] = mapped_column(server_default=false())
    active: Mapped[bool] = mapped_column(server_default=true())
    failed_attempts: Mapped[int] = mapped_column(server_default="0")
    locked_until: Mapped[datetime | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    password_changed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("name_key"),
        UniqueConstraint("issuer", "subject"),
        CheckConstraint("failed_attempts >= 0", name="failed_attempts"),
        NEVER_REUSE_IDS,
    )


class SessionRow(Base):
    """A browser that signed in."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(SHA256_DIGITS))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    address: Mapped[str]
    method: Mapped[str]
    opened_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("token_sha256"),
        _sha256_length("token_sha256"),
        _one_of("method", get_args(SessionMethod)),
        Index(None, "user_id"),
        NEVER_REUSE_IDS,
    )


class AuditRow(Base):
    """One act on record; each holds the hash of the one before. Append-only."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str]
    actor_id: Mapped[int | None]
    action: Mapped[str]
    subject: Mapped[str]
    address: Mapped[str]
    before: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    after: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    reason: Mapped[str]
    previous: Mapped[str] = mapped_column(String(SHA256_DIGITS))
    hash: Mapped[str] = mapped_column(String(SHA256_DIGITS))

    __table_args__ = (
        _sha256_length("hash"),
        _sha256_length("previous"),
        CheckConstraint("id >= 1", name="id"),
        Index(None, "at"),
        Index(None, "actor"),
        Index(None, "action"),
        Index(None, "subject"),
    )


class DraftRow(Base):
    """A reader's unsaved read of a case."""

    __tablename__ = "drafts"

    reader: Mapped[str] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), primary_key=True)
    content: Mapped[Any] = mapped_column(JSON, nullable=False)
    saved_at: Mapped[datetime]


# Tables of their own modules belong to the same metadata: whoever lists tables must see them.
from app.store import (  # noqa: E402
    proposal_schema,  # noqa: F401
    region_schema,  # noqa: F401
    sample_schema,  # noqa: F401
    team_schema,  # noqa: F401
)
