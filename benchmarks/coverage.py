"""`python -m benchmarks.coverage`: do 95 % intervals hold the truth in 95 % of simulated runs?

Everything is simulated and seeded; the truth is known because the data are made from it. The
command rewrites its part of docs/results.md. `--runs` is the number of runs a setting.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks import simulated, simulated_designs
from benchmarks.figures import Figure, show, tail
from benchmarks.page import write_part
from benchmarks.simulated import Setting
from benchmarks.simulated_designs import Bias, Kept
from ddad_core.evaluation import curves, multireader
from ddad_core.evaluation.predictive import predictive_values
from ddad_core.evaluation.thresholds import confusion
from ddad_core.evaluation.verification import ScoredCases, verified_figures

COMMAND = "python -m benchmarks.coverage"
RUNS = 2000
QUICK = 10
"""How many times as many runs the closed forms get: they cost next to nothing."""
RESAMPLES = 400
"""In the simulation alone; the app's bootstraps draw 1000 and 2000."""
WITHIN = (0.93, 0.97)
TARGET = "93 to 97 %"
EXACT = "Share, clopper-pearson"
# For comparison: docs/statistics.md says why they are not what is shown.
COMPARED = ("Share, wilson", "AUC, DeLong as published")
MOST_BIAS, LEAST_NAIVE = 0.005, 0.03
SLIDER = 0.2
SCORED, READ = 50_000, 10_000
GROUPS = {
    "verification": simulated_designs.verification,
    "curves": simulated.curves,
    "agreement": simulated.agreement,
    "readers": simulated.readers,
    "others": simulated_designs.others,
    "aucs": simulated.aucs,
    "guarantees": simulated_designs.guarantees,
}
"""Longest first."""


def _group(name: str, runs: int) -> list[Any]:
    curves.BOOTSTRAP_SAMPLES = multireader.SAMPLES = RESAMPLES
    found: Any = GROUPS[name](runs)
    return [*found[0], *found[1]] if isinstance(found, tuple) else list(found)


def _by_figure(settings: Sequence[Setting]) -> list[Figure]:
    rows = []
    for name in dict.fromkeys(setting.figure for setting in settings):
        own = sorted((s for s in settings if s.figure == name), key=lambda s: s.coverage)
        low, high = own[0], own[-1]
        measured = (
            f"{low.coverage:.1%} ({low.label}) to {high.coverage:.1%} ({high.label}); "
            f"{len(own)} settings of {low.runs} runs"
        )
        met: bool | None = WITHIN[0] <= low.coverage and high.coverage <= WITHIN[1]
        target = TARGET
        if name == EXACT:
            # Three standard errors of the simulation below what is proven.
            target = "95 % or more"
            met = low.coverage >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / low.runs)
        elif name in COMPARED:
            target, met = "", None
        rows.append(Figure(name, target, measured, COMMAND, met))
    return rows


def _of_bias(bias: Bias) -> Figure:
    return Figure(
        f"Mean error of the AUC, {bias.label}",
        f"corrected under {MOST_BIAS}, naive over {LEAST_NAIVE}",
        f"corrected {bias.corrected:+.4f}, naive {bias.naive:+.4f} ({bias.runs} runs)",
        COMMAND,
        abs(bias.corrected) < MOST_BIAS and abs(bias.naive) > LEAST_NAIVE,
    )


def _of_kept(kept: Kept) -> Figure:
    return Figure(
        kept.name, kept.promise, f"{kept.found:.4f} ({kept.runs} runs)", COMMAND, kept.met
    )


def slider(moves: int = 21) -> Figure:
    """All figures of a threshold from 50,000 scored cases and 10,000 reads, moved each time."""
    generator = np.random.default_rng(0)
    labels = (generator.random(SCORED) < 0.1).astype(int)
    scores = generator.normal(size=SCORED) + 1.2 * labels
    chances = np.where(scores > 1.5, 0.9, 0.5 * READ / SCORED)
    read = np.zeros(SCORED, bool)
    read[np.argsort(generator.random(SCORED) / chances)[:READ]] = True
    cases = ScoredCases(scores, np.where(read, labels, -1), chances)
    seconds = []
    for threshold in np.linspace(0, 3, moves):
        start = time.perf_counter()
        verified_figures(cases, float(threshold))
        counts = confusion(labels[read], scores[read], float(threshold))
        predictive_values(counts, prevalence=0.05)
        seconds.append(time.perf_counter() - start)
    slow = float(np.percentile(seconds, 95))
    return Figure(
        f"New figures after a move of the threshold, {SCORED} scored, {READ} read",
        f"at most {SLIDER} s (p95)",
        tail(seconds, "s", 3),
        COMMAND,
        slow <= SLIDER,
    )


def run(runs: int = RUNS, *, processes: int = 2) -> list[Figure]:
    figures = [slider()]
    settings: list[Setting] = [
        *simulated.shares(QUICK * runs),
        *simulated.predictive(QUICK * runs),
    ]
    biases: list[Bias] = []
    kept: list[Kept] = []
    with ProcessPoolExecutor(processes) as pool:
        for found in pool.map(_group, GROUPS, [runs] * len(GROUPS)):
            settings += [one for one in found if isinstance(one, Setting)]
            biases += [one for one in found if isinstance(one, Bias)]
            kept += [one for one in found if isinstance(one, Kept)]
    return [
        *_by_figure(settings),
        *(_of_bias(bias) for bias in biases),
        *(_of_kept(one) for one in kept),
        *figures,
    ]


def part(figures: Sequence[Figure]) -> str:
    lines = [
        "How often 95 % intervals held the truth in simulated data, lowest to highest over the",
        "settings; what each figure is: [statistics.md](statistics.md).",
        "",
        "| figure | target | measured | command |",
        "| --- | --- | --- | --- |",
        *(figure.row() for figure in figures),
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    figures = run(given.runs, processes=given.processes)
    show(figures)
    write_part("coverage", part(figures))


if __name__ == "__main__":
    main()
