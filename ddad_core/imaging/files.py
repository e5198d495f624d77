"""Files and folders -> the files to read, in a stable order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ddad_core.errors import RequestError


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Walk files and folders; hidden files in folders are passed over.

    Raises:
        RequestError: A path does not exist.
    """
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                yield from (Path(folder) / name for name in sorted(names) if name[0] != ".")
        elif path.exists():
            yield path
        else:
            problem = f"There is no file or folder {path}."
            raise RequestError(problem, "Check the path.")
