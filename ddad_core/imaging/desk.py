"""Room for one file at a time, used again and again, on its way through a sandbox.

Fresh memory costs more than all that is done with it: a page that the system has not given out
before takes longer than to read, digest and copy what comes to lie on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import threading
from collections.abc import Iterator

from ddad_core.imaging.limits import MAX_FILE_BYTES
from ddad_core.imaging.prepare import Prepared, Wanted
from ddad_core.imaging.sandbox import Sandbox
from ddad_core.imaging.sources import FileSource, Source

ROOM = MAX_FILE_BYTES + 2**20
"""Bytes of a desk; takes memory only where it was written."""

LARGE = 32 * 2**20
"""Bytes; a desk that held more is thrown away."""


class Desk:
    """One file and what becomes of it; of no use after :meth:`Desks.take_up` ends.

    Attributes:
        file: The file; until it is prepared, which may lay another in its place.
    """

    def __init__(self, sandbox: Sandbox, room: memoryview, source: Source) -> None:
        self._sandbox = sandbox
        self._room = room
        self.used = 0
        self.file: bytes | memoryview
        if isinstance(source, FileSource):
            self.used = source.read_into(room)
            self.file = room[: self.used]
        else:
            self.file = source.read()

    def sha256(self) -> str:
        """Of the file; ask before it is prepared."""
        return hashlib.sha256(self.file).hexdigest()

    def prepare(self, wanted: Wanted) -> Prepared:
        """As :meth:`ddad_core.imaging.sandbox.Sandbox.prepare`.

        Returns:
            What was made; a large file to keep lies on the desk, from the start of a page.
        """
        prepared = self._sandbox.prepare(self.file, wanted, room=self._room)
        if prepared.kept:
            self.used = max(self.used, len(prepared.kept.data))
        return prepared


class Desks:
    """Desks for all threads that want one; safe to share between them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._free: list[mmap.mmap] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def take_up(self, source: Source) -> Iterator[Desk]:
        """Read a source onto a desk.

        Raises:
            RefusedImageError: As ``Source.read``.
            OSError: Likewise.
        """
        with self._lock:
            memory = self._free.pop() if self._free else mmap.mmap(-1, ROOM)
        desk = None
        try:
            desk = Desk(self._sandbox, memoryview(memory), source)
            yield desk
        finally:
            if desk and desk.used <= LARGE:
                with self._lock:
                    self._free.append(memory)
