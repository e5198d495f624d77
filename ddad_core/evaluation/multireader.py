"""Unaided against aided reading: several readers, the same cases, both ways.

The figure (sensitivity, specificity or AUC) is taken for each reader and averaged over readers;
the difference is that of aided less unaided. Its interval speaks of readers and cases like these,
not of these alone, so cases and readers are both drawn anew, and each drawn case and reader brings
its unaided and its aided read along (paired).

Drawing both at once counts the part of the spread that belongs to a reader's single answers three
times (Owen, Annals of Applied Statistics 1, 2007, 386-411). Drawing cases alone counts it once,
readers alone once, so twice those two less the first is right to first order; few readers are
allowed for by n / (n - 1) and Student's t with Hillis' degrees of freedom (Statistics in Medicine
26, 2007, 596-619).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t

from ddad_core.errors import MetricError
from ddad_core.evaluation.intervals import on_logit
from ddad_core.evaluation.metrics import BOOTSTRAP_SEED, Estimate

Measure = Literal["sensitivity", "specificity", "auc"]
SAMPLES = 1000
CASES = 250_000
"""Values held at once in resamples of cases times cases."""


@dataclass(frozen=True)
class AidedReading:
    """What the AI's help is worth.

    Attributes:
        measure: Of which figure.
        unaided: Mean over readers, with its interval over readers and cases.
        aided: Likewise.
        difference: Aided less unaided.
        p_value: Two-sided, of no difference.
        by_reader: (unaided, aided) of each reader.
        n_readers: Readers with both kinds of reads.
        n_normal: Normal cases read.
        n_abnormal: Abnormal cases read.
        left_out: Reads without their other half: they play no part.
    """

    measure: Measure
    unaided: Estimate
    aided: Estimate
    difference: Estimate
    p_value: float
    by_reader: tuple[tuple[float, float], ...]
    n_readers: int
    n_normal: int
    n_abnormal: int
    left_out: int


def compare_aided(
    labels: np.ndarray, unaided: np.ndarray, aided: np.ndarray, *, measure: Measure
) -> AidedReading:
    """Compare reading without and with the AI.

    Args:
        labels: (N,) of 0 and 1: what the cases are.
        unaided: (N, R), a row a case and a column a reader; nan where not read. For sensitivity
            and specificity 1 is called abnormal and 0 normal; for the AUC any number that rises
            with suspicion.
        aided: (N, R), the same readers' reads of the same cases with the AI.
        measure: Which figure.

    Raises:
        MetricError: Shapes differ, fewer than two readers read a class both ways, or an answer
            is neither 0 nor 1 where that is needed.
    """
    y, before, after = np.asarray(labels), *(np.asarray(a, np.float64) for a in (unaided, aided))
    _check(y, before, after, measure)
    paired = ~(np.isnan(before) | np.isnan(after))
    left_out = int((~np.isnan(before)).sum() + (~np.isnan(after)).sum() - 2 * paired.sum())
    needed = {"sensitivity": (1,), "specificity": (0,), "auc": (0, 1)}[measure]
    usable = np.all([paired[y == label].sum(axis=0) >= 2 for label in needed], axis=0)
    if usable.sum() < 2:
        problem = f"{int(usable.sum())} readers read enough cases both ways."
        raise MetricError(problem, "At least two must read two cases of each kind both ways.")
    relevant = paired[:, usable].any(axis=1) & np.isin(y, needed)
    y, paired = y[relevant], paired[relevant][:, usable]
    reads = [values[relevant][:, usable] for values in (before, after)]
    figure = _auc_by_reader if measure == "auc" else _share_by_reader

    def both(weights: np.ndarray) -> np.ndarray:
        """Figures of each resample and reader, unaided and aided, (B, R, 2)."""
        parts = [figure(y, values, paired, weights) for values in reads]
        found = np.stack(parts, axis=-1)
        return 1 - found if measure == "specificity" else found

    spread = _Spread(both, y, int(usable.sum()))
    own = spread.own
    lift = spread.interval(lambda pair: pair[..., 1] - pair[..., 0], share=False)
    return AidedReading(
        measure=measure,
        unaided=spread.interval(lambda pair: pair[..., 0], share=True).estimate,
        aided=spread.interval(lambda pair: pair[..., 1], share=True).estimate,
        difference=lift.estimate,
        p_value=lift.p_value,
        by_reader=tuple((float(a), float(b)) for a, b in own),
        n_readers=len(own),
        n_normal=int((y == 0).sum()),
        n_abnormal=int((y == 1).sum()),
        left_out=left_out,
    )


def _check(y: np.ndarray, before: np.ndarray, after: np.ndarray, measure: Measure) -> None:
    if before.shape != after.shape or before.ndim != 2 or y.shape != before.shape[:1]:
        problem = f"Labels {y.shape}, unaided {before.shape} and aided {after.shape} do not match."
        raise MetricError(problem, "Give a row a case and a column a reader in both.")
    if not np.isin(y, (0, 1)).all():
        problem = "Labels other than 0 and 1 were given."
        raise MetricError(problem)
    if measure not in ("sensitivity", "specificity", "auc"):
        problem = f"The measure {measure!r} is unknown."
        raise MetricError(problem, "Choose sensitivity, specificity or auc.")
    answers = np.concatenate([before[~np.isnan(before)], after[~np.isnan(after)]])
    if measure != "auc" and not np.isin(answers, (0, 1)).all():
        problem = "Some answers are neither 0 nor 1."
        raise MetricError(problem, "Sensitivity and specificity need normal or abnormal.")


@dataclass(frozen=True)
class _Found:
    estimate: Estimate
    p_value: float


class _Spread:
    """The three bootstraps of a figure of readers and cases."""

    def __init__(
        self, figures: Callable[[np.ndarray], np.ndarray], y: np.ndarray, n_readers: int
    ) -> None:
        generator = np.random.default_rng(BOOTSTRAP_SEED)
        self.own = figures(np.ones((1, len(y))))[0]  # (R, 2)
        weights = np.zeros((SAMPLES, len(y)))
        for label in np.unique(y):  # stratified by class
            own = np.flatnonzero(y == label)
            weights[:, own] = generator.multinomial(
                len(own), np.full(len(own), 1 / len(own)), SAMPLES
            )
        step = max(1, CASES // len(y))
        parts = [figures(weights[i : i + step]) for i in range(0, SAMPLES, step)]
        self._cases = np.concatenate(parts)  # (B, R, 2)
        self._readers = (
            generator.multinomial(n_readers, np.full(n_readers, 1 / n_readers), SAMPLES) / n_readers
        )
        self._n = min(int((y == label).sum()) for label in np.unique(y))

    def interval(self, figure: Callable[[np.ndarray], np.ndarray], *, share: bool) -> _Found:
        """Mean over readers of a figure of (..., R, 2) pairs, with its interval.

        Args:
            figure: From (..., R, 2) to (..., R).
            share: Whether it lies between 0 and 1; its interval then does, too.
        """
        own, by_case = figure(self.own), figure(self._cases)  # (R,), (B, R)
        readers = len(own)
        # A resample may hold no case that some reader read; that reader stands aside in it.
        both = self._mean(by_case, self._readers)
        cases = self._mean(by_case, np.full_like(self._readers, 1 / readers))
        few_cases, few_readers = self._n / (self._n - 1), readers / (readers - 1)
        v_cases = float(cases.var(ddof=1)) * few_cases
        v_readers = float(own.var(ddof=1)) / readers
        v_both = float(both.var(ddof=1)) * few_cases
        # What both adds to the two is the answers' own spread, counted thrice instead of once.
        answers = v_both - v_cases - v_readers / few_readers
        variance = max(v_cases + v_readers - max(answers, 0.0), v_cases, v_readers)
        value = float(own.mean())
        if variance == 0:
            if share:
                return _Found(on_logit(value, 0.0, effective_n=self._n), math.nan)
            return _Found(Estimate(value, value, value), 1.0 if value == 0 else 0.0)
        degrees = (readers - 1) * (variance / v_readers) ** 2 if v_readers > 0 else math.inf
        degrees, error = min(degrees, 1e6), math.sqrt(variance)
        if share:
            estimate = on_logit(value, error, effective_n=self._n, degrees=degrees)
            return _Found(estimate, math.nan)
        half = float(t.ppf(0.975, degrees)) * error
        p_value = float(2 * t.sf(abs(value) / error, degrees))
        return _Found(Estimate(value, value - half, value + half), p_value)

    @staticmethod
    def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        there = ~np.isnan(values)
        total = (weights * there).sum(axis=1)
        sums = (weights * np.where(there, values, 0.0)).sum(axis=1)
        return sums[total > 0] / total[total > 0]


def _share_by_reader(
    y: np.ndarray, calls: np.ndarray, paired: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Share called abnormal of the cases, (B, R); the cases are of one class."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ np.where(paired, calls, 0.0)) / (weights @ paired)


def _auc_by_reader(
    y: np.ndarray, ratings: np.ndarray, paired: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """AUC of each resample and reader, (B, R); nan where a class is missing."""
    found = np.full((len(weights), ratings.shape[1]), np.nan)
    for reader in range(ratings.shape[1]):
        one, other = (np.flatnonzero(paired[:, reader] & (y == label)) for label in (1, 0))
        difference = ratings[one, reader][:, None] - ratings[other, reader]
        higher = (np.sign(difference) + 1) / 2  # ties count half
        pairs = weights[:, one].sum(axis=1) * weights[:, other].sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[:, reader] = ((weights[:, one] @ higher) * weights[:, other]).sum(axis=1) / pairs
    return found
