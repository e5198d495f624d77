"""Changes of operating points that wait for a second person. See `app.store.records`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.store.records import NewOperatingPoint

Decision = Literal["approved", "refused", "withdrawn", "overtaken"]


@dataclass(frozen=True, kw_only=True)
class NewProposal(NewOperatingPoint):
    """An operating point to be, `set_by` whoever proposes it.

    Attributes:
        present_id: The site's operating point in force then; None while the card's own was.
    """

    present_id: int | None


@dataclass(frozen=True, kw_only=True)
class NewDecision:
    """What became of a proposal.

    Attributes:
        proposal_id: Which.
        decision: "overtaken" where another change was put in force first.
        decided_by: Who approved, refused or withdrew it, or put the other change in force.
        reason: In their words; empty where none was given.
        operating_point_id: The version that came of it, or that overtook it; None for none.
    """

    proposal_id: int
    decision: Decision
    decided_by: str
    reason: str = ""
    operating_point_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class DecisionRecord(NewDecision):
    """The same as stored; a proposal is decided once."""

    decided_at: datetime


@dataclass(frozen=True, kw_only=True)
class ProposalRecord(NewProposal):
    """A proposal as stored.

    Attributes:
        id: Of the proposal.
        proposed_at: UTC.
        decision: None while it waits.
    """

    id: int
    proposed_at: datetime
    decision: DecisionRecord | None = None
