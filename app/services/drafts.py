"""Reads that are not saved yet: kept, so that they outlive a session."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.services.access import Access
from app.services.people import Action, Person
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError

DRAFT_LIMIT = 65_536
"""Characters of a draft as JSON: a comment and all boxes that a read may have."""


class Drafting:
    """Keeps one draft a reader and case; saving the read forgets it."""

    def __init__(self, store: UnitOfWork, access: Access) -> None:
        self._store = store
        self._access = access

    def keep_draft(self, reader: Person, image_id: int, content: Mapping[str, Any] | None) -> None:
        """Keep a draft in place of the one there is.

        Args:
            reader: Whose.
            image_id: Of which case.
            content: As the screen wants it back; None forgets the draft.

        Raises:
            ForbiddenError: The reader may not store reads.
            RequestError: There is no such case, or the draft is too large.
        """
        self._access.require(reader, Action.READ)
        if content is not None and len(json.dumps(content)) > DRAFT_LIMIT:
            problem = "The draft is too large to be kept."
            raise RequestError(problem, "Shorten the comment.")
        with self._store.writing() as repositories:
            if content is None:
                repositories.drafts.remove(reader.name, image_id)
                return
            if repositories.images.get(image_id) is None:
                problem = f"There is no case number {image_id}."
                raise RequestError(problem, "Go back to the worklist and open another.")
            repositories.drafts.put(reader.name, image_id, content)

    def draft(self, reader: Person, image_id: int) -> Mapping[str, Any] | None:
        """What the reader left unsaved of a case, or None.

        Raises:
            ForbiddenError: The reader may not store reads.
        """
        self._access.require(reader, Action.READ)
        with self._store.reading() as repositories:
            kept = repositories.drafts.get(reader.name, image_id)
        return None if kept is None else kept.content
