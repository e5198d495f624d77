"""How large a file may be and what reading it may cost."""

from __future__ import annotations

from pathlib import Path

from ddad_core.errors import RefusedImageError

MAX_FILE_BYTES = 128 * 2**20
"""Twice the pixels of the largest image that is taken, in 16 bits, is below this."""

MAX_GROWTH_BYTES = 800 * 2**20
"""Memory that reading one file may take, beyond what the reader has before it."""

SECONDS, SECONDS_PER_MB, MAX_SECONDS = 4.0, 0.04, 9.0
"""Processor time for one file: more for large ones, which honest decoders need."""


def seconds_for(size: int) -> float:
    """Processor time that reading a file of so many bytes may take."""
    return min(SECONDS + SECONDS_PER_MB * size / 2**20, MAX_SECONDS)


def check_file_size(path: Path) -> None:
    """Refuse files too large to hold one radiograph.

    Raises:
        RefusedImageError: The file has more than ``MAX_FILE_BYTES``.
        OSError: It cannot be looked at.
    """
    check_size_in_bytes(path.stat().st_size)


def check_size_in_bytes(size: int) -> None:
    """Refuse a file of so many bytes, if that is too many.

    Raises:
        RefusedImageError: It has more than ``MAX_FILE_BYTES``.
    """
    if size > MAX_FILE_BYTES:
        problem = f"The file has {size / 2**20:.1f} MB; {MAX_FILE_BYTES // 2**20} MB at most."
        raise RefusedImageError(problem, "Send a single radiograph.")
