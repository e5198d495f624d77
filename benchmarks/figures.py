"""A measured figure, and how it is written down."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: What was measured.
        target: What it should be, in words; empty if there is none.
        measured: What it was, with its spread and the number of measurements.
        command: What measures it again.
        met: Whether it is within the target; None without a target.
    """

    name: str
    target: str
    measured: str
    command: str
    met: bool | None = None

    def row(self) -> str:
        verdict = {True: "met", False: "**missed**", None: ""}[self.met]
        target = f"{self.target}: {verdict}" if self.target else "none"
        return f"| {self.name} | {target} | {self.measured} | `{self.command}` |"


def spread(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """Median with the lowest and the highest."""
    return (
        f"{statistics.median(values):.{digits}f} {unit} "
        f"({min(values):.{digits}f} to {max(values):.{digits}f}; n = {len(values)})"
    )


def tail(values: Sequence[float], unit: str, digits: int = 1) -> str:
    """Median with the 95th percentile."""
    return (
        f"{statistics.median(values):.{digits}f} {unit} "
        f"(p95 {np.percentile(values, 95):.{digits}f}; n = {len(values)})"
    )


def show(figures: Sequence[Figure]) -> None:
    for figure in figures:
        print(
            figure.name, figure.measured, f"target {figure.target or 'none'}", sep=" | ", flush=True
        )
