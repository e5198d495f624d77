"""Data whose truth is known, and how often the intervals of `ddad_core.evaluation` hold it.

Each function yields one :class:`Setting` a combination of sizes and shares. Generators are seeded
by the setting, so one setting can be run again alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from ddad_core.evaluation import intervals
from ddad_core.evaluation.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha
from ddad_core.evaluation.curves import precision_recall, roc_with_band
from ddad_core.evaluation.delong import delong_auc, delong_test
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.multireader import compare_aided

SHARES = (0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Setting:
    """How often an interval held the truth.

    Attributes:
        figure: Whose interval.
        label: Sizes and shares.
        coverage: Share of runs.
        runs: How many.
    """

    figure: str
    label: str
    coverage: float
    runs: int


def generator_of(label: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(label.encode()))


def distance_of(auc: float) -> float:
    """Between two normal distributions of variance 1 with this AUC."""
    return float(np.sqrt(2) * norm.ppf(auc))


def holds(found: Estimate | None, truth: float) -> bool:
    return found is not None and found.low <= truth <= found.high


def count(
    label: str, runs: int, run: Callable[[np.random.Generator], dict[str, bool]]
) -> Iterator[Setting]:
    generator = generator_of(label)
    hits: dict[str, int] = {}
    for _ in range(runs):
        for figure, held in run(generator).items():
            hits[figure] = hits.get(figure, 0) + held
    for figure, n in hits.items():
        yield Setting(figure, label, n / runs, runs)


def shares(runs: int, sizes: tuple[int, ...] = (50, 100, 200, 500)) -> Iterator[Setting]:
    for n in sizes:
        for name, method in intervals.METHODS.items():
            table = method(np.arange(n + 1), n)
            for p in SHARES:
                label = f"n = {n}, p = {p}"
                k = generator_of(label).binomial(n, p, runs)
                held = (table.low[k] <= p) & (p <= table.high[k])
                yield Setting(f"Share, {name}", label, float(held.mean()), runs)


def predictive(runs: int, sizes: tuple[int, ...] = (50, 100, 200)) -> Iterator[Setting]:
    """PPV at any stated prevalence holds its truth where the ratio of shares does; NPV likewise."""
    for n in sizes:
        k = np.arange(n + 1)
        table = intervals.ratio_of_shares(k[:, None], n, k[None], n)
        for sensitivity in SHARES:
            for specificity in SHARES:
                label = f"n = {n} + {n}, sensitivity {sensitivity}, specificity {specificity}"
                generator = generator_of(label)
                tp, tn = (generator.binomial(n, p, runs) for p in (sensitivity, specificity))
                for figure, cell, truth in (
                    ("PPV at a stated prevalence", (tp, n - tn), sensitivity / (1 - specificity)),
                    ("NPV at a stated prevalence", (tn, n - tp), specificity / (1 - sensitivity)),
                ):
                    held = (table.low[cell] <= truth) & (truth <= table.high[cell])
                    yield Setting(figure, label, float(held.mean()), runs)


def aucs(
    runs: int, sizes: tuple[tuple[int, int], ...] = ((50, 50), (100, 100))
) -> Iterator[Setting]:
    for n, m in sizes:
        for auc in SHARES:
            labels = np.repeat([0, 1], [n, m])
            move, other = distance_of(auc) * labels, distance_of(auc - 0.05) * labels

            def run(
                generator: np.random.Generator,
                labels: np.ndarray = labels,
                move: np.ndarray = move,
                other: np.ndarray = other,
                auc: float = auc,
            ) -> dict[str, bool]:
                shared = 0.7 * generator.normal(size=len(labels))
                first, second = (
                    d + shared + np.sqrt(1 - 0.7**2) * generator.normal(size=len(labels))
                    for d in (move, other)
                )
                tested = delong_test(labels, first, second)
                return {
                    "AUC, DeLong on the logit scale": holds(delong_auc(labels, first), auc),
                    "AUC, DeLong as published": holds(tested.first, auc),
                    "Difference of two AUCs, DeLong": holds(tested.difference, 0.05),
                }

            yield from count(f"n = {n} + {m}, AUC {auc}", runs, run)


def curves(
    runs: int, sizes: tuple[tuple[int, float], ...] = ((50, 0.8), (100, 0.9))
) -> Iterator[Setting]:
    for n, auc in sizes:
        move = distance_of(auc)
        labels = np.repeat([0, 1], [n, n])
        at = {share: float(norm.sf(norm.isf(share) - move)) for share in (0.1, 0.2)}
        precision = {
            recall: recall / (recall + float(norm.sf(norm.isf(recall) + move)))
            for recall in (0.5, 0.8)
        }

        def run(
            generator: np.random.Generator,
            labels: np.ndarray = labels,
            move: float = move,
            at: dict[float, float] = at,
            precision: dict[float, float] = precision,
        ) -> dict[str, bool]:
            scores = generator.normal(size=len(labels)) + move * labels
            roc = roc_with_band(labels, scores).band
            pr = precision_recall(labels, scores).band
            found = {}
            for name, band, truths in (
                ("ROC band, sensitivity at a false-positive share of", roc, at),
                ("PR band, precision at a recall of", pr, precision),
            ):
                for x, truth in truths.items():
                    place = round(x * 100)
                    ends = Estimate(0.0, float(band.low[place]), float(band.high[place]))
                    found[f"{name} {x}"] = holds(ends, truth)
            return found

        yield from count(f"n = {n} + {n}, AUC {auc}", runs, run)


def agreement(runs: int, sizes: tuple[int, ...] = (50, 100)) -> Iterator[Setting]:
    """All readers give one answer to a share of cases, to the others each an answer by chance."""
    for n in sizes:
        for kappa in (0.4, 0.6, 0.8):

            def run(
                generator: np.random.Generator, n: int = n, kappa: float = kappa
            ) -> dict[str, bool]:
                answers = (generator.random((n, 3)) < 0.3).astype(float)
                alike = generator.random(n) < kappa
                answers[alike] = answers[alike][:, :1]
                some = np.where(generator.random((n, 3)) < 0.2, np.nan, answers)
                pair = cohen_kappa(answers[:, 0], answers[:, 1])
                return {
                    "Cohen's kappa": holds(pair.value, kappa),
                    "Fleiss' kappa, three readers": holds(fleiss_kappa(answers).value, kappa),
                    "Krippendorff's alpha, three readers, a fifth of the reads missing": holds(
                        krippendorff_alpha(some).value, kappa
                    ),
                }

            yield from count(f"n = {n}, agreement {kappa}, 30 % abnormal", runs, run)


def readers(
    runs: int,
    sizes: tuple[tuple[int, int], ...] = ((50, 5), (100, 5)),
) -> Iterator[Setting]:
    """Cases, readers and single answers differ; aided readers are better and differ less."""
    spread_case, spread_reader, spread_own, spread_answer = 0.8, 0.3, 0.15, 0.6
    for n, r in sizes:
        for means in ((0.6, 0.9),):
            whole = np.sqrt(spread_case**2 + spread_reader**2 + spread_own**2 + spread_answer**2)
            truth = [float(norm.cdf(mean / whole)) for mean in means]
            # Of two cases, the reader's own shift falls away; its skill differs instead.
            pairs = np.sqrt(2 * (spread_case**2 + spread_answer**2) + spread_reader**2)
            truth_auc = [float(norm.cdf(2 * mean / pairs)) for mean in means]

            def run(
                generator: np.random.Generator,
                n: int = n,
                r: int = r,
                means: tuple[float, float] = means,
                truth: list[float] = truth,
                truth_auc: list[float] = truth_auc,
            ) -> dict[str, bool]:
                case = spread_case * generator.normal(size=(2 * n, 1))
                labels = np.repeat([1, 0], n)
                shift, skill = (spread_reader * generator.normal(size=r) for _ in range(2))
                calls, ratings = [], []
                for mean in means:
                    own = shift + spread_own * generator.normal(size=r)
                    noise = spread_answer * generator.normal(size=(2 * n, r))
                    calls.append((mean + case[:n] + own + noise[:n] > 0).astype(float))
                    ratings.append((2 * mean + skill) * labels[:, None] + case + noise)
                found = compare_aided(labels[:n], *calls, measure="sensitivity")
                area = compare_aided(labels, *ratings, measure="auc")
                names = "Readers' mean sensitivity", "Readers' mean AUC"
                result = {}
                for name, got, true in zip(names, (found, area), (truth, truth_auc), strict=True):
                    result[f"{name}, unaided"] = holds(got.unaided, true[0])
                    result[f"{name}, aided less unaided"] = holds(got.difference, true[1] - true[0])
                return result

            yield from count(f"{n} cases, {r} readers, {truth[0]:.2f}", runs, run)
