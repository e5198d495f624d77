"""What commands write beside what they print."""

from __future__ import annotations

import json
from pathlib import Path

from ddad_core.errors import RequestError


def write_json(path: Path, values: object) -> None:
    """Write figures as JSON; a value that is not finite is an error of ours.

    Raises:
        RequestError: The file cannot be written.
    """
    try:
        path.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror}."
        raise RequestError(problem, "Give another --json.") from error
