"""The table of regions that readers rejected, beside those of ``schema``."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.schema import Base


class RejectedRegionRow(Base):
    """A region of a map that a reader rejected with a read, in image pixels. Append-only."""

    __tablename__ = "rejected_regions"

    id: Mapped[int] = mapped_column(primary_key=True)
    read_id: Mapped[int] = mapped_column(ForeignKey("reads.id"))
    index: Mapped[int]
    map_name: Mapped[str]
    pixel_threshold: Mapped[float]
    x: Mapped[float]
    y: Mapped[float]
    width: Mapped[float]
    height: Mapped[float]
    peak: Mapped[float]
    peak_x: Mapped[float]
    peak_y: Mapped[float]

    __table_args__ = (
        UniqueConstraint("read_id", "index"),
        CheckConstraint("width > 0 AND height > 0", name="size"),
        {"sqlite_autoincrement": True},
    )
