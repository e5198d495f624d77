"""The key of the pseudonyms belongs to its database: start with no other one."""

from __future__ import annotations

from pathlib import Path

from app.gateways.files import FilesError
from app.gateways.keyfile import load_key, load_or_create_key
from app.store.installation_repository import PSEUDONYM_KEY_CHECK
from app.store.unit_of_work import UnitOfWork
from ddad_core.imaging.pseudonyms import key_check


def pseudonym_key(store: UnitOfWork, path: Path) -> bytes:
    """Get the installation's key; make one only where no pseudonym depends on another.

    The database keeps a fingerprint of the key, by which it is known again; it tells nothing
    of the key itself.

    Args:
        store: The database, at this version's schema.
        path: The key file.

    Returns:
        32 bytes.

    Raises:
        FilesError: The key file is missing though the database has pseudonyms, is another
            one's, is damaged, or cannot be read or made.
        StoreError: The database cannot be read or written.
    """
    with store.reading() as repositories:
        expected = repositories.installation.get(PSEUDONYM_KEY_CHECK)
        images = repositories.images.with_pseudonyms()
    if images and load_key(path) is None:
        problem = (
            f"The key file {path} is missing, but {images} image"
            f"{' has' if images == 1 else 's have'} pseudonyms that were made with it."
        )
        next_step = (
            "Restore it from the last backup. With a new key, new images of the same patients "
            "would no longer be linked to the old ones."
        )
        raise FilesError(problem, next_step)
    key = load_or_create_key(path)
    if expected == key_check(key):
        return key
    if expected is not None and images:
        problem = (
            f"The key in {path} is not the one that this database's pseudonyms were made with."
        )
        raise FilesError(problem, "Restore the key file that belongs to this database.")
    with store.writing() as repositories:
        # Nothing depends on an older key, or another process has just written the same.
        repositories.installation.put(PSEUDONYM_KEY_CHECK, key_check(key))
    return key
