"""The values of imports: reads of other sites, and the images that they may belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.store.records import Box, NewRead


@dataclass(frozen=True, kw_only=True)
class ImportedRead(NewRead):
    """A read of another site to append.

    Attributes:
        revision: Its number there, which it keeps.
        saved_at: When it was saved there.
    """

    revision: int
    saved_at: datetime


@dataclass(frozen=True, kw_only=True)
class KnownImage:
    """What an import needs of an image here.

    Attributes:
        id: Of the image.
        sha256: Of the original file.
        pixel_sha256: Of the decoded pixels, or None.
        width: Columns.
        height: Rows.
        label: What the worklist calls it.
        reference_label: 1 abnormal, 0 normal, or None.
        reference_boxes: In image pixels.
    """

    id: int
    sha256: str
    pixel_sha256: str | None
    width: int
    height: int
    label: str
    reference_label: int | None
    reference_boxes: tuple[Box, ...]
