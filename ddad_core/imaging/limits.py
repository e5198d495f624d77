"""How large a file may be, checked before it is read."""

from __future__ import annotations

from pathlib import Path

from ddad_core.errors import RefusedImageError

MAX_FILE_BYTES = 256 * 2**20


def check_file_size(path: Path) -> None:
    """Refuse files too large to hold one radiograph.

    Raises:
        RefusedImageError: The file has more than ``MAX_FILE_BYTES``.
        OSError: It cannot be looked at.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        problem = f"The file has {size / 2**20:.0f} MB; {MAX_FILE_BYTES // 2**20} MB at most."
        raise RefusedImageError(problem, "Send a single radiograph.")
