"""The normal reference: how unusual is a score among held-apart normal images?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ddad_core.errors import UncalibratedError


@dataclass(frozen=True, eq=False)
class NormalReference:
    """Scores of the calibration normals.

    Attributes:
        scores: Ascending float64 (n,) by score name.
    """

    scores: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, scores: Mapping[str, np.ndarray]) -> NormalReference:
        """Sort scores into a reference."""
        return cls({name: np.sort(np.asarray(v, np.float64)) for name, v in scores.items()})

    @property
    def n(self) -> int:
        """How many calibration normals there are."""
        return min((len(values) for values in self.scores.values()), default=0)

    def of_score(self, name: str) -> np.ndarray:
        """Ascending calibration scores of one name.

        Raises:
            UncalibratedError: The model has none.
        """
        values = self.scores.get(name)
        if values is None or not len(values):
            problem = f"The model has no calibration normals for {name}."
            raise UncalibratedError(problem, "Calibrate it with `ddad train`.")
        return values

    def p_value(self, name: str, score: float) -> float:
        """Compute (1 + number of normals at least as high) / (n + 1).

        Among images exchangeable with the calibration normals, P(p <= alpha) <= alpha.

        Raises:
            UncalibratedError: The model has no reference for this score.
        """
        values = self.of_score(name)
        at_least = len(values) - int(np.searchsorted(values, score, side="left"))
        return (1 + at_least) / (len(values) + 1)

    def percentile(self, name: str, score: float) -> float:
        """Percent of calibration normals below the score, 0 to 100.

        Raises:
            UncalibratedError: The model has no reference for this score.
        """
        values = self.of_score(name)
        return 100.0 * int(np.searchsorted(values, score, side="left")) / len(values)
