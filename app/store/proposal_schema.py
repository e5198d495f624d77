"""The tables of proposed operating points, beside those of ``schema``. Both are append-only."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.store.proposal_records import Decision
from app.store.schema import SHA256_DIGITS, Base

_DECISIONS = ", ".join(f"'{one}'" for one in get_args(Decision))


class ProposalRow(Base):
    """An operating point that waits, or waited, for a second person."""

    __tablename__ = "proposals"

    id: Mapped[int] = mapped_column(primary_key=True)
    model_name: Mapped[str]
    model_hash: Mapped[str] = mapped_column(String(SHA256_DIGITS))
    score_name: Mapped[str]
    threshold: Mapped[float]
    policy: Mapped[str]
    reason: Mapped[str]
    set_by: Mapped[str]
    proposed_at: Mapped[datetime]
    kind: Mapped[str]
    map_name: Mapped[str | None]
    evidence: Mapped[Any] = mapped_column(JSON, nullable=False)
    override_reason: Mapped[str]
    population: Mapped[str | None]
    site: Mapped[str | None]
    restores: Mapped[int | None]
    present_id: Mapped[int | None] = mapped_column(ForeignKey("operating_points.id"))

    __table_args__ = (
        # What a decision refers to: who decides is compared with who proposed, by the database.
        UniqueConstraint("id", "set_by"),
        CheckConstraint("length(model_hash) = 64", name="model_hash_length"),
        CheckConstraint("kind IN ('image', 'pixel')", name="kind"),
        CheckConstraint("(kind = 'pixel') = (map_name IS NOT NULL)", name="map_name"),
        CheckConstraint("restores >= 0", name="restores"),
        Index(None, "model_name"),
        {"sqlite_autoincrement": True},
    )


class DecisionRow(Base):
    """What became of a proposal; nobody approves or refuses what they proposed themselves."""

    __tablename__ = "proposal_decisions"

    proposal_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    proposed_by: Mapped[str]
    decision: Mapped[str]
    decided_by: Mapped[str]
    decided_at: Mapped[datetime]
    reason: Mapped[str]
    operating_point_id: Mapped[int | None] = mapped_column(ForeignKey("operating_points.id"))

    __table_args__ = (
        ForeignKeyConstraint(["proposal_id", "proposed_by"], ["proposals.id", "proposals.set_by"]),
        CheckConstraint(f"decision IN ({_DECISIONS})", name="decision"),
        CheckConstraint(
            "decision NOT IN ('approved', 'refused') OR lower(decided_by) <> lower(proposed_by)",
            name="second_person",
        ),
        CheckConstraint("decision <> 'withdrawn' OR decided_by = proposed_by", name="own_proposal"),
        CheckConstraint("decision <> 'approved' OR operating_point_id IS NOT NULL", name="outcome"),
    )
