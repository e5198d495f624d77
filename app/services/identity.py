"""Is this image here already? One rule for all ways in."""

from __future__ import annotations

from dataclasses import dataclass

from app.store.records import ImageRecord
from app.store.unit_of_work import Repositories


@dataclass(frozen=True)
class Known:
    """The image is here already.

    Attributes:
        record: The one that is.
        same_bytes: Whether the very file was taken in; else the same picture under the same
            SOP Instance UID in another transfer syntax or with another header.
    """

    record: ImageRecord
    same_bytes: bool


@dataclass(frozen=True)
class Conflict:
    """Other pictures have the same SOP Instance UID, which none should share.

    Attributes:
        records: They, the first one first; never empty.
    """

    records: tuple[ImageRecord, ...]


@dataclass(frozen=True)
class New:
    """Nothing here is this image."""


def place(
    repositories: Repositories, *, sha256: str, instance: str | None, pixel_sha256: str
) -> Known | Conflict | New:
    """Find what is here of an image; call it in the unit of work that then adds the image.

    Same bytes are the same image. So are the same pixels under the same SOP Instance UID. The
    same UID with other pixels, or with pixels that no digest is kept of, is a conflict: the new
    image is one of its own and takes over no read. Images without a UID are told apart by their
    bytes alone: equal pixels do not make two of them one, for they may be of two patients.

    Args:
        repositories: Of an open unit of work.
        sha256: Of the file as it came.
        instance: Pseudonym of its SOP Instance UID; None or empty if it has none.
        pixel_sha256: Of its decoded pixels.
    """
    known = repositories.images.by_sha256(sha256)
    if known is not None:
        return Known(known, same_bytes=True)
    if not instance:
        return New()
    namesakes = repositories.images.by_instance(instance)
    for record in namesakes:
        if record.pixel_sha256 == pixel_sha256:
            return Known(record, same_bytes=False)
    return Conflict(tuple(namesakes)) if namesakes else New()
