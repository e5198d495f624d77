"""What is on the disk outlasts a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk; of a folder, the names in it.

    A rename lasts once the folder is on the disk: the name stands there, not in the file.

    Raises:
        OSError: It cannot be opened, or the disk reports an error.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
