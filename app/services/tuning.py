"""Thresholds: what the stored evidence says of them. `governance` changes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from app.services.access import Access
from app.services.deciding import ChangedCase, Sides
from app.services.evidence import (
    SOURCE_TITLES,
    STAGES,
    EvidenceChoice,
    Labels,
    Source,
    Stages,
    check,
    labels_of,
)
from app.services.models import ModelService, check_calibrated
from app.services.people import Action, Person
from app.services.scoring import required_scores
from app.services.tuning_evidence import TuningEvidence, put_together, reference_labels
from app.store.evidence_records import ReadColumns
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import MetricError
from ddad_core.evaluation.policies import (
    OperatingChoice,
    at_least_sensitivity,
    at_most_normals,
    by_hand,
    cost_ratio,
    workload,
    youden,
)
from ddad_core.evaluation.predictive import PredictiveValues, predictive_values
from ddad_core.evaluation.thresholds import Confusion, confusion

__all__ = [
    "BY_HAND", "SOURCE_TITLES", "Policy", "SideCase", "Source", "ThresholdEffect", "TuningEvidence",
    "TuningService",
]  # fmt: skip
Policy = Literal["hand", "normals", "sensitivity", "youden", "cost", "workload"]
BY_HAND = "Chosen by hand on the threshold screen"
_LOOKED_THROUGH = 2000
_BOTH: tuple[Stages, Stages] = ("unaided", "aided")
CASES_A_DAY = 100.0
"""Supposed where neither the cases' own days nor anybody says how many come."""


@dataclass(frozen=True)
class SideCase:
    """A case that changes side, to look at.

    Attributes:
        case: Which, and why it matters.
        label: What the worklist calls it.
        thumbnail: A small JPEG.
    """

    case: ChangedCase
    label: str
    thumbnail: bytes


@dataclass(frozen=True)
class ThresholdEffect:
    """What a threshold would do.

    Attributes:
        counts: Among labelled cases.
        flagged: Among all scored cases.
        scored: All scored cases.
        normal_rate: Share of the calibration normals flagged.
    """

    counts: Confusion
    flagged: int
    scored: int
    normal_rate: float


class TuningService:
    """Measures thresholds on what is stored."""

    def __init__(
        self,
        store: UnitOfWork,
        access: Access,
        models: ModelService,
        *,
        unaided_first: bool = False,
    ) -> None:
        self.unaided_first = unaided_first
        self._store = store
        self._access = access
        self._models = models

    def evidence(
        self, reader: Person, model_name: str, wanted: EvidenceChoice | Source = "reads"
    ) -> TuningEvidence:
        """Gather scores and labels of one model. Cases, not reads, are the unit.

        Args:
            reader: Who asks.
            model_name: The model.
            wanted: Which labels; a source alone takes everybody's last word by majority.

        Raises:
            ForbiddenError: The person may not look at cases.
            RequestError: There is no such model, or the choice cannot be made.
            UncalibratedError: The model is not calibrated: it has no threshold to measure.
        """
        self._access.require(reader, Action.VIEW_CASES)
        choice = wanted if isinstance(wanted, EvidenceChoice) else EvidenceChoice(source=wanted)
        check(choice)
        card = self._models.card(model_name)
        check_calibrated(card)
        with self._store.reading() as repositories:
            kept = repositories.evidence.scores(
                card.name, card.model_hash, card.primary, required_scores(card)
            )
            reads = repositories.evidence.reads(STAGES[choice.stage])
            days = repositories.evidence.days()
            history = repositories.operating_points.history(
                card.name, card.model_hash, card.primary
            )
        labels = labels_of(reads, choice)
        if choice.source == "reference":  # readers are still compared with each other
            labels = Labels(reference_labels(kept), labels.kept)
        return put_together(
            card, choice, kept, labels,
            days=days,
            in_force=self._models.operating_point(card.name),
            history=tuple(sorted(history, key=lambda point: point.version, reverse=True)),
        )  # fmt: skip

    def who(self, reader: Person) -> tuple[list[str], list[str]]:
        """All who have read anything, and all models that anything was read with.

        Raises:
            ForbiddenError: The person may not look at cases.
        """
        self._access.require(reader, Action.VIEW_CASES)
        with self._store.reading() as repositories:
            return repositories.evidence.who()

    def both_ways(
        self, reader: Person, evidence: TuningEvidence
    ) -> tuple[ReadColumns, ReadColumns]:
        """The last unaided and the last aided read of each reader and case that the choice covers.

        Raises:
            ForbiddenError: The person may not look at cases.
        """
        self._access.require(reader, Action.VIEW_CASES)
        wide = replace(evidence.choice, rule="majority", word="")
        with self._store.reading() as repositories:
            unaided, aided = (repositories.evidence.reads(STAGES[stage]) for stage in _BOTH)
        return labels_of(unaided, wide).kept, labels_of(aided, wide).kept

    def look(
        self, reader: Person, found: Sides, limit: int, *, unaided: bool = False
    ) -> tuple[SideCase, ...]:
        """The first of the cases that change side, with their pictures.

        Args:
            reader: Who looks.
            found: Cases that change side.
            limit: How many at most.
            unaided: Whether this reader's verdicts come before the AI, where the setting does not
                ask for that anyway. Cases they have not read stay hidden then: that a case
                changes side tells its score.

        Raises:
            ForbiddenError: The person may not look at cases.
        """
        self._access.require(reader, Action.VIEW_CASES)
        hides = (unaided or self.unaided_first) and self._access.may(reader, Action.READ)
        cases = found.first(_LOOKED_THROUGH if hides else limit)
        ids = [case.image_id for case in cases]
        with self._store.reading() as repositories:
            if hides:
                seen = repositories.evidence.read_by(reader.name, ids)
                cases = tuple(case for case in cases if case.image_id in seen)[:limit]
                ids = [case.image_id for case in cases]
            pictures = repositories.images.thumbnails(ids)
            names = repositories.evidence.labels(ids)
        return tuple(
            SideCase(case, names[case.image_id], pictures[case.image_id])
            for case in cases
            if case.image_id in names  # erased meanwhile
        )

    @staticmethod
    def effect(evidence: TuningEvidence, threshold: float) -> ThresholdEffect:
        """Re-threshold stored scores; no network runs."""
        counts = confusion(evidence.labels, evidence.scores, threshold)
        # A label plays no part in whether a case is flagged.
        others = confusion(np.zeros(len(evidence.unlabelled)), evidence.unlabelled, threshold)
        normals = confusion(np.zeros(len(evidence.normals)), evidence.normals, threshold)
        return ThresholdEffect(
            counts=counts,
            flagged=counts.flagged + others.flagged,
            scored=len(evidence.scores) + len(evidence.unlabelled),
            normal_rate=normals.flagged / len(evidence.normals),
        )

    @staticmethod
    def choose(
        evidence: TuningEvidence,
        policy: Policy,
        value: float,
        *,
        cases_a_day: float = CASES_A_DAY,
    ) -> OperatingChoice:
        """The threshold that a policy chooses, with what to expect of it, or why it cannot.

        Args:
            evidence: Of the model.
            policy: Which.
            value: Percent for "normals" and "sensitivity", false alarms that a miss is worth for
                "cost", flagged cases a day for "workload", the threshold for "hand"; not used by
                "youden".
            cases_a_day: That come, for "workload".

        Raises:
            MetricError: The value makes no sense for the policy.
        """
        known = evidence.known
        choices: dict[Policy, Callable[[], OperatingChoice]] = {
            "hand": lambda: by_hand(known, value),
            "normals": lambda: at_most_normals(known, value / 100),
            "sensitivity": lambda: at_least_sensitivity(known, value / 100),
            "youden": lambda: youden(known),
            "cost": lambda: cost_ratio(known, miss=value, prevalence=evidence.prevalence),
            "workload": lambda: workload(known, flagged_a_day=value, cases_a_day=cases_a_day),
        }
        return choices[policy]()

    @staticmethod
    def predictive(
        effect: ThresholdEffect, prevalence: float | None
    ) -> tuple[PredictiveValues | None, str]:
        """Predictive values, or why there are none; None for the labelled cases' own prevalence."""
        try:
            return predictive_values(effect.counts, prevalence=prevalence), ""
        except MetricError as error:
            return None, str(error)
