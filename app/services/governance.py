"""Operating points under governance: put in force, proposed, approved, refused, rolled back."""

from __future__ import annotations

from dataclasses import replace

from app.services.access import Access
from app.services.governance_checks import (
    check_second_person,
    check_threshold,
    check_unchanged,
    given,
    on_record,
    open_proposal,
    proposal_on_record,
    subject_of,
)
from app.services.governed import History, Outcome, Rules
from app.services.models import ModelService, check_calibrated, level_name, scope_of
from app.services.operating_change import Change
from app.services.people import Action, Person
from app.store.account_records import AuditFilter
from app.store.proposal_records import Decision, NewDecision, NewProposal, ProposalRecord
from app.store.records import NewOperatingPoint, OperatingPointRecord
from app.store.unit_of_work import Repositories, UnitOfWork
from ddad_core.card import Card
from ddad_core.errors import RequestError


class GovernanceService:
    """Changes operating points, always on record.

    Args:
        store: The database.
        access: Who may do what.
        models: The models, and the site whose operating points count.
        rules: What the site asks of a change.
    """

    def __init__(
        self, store: UnitOfWork, access: Access, models: ModelService, rules: Rules
    ) -> None:
        self._store = store
        self._access = access
        self._models = models
        self.rules = rules

    def too_few(self, change: Change) -> str:
        """Why a change may not be made without an override, or an empty string.

        Going back to an earlier version needs no cases: that must always be possible.
        """
        rests, least = change.proposed, self.rules.min_cases
        if change.restores is not None or min(rests.n_normal, rests.n_abnormal) >= least:
            return ""
        return (
            f"It rests on {rests.n_normal} normal and {rests.n_abnormal} abnormal cases; "
            f"this site asks for at least {least} of each."
        )

    def change(
        self, person: Person, change: Change, reason: str, override_reason: str = ""
    ) -> Outcome:
        """Put a new version in force, or propose it where the site asks for a second person.

        Args:
            person: Who changes it.
            change: As measured and shown.
            reason: In a sentence.
            override_reason: Why it cannot wait for more cases, where there are too few.

        Raises:
            ForbiddenError: The person may not change operating points.
            RequestError: The reason is missing, the threshold is not a usable number, there are
                too few cases and no reason to do without more, or what is in force has changed
                since the change was measured.
            UncalibratedError: The model is not calibrated.
            StoreError: The database did not take it; nothing was stored.
        """
        self._access.require(person, Action.SET_OPERATING_POINT)
        card = self._models.card(change.model_name)
        check_calibrated(card)
        check_threshold(change, card)
        few = self.too_few(change)
        if few and not override_reason.strip():
            raise RequestError(few, "Wait for more reads, or say why it cannot wait.")
        new = self._new(person, card, change, given(reason), override_reason.strip() if few else "")
        with self._store.writing() as repositories:
            before = self._in_force(repositories, new)
            check_unchanged(before, change.present_id)
            self._check_restores(repositories, card, new)
            if self.rules.second_approval:
                return Outcome(proposal=_propose(repositories, person, new, before))
            return Outcome(in_force=self._put_in_force(repositories, person, new, before))

    def approve(self, person: Person, proposal_id: int, note: str = "") -> OperatingPointRecord:
        """Put a proposal in force.

        Raises:
            ForbiddenError: The person may not approve, or proposed it.
            RequestError: It was decided already, or what was in force when it was made is so no
                longer. It is not applied then.
            StoreError: The database did not take it; nothing was stored.
        """
        self._access.require(person, Action.APPROVE_OPERATING_POINT)
        with self._store.writing() as repositories:
            proposal = open_proposal(repositories, proposal_id)
            check_second_person(person, proposal)
            self._check_applies(proposal)
            before = self._in_force(repositories, proposal)
            check_unchanged(before, proposal.present_id)
            new = NewOperatingPoint(
                **{name: getattr(proposal, name) for name in NewOperatingPoint.__annotations__}
            )
            new = replace(new, approved_by=person.name)
            return self._put_in_force(repositories, person, new, before, proposal, note.strip())

    def refuse(self, person: Person, proposal_id: int, reason: str) -> None:
        """Turn a proposal down.

        Raises:
            ForbiddenError: The person may not approve, or proposed it.
            RequestError: The reason is missing, or it was decided already.
        """
        self._access.require(person, Action.APPROVE_OPERATING_POINT)
        reason = given(reason)
        with self._store.writing() as repositories:
            proposal = open_proposal(repositories, proposal_id)
            check_second_person(person, proposal)
            _decide(repositories, person, proposal, "refused", reason)

    def withdraw(self, person: Person, proposal_id: int, reason: str = "") -> None:
        """Take a proposal back.

        Raises:
            ForbiddenError: The person may not change operating points.
            RequestError: It is another person's, or was decided already.
        """
        self._access.require(person, Action.SET_OPERATING_POINT)
        with self._store.writing() as repositories:
            proposal = open_proposal(repositories, proposal_id)
            if proposal.set_by != person.name:
                problem = f"Proposal {proposal.id} is {proposal.set_by}'s."
                raise RequestError(problem, "Refuse it instead, or ask them to withdraw it.")
            _decide(repositories, person, proposal, "withdrawn", reason.strip())

    def history(self, person: Person, model_name: str) -> History:
        """All that was ever set or proposed for a model.

        Raises:
            ForbiddenError: The person may not look at cases.
            RequestError: There is no such model.
        """
        self._access.require(person, Action.VIEW_CASES)
        return self._history(model_name)

    def record(self, person: Person, model_name: str) -> History:
        """The same with its audit events, to be printed or kept; that is put on record, too.

        Raises:
            ForbiddenError: The person may not look at cases.
            RequestError: There is no such model.
        """
        self._access.require(person, Action.VIEW_CASES)
        found = self._history(model_name)
        with self._store.writing() as repositories:
            wanted = AuditFilter(subject=subject_of(model_name))
            events = tuple(repositories.audit.iter_all(wanted))
            repositories.audit.append(person.did("export", f"change record {model_name}"))
        return replace(found, events=events)

    def _history(self, model_name: str) -> History:
        card = self._models.card(model_name)
        with self._store.reading() as repositories:
            points = repositories.operating_points.of_model(card.name)
            proposals = repositories.proposals.of_model(card.name)
        here = [one for one in points if self._counts(one)]
        return History(
            card=card,
            site=self._models.site,
            rules=self.rules,
            versions=tuple(reversed(here)),
            elsewhere=tuple(one for one in reversed(points) if one not in here),
            proposals=tuple(reversed(proposals)),
        )

    def _counts(self, point: NewOperatingPoint) -> bool:
        """Whether a version is one for the model, the population and the site as they are now."""
        card = self._models.card(point.model_name)
        scope = scope_of(card, self._models.site)
        score = level_name(point.map_name) if point.map_name else card.primary
        return (
            (point.model_hash, point.score_name) == (card.model_hash, score)
            and point.population in (None, scope["population"])
            and point.site in (None, scope["site"])
        )

    def _new(
        self, person: Person, card: Card, change: Change, reason: str, override: str
    ) -> NewOperatingPoint:
        return NewOperatingPoint(
            model_name=card.name,
            model_hash=card.model_hash,
            score_name=level_name(change.map_name) if change.map_name else card.primary,
            threshold=change.proposed.threshold,
            policy=change.policy,
            reason=reason,
            set_by=person.name,
            kind=change.kind,
            map_name=change.map_name,
            evidence=change.on_record(),
            override_reason=override,
            restores=change.restores,
            **scope_of(card, self._models.site),
        )

    def _in_force(
        self, repositories: Repositories, of: NewOperatingPoint
    ) -> OperatingPointRecord | None:
        assert of.population is not None and of.site is not None
        return repositories.operating_points.in_force(
            of.model_name, of.model_hash, of.score_name, population=of.population, site=of.site
        )

    def _check_restores(
        self, repositories: Repositories, card: Card, new: NewOperatingPoint
    ) -> None:
        """Going back is to what was in force before: else it would be a way round the minimum."""
        if new.restores is None:
            return
        own = card.maps[new.map_name].threshold if new.map_name else card.operating_point.threshold
        found = repositories.operating_points.history(
            new.model_name, new.model_hash, new.score_name
        )
        was = {one.version: one.threshold for one in found if self._counts(one)} | {0: own}
        if was.get(new.restores) != new.threshold:
            problem = f"{new.threshold:.4g} is not what version {new.restores} was."
            raise RequestError(problem, "Choose the version to go back to from the list.")

    def _check_applies(self, proposal: ProposalRecord) -> None:
        if not self._counts(proposal):
            problem = (
                f"Proposal {proposal.id} was made for other weights, another score, population or "
                "site than are in use now. It is not applied."
            )
            raise RequestError(problem, "Refuse it; what is in use now needs one of its own.")

    def _put_in_force(
        self,
        repositories: Repositories,
        person: Person,
        new: NewOperatingPoint,
        before: OperatingPointRecord | None,
        proposal: ProposalRecord | None = None,
        note: str = "",
    ) -> OperatingPointRecord:
        saved = repositories.operating_points.append(new)
        after = on_record(saved)
        if proposal is not None:
            after |= {"proposal": proposal.id, "proposed_by": proposal.set_by}
            repositories.proposals.decide(
                NewDecision(
                    proposal_id=proposal.id,
                    decision="approved",
                    decided_by=person.name,
                    reason=note,
                    operating_point_id=saved.id,
                ),
                proposal.set_by,
            )
        repositories.audit.append(
            person.did(
                "threshold",
                subject_of(saved.model_name),
                before=None if before is None else on_record(before),
                after=after,
                reason=saved.reason,
            )
        )
        _overtake(repositories, person, saved)
        return saved


def _propose(
    repositories: Repositories,
    person: Person,
    new: NewOperatingPoint,
    before: OperatingPointRecord | None,
) -> ProposalRecord:
    values = {name: getattr(new, name) for name in NewOperatingPoint.__annotations__}
    made = repositories.proposals.append(
        NewProposal(**values, present_id=None if before is None else before.id)
    )
    repositories.audit.append(
        person.did(
            "threshold proposed",
            subject_of(new.model_name),
            before=None if before is None else on_record(before),
            after=proposal_on_record(made),
            reason=new.reason,
        )
    )
    return made


def _overtake(repositories: Repositories, person: Person, saved: OperatingPointRecord) -> None:
    """What else was proposed in place of the version before can no longer be put in force."""
    for other in repositories.proposals.of_model(saved.model_name):
        same = (other.model_hash, other.score_name, other.population, other.site) == (
            saved.model_hash, saved.score_name, saved.population, saved.site,
        )  # fmt: skip
        if other.decision is None and same:
            why = f"Version {saved.version} was put in force first."
            _decide(repositories, person, other, "overtaken", why, saved.id)


def _decide(
    repositories: Repositories,
    person: Person,
    proposal: ProposalRecord,
    decision: Decision,
    reason: str,
    operating_point_id: int | None = None,
) -> None:
    repositories.proposals.decide(
        NewDecision(
            proposal_id=proposal.id,
            decision=decision,
            decided_by=person.name,
            reason=reason,
            operating_point_id=operating_point_id,
        ),
        proposal.set_by,
    )
    repositories.audit.append(
        person.did(
            f"threshold {decision}",  # type: ignore[arg-type]  # three of the decisions
            subject_of(proposal.model_name),
            after=proposal_on_record(proposal),
            reason=reason,
        )
    )
