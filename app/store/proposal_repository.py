"""Proposed operating points and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select

from app.store.proposal_records import DecisionRecord, NewDecision, NewProposal, ProposalRecord
from app.store.proposal_schema import DecisionRow, ProposalRow
from app.store.rows import columns_of, count_of, plain, values_of

_PROPOSAL = (
    *columns_of(ProposalRow, NewProposal, without="approved_by"),
    ProposalRow.id,
    ProposalRow.proposed_at,
)
_DECISION = columns_of(DecisionRow, DecisionRecord)


class ProposalRepository:
    """Appends and finds proposals inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def append(self, new: NewProposal) -> ProposalRecord:
        """Store a proposal."""
        statement = insert(ProposalRow).values(
            **values_of(new, without="approved_by"), proposed_at=self._now()
        )
        row = self._connection.execute(statement.returning(*_PROPOSAL)).mappings().one()
        return ProposalRecord(**plain(row))

    def decide(self, new: NewDecision, proposed_by: str) -> DecisionRecord:
        """Store what became of a proposal; a second decision is refused by the database."""
        statement = insert(DecisionRow).values(
            **values_of(new), proposed_by=proposed_by, decided_at=self._now()
        )
        row = self._connection.execute(statement.returning(*_DECISION)).mappings().one()
        return DecisionRecord(**plain(row))

    def get(self, proposal_id: int) -> ProposalRecord | None:
        """One proposal, or None."""
        found = self._found(select(*_PROPOSAL).where(ProposalRow.id == proposal_id))
        return found[0] if found else None

    def of_model(self, model_name: str) -> list[ProposalRecord]:
        """Every proposal for a model, decided or not, the first one first."""
        statement = select(*_PROPOSAL).where(ProposalRow.model_name == model_name)
        return self._found(statement.order_by(ProposalRow.id))

    def count(self) -> int:
        """How many there are."""
        return count_of(self._connection, ProposalRow)

    def _found(self, statement: Select[Any]) -> list[ProposalRecord]:
        rows = [plain(row) for row in self._connection.execute(statement).mappings()]
        ids = [row["id"] for row in rows]
        wanted = select(*_DECISION).where(DecisionRow.proposal_id.in_(ids))
        decided = {
            row["proposal_id"]: DecisionRecord(**plain(row))
            for row in self._connection.execute(wanted).mappings()
        }
        return [ProposalRecord(**row, decision=decided.get(row["id"])) for row in rows]
