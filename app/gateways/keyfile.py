"""The key of the pseudonyms: one small file beside the database, never in it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tempfile
from pathlib import Path

from app.gateways.files import FilesError
from ddad_core.lasting import to_disk

KEY_BYTES = 32
_TEXT = re.compile(r"[0-9a-f]{64}\n?")
_RESTORE = (
    "Do not replace it by a new one: restore it from the last backup, or the pseudonyms of all "
    "images taken in so far could never be made again."
)


def load_key(path: Path) -> bytes | None:
    """Read the key.

    Args:
        path: The key file.

    Returns:
        32 bytes; None if there is no such file.

    Raises:
        FilesError: The file is damaged or cannot be read.
    """
    try:
        text = path.read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = f"The key file {path} cannot be read ({error.strerror or error})."
        raise FilesError(problem, "Give the program permission to read it.") from error
    if not _TEXT.fullmatch(text):
        problem = f"The key file {path} is damaged: it must hold 64 hexadecimal digits."
        raise FilesError(problem, _RESTORE)
    return bytes.fromhex(text)


def load_or_create_key(path: Path) -> bytes:
    """Read the key, or make one at the first start.

    A key that is there is never overwritten. Of several processes that start at once, all get
    the key of the first.

    Args:
        path: The key file; readable by its owner alone once it is made.

    Returns:
        32 bytes.

    Raises:
        FilesError: The file is damaged, cannot be read, or cannot be written.
    """
    key = load_key(path)
    if key is not None:
        return key
    try:
        _create(path, secrets.token_bytes(KEY_BYTES))
    except OSError as error:
        problem = f"The key file {path} cannot be written ({error.strerror or error})."
        raise FilesError(problem, "Give the program permission to write to its folder.") from error
    key = load_key(path)
    if key is None:
        problem = f"The key file {path} vanished while it was made."
        raise FilesError(problem, "Start the program again.")
    return key


def _create(path: Path, key: bytes) -> None:
    """Write the key under another name, then link it to its own, which fails if that exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{key.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    to_disk(path.parent)
