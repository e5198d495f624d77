"""`python -m benchmarks.run_all`: measure everything and write docs/results.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks import (
    coverage,
    durability,
    exporting,
    frames,
    gate,
    growth,
    intake,
    keeping,
    model_table,
    reading,
    scoring,
    startup,
    thresholds,
    training,
    viewer,
    worklist,
)
from benchmarks.figures import Figure, show
from benchmarks.page import RESULTS, write_part
from benchmarks.serving import chromium_path


def machine() -> str:
    """What the figures were measured on, in one line."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    version = subprocess.run(
        [chromium_path(), "--version"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    browser = re.search(r"[\d.]+", version)
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} CPU cores "
        f"({found.group(1).strip() if found else 'unknown model'}); "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"Chromium {browser.group() if browser else 'unknown'}, headless, drawing in software."
    )


def bench_part(figures: Sequence[Figure]) -> str:
    lines = [
        machine(),
        "",
        "| figure | target | measured | command |",
        "| --- | --- | --- | --- |",
        *(figure.row() for figure in figures),
        "",
        "Measured: median, in brackets the lowest to the highest or the 95th percentile (p95).",
    ]
    return "\n".join(lines)


def main() -> int:
    figures: list[Figure] = []
    for benchmark in (
        training,
        scoring,
        intake,
        growth,
        worklist,
        thresholds,
        exporting,
        keeping,
        durability,
        viewer,
        reading,
        gate,
        startup,
    ):
        found = benchmark.run()
        show(found)
        figures += found
    write_part("bench", bench_part(figures))
    covered = coverage.run()
    show(covered)
    write_part("coverage", coverage.part(covered))
    figures += covered
    drawn = frames.run()
    show(drawn)
    write_part("frames", frames.frames_part(drawn, machine()))
    figures += drawn
    write_part("models", model_table.models_part())
    missed = [figure.name for figure in figures if figure.met is False]
    print(f"{RESULTS} is written; {len(missed)} targets missed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
