"""The tables of audit samples: cases drawn by chance, to be read whatever the AI says of them.

Append-only by triggers in the migration; members go with their image when it is erased.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.schema import SHA256_DIGITS, Base


class AuditSampleRow(Base):
    """One draw."""

    __tablename__ = "audit_samples"

    id: Mapped[int] = mapped_column(primary_key=True)
    model_name: Mapped[str]
    model_hash: Mapped[str] = mapped_column(String(SHA256_DIGITS))
    score_name: Mapped[str]
    threshold: Mapped[float]
    rule: Mapped[str]
    seed: Mapped[int]
    size: Mapped[int]
    eligible: Mapped[int]
    flagged: Mapped[int]
    last_score_id: Mapped[int]
    drawn_at: Mapped[datetime]
    drawn_by: Mapped[str]

    __table_args__ = (
        CheckConstraint("length(model_hash) = 64", name="model_hash_length"),
        CheckConstraint("size >= 1 AND size <= eligible", name="size"),
        CheckConstraint("seed >= 0", name="seed"),
        # An id given again would join another draw's members.
        {"sqlite_autoincrement": True},
    )


class AuditSampleMemberRow(Base):
    """A case that was drawn."""

    __tablename__ = "audit_sample_members"

    sample_id: Mapped[int] = mapped_column(ForeignKey("audit_samples.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    chance: Mapped[float]

    __table_args__ = (
        UniqueConstraint("sample_id", "image_id"),
        CheckConstraint("chance > 0 AND chance <= 1", name="chance"),
        Index(None, "image_id"),
    )
