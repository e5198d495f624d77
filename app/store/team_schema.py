"""Tables of people working on one worklist together: who is to read what, and who has it open."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from app.store.schema import NEVER_REUSE_IDS, Base

TAB_DIGITS = 32


class BatchRow(Base):
    """Images that came in together."""

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    added_by: Mapped[str]
    added_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("name"), NEVER_REUSE_IDS)


class AssignmentRow(Base):
    """A case that somebody is to read. Taken back by deleting it; the audit trail remembers."""

    __tablename__ = "assignments"

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    reader: Mapped[str]
    assigned_by: Mapped[str]
    assigned_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("image_id", "reader"),
        Index(None, "reader", "image_id"),
        NEVER_REUSE_IDS,
    )


class ArbitrationRow(Base):
    """The read that settled a case on which readers disagreed."""

    __tablename__ = "arbitrations"

    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), primary_key=True)
    read_id: Mapped[int] = mapped_column(ForeignKey("reads.id"))
    settled_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("read_id"),)


class PresenceRow(Base):
    """The case that is open in a browser tab. Short-lived: what is not seen again is stale."""

    __tablename__ = "presence"

    tab: Mapped[str] = mapped_column(String(TAB_DIGITS), primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    reader: Mapped[str]
    session_id: Mapped[int | None]
    since: Mapped[datetime]
    seen_at: Mapped[datetime]

    __table_args__ = (Index(None, "image_id"),)


class SavedViewRow(Base):
    """What a person wants to see of the worklist, under a name."""

    __tablename__ = "saved_views"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    wish: Mapped[Any] = mapped_column(JSON, nullable=False)
    shared: Mapped[bool] = mapped_column(server_default=false())
    saved_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("owner", "name"), NEVER_REUSE_IDS)
