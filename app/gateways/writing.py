"""Writing files so that they last, with little work for the processor."""

from __future__ import annotations

import errno
import mmap
import os

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PAGE = mmap.PAGESIZE


def write_all(handle: int, content: bytes | memoryview, *, direct: bool) -> None:
    """Write to an open file.

    What begins at a page of memory can go to the disk past the system's cache, page by page.
    What lasts must be on the disk anyway before one goes on, and fresh pages in the cache cost
    several times the work of the whole rest.

    Raises:
        OSError: The disk is full, or does not take it.
    """
    view, done = memoryview(content), 0
    whole = len(view) // _PAGE * _PAGE
    if direct and whole and _begins_at_page(view) and _direct(handle, True):
        try:
            while done < whole:
                written = os.write(handle, view[done:whole])
                if written % _PAGE:
                    break
                done += written
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that has no such thing
                raise
        finally:
            _direct(handle, False)
        os.lseek(handle, done, os.SEEK_SET)
    while done < len(view):
        done += os.write(handle, view[done:])


def _begins_at_page(view: memoryview) -> bool:
    return int(np.frombuffer(view, np.uint8).ctypes.data) % _PAGE == 0


def _direct(handle: int, on: bool) -> bool:
    """Turn writing past the cache on or off; whether that could be done."""
    if fcntl is None or not hasattr(os, "O_DIRECT"):
        return False
    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    flags = flags | os.O_DIRECT if on else flags & ~os.O_DIRECT
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags)
    except OSError:
        return False
    return True
