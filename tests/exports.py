"""What an export holds, as tests look at it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from app.services.exporting import ExportingService, ExportWish
from app.services.people import Person

ALL = ExportWish(comments=True, site_pseudonyms=True, formats=("csv", "jsonl"))


def exported(service: ExportingService, person: Person, wish: ExportWish = ALL) -> dict[str, bytes]:
    """The files of an export by name."""
    with tempfile.TemporaryDirectory() as folder:
        made = service.folder(person, wish, Path(folder) / "out")
        return {path.name: path.read_bytes() for path in made.path.iterdir()}


def tables(service: ExportingService, person: Person) -> dict[str, list[dict[str, Any]]]:
    """Rows by table, values as JSON has them."""
    files = exported(service, person)
    return {
        name.removesuffix(".jsonl"): [json.loads(line) for line in data.decode().splitlines()]
        for name, data in files.items()
        if name.endswith(".jsonl")
    }
