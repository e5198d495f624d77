"""The newest audit event, noted in a file beside the database: a chain that was cut shows."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.gateways.files import FilesError

log = logging.getLogger(__name__)
_TEXT = re.compile(r"([0-9]{1,18}) ([0-9a-f]{64})\n?")


class AnchorFile:
    """A file of one line: number and hash.

    Args:
        path: The file; made with the first event.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[int, str] | None:
        """Number and hash of the event noted last; None if none was or the file is damaged."""
        try:
            text = self._path.read_bytes()[:200].decode("ascii", "replace")
        except OSError:
            return None
        match = _TEXT.fullmatch(text)
        return (int(match[1]), match[2]) if match else None

    def write(self, number: int, digest: str) -> None:
        """Note a newer event, whole or not at all.

        A note that cannot be written must not undo the act, which is in the database by now:
        the log says so, and the next event tries again.
        """
        try:
            with self._alone():
                noted = self.read()
                if noted is None or noted[0] < number:  # else another one was faster
                    self._write(f"{number} {digest}\n")
        except OSError as error:
            log.error("The audit's anchor cannot be written (%s).", error.strerror or error)

    def replace(self, number: int, digest: str) -> None:
        """Note an event in place of whatever was noted.

        Raises:
            FilesError: The file cannot be written.
        """
        try:
            with self._alone():
                self._write(f"{number} {digest}\n")
        except OSError as error:
            problem = f"{self._path} cannot be written ({error.strerror or error})."
            raise FilesError(problem, "Give the program permission to write it.") from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Between reading and writing no other thread or process may note another event."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)  # which lets go of the lock

    def _write(self, text: str) -> None:
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".anchor-")
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
