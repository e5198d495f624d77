"""Files that are there whole or not at all, whenever the program is killed."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ddad_core.errors import TrainingError


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside, then rename over: a reader sees the old file or the whole new one.

    Raises:
        TrainingError: The file cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror}."
        raise TrainingError(problem, "Give another --out, or make room.") from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, values: object) -> None:
    """Write JSON that other readers take: a value that is not finite is an error."""
    write_text(path, json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Write arrays as .npz and return the bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())
    return buffer.getvalue()


def read_json(path: Path) -> Any:
    """Read JSON that this package wrote.

    Raises:
        TrainingError: It is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problem = f"{path} is damaged: {error}."
        raise TrainingError(problem, f"Delete the folder {path.parent} to make it anew.") from error
