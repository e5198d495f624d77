"""A model's folder on disk: files with their hashes, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddad_core.card import CARD_FILE


def file_facts(files: Mapping[str, bytes]) -> dict[str, Any]:
    """SHA-256 and size of each file, by name, as a card states them."""
    return {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in files.items()
    }


def write_folder(folder: Path, files: Mapping[str, bytes], card: Mapping[str, Any]) -> None:
    """Write a new model: files and card appear together."""
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(parents=True)
    for name, data in files.items():
        (unfinished / name).write_bytes(data)
    write_json(unfinished / CARD_FILE, card)
    unfinished.replace(folder)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a JSON file in one step."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)
