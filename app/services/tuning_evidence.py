"""Scores and labels of one model, put together: what every figure of its threshold rests on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

import numpy as np

from app.services.evidence import (
    Ages,
    EvidenceChoice,
    EvidenceFacts,
    Labels,
    Source,
    described,
)
from app.services.models import OperatingPointInForce
from app.store.evidence_records import ReadColumns, ScoreColumns
from app.store.records import OperatingPointRecord
from ddad_core.card import Card, Population
from ddad_core.evaluation.consensus import Consensus
from ddad_core.evaluation.delong import delong_auc
from ddad_core.evaluation.metrics import Estimate, RocCurve, auc, roc_curve
from ddad_core.evaluation.policies import Known
from ddad_core.vocabulary import SCORE_TITLES


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
        left_out: How many read cases have no usable label (uncertain, unreadable, tied).
        normals: Scores of the model's calibration normals.
        auc: DeLong's, with 95 % interval; 0 to 1 where a class has one case alone, None if a
            class is missing.
        roc: None if a class is missing.
        in_force: The operating point in force.
        history: The site's versions, newest first.
        choice: What was chosen.
        facts: What the labels rest on, in numbers and words.
        ids: (N,) numbers of the labelled cases.
        unlabelled_ids: (M,) of the others.
        score_ids: (N + M,) of the stored scores, labelled cases first.
        reads: Those that count.
        cases_a_day: Cases of this model that came a day, from the first day on which any came to
            the last; None if there is but one.
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
    choice: EvidenceChoice
    facts: EvidenceFacts
    ids: np.ndarray
    unlabelled_ids: np.ndarray
    score_ids: np.ndarray
    reads: ReadColumns
    cases_a_day: float | None

    @property
    def prevalence(self) -> float:
        """Share of abnormal cases among the labelled; a half without both kinds."""
        share = float(self.labels.mean()) if len(self.labels) else 0.5
        return share if 0 < share < 1 else 0.5

    @property
    def all_scores(self) -> np.ndarray:
        """(N + M,) of all scored cases, labelled cases first."""
        return np.concatenate([self.scores, self.unlabelled])

    @property
    def known(self) -> Known:
        """The same for the policies that choose an operating point."""
        return Known(
            labels=self.labels,
            scores=self.scores,
            all_scores=self.all_scores,
            normals=self.normals,
        )

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest score of all cases and calibration normals."""
        values = np.concatenate([self.scores, self.unlabelled, self.normals])
        return float(values.min()), float(values.max())


def reference_labels(kept: ScoreColumns) -> Consensus:
    """The labels that came with the images."""
    there = kept.reference >= 0
    pairs = zip(kept.image_id[there].tolist(), kept.reference[there].tolist(), strict=True)
    return Consensus(dict(pairs), {}, 0)


_WHY = {
    "uncertain": "cases called uncertain or unreadable",
    "readers differ evenly": "cases on which readers differ evenly",
    "readers differ, no arbiter's word": "cases on which readers differ, not settled",
}


def put_together(
    card: Card,
    choice: EvidenceChoice,
    kept: ScoreColumns,
    labels: Labels,
    *,
    days: tuple[date, date] | None,
    in_force: OperatingPointInForce,
    history: tuple[OperatingPointRecord, ...],
) -> TuningEvidence:
    """Put scores and labels of a model together."""
    ids, values = kept.image_id, kept.score
    found = labels.found.labels
    cases = np.array(list(found), np.int64)
    places, scored = _places(ids, cases)
    truth = np.full(len(ids), -1, np.int64)
    truth[places[scored]] = np.array(list(found.values()), np.int64)[scored]
    known = truth >= 0
    undecided = labels.found.undecided
    _, in_doubt = _places(ids, np.array(list(undecided), np.int64))
    out = labels.left_out + Counter(
        _WHY[why] for why, there in zip(undecided.values(), in_doubt, strict=True) if there
    )
    if not scored.all():
        out["labelled cases that this model has not scored"] = int((~scored).sum())
    scores, of_cases = values[known], truth[known]
    auc_found, roc = _discrimination(of_cases, scores)
    return TuningEvidence(
        model=card.name,
        score_title=SCORE_TITLES[card.primary],
        source=choice.source,
        scores=scores,
        labels=of_cases,
        unlabelled=values[~known],
        left_out=int(in_doubt.sum()),
        normals=card.reference.of_score(card.primary),
        auc=auc_found,
        roc=roc,
        in_force=in_force,
        history=history,
        choice=choice,
        facts=EvidenceFacts(
            cases=int(known.sum()),
            unlabelled=int((~known).sum()),
            reads=labels.found.n_reads,
            readers=tuple(sorted(set(labels.kept.reader))) if labels.found.n_reads else (),
            described=described(choice),
            left_out=tuple(out.items()),
            ages=_ages(card.population, kept.age[known]),
        ),
        ids=ids[known],
        unlabelled_ids=ids[~known],
        score_ids=np.concatenate([kept.score_id[known], kept.score_id[~known]]),
        reads=labels.kept,
        cases_a_day=_a_day(kept, days),
    )


def _places(ids: np.ndarray, cases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where cases stand among ascending ids, and whether they are there at all."""
    if not len(ids):
        return np.zeros(len(cases), np.int64), np.zeros(len(cases), bool)
    places = np.searchsorted(ids, cases).clip(max=len(ids) - 1)
    return places, ids[places] == cases


def _a_day(kept: ScoreColumns, days: tuple[date, date] | None) -> float | None:
    if days is None or days[0] == days[1] or not kept.arrived.any():
        return None
    return float(kept.arrived.sum() / ((days[1] - days[0]).days + 1))


def _ages(population: Population, ages: np.ndarray) -> Ages:
    there = ages[~np.isnan(ages)]
    inside = sum(population.includes(float(age)) for age in there)
    return Ages(inside, len(there) - inside, len(ages) - len(there))


def _discrimination(
    labels: np.ndarray, scores: np.ndarray
) -> tuple[Estimate | None, RocCurve | None]:
    """AUC and ROC curve; None where a class is missing."""
    least = min(int((labels == 0).sum()), int((labels == 1).sum()))
    if not least:
        return None, None
    if least == 1:  # of its spread one case says nothing
        return Estimate(auc(labels, scores), 0.0, 1.0), roc_curve(labels, scores)
    return delong_auc(labels, scores), roc_curve(labels, scores)
