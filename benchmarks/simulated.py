"""Data whose truth is known, and how often the intervals of `ddad_core.evaluation` hold it.

Each function yields one :class:`Setting` a combination of sizes and shares. Generators are seeded
by the setting, so one setting can be run again alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from ddad_core.evaluation import intervals
from ddad_core.evaluation.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha
from ddad_core.evaluation.calibration_curve import reliability
from ddad_core.evaluation.curves import precision_recall, roc_with_band
from ddad_core.evaluation.delong import delong_auc, delong_test
from ddad_core.evaluation.froc import Trace
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.multireader import compare_aided
from ddad_core.evaluation.pixel_policies import at_level
from ddad_core.evaluation.policies import (
    Known,
    OperatingChoice,
    at_least_sensitivity,
    at_most_normals,
    youden,
)
from ddad_core.evaluation.verification import ScoredCases, verified_figures
from ddad_core.evaluation.verified_roc import verified_roc

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


def _count(
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

            yield from _count(f"n = {n} + {m}, AUC {auc}", runs, run)


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

        yield from _count(f"n = {n} + {n}, AUC {auc}", runs, run)


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

            yield from _count(f"n = {n}, agreement {kappa}, 30 % abnormal", runs, run)


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

            yield from _count(f"{n} cases, {r} readers, {truth[0]:.2f}", runs, run)


DESIGNS = (
    # cases, share abnormal, AUC, share flagged, chance of an unflagged case's being read
    (2000, 0.2, 0.8, 0.3, 0.2),
    (5000, 0.1, 0.8, 0.2, 0.1),
    (5000, 0.1, 0.9, 0.2, 0.2),
)


@dataclass(frozen=True)
class Bias:
    """Mean error of the AUC over all runs.

    Attributes:
        label: The design.
        naive: From the reads as they come.
        corrected: By inverse probability.
        runs: How many.
    """

    label: str
    naive: float
    corrected: float
    runs: int


def verification(
    runs: int, designs: tuple[tuple[int, float, float, float, float], ...] = DESIGNS
) -> tuple[list[Setting], list[Bias]]:
    settings, biases = [], []
    for n, ill, auc, flagged, audit in designs:
        move = distance_of(auc)
        cut = brentq(
            lambda t, m=move, i=ill, f=flagged: i * norm.sf(t - m) + (1 - i) * norm.sf(t) - f, -6, 9
        )
        sensitivity, specificity = float(norm.sf(cut - move)), float(norm.cdf(cut))
        truth = {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": ill * sensitivity / flagged,
            "npv": (1 - ill) * specificity / (1 - flagged),
        }
        errors = []

        def run(
            generator: np.random.Generator,
            design: tuple[int, float, float, float] = (n, ill, audit, auc),
            move: float = move,
            cut: float = cut,
            truth: dict[str, float] = truth,
            errors: list[tuple[float, float]] = errors,
        ) -> dict[str, bool]:
            size, share, chance, area = design
            labels = (generator.random(size) < share).astype(int)
            scores = generator.normal(size=size) + move * labels
            chances = np.where(scores >= cut, 1.0, chance)
            read = generator.random(size) < chances
            cases = ScoredCases(scores, np.where(read, labels, -1), chances)
            figures, roc = verified_figures(cases, cut), verified_roc(cases)
            assert roc.auc.naive is not None
            assert roc.auc.weighted is not None
            errors.append((roc.auc.naive.value - area, roc.auc.weighted.value - area))
            found = {"AUC, inverse probability": holds(roc.auc.weighted, area)}
            for name, true in truth.items():
                corrected = getattr(figures, name)
                title = name.upper() if name.endswith("pv") else name.capitalize()
                found[f"{title}, inverse probability"] = holds(corrected.weighted, true)
                found[f"{title}, Begg and Greenes"] = holds(corrected.begg_greenes, true)
            return found

        label = f"{n} cases, {ill:.0%} abnormal, AUC {auc}, unflagged read {audit:.0%}"
        settings += list(_count(label, runs, run))
        naive, corrected = np.mean(errors, axis=0)
        biases.append(Bias(label, float(naive), float(corrected), runs))
    return settings, biases


def others(runs: int) -> Iterator[Setting]:
    """Findings hit, the slope of a calibration plot, and what Youden's point promises."""
    for n in (50,):
        for share in (0.6, 0.8, 0.9):

            def hit(
                generator: np.random.Generator, n: int = n, share: float = share
            ) -> dict[str, bool]:
                findings = 1 + generator.binomial(2, 0.3, n)
                easy = generator.beta(4 * share, 4 * (1 - share), n)
                hits = generator.binomial(findings, easy)[:, None]
                traced = Trace(np.zeros(1), hits, findings, np.zeros((n, 1)), "")
                found = at_level(traced, 0.0).lesion_sensitivity
                return {"Share of findings hit": holds(found, share)}

            yield from _count(f"{n} images, share {share}", runs, hit)
    for n in (200,):

        def slope(generator: np.random.Generator, n: int = n) -> dict[str, bool]:
            odds = generator.normal(-0.5, 1.2, n)
            labels = (generator.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
            found = reliability(labels, 1 / (1 + np.exp(-1.25 * odds)))
            return {"Slope of the calibration plot": holds(found.slope, 0.8)}

        yield from _count(f"n = {n}", runs, slope)
    for n in (100,):

        def best(generator: np.random.Generator, n: int = n) -> dict[str, bool]:
            labels = np.repeat([0, 1], [n, n])
            move = distance_of(0.85)
            found = youden(Known(labels, generator.normal(size=2 * n) + move * labels))
            assert found.threshold is not None
            return {
                "Sensitivity at Youden's point": holds(
                    found.sensitivity, float(norm.sf(found.threshold - move))
                ),
                "Specificity at Youden's point": holds(
                    found.specificity, float(norm.cdf(found.threshold))
                ),
            }

        yield from _count(f"n = {n} + {n}, AUC 0.85", runs, best)


@dataclass(frozen=True)
class Kept:
    """How a guarantee was kept.

    Attributes:
        name: Of what.
        promise: In words.
        found: The share that was to be at most, or at least, the promised one.
        met: Whether it was, three standard errors of the simulation allowed.
        runs: How many.
    """

    name: str
    promise: str
    found: float
    met: bool
    runs: int


def guarantees(runs: int) -> Iterator[Kept]:
    """The policies that promise something whatever the distribution; here it is a skewed one."""
    for n, rate in ((50, 0.1), (200, 0.05), (1000, 0.1)):
        generator = generator_of(f"normals {n} {rate}")
        for confidence in (None, 0.95):
            found = []
            for _ in range(runs):
                normals = generator.lognormal(size=n)
                choice = at_most_normals(Known(normals=normals), rate, confidence=confidence)
                found.append(float(norm.sf(np.log(_threshold(choice)))))
            share, promise = float(np.mean(found)), f"on average at most {rate}"
            met = share <= rate + 3 * float(np.std(found)) / np.sqrt(runs)
            if confidence:
                share = float(np.mean(np.array(found) <= rate))
                promise = f"at most {rate} in at least 0.95 of runs"
                met = share >= confidence - 3 * np.sqrt(0.05 * 0.95 / runs)
            yield Kept(f"Normals flagged, {n} calibration normals", promise, share, met, runs)
    for m, target in ((60, 0.9), (100, 0.95), (300, 0.9)):
        generator = generator_of(f"sensitivity {m} {target}")
        reached = []
        for _ in range(runs):
            scores = generator.lognormal(size=m)
            choice = at_least_sensitivity(Known(np.ones(m), scores), target)
            reached.append(float(norm.sf(np.log(_threshold(choice)))) >= target)
        share = float(np.mean(reached))
        yield Kept(
            f"Sensitivity, {m} abnormal cases",
            f"at least {target} in at least 0.95 of runs",
            share,
            share >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs),
            runs,
        )


def _threshold(choice: OperatingChoice) -> float:
    assert choice.threshold is not None, choice.why_not
    return choice.threshold
