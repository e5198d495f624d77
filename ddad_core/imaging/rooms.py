"""Memory that a reader of files and its keeper both see, a room for each file on its way.

A file is read into its room once, and what is to be kept of it is laid down there by the child:
neither is copied between the two. A child sees the rooms of its own place and no others.
"""

from __future__ import annotations

import contextlib
import mmap
import os

from ddad_core.imaging.limits import MAX_FILE_BYTES

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ROOM_BYTES = MAX_FILE_BYTES + 2**20
"""Of a room; it takes memory only where it was written."""

LARGE = 32 * 2**20
"""Bytes; a room that held more gives its memory back, others keep it for the next file: fresh
memory costs more than to read, digest and copy what comes to lie on it."""


class SharedMemory:
    """A room as either side sees it.

    Args:
        handle: Of a file in memory, ``ROOM_BYTES`` long; None: memory of this process alone.
    """

    def __init__(self, handle: int | None) -> None:
        self._map = mmap.mmap(-1 if handle is None else handle, ROOM_BYTES)
        self.view = memoryview(self._map)

    def put(self, data: bytes | memoryview) -> int:
        """Lay bytes down from the start of the room.

        Returns:
            How many; 0 if there is no room for them.
        """
        size = len(data)
        if size > ROOM_BYTES:
            return 0
        self.view[:size] = data
        return size

    def holding(self, size: int) -> memoryview:
        """What lies there.

        Raises:
            ValueError: There cannot be so much.
        """
        if not 0 <= size <= ROOM_BYTES:
            problem = f"{size} bytes in a room"
            raise ValueError(problem)
        return self.view[:size]

    def give_back(self) -> None:
        """Let the system have the memory; the room holds zeros then."""
        with contextlib.suppress(OSError, AttributeError, ValueError):  # Linux only
            self._map.madvise(mmap.MADV_REMOVE)


def memory_file() -> int | None:
    """A file in memory for a child to inherit, which it cannot make smaller under its keeper.

    Returns:
        Its handle; None where the system has none.
    """
    try:
        handle = os.memfd_create("ddad-reader", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (AttributeError, OSError):
        return None
    os.ftruncate(handle, ROOM_BYTES)
    with contextlib.suppress(OSError, AttributeError):  # an old system; what is mapped stays
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(handle, fcntl.F_ADD_SEALS, seals)
    return handle
