"""What is asked of an export. Nothing here knows SQL."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from app.store.records import Origin, Verdict

TableName = Literal[
    "images",
    "reference_boxes",
    "reads",
    "boxes",
    "rejected_regions",
    "scores",
    "operating_points",
    "audit_events",
]


@dataclass(frozen=True, kw_only=True)
class ExportFilter:
    """Which rows are wanted; empty or None leaves a question open.

    Of images it is `origin` and when they were taken in, and everything of an image goes or stays
    with it. Readers, verdicts and the period concern reads and their boxes only: images and
    scores without such a read stay, for rates need them.

    Attributes:
        readers: Exact names.
        verdicts: Any of these.
        model: Reads made with it, its scores and its operating points.
        since: Reads saved, and audit events, from this instant on.
        until: Before this instant.
        latest_only: Only the last revision of each reader and image.
        origin: Where images came from.
        taken_in_since: Images taken in from this instant on.
        taken_in_until: Before this instant.
    """

    readers: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    model: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    latest_only: bool = False
    origin: Origin | None = None
    taken_in_since: datetime | None = None
    taken_in_until: datetime | None = None

    def words(self) -> dict[str, Any]:
        """What is not left open, as JSON can say it."""
        found = {name: value for name, value in asdict(self).items() if value}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in found.items()
        }
