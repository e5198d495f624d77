"""Operating points put in force as a site does it, on however few cases a test has."""

from __future__ import annotations

from app.services.container import Services
from app.services.operating_change import Change, change_of_threshold
from app.services.people import Person
from app.store.records import OperatingPointRecord

FEW = "a test has few cases"


def measured(services: Services, model: str, threshold: float, policy: str = "") -> Change:
    """A change to a threshold as the screen would show it."""
    evidence = services.tuning.evidence(Person.named("Measuring"), model, "reads")
    return change_of_threshold(evidence, threshold, policy=policy)


def put_in_force(
    services: Services,
    person: Person,
    model: str,
    threshold: float,
    reason: str = "trial",
    policy: str = "",
) -> OperatingPointRecord:
    """Put a threshold in force."""
    change = measured(services, model, threshold, policy)
    outcome = services.governance.change(person, change, reason, FEW)
    assert outcome.in_force is not None
    return outcome.in_force
