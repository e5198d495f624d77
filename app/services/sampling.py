"""Audit samples: cases read whatever the AI says of them, so that its misses can be counted.

A sample is drawn by chance from all scored cases of a model, flagged and not, so that being in it
tells a reader nothing. Flagged cases are taken to be read anyway. So each case's chance of having
been read is known: 1 if it was flagged, else that of having been drawn.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np

from app.services.access import Access
from app.services.models import ModelService, check_calibrated
from app.services.people import Action, Person
from app.services.scoring import required_scores
from app.services.tuning_evidence import TuningEvidence
from app.store.evidence_records import AuditSampleRecord, NewAuditSample
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError
from ddad_core.evaluation.thresholds import flags
from ddad_core.evaluation.verification import ScoredCases

HIGHEST_SEED = 2**31 - 1


@dataclass(frozen=True, eq=False)
class DrawnSample:
    """A draw with what became of it.

    Attributes:
        record: As stored.
        image_ids: Its cases that are still there, in the order drawn.
    """

    record: AuditSampleRecord
    image_ids: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Design:
    """Which cases were to be read, and which were.

    Attributes:
        cases: All cases that a sample was drawn from; labels of cases that nobody was to read
            are left out of it. The chances are those of the design times the share of cases to be
            read that were, in each group of equal chance. None without a sample or without any
            read in a group.
        population: Cases that a sample was drawn from.
        to_read: Those of them flagged at the drawing or drawn.
        done: Those of these with a label.
        by_hand: Cases with a label that nobody was to read: their labels play no part.
        later: Cases scored after the last drawing; they play no part either.
        why_not: Why there are no cases; empty if there are.
    """

    cases: ScoredCases | None
    population: int
    to_read: int
    done: int
    by_hand: int
    later: int
    why_not: str = ""

    @property
    def sentence(self) -> str:
        """The same in words."""
        parts = [
            f"Of {self.population:,} cases {self.to_read:,} were to be read, flagged or drawn; "
            f"{self.done:,} of these have a label."
        ]
        if self.done < self.to_read:
            parts.append("Those not read yet are taken to be like the others of their chance.")
        if self.by_hand:
            parts.append(
                f"{self.by_hand:,} labels of cases outside flags and sample play no part in the "
                "corrected figures: their chance of being read is unknown."
            )
        if self.later:
            parts.append(f"{self.later:,} cases were scored after the last drawing.")
        return " ".join(parts)


class SamplingService:
    """Draws audit samples and tells what reads they make of use."""

    def __init__(self, store: UnitOfWork, access: Access, models: ModelService) -> None:
        self._store = store
        self._access = access
        self._models = models

    def draw(
        self, person: Person, model_name: str, size: int, seed: int | None = None
    ) -> DrawnSample:
        """Draw a sample of a model's scored cases, on record.

        Args:
            person: Who draws.
            model_name: The model.
            size: How many cases.
            seed: By which to draw; None for a new one. The same seed draws the same cases.

        Raises:
            ForbiddenError: The person may not change operating points.
            RequestError: There is no such model, or the size or the seed is out of range.
            UncalibratedError: The model is not calibrated.
            StoreError: The database did not take it; nothing was stored.
        """
        self._access.require(person, Action.SET_OPERATING_POINT)
        card = self._models.card(model_name)
        check_calibrated(card)
        point = self._models.operating_point(card.name)
        chosen = secrets.randbelow(HIGHEST_SEED) if seed is None else seed
        if not 0 <= chosen <= HIGHEST_SEED:
            problem = f"The seed {chosen} is out of range."
            raise RequestError(problem, f"Give a whole number from 0 to {HIGHEST_SEED}.")
        with self._store.writing() as repositories:
            kept = repositories.evidence.scores(
                card.name, card.model_hash, card.primary, required_scores(card)
            )
            eligible = len(kept.image_id)
            if not 1 <= size <= eligible:
                problem = f"{size} of {eligible} scored cases cannot be drawn."
                raise RequestError(problem, "Choose fewer, or let the model score more cases.")
            places = np.random.default_rng(chosen).permutation(eligible)[:size]
            ids = kept.image_id[places].tolist()
            new = NewAuditSample(
                model_name=card.name,
                model_hash=card.model_hash,
                score_name=card.primary,
                threshold=point.threshold,
                rule="All cases scored by this version of the model, flagged or not",
                seed=chosen,
                size=size,
                eligible=eligible,
                flagged=int(flags(kept.score, point.threshold).sum()),
                last_score_id=int(kept.score_id.max()),
                drawn_by=person.name,
            )
            record = repositories.samples.append(new, ids)
            repositories.audit.append(
                person.did(
                    "audit sample",
                    f"audit sample {record.id} of {card.name}",
                    after={
                        "size": size,
                        "eligible": eligible,
                        "flagged": new.flagged,
                        "seed": chosen,
                        "threshold": point.threshold,
                        "rule": new.rule,
                    },
                )  # fmt: skip
            )
        return DrawnSample(record, tuple(ids))

    def drawn(self, person: Person, model_name: str) -> tuple[DrawnSample, ...]:
        """All samples of this version of a model, the first one first.

        Raises:
            ForbiddenError: The person may not look at cases.
            RequestError: There is no such model.
        """
        self._access.require(person, Action.VIEW_CASES)
        card = self._models.card(model_name)
        with self._store.reading() as repositories:
            records = repositories.samples.of_model(card.name, card.model_hash, card.primary)
            return tuple(DrawnSample(r, tuple(repositories.samples.members(r.id))) for r in records)


def design(evidence: TuningEvidence, samples: tuple[DrawnSample, ...]) -> Design:
    """What the samples say of each scored case's chance of having been read.

    Args:
        evidence: Scores and labels of the model.
        samples: All of the same version of the model.
    """
    scores = evidence.all_scores
    ids = np.concatenate([evidence.ids, evidence.unlabelled_ids])
    labels = np.concatenate([evidence.labels, np.full(len(evidence.unlabelled), -1)])
    inside = np.zeros(len(ids), bool)
    flagged, drawn = np.zeros_like(inside), np.zeros_like(inside)
    missed = np.ones(len(ids))  # chance of not having been drawn
    for sample in samples:
        record = sample.record
        own = evidence.score_ids <= record.last_score_id
        inside |= own
        flagged |= own & flags(scores, record.threshold)
        drawn |= np.isin(ids, sample.image_ids)
        missed[own] *= 1 - record.size / record.eligible
    chance = np.where(flagged, 1.0, 1 - missed)
    to_read = inside & (flagged | drawn)
    usable = np.where(to_read, labels, -1)
    done = usable >= 0
    told = Design(
        cases=None,
        population=int(inside.sum()),
        to_read=int(to_read.sum()),
        done=int(done.sum()),
        by_hand=int((inside & ~to_read & (labels >= 0)).sum()),
        later=int((~inside).sum()),
    )
    if not samples:
        return _without(told, "No audit sample was drawn from this model's cases yet.")
    for one in np.unique(chance[inside]):
        group = inside & (chance == one)
        share = (group & done).sum() / max((group & to_read).sum(), 1)
        if share == 0:
            which = "flagged cases" if one == 1 else "cases that were not flagged"
            return _without(told, f"None of the {which} that were to be read has a label yet.")
        chance[group] *= share
    # Chances that differ by rounding alone are one group.
    chance = np.minimum(chance.round(12), 1.0)
    return Design(
        cases=ScoredCases(scores[inside], usable[inside], chance[inside]),
        population=told.population,
        to_read=told.to_read,
        done=told.done,
        by_hand=told.by_hand,
        later=told.later,
    )


def _without(told: Design, why_not: str) -> Design:
    return Design(None, told.population, told.to_read, told.done, told.by_hand, told.later, why_not)
