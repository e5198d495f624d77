"""What became of many files, counted by outcome and reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

MAX_REASONS = 500
"""Reasons that are told apart; a folder of a million odd files must not fill the memory."""

OTHERS = "Other reasons."
_NUMBER = re.compile(r"\bCXR-[0-9A-F]{8}\b|\d+(\.\d+)?")
"""Numbers, and the labels that the app makes of digests."""


class Tally:
    """Counts outcomes and their reasons; reasons that differ in numbers alone count as one."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._shown: dict[tuple[str, str], str] = {}

    def add(self, status: str, reasons: Iterable[str] = ()) -> None:
        """Count one file.

        Args:
            status: Its outcome.
            reasons: Sentences; why it was refused, or its warnings.
        """
        self.statuses[status] += 1
        for reason in filter(None, reasons):
            key = (status, _NUMBER.sub("N", reason))
            if key not in self._shown:
                if len(self._shown) >= MAX_REASONS:
                    key = (status, OTHERS)
                self._shown.setdefault(key, reason if key[1] != OTHERS else OTHERS)
            self._reasons[key] += 1

    @property
    def total(self) -> int:
        """Files counted."""
        return self.statuses.total()

    def lines(self, order: Iterable[str]) -> list[str]:
        """A summary to print.

        Args:
            order: Outcomes, in the order they are told; those never met are told as 0.

        Returns:
            One line of totals, then one for each outcome and reason, the most frequent first. Where
            files differ in numbers, the first one's reason stands for all.
        """
        counts = ", ".join(f"{self.statuses[status]} {status}" for status in order)
        lines = [f"{self.total} file{'' if self.total == 1 else 's'}: {counts}"]
        lines += [
            f"{count:7d} {key[0]}: {self._shown[key]}" for key, count in self._reasons.most_common()
        ]
        return lines
