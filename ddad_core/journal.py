"""What was done so far, line by line on disk, so that a killed run can go on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

Row = dict[str, Any]
_IDENTITY = "id"


class Journal:
    """JSON lines, one for each file dealt with, in the order the files were found.

    Args:
        path: Made when the first line is written.
        head: What decides whether lines of an earlier run still hold, as plain values.

    Attributes:
        rows: Lines there are, without the head.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self.path = path
        self.rows = 0
        self._head = dict(head)
        self._file: IO[str] | None = None

    def resume(self, identities: Iterable[str]) -> Iterator[Row]:
        """Lines of an earlier run, as long as they are about the same files in the same order.

        Must be exhausted before the first :meth:`write`; what does not fit is cut off.

        Args:
            identities: Of all files, in the order found.

        Raises:
            OSError: The disk does not take it.
        """
        good = 0
        if self.path.is_file():
            with self.path.open("rb") as file:
                if _json(file.readline()) == self._head:
                    good = file.tell()
                    for line, identity in zip(file, identities, strict=False):
                        row = _json(line) if line.endswith(b"\n") else None
                        if row is None or row.pop(_IDENTITY, None) != identity:
                            break
                        good += len(line)
                        self.rows += 1
                        yield row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a", encoding="utf-8")
        self._file.truncate(good)
        if not good:
            self._put(self._head)

    def write(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Add lines, each with the identity of its file; they last from then on.

        Raises:
            OSError: The disk does not take them.
        """
        assert self._file
        for identity, row in rows:
            self._put({**row, _IDENTITY: identity})
            self.rows += 1
        self._file.flush()
        os.fsync(self._file.fileno())

    def read(self) -> Iterator[Row]:
        """All lines, without identities."""
        with self.path.open("rb") as file:
            file.readline()
            for line in file:
                row = json.loads(line)
                del row[_IDENTITY]
                yield row

    def close(self) -> None:
        """Stop writing; lines stay, unless there is none to go on from."""
        if self._file is not None:
            self._file.close()
            self._file = None
            if not self.rows:
                self.remove()

    def remove(self) -> None:
        """Take the file away: all is done."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.path.unlink(missing_ok=True)

    def _put(self, values: Mapping[str, Any]) -> None:
        assert self._file
        self._file.write(json.dumps(values, ensure_ascii=False) + "\n")


def _json(line: bytes) -> Row | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
