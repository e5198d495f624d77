"""What a site asks of changes of operating points, and what is known of those that were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.store.account_records import AuditEvent
from app.store.proposal_records import ProposalRecord
from app.store.records import OperatingPointRecord
from ddad_core.card import Card

MIN_CASES = 50
"""Of each kind. With 50, a sensitivity of 90 % is known to lie between 78 and 97 %; with 20,
between 68 and 99 %: no ground to change what a department does."""


@dataclass(frozen=True)
class Rules:
    """What the site asks of a change.

    Attributes:
        min_cases: Normal and abnormal cases each that it rests on at least.
        second_approval: Whether a second person has to agree.
    """

    min_cases: int = MIN_CASES
    second_approval: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a change: exactly one of the two.

    Attributes:
        in_force: The version that is in force now.
        proposal: What waits for a second person.
    """

    in_force: OperatingPointRecord | None = None
    proposal: ProposalRecord | None = None


@dataclass(frozen=True)
class History:
    """All that was ever set or proposed for a model.

    Attributes:
        card: The model as it is now.
        site: The site as the settings name it.
        rules: What the site asks of a change.
        versions: Those that count here, newest first: these weights, this score or a map of
            them, this population and this site.
        elsewhere: Versions set for earlier weights, another score, population or site. They do
            not count here.
        proposals: Newest first.
        events: Numbers of the audit events on record of it all, by hash, oldest first.
    """

    card: Card
    site: str
    rules: Rules
    versions: tuple[OperatingPointRecord, ...]
    elsewhere: tuple[OperatingPointRecord, ...]
    proposals: tuple[ProposalRecord, ...]
    events: tuple[AuditEvent, ...] = ()

    @property
    def waiting(self) -> tuple[ProposalRecord, ...]:
        """Proposals that nobody has decided on yet, the oldest first."""
        return tuple(one for one in reversed(self.proposals) if one.decision is None)


def numbers_of(events: Sequence[AuditEvent], key: str, value: int) -> tuple[int, ...]:
    """Numbers of the audit events whose outcome names an operating point or a proposal."""
    return tuple(one.id for one in events if (one.after or {}).get(key) == value)
