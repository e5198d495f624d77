"""What is usual among held-apart normal images: for a score, and for a map at each place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

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


SMOOTHING = 1 / 64
"""Standard deviation, as a share of the side, of the Gaussian that steadies the statistics."""
FLOOR = 0.1
"""Added to each place's deviation, as a share of the map's mean deviation: where normals hardly
differ, as in black corners, next to nothing must not look like a finding."""


@dataclass(frozen=True, eq=False)
class PlaceReference:
    """Maps of calibration normals, place by place.

    Attributes:
        mean: float32 (S, S) by map name.
        deviation: float32 (S, S) by map name, above 0.
    """

    mean: Mapping[str, np.ndarray]
    deviation: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, maps: Mapping[str, np.ndarray]) -> PlaceReference:
        """Take the statistics of (n, S, S) maps of normals.

        Raises:
            UncalibratedError: There are fewer than two normals.
        """
        means, deviations = {}, {}
        for name, values in maps.items():
            if len(values) < 2:
                problem = f"{len(values)} calibration normals tell no spread at a place."
                raise UncalibratedError(problem, "Give at least two for each half.")
            sigma = SMOOTHING * values.shape[-1]
            mean = gaussian_filter(values.mean(axis=0, dtype=np.float64), sigma, mode="nearest")
            variance = values.var(axis=0, ddof=1, dtype=np.float64)
            deviation = np.sqrt(gaussian_filter(variance, sigma, mode="nearest"))
            floor = max(FLOOR * float(deviation.mean()), float(np.finfo(np.float32).tiny))
            means[name] = mean.astype(np.float32)
            deviations[name] = (deviation + floor).astype(np.float32)
        return cls(means, deviations)

    def calibrate(self, maps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Say how far above the normals each pixel lies, in their standard deviations there.

        Args:
            maps: float32 (..., S, S) by name; maps without a reference are passed over.

        Returns:
            float32 of the same shapes, by "c_" and the name; negative below the normals' mean.
        """
        return {
            f"c_{name}": ((maps[name] - self.mean[name]) / self.deviation[name]).astype(np.float32)
            for name in self.mean
            if name in maps
        }
