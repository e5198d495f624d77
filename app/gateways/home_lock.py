"""One at a time: backups, erasures and sweeps of a home keep out of each other's way."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.gateways.files import FilesError

LOCK_FILE = "keeping.lock"


class HomeLock:
    """A lock that the system lets go of when its process ends, however it ends.

    Args:
        home: The folder; made if need be.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it.

        Raises:
            FilesError: Another process or thread does, or the folder cannot be written.
        """
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._home / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            problem = f"{self._home} cannot be locked ({error.strerror or error})."
            raise FilesError(problem, "Give the program permission to write to it.") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            problem = f"A backup, an erasure or a sweep of {self._home} is going on."
            raise FilesError(problem, "Try again when it is done.") from error
        try:
            yield
        finally:
            os.close(handle)
