"""A new file that gets its name only when it is complete, and never in place of another one."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.keeping.manifest import BackupError
from ddad_core.lasting import to_disk

_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)
_BUFFER = 2**20


@contextmanager
def new_file(target: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to, readable by its owner alone; name it at the end of the block.

    Where the file system can, the file has no name until then: a process that is killed leaves
    nothing behind. Elsewhere it leaves ``.NAME-….partial``.

    Raises:
        BackupError: There is such a file already, or the disk does not take it. Nothing of it
            is left then.
    """
    if target.exists():
        raise _exists(target)
    temporary: Path | None = None
    try:
        try:
            handle = os.open(target.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in _NO_UNNAMED_FILES:
                raise
            handle, name = tempfile.mkstemp(
                dir=target.parent, prefix=f".{target.name}-", suffix=".partial"
            )
            temporary = Path(name)
        with os.fdopen(handle, "w+b", buffering=_BUFFER) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _name(file.fileno(), temporary, target)
        to_disk(target.parent)
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        problem = f"{target} cannot be written ({error.strerror or error})."
        step = "Nothing was kept of it: make room on that disk, or choose another folder."
        raise BackupError(problem, step) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _name(handle: int, temporary: Path | None, target: Path) -> None:
    """Link it to its name, which fails where something has that name."""
    if temporary is not None:
        target.hardlink_to(temporary)
        return
    # With a folder given, Python calls linkat() and has it follow the link in /proc.
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.link(f"/proc/self/fd/{handle}", target.name, dst_dir_fd=folder)
    finally:
        os.close(folder)


def _exists(target: Path) -> BackupError:
    problem = f"{target} is there already."
    return BackupError(problem, "Choose another name: a backup is never overwritten.")
