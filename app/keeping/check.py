"""What one look at an installation found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Check:
    """One line of the doctor's.

    Attributes:
        name: What was looked at.
        state: How it is.
        found: In a sentence or less.
        mend: What to do; empty if nothing.
    """

    name: str
    state: State
    found: str
    mend: str = ""

    def line(self) -> str:
        """For the terminal."""
        return f"{self.state:<8}{self.name}: {self.found}" + (f" {self.mend}" if self.mend else "")


def some(items: list[str], limit: int = 3) -> str:
    """The first items, and how many more there are."""
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")
