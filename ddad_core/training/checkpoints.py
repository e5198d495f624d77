"""Checkpoints: written whole or not at all, and read only by the run they belong to."""

from __future__ import annotations

import logging
from pathlib import Path
from pickle import UnpicklingError  # torch raises it; nothing is unpickled here
from typing import Any

import torch

from ddad_core.errors import TrainingError

log = logging.getLogger(__name__)


def save_checkpoint(state: dict[str, Any], path: Path, digest: str) -> None:
    """Write a state of tensors and plain values.

    Args:
        state: Must not hold the key "digest".
        path: Replaced in one step, so that a killed process leaves the one before.
        digest: Of configuration and images.

    Raises:
        TrainingError: The disk does not take it.
    """
    unfinished = path.with_suffix(".unfinished")
    try:
        torch.save({"digest": digest, **state}, unfinished)
        unfinished.replace(path)
    except (OSError, RuntimeError) as error:
        problem = f"The checkpoint {path} cannot be written: {error}."
        raise TrainingError(problem, "Make room, or give another --run folder.") from error


def load_checkpoint(
    path: Path,
    digest: str,
    *,
    what: str = "this network",
    others: str = "another configuration or to other images",
) -> dict[str, Any] | None:
    """Read a checkpoint; None if there is none.

    Args:
        path: The file.
        digest: Of configuration and images.
        what: Is trained, in the words of an error.
        others: What a checkpoint of another digest belongs to, in the words of an error.

    Raises:
        TrainingError: It is damaged, or belongs to another configuration or other images.
    """
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["digest"]
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError, LookupError) as error:
        problem = f"The checkpoint {path} cannot be read."
        raise TrainingError(problem, f"Delete it to train {what} anew.") from error
    if found != digest:
        problem = f"{path} belongs to {others}."
        raise TrainingError(problem, "Give another --run folder, or delete this one.")
    log.info("%s: going on from it", path.name)
    return dict(state)
