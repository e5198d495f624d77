"""What settles a case that readers disagree on."""

from __future__ import annotations

from app.services.people import Person
from app.store.records import ReadRecord
from app.store.unit_of_work import Repositories


def settle(repositories: Repositories, arbiter: Person, read: ReadRecord) -> None:
    """Let a read of an arbiter settle the case if others disagree on it.

    Nobody settles a disagreement that they are a party to: their own verdict does not count
    towards it. What is settled once stays so.
    """
    if not repositories.assignments.in_dispute(read.image_id, arbiter.name):
        return
    repositories.assignments.settle(read.image_id, read.id)
    repositories.audit.append(
        arbiter.did("arbitration", f"image {read.image_id}", after={"read": read.id})
    )
