"""Memory that a reader of files and its keeper both see, a room for each file on its way.

A file on disk is read into its room, and what is to be kept of it is laid down there by the child:
the keeper copies neither. A child sees the rooms of its own place and no others.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os

from ddad_core.imaging.limits import MAX_FILE_BYTES

ROOMS = 3
"""Of a place: for a file that is read, one that comes or goes meanwhile, and one of somebody else.
Who finds all taken waits until a file has left."""

ROOM_BYTES = MAX_FILE_BYTES + 2**20
"""Of a room; it takes memory only where it was written."""

LARGE = 32 * 2**20
"""Bytes; a room that held more gives its memory back, others keep it for the next file: fresh
memory costs more than to read, digest and copy what comes to lie on it."""


class RoomMemory:
    """One room as either side sees it.

    Attributes:
        view: All of it, ``ROOM_BYTES``, from the start of a page.
    """

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self._memory = memory
        self._start = number * ROOM_BYTES
        self.view = memoryview(memory)[self._start : self._start + ROOM_BYTES]

    def put(self, data: bytes | memoryview) -> int:
        """Lay bytes down from the start of the room.

        Returns:
            How many.

        Raises:
            ValueError: There is no room for so many.
        """
        self.holding(len(data))[:] = data
        return len(data)

    def holding(self, size: int) -> memoryview:
        """So many bytes from the start of the room.

        Raises:
            ValueError: There cannot be so many.
        """
        if not 0 <= size <= ROOM_BYTES:
            problem = f"{size} bytes in a room of {ROOM_BYTES}"
            raise ValueError(problem)
        return self.view[:size]

    def give_back(self) -> None:
        """Let the system have the memory; the room holds zeros then."""
        with contextlib.suppress(OSError, AttributeError):  # Linux only, and shared memory only
            self._memory.madvise(mmap.MADV_REMOVE, self._start, ROOM_BYTES)


def map_rooms(handle: int | None) -> mmap.mmap:
    """The memory of a place's rooms.

    Args:
        handle: From :func:`memory_file`; None: memory of this process alone.
    """
    return mmap.mmap(-1 if handle is None else handle, ROOMS * ROOM_BYTES)


def memory_file() -> int | None:
    """A file in memory for a child to inherit.

    Sealed: a child that could make it smaller would end its keeper, who looks at it.

    Returns:
        Its handle; None where the system has no such thing, or no more of it.
    """
    try:
        handle = os.memfd_create("ddad-reader", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (AttributeError, OSError):
        return None
    try:
        os.ftruncate(handle, ROOMS * ROOM_BYTES)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(handle, fcntl.F_ADD_SEALS, seals)
    except (AttributeError, OSError):
        os.close(handle)
        return None
    return handle
