"""What is checked before an operating point changes, and how changes are put on record."""

from __future__ import annotations

import math
from typing import Any

from app.services.operating_change import Change
from app.services.people import Person
from app.store.proposal_records import ProposalRecord
from app.store.records import NewOperatingPoint, OperatingPointRecord
from app.store.unit_of_work import Repositories
from ddad_core.card import Card
from ddad_core.errors import RequestError
from ddad_core.vocabulary import may_be_negative


def open_proposal(repositories: Repositories, proposal_id: int) -> ProposalRecord:
    """A proposal that waits.

    Raises:
        RequestError: There is none of this number, or it was decided already.
    """
    found = repositories.proposals.get(proposal_id)
    if found is None:
        problem = f"There is no proposal number {proposal_id}."
        raise RequestError(problem, "Reload the page to see those that there are.")
    if found.decision is not None:
        done = found.decision
        problem = f"Proposal {found.id} was {done.decision} by {done.decided_by}."
        raise RequestError(
            f"{problem} {done.reason}".strip(), "Make another if it is still wanted."
        )
    return found


def check_second_person(person: Person, proposal: ProposalRecord) -> None:
    """Refuse whoever proposed it.

    Raises:
        RequestError: It is the same person.
    """
    if person.name.casefold() == proposal.set_by.casefold():
        problem = "You proposed this yourself, and it takes a second person."
        raise RequestError(problem, "Ask another lead or an arbiter, or withdraw it.")


def check_unchanged(now: OperatingPointRecord | None, then: int | None) -> None:
    """Refuse a change that was measured against what is no longer in force.

    Raises:
        RequestError: It is so.
    """
    if (now.id if now else None) == then:
        return
    what = f"version {now.version} by {now.set_by}" if now else "the model's own"
    problem = (
        f"Meanwhile {what} was put in force; this was measured against what it "
        "replaced. It is not applied."
    )
    raise RequestError(problem, "Look at the figures again, then decide.")


def check_threshold(change: Change, card: Card) -> None:
    """Refuse what is no threshold of the score or map.

    Raises:
        RequestError: It is so.
    """
    threshold = change.proposed.threshold
    signed = may_be_negative(change.map_name or card.primary)
    if not math.isfinite(threshold) or (threshold < 0 and not signed):
        problem = f"{threshold} is not a threshold."
        raise RequestError(problem, "Choose a number of at least 0.")
    if change.map_name and change.map_name not in card.maps:
        problem = f"The model {card.name} has no map {change.map_name}."
        raise RequestError(problem, "Choose one of its maps.")


def given(reason: str) -> str:
    """The reason, if one was given.

    Raises:
        RequestError: None was.
    """
    if not reason.strip():
        problem = "A change of the operating point needs a reason."
        raise RequestError(problem, "Say in a sentence why it changes.")
    return reason.strip()


def subject_of(model_name: str) -> str:
    """What audit events of a model's operating points are about."""
    return f"operating point {model_name}"


def on_record(point: OperatingPointRecord) -> dict[str, Any]:
    """An operating point as the audit trail has it."""
    return {
        "operating_point": point.id,
        "version": point.version,
        **_content(point),
        "approved_by": point.approved_by,
    }


def proposal_on_record(proposal: ProposalRecord) -> dict[str, Any]:
    """A proposal as the audit trail has it."""
    return {"proposal": proposal.id, "proposed_by": proposal.set_by, **_content(proposal)}


def _content(point: NewOperatingPoint) -> dict[str, Any]:
    evidence = point.evidence
    return {
        "score": point.score_name,
        "threshold": point.threshold,
        "policy": point.policy,
        "site": point.site,
        "restores": point.restores,
        "n_normal": evidence.get("n_normal"),
        "n_abnormal": evidence.get("n_abnormal"),
        "override": point.override_reason or None,
    }
