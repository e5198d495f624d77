"""The settings an installation runs under, put on record when they change."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app.services.people import Person
from app.store.unit_of_work import UnitOfWork

SETTINGS_IN_FORCE = "settings_in_force"
"""Name under which the installation keeps them."""


def record_settings(store: UnitOfWork, person: Person, in_force: Mapping[str, str]) -> bool:
    """Put on record which settings differ from those of the last start.

    Args:
        store: The database.
        person: Who starts the program.
        in_force: Every setting that is no secret, by name.

    Returns:
        Whether there was a difference.
    """
    with store.writing() as repositories:
        kept = repositories.installation.get(SETTINGS_IN_FORCE)
        before: dict[str, str] = json.loads(kept) if kept else {}
        changed = sorted(n for n in {*before, *in_force} if before.get(n) != in_force.get(n))
        if not changed:
            return False
        repositories.installation.put(SETTINGS_IN_FORCE, json.dumps(dict(in_force), sort_keys=True))
        repositories.audit.append(
            person.did(
                "settings changed",
                "settings",
                before={n: before[n] for n in changed if n in before} or None,
                after={n: in_force[n] for n in changed if n in in_force} or None,
                reason="as the program found them at its start",
            )
        )
        return True
