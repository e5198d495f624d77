"""Designs, guarantees and single figures, simulated; the rest is in `benchmarks.simulated`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from benchmarks.simulated import Setting, count, distance_of, generator_of, holds
from ddad_core.evaluation.calibration_curve import reliability
from ddad_core.evaluation.froc import Trace
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
        settings += list(count(label, runs, run))
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

            yield from count(f"{n} images, share {share}", runs, hit)
    for n in (200,):

        def slope(generator: np.random.Generator, n: int = n) -> dict[str, bool]:
            odds = generator.normal(-0.5, 1.2, n)
            labels = (generator.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
            found = reliability(labels, 1 / (1 + np.exp(-1.25 * odds)))
            return {"Slope of the calibration plot": holds(found.slope, 0.8)}

        yield from count(f"n = {n}", runs, slope)
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

        yield from count(f"n = {n} + {n}, AUC 0.85", runs, best)


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
