"""What the C library does with freed memory: glibc's only; elsewhere nothing happens.

Left alone, glibc keeps freed blocks of up to 32 MB for the next array, in as many heaps as
processors times eight. That suits a program that does one thing; a server that loads models once
and then waits would hold for ever what the loading needed.
"""

from __future__ import annotations

import contextlib
import ctypes

LARGE = 2**20
"""Bytes; a block of this size or more gets pages of its own, given back when it is freed."""

HEAPS = 2
"""Heaps for all threads together: each keeps what was freed between blocks still in use."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of mallopt, in glibc's malloc.h."""


def give_back_large_blocks() -> None:
    """For a process that lives long: freed arrays go back to the system at once."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, LARGE)
        mallopt(_M_TRIM_THRESHOLD, LARGE)
        mallopt(_M_ARENA_MAX, HEAPS)


def keep_freed_blocks(size: int) -> None:
    """For a process that does the same again and again: freed arrays stay, up to ``size`` bytes.

    Fresh pages for large arrays cost more than many a step of the work on them.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, size)


def trim() -> None:
    """Give back to the system now what is free; takes milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
