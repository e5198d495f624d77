"""Thresholds: what the stored evidence says of them. `governance` changes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.services.access import Access
from app.services.models import ModelService, OperatingPointInForce, check_calibrated
from app.services.people import Action, Person
from app.services.scoring import is_current
from app.store.records import OperatingPointRecord, ReadRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import MetricError
from ddad_core.evaluation import consensus as majority
from ddad_core.evaluation.consensus import Verdict
from ddad_core.evaluation.metrics import Estimate, RocCurve, auc_with_interval, roc_curve
from ddad_core.evaluation.policies import (
    Known,
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
from ddad_core.vocabulary import SCORE_TITLES

Source = Literal["reads", "reference"]
Policy = Literal["hand", "normals", "sensitivity", "youden", "cost", "workload"]
_ABNORMAL = {"normal": False, "abnormal": True}
BY_HAND = "Chosen by hand on the threshold screen"
SOURCE_TITLES: dict[str, str] = {
    "reads": "Stored reads",
    "reference": "Reference labels that came with the gallery",
}


@dataclass(frozen=True, eq=False)
class TuningEvidence:
    """Labelled and unlabelled scores of one model.

    Attributes:
        model: Its name.
        score_title: What people call the score.
        source: Where the labels come from.
        scores: (N,) of labelled cases.
        labels: (N,) of 0 and 1.
        unlabelled: (M,) scores of cases without a usable label.
        left_out: How many reads' cases have no usable label (uncertain, unreadable, tied).
        normals: Scores of the model's calibration normals.
        auc: With 95 % interval; None if a class is missing.
        roc: None if a class is missing.
        in_force: The operating point in force.
        history: The site's versions, newest first.
    """

    model: str
    score_title: str
    source: Source
    scores: np.ndarray
    labels: np.ndarray
    unlabelled: np.ndarray
    left_out: int
    normals: np.ndarray
    auc: Estimate | None
    roc: RocCurve | None
    in_force: OperatingPointInForce
    history: tuple[OperatingPointRecord, ...]

    @property
    def prevalence(self) -> float:
        """Share of abnormal cases among the labelled; a half without both kinds."""
        share = float(self.labels.mean()) if len(self.labels) else 0.5
        return share if 0 < share < 1 else 0.5

    @property
    def known(self) -> Known:
        """The same for the policies that choose an operating point."""
        return Known(
            labels=self.labels,
            scores=self.scores,
            all_scores=np.concatenate([self.scores, self.unlabelled]),
            normals=self.normals,
        )

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest score of all cases and calibration normals."""
        values = np.concatenate([self.scores, self.unlabelled, self.normals])
        return float(values.min()), float(values.max())


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

    def __init__(self, store: UnitOfWork, access: Access, models: ModelService) -> None:
        self._store = store
        self._access = access
        self._models = models

    def evidence(self, reader: Person, model_name: str, source: Source) -> TuningEvidence:
        """Gather scores and labels of one model. Cases, not reads, are the unit.

        Raises:
            ForbiddenError: The person may not look at cases.
            RequestError: There is no such model.
            UncalibratedError: The model is not calibrated: it has no threshold to measure.
        """
        self._access.require(reader, Action.VIEW_CASES)
        card = self._models.card(model_name)
        check_calibrated(card)
        with self._store.reading() as repositories:
            kept = repositories.scores.for_model(card.name, card.model_hash)
            images = repositories.images.list_all()
            reads = repositories.reads.latest_for_all()
            history = repositories.operating_points.history(
                card.name, card.model_hash, card.primary
            )
        scores = [score for score in kept if is_current(score, card)]
        if source == "reads":
            labels, undecided = consensus(reads)
        else:
            labels = {i.id: i.reference_label for i in images if i.reference_label is not None}
            undecided = set()
        labelled = [score for score in scores if score.image_id in labels]
        values = np.array([score.score for score in labelled], dtype=np.float64)
        truth = np.array([labels[score.image_id] for score in labelled], dtype=np.int64)
        both = len(set(truth.tolist())) == 2
        return TuningEvidence(
            model=card.name,
            score_title=SCORE_TITLES[card.primary],
            source=source,
            scores=values,
            labels=truth,
            unlabelled=np.array([s.score for s in scores if s.image_id not in labels]),
            left_out=sum(score.image_id in undecided for score in scores),
            normals=card.reference.of_score(card.primary),
            auc=auc_with_interval(truth, values) if both else None,
            roc=roc_curve(truth, values) if both else None,
            in_force=self._models.operating_point(card.name),
            history=tuple(sorted(history, key=lambda point: point.version, reverse=True)),
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
    def choose(evidence: TuningEvidence, policy: Policy, value: float) -> OperatingChoice:
        """The threshold that a policy chooses, with what to expect of it, or why it cannot.

        Args:
            evidence: Of the model.
            policy: Which.
            value: Percent for "normals" and "sensitivity", false alarms that a miss is worth for
                "cost", flagged cases of a hundred for "workload", the threshold for "hand";
                not used by "youden".

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
            "workload": lambda: workload(known, flagged_a_day=value, cases_a_day=100),
        }
        return choices[policy]()

    @staticmethod
    def predictive(
        effect: ThresholdEffect, prevalence: float
    ) -> tuple[PredictiveValues | None, str]:
        """Predictive values at a stated prevalence, or why there are none."""
        try:
            return predictive_values(effect.counts, prevalence=prevalence), ""
        except MetricError as error:
            return None, str(error)


def consensus(reads: list[ReadRecord]) -> tuple[dict[int, int], set[int]]:
    """Turn the readers' latest verdicts into one label a case, by majority.

    Args:
        reads: The latest read of each reader and case.

    Returns:
        Labels (1 abnormal, 0 normal) by case, and the cases that were read but have none:
        all verdicts uncertain or unreadable, or a tie.
    """
    verdicts = [Verdict(read.image_id, read.reader, _ABNORMAL.get(read.verdict)) for read in reads]
    found = majority.consensus(verdicts, rule="majority")
    return {int(image): label for image, label in found.labels.items()}, set(
        map(int, found.undecided)
    )
