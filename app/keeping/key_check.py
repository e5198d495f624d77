"""Whether a key file is the one that a database's pseudonyms were made with."""

from __future__ import annotations

from pathlib import Path

from app.gateways.files import FilesError
from app.gateways.keyfile import load_key
from app.store.installation_repository import PSEUDONYM_KEY_CHECK
from app.store.unit_of_work import UnitOfWork
from ddad_core.imaging.pseudonyms import key_check


def key_fault(store: UnitOfWork, path: Path) -> str:
    """What is wrong with the key, in a clause; empty if nothing is.

    Raises:
        StoreError: The database cannot be read.
    """
    with store.reading() as repositories:
        expected = repositories.installation.get(PSEUDONYM_KEY_CHECK)
        images = repositories.images.with_pseudonyms()
    try:
        key = load_key(path)
    except FilesError as error:
        return error.problem.rstrip(".")
    if key is None:
        return f"the key of {images} images' pseudonyms, {path.name}, is missing" if images else ""
    if key_check(key) != expected and (images or expected is not None):
        return "the key is not the one that the database's pseudonyms were made with"
    return ""
