"""Do readers agree, with each other and with the AI, beyond chance?

All three figures are 1 - (disagreement seen) / (disagreement expected by chance): 1 is full
agreement, 0 is chance, below 0 is worse than chance. They fall when one answer is rare, however
well readers agree; so the share of agreement stands beside each.

Reads are a table (N, R), a row a case and a column a reader; nan is a read that is missing.
Answers are numbers; for ordinal figures their order counts. Intervals are those of the bootstrap
over cases: its standard error on Fisher's z scale, which covers better than percentiles where few
cases disagree. Readers are taken as they are, not as a sample of readers.

Sources: Cohen, Educational and Psychological Measurement 20 (1960) 37-46, and Psychological
Bulletin 70 (1968) 213-220 (weights); Fleiss, Psychological Bulletin 76 (1971) 378-382;
Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from ddad_core.errors import MetricError
from ddad_core.evaluation.intervals import share_of, wilson, z_of
from ddad_core.evaluation.metrics import BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED, Estimate

Weights = Literal["none", "linear", "quadratic"]
Level = Literal["nominal", "ordinal"]


@dataclass(frozen=True)
class Agreement:
    """Agreement beyond chance.

    Attributes:
        value: With 95 % interval over cases.
        observed: Agreement seen, 1 less the disagreement by the figure's own weights.
        expected: Agreement expected by chance.
        n_cases: Cases with at least two reads; the others say nothing.
        n_reads: Their reads.
        left_out: Cases with fewer than two reads.
    """

    value: Estimate
    observed: float
    expected: float
    n_cases: int
    n_reads: int
    left_out: int


@dataclass(frozen=True)
class PairAgreement:
    """Two readers, or a reader and the AI.

    Attributes:
        first: Name.
        second: Name.
        kappa: Cohen's; None where it is undefined.
        same: Share of cases with the same answer.
        why_not: Why there is no kappa; empty where there is one.
    """

    first: str
    second: str
    kappa: Agreement | None
    same: Estimate | None
    why_not: str = ""


_Sums = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Weights of the patterns, (B, U), to disagreement seen and expected, (B,) each."""


def cohen_kappa(first: np.ndarray, second: np.ndarray, *, weights: Weights = "none") -> Agreement:
    """Cohen's kappa of two readers.

    Args:
        first: (N,) answers of one, nan where missing.
        second: (N,) answers of the other to the same cases.
        weights: How much a disagreement counts: fully, or by the distance of the answers' places
            in their order, or by its square.

    Raises:
        MetricError: Fewer than two cases were read by both, or all answers are the same.
    """
    table = _table(np.column_stack([_column(first), _column(second)]))
    k = len(table.answers)
    places = np.arange(k)
    distance = np.abs(places[:, None] - places) / max(k - 1, 1)
    cost = {"none": (distance > 0).astype(float), "linear": distance, "quadratic": distance**2}
    if weights not in cost:
        problem = f"Weights {weights!r} are unknown."
        raise MetricError(problem, f"Choose among {', '.join(cost)}.")
    one, other = (np.eye(k)[table.codes[:, column]] for column in (0, 1))  # (U, k)

    def sums(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = drawn.sum(axis=1)
        unit = cost[weights][table.codes[:, 0], table.codes[:, 1]]
        by_chance = np.einsum("bi,ij,bj->b", drawn @ one, cost[weights], drawn @ other)
        return drawn @ unit / n, by_chance / n**2

    return _agreement(table, sums)


def fleiss_kappa(reads: np.ndarray) -> Agreement:
    """Fleiss' kappa of readers who need not be the same for every case.

    With equally many reads a case it is Fleiss'; otherwise each case's share of agreeing pairs
    counts once and the answers' shares are those among all reads.

    Args:
        reads: (N, R), nan where missing.

    Raises:
        MetricError: Fewer than two cases have two reads, or all answers are the same.
    """
    table = _table(reads)
    counts = table.counts()  # (U, k)
    m = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (m * (m - 1))

    def sums(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shares = drawn @ counts
        shares = shares / shares.sum(axis=1, keepdims=True)
        return 1 - drawn @ agreeing / drawn.sum(axis=1), 1 - (shares**2).sum(axis=1)

    return _agreement(table, sums)


def krippendorff_alpha(reads: np.ndarray, *, level: Level = "nominal") -> Agreement:
    """Krippendorff's alpha: any number of readers, reads missing, corrected for few reads.

    Args:
        reads: (N, R), nan where missing.
        level: Whether answers only differ, or have an order.

    Raises:
        MetricError: Fewer than two cases have two reads, all answers are the same, or there is no
            such level.
    """
    if level not in ("nominal", "ordinal"):
        problem = f"The level {level!r} is unknown."
        raise MetricError(problem, "Choose nominal or ordinal.")
    table = _table(reads)
    counts = table.counts()
    k = counts.shape[1]
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, np.arange(k), np.arange(k)] -= counts
    pairs /= (counts.sum(axis=1) - 1)[:, None, None]  # (U, k, k)

    def sums(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen = np.tensordot(drawn, pairs, axes=1)  # (B, k, k)
        answers = drawn @ counts  # (B, k)
        n = answers.sum(axis=1)
        cost = _ordinal(answers) if level == "ordinal" else 1 - np.eye(k)
        by_chance = answers[:, :, None] * answers[:, None, :]
        return (
            (seen * cost).sum(axis=(1, 2)) / n,
            (by_chance * cost).sum(axis=(1, 2)) / (n * (n - 1)),
        )

    return _agreement(table, sums)


def _ordinal(answers: np.ndarray) -> np.ndarray:
    """Squared count of reads from one answer to the other, the ends by half, (B, k, k)."""
    upto = answers.cumsum(axis=1) - answers / 2
    distance = (upto[:, :, None] - upto[:, None, :]) ** 2
    # In units of all reads: alpha does not change, and the agreement seen stays within 0 to 1.
    return distance / answers.sum(axis=1)[:, None, None] ** 2


def pairwise(reads: np.ndarray, names: Sequence[str]) -> tuple[PairAgreement, ...]:
    """Cohen's kappa of each two columns; give the AI's calls as one more column.

    Args:
        reads: (N, R), nan where missing.
        names: R names.
    """
    reads = np.asarray(reads, np.float64)
    found = []
    for i, j in combinations(range(reads.shape[1]), 2):
        both = ~np.isnan(reads[:, [i, j]]).any(axis=1)
        n = int(both.sum())
        same = share_of(int((reads[both, i] == reads[both, j]).sum()), n) if n else None
        try:
            kappa, why_not = cohen_kappa(reads[:, i], reads[:, j]), ""
        except MetricError as error:
            kappa, why_not = None, str(error)
        found.append(PairAgreement(names[i], names[j], kappa, same, why_not))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Table:
    """Different rows of a table of reads, and how often each is there.

    Attributes:
        codes: (U, R) index of each answer, -1 where missing.
        times: (U,).
        answers: (k,) ascending.
        left_out: Rows with fewer than two reads.
    """

    codes: np.ndarray
    times: np.ndarray
    answers: np.ndarray
    left_out: int

    def counts(self) -> np.ndarray:
        """How often each answer was given, (U, k)."""
        return (self.codes[:, :, None] == np.arange(len(self.answers))).sum(axis=1).astype(float)


def _column(answers: np.ndarray) -> np.ndarray:
    return np.asarray(answers, np.float64).reshape(-1)


def _table(reads: np.ndarray) -> _Table:
    reads = np.asarray(reads, np.float64)
    if reads.ndim != 2:
        problem = f"Reads of shape {reads.shape} are no table."
        raise MetricError(problem, "Give a row a case and a column a reader.")
    usable = (~np.isnan(reads)).sum(axis=1) >= 2
    kept = reads[usable]
    if len(kept) < 2:
        problem = f"{len(kept)} cases were read twice or more."
        raise MetricError(problem, "Agreement needs at least two.")
    answers = np.unique(kept[~np.isnan(kept)])
    if len(answers) < 2:
        problem = f"All {len(kept)} cases got the same answer from everyone."
        raise MetricError(problem, "Agreement beyond chance is undefined; read other cases too.")
    codes = np.where(np.isnan(kept), -1, np.searchsorted(answers, kept))
    rows, times = np.unique(codes, axis=0, return_counts=True)
    return _Table(rows, times, answers, int((~usable).sum()))


def _agreement(table: _Table, sums: _Sums) -> Agreement:
    n = int(table.times.sum())
    seen, by_chance = (float(part[0]) for part in sums(table.times[None].astype(np.float64)))
    if by_chance <= 0:
        problem = "Each reader gave one answer only, so that chance alone explains everything."
        raise MetricError(problem, "Agreement beyond chance is undefined; read other cases too.")
    value = 1 - seen / by_chance
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = generator.multinomial(n, table.times / n, BOOTSTRAP_SAMPLES).astype(np.float64)
    seen_b, chance_b = sums(drawn)
    with np.errstate(divide="ignore", invalid="ignore"):
        samples = 1 - seen_b / chance_b
    # A resample with one answer alone has no value.
    samples = samples[np.isfinite(samples)]
    return Agreement(
        value=_interval(value, by_chance, samples, n),
        observed=1 - seen,
        expected=1 - by_chance,
        n_cases=n,
        n_reads=int(((table.codes >= 0).sum(axis=1) * table.times).sum()),
        left_out=table.left_out,
    )


def _interval(value: float, by_chance: float, samples: np.ndarray, n: int) -> Estimate:
    spread = float(samples.std(ddof=1)) if len(samples) > 1 else 0.0
    if value >= 1 or spread == 0:
        # Nobody disagreed: at most so many might, by Wilson's interval for none of n.
        disagreeing = float(wilson(0, n).at().high)
        return Estimate(value, max(value - disagreeing / by_chance, -1.0), max(value, 1.0))
    inside = max(value, -1 + 1e-6)
    half = z_of(0.95) * spread / (1 - inside**2)
    z = math.atanh(inside)
    return Estimate(value, min(math.tanh(z - half), value), math.tanh(z + half))
