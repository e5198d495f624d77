"""Files of images beside their rows: none is lost while two imports meet, none stays without."""

from __future__ import annotations

import hashlib
from collections.abc import Set

from app.gateways.files import FilesError, ImageFiles
from app.store.records import ImageRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RefusedImageError
from ddad_core.imaging.desk import Desk, take_up
from ddad_core.imaging.prepare import Keeping, Wanted
from ddad_core.imaging.sandbox import Sandbox
from ddad_core.imaging.sources import Source


class KeptFiles:
    """Writes files again that are gone, and removes those without a row.

    Args:
        store: The database.
        files: The image store.
        sandbox: Reads files.
        keeping: How files are freed of identity.
    """

    def __init__(
        self, store: UnitOfWork, files: ImageFiles, sandbox: Sandbox, keeping: Keeping
    ) -> None:
        self._store = store
        self._files = files
        self._sandbox = sandbox
        self._keeping = keeping

    def bring_back(self, desk: Desk, known: ImageRecord) -> str:
        """Write the file of a known image again if it is missing or damaged.

        Args:
            desk: The same file lies on it as the image was made from.
            known: The image.

        Returns:
            A sentence on what was done; empty if the file is there.

        Raises:
            FilesError: The disk does not take it.
        """
        try:
            self._files.file(known.sha256, known.stored_as, stored_sha256=known.stored_sha256)
        except FilesError:
            kept = desk.prepare(Wanted(keep=self._keeping, sha256=known.sha256)).kept
            assert kept
            digest = hashlib.sha256(kept.data).hexdigest()
            if kept.stored_as != known.stored_as or digest != (known.stored_sha256 or digest):
                return (
                    "Its file here is missing or damaged, and this one gives another than was "
                    "kept (by another version or site name): restore it from a backup."
                )
            self._files.put_file(known.sha256, kept.data, kept.stored_as)
            return "Its file here was missing or damaged, and was written again."
        return ""

    def write_again(self, source: Source, sha256: str) -> None:
        """Write a file again that another import swept away, which met it without a row, too.

        Args:
            source: Where it came from.
            sha256: Of its bytes.

        Raises:
            FilesError: The source does not give the same file any more.
        """
        try:
            with take_up(self._sandbox, source) as desk:
                same = desk.sha256() == sha256
                kept = desk.prepare(Wanted(keep=self._keeping, sha256=sha256)).kept
                if same and kept:
                    self._files.put_file(sha256, kept.data, kept.stored_as)
                    return
        except (RefusedImageError, OSError):
            pass
        problem = "A file was changed or removed while it was brought in."
        raise FilesError(problem, "Bring it in again.")

    def sweep(self, written: Set[str]) -> None:
        """Remove files that no row points to: duplicates, and all of a failed transaction.

        Args:
            written: SHA-256 of what the files were made from.
        """
        if not written:
            return
        with self._store.reading() as repositories:
            orphans = [s for s in written if repositories.images.by_sha256(s) is None]
        if not orphans:
            return
        # Another import may have met the same file: before its row or after, never in between.
        with self._store.writing() as repositories:
            for sha256 in orphans:
                if repositories.images.by_sha256(sha256) is None:
                    self._files.remove(sha256)
