"""One file at a time on its way through a sandbox, read, digested and kept where it lies."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

from ddad_core.imaging.limits import check_size_in_bytes
from ddad_core.imaging.prepare import Prepared, Wanted
from ddad_core.imaging.sandbox import Room, Sandbox
from ddad_core.imaging.sources import FileSource, Source


class Desk:
    """A file in a room; of no use after :func:`take_up` ends.

    Attributes:
        file: The file; until it is prepared, which may lay another in its place.
    """

    def __init__(self, sandbox: Sandbox, room: Room, source: Source) -> None:
        self._sandbox = sandbox
        self._room = room
        if isinstance(source, FileSource):
            room.used = source.read_into(room.memory.view)
        else:
            data = source.read()
            check_size_in_bytes(len(data))
            room.used = room.memory.put(data)
        self.file = room.memory.holding(room.used)

    def sha256(self) -> str:
        """Of the file; ask before it is prepared."""
        return hashlib.sha256(self.file).hexdigest()

    def prepare(self, wanted: Wanted) -> Prepared:
        """As :meth:`ddad_core.imaging.sandbox.Sandbox.prepare`.

        Returns:
            What was made; a file to keep lies on the desk, from the start of a page, wherever the
            system lets a child see it.
        """
        return self._sandbox.prepare_in(self._room, wanted)


@contextlib.contextmanager
def take_up(sandbox: Sandbox, source: Source) -> Iterator[Desk]:
    """Read a source into a room of a sandbox.

    Raises:
        RefusedImageError: As ``Source.read``.
        OSError: Likewise.
        SandboxError: The sandbox was closed.
    """
    with sandbox.room() as room:
        yield Desk(sandbox, room, source)
