"""The values of batches, assignments, open cases and saved views. See `app.store.records`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """Images that came in together.

    Attributes:
        id: Of the batch.
        name: As its sender called it, or when it came.
        added_by: Who brought it.
        added_at: When, UTC.
        cases: How many images are left of it.
    """

    id: int
    name: str
    added_by: str
    added_at: datetime
    cases: int = 0


@dataclass(frozen=True, kw_only=True)
class PresenceRecord:
    """Somebody who has a case open.

    Attributes:
        image_id: The case.
        reader: Name of the account.
        full_name: How people call them.
        since: From when on, UTC.
        seen_at: The last sign of life, UTC.
    """

    image_id: int
    reader: str
    full_name: str
    since: datetime
    seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class SavedViewRecord:
    """What a person wants to see of the worklist.

    Attributes:
        id: Of the view.
        owner: Name of the account.
        name: Of the view; one of each owner.
        wish: As it was asked for, by name.
        shared: Whether everybody is offered it.
        saved_at: UTC.
    """

    id: int
    owner: str
    name: str
    wish: Mapping[str, Any]
    shared: bool
    saved_at: datetime


@dataclass(frozen=True)
class DayRecord:
    """A reader's day in numbers.

    Attributes:
        read: Cases of which they saved a read.
        left: Cases that are assigned to them and not read by them, whenever that was.
        seconds: Time to verdict of each case read, where it was taken.
    """

    read: int
    left: int
    seconds: tuple[float, ...]
