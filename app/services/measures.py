"""The figures of a set of evidence that take a moment: each computed once, when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Generic, TypeVar

import numpy as np

from app.services.evidence import ReadTable, table_of
from app.services.sampling import Design, DrawnSample, design
from app.services.tuning_evidence import TuningEvidence
from app.store.evidence_records import ReadColumns
from ddad_core.errors import MetricError
from ddad_core.evaluation.agreement import (
    Agreement,
    PairAgreement,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    pairwise,
)
from ddad_core.evaluation.calibration_curve import (
    NormalRate,
    Reliability,
    cross_fitted,
    normal_rates,
    reliability,
)
from ddad_core.evaluation.curves import (
    PrecisionRecall,
    RocWithBand,
    precision_recall,
    roc_with_band,
)
from ddad_core.evaluation.multireader import AidedReading, Measure, compare_aided
from ddad_core.evaluation.thresholds import flags
from ddad_core.evaluation.verification import VerifiedFigures, verified_figures
from ddad_core.evaluation.verified_roc import VerifiedRoc, verified_roc

AI = "AI"
PAIRS_SHOWN = 6
"""Readers with the most reads between whom pairs are shown."""
Found = TypeVar("Found")


@dataclass(frozen=True)
class Outcome(Generic[Found]):
    """A figure, or why there is none.

    Attributes:
        found: The figure.
        why_not: A sentence; empty where there is one.
    """

    found: Found | None
    why_not: str = ""


@dataclass(frozen=True)
class ReaderAgreement:
    """Do readers agree with each other?

    Attributes:
        kappa: Cohen's of two readers, Fleiss' of more.
        kappa_name: Which of the two.
        alpha: Krippendorff's.
        pairs: Cohen's of each two, of the readers with the most reads.
        readers: How many have read cases that another one has read, too.
    """

    kappa: Outcome[Agreement]
    kappa_name: str
    alpha: Outcome[Agreement]
    pairs: tuple[PairAgreement, ...]
    readers: int


class Measures:
    """Figures of one set of evidence.

    Args:
        evidence: Scores and labels.
        samples: Audit samples of the same version of the model.
    """

    def __init__(self, evidence: TuningEvidence, samples: tuple[DrawnSample, ...] = ()) -> None:
        self.evidence = evidence
        self.samples = samples
        self.precision_recall = lru_cache(maxsize=4)(self._precision_recall)
        self.verified = lru_cache(maxsize=64)(self._verified)
        self.with_ai = lru_cache(maxsize=64)(self._with_ai)

    @cached_property
    def roc(self) -> Outcome[RocWithBand]:
        """ROC curve with its band."""
        own = self.evidence
        return _or_why(lambda: roc_with_band(own.labels, own.scores))

    def _precision_recall(self, prevalence: float | None) -> Outcome[PrecisionRecall]:
        """Precision against recall, at a stated prevalence or the cases' own."""
        own = self.evidence
        return _or_why(lambda: precision_recall(own.labels, own.scores, prevalence=prevalence))

    @cached_property
    def reliability(self) -> Outcome[Reliability]:
        """Scores turned into probabilities, against what was found."""
        own = self.evidence
        return _or_why(lambda: reliability(own.labels, cross_fitted(own.labels, own.scores)))

    @cached_property
    def normal_rates(self) -> Outcome[tuple[NormalRate, ...]]:
        """Do the cases labelled normal keep what the p-values promise?"""
        own = self.evidence
        return _or_why(lambda: normal_rates(own.normals, own.scores[own.labels == 0]))

    @cached_property
    def table(self) -> ReadTable:
        """The reads that count, by case and reader, whoever scored the case."""
        reads = self.evidence.reads
        return _table(reads)

    @cached_property
    def agreement(self) -> ReaderAgreement:
        """Between readers."""
        calls = self.table.calls
        shared = (~np.isnan(calls)).sum(axis=1) >= 2
        counts = (~np.isnan(calls[shared])).sum(axis=0)
        several = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
        if len(several) < 2:
            none: Outcome[Agreement] = Outcome(None, "No case has certain reads of two readers.")
            return ReaderAgreement(none, "Kappa", none, (), len(several))
        both = calls[shared][:, several]
        if len(several) == 2:
            name, kappa = "Cohen's kappa", _or_why(lambda: cohen_kappa(both[:, 0], both[:, 1]))
        else:
            name, kappa = "Fleiss' kappa", _or_why(lambda: fleiss_kappa(both))
        alpha = _or_why(lambda: krippendorff_alpha(both))
        shown = sorted(several[:PAIRS_SHOWN])
        names = [self.table.readers[i] for i in shown]
        pairs = pairwise(calls[shared][:, shown], names) if len(several) > 2 else ()
        return ReaderAgreement(kappa, name, alpha, pairs, len(several))

    def _with_ai(self, threshold: float) -> tuple[PairAgreement, ...]:
        """Each reader against the AI at a threshold, the readers with the most reads first."""
        own = self.evidence
        ids = np.concatenate([own.ids, own.unlabelled_ids])
        order = np.argsort(ids)
        place = np.searchsorted(ids[order], self.table.cases).clip(max=max(len(ids) - 1, 0))
        if not len(ids) or not len(self.table.cases):
            return ()
        scored = ids[order][place] == self.table.cases
        called = flags(own.all_scores[order][place], threshold).astype(np.float64)
        called[~scored] = np.nan
        counts = (~np.isnan(self.table.calls)).sum(axis=0)
        shown = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]][:PAIRS_SHOWN]
        found: list[PairAgreement] = []
        for i in shown:
            both = np.column_stack([self.table.calls[:, i], called])
            found.extend(pairwise(both, [self.table.readers[i], AI]))
        return tuple(found)

    @cached_property
    def design(self) -> Design:
        """Which cases were to be read, and which were."""
        return design(self.evidence, self.samples)

    @cached_property
    def verified_roc(self) -> Outcome[VerifiedRoc]:
        """ROC curve and AUC put right for cases that were not read."""
        cases = self.design.cases
        if cases is None:
            return Outcome(None, self.design.why_not)
        return _or_why(lambda: verified_roc(cases))

    def _verified(self, threshold: float) -> Outcome[VerifiedFigures]:
        """Sensitivity and its kin put right, at a threshold."""
        cases = self.design.cases
        if cases is None:
            return Outcome(None, self.design.why_not)
        return _or_why(lambda: verified_figures(cases, threshold))


def aided_reading(
    labels: dict[int, int], unaided: ReadColumns, aided: ReadColumns, measure: Measure
) -> Outcome[AidedReading]:
    """Reading without against reading with the AI, the same readers and cases.

    Args:
        labels: What the cases are, 1 or 0, by case.
        unaided: The last unaided read of each reader and case.
        aided: Likewise with the AI.
        measure: Sensitivity, specificity, or the AUC of the readers' confidence.
    """
    cases = np.array(sorted(set(labels) & set(unaided.image_id) & set(aided.image_id)), np.int64)
    readers = tuple(sorted(set(unaided.reader) & set(aided.reader)))
    if len(readers) < 2 or not len(cases):
        return Outcome(
            None,
            f"{len(readers)} readers read labelled cases both unaided and aided; it takes two. "
            "Read with “Unaided first”, and save again once the AI is shown.",
        )
    truth = np.array([labels[int(one)] for one in cases])
    both = [table_of(reads, cases, readers) for reads in (unaided, aided)]
    if measure == "auc":
        values = [one.suspicion for one in both]
    else:
        values = [one.calls for one in both]
    return _or_why(lambda: compare_aided(truth, values[0], values[1], measure=measure))


def _table(reads: ReadColumns) -> ReadTable:
    cases = np.array(sorted(set(reads.image_id)), np.int64)
    return table_of(reads, cases, tuple(sorted(set(reads.reader))))


def _or_why(figure: Callable[[], Found]) -> Outcome[Found]:
    try:
        return Outcome(figure())
    except MetricError as error:
        return Outcome(None, str(error))
