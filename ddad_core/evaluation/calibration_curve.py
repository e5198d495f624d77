"""Do numbers mean what they say? Probabilities against what was found; p-values against normals.

A reliability curve needs probabilities. Anomaly scores are none: :func:`cross_fitted` turns them
into some by a logistic curve fitted on other cases. What the scores do claim is that among
normals a p-value of at most x comes with a chance of at most x; :func:`normal_rates` checks that.

Sources: Van Calster et al., Journal of Clinical Epidemiology 74 (2016) 167-176, for intercept and
slope; Cox, Biometrika 45 (1958) 562-565.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from ddad_core.errors import MetricError
from ddad_core.evaluation.intervals import share_of, z_of
from ddad_core.evaluation.metrics import Estimate, split_by_class

BINS = 10
FOLDS = 10
SEED = 20220608
NEAREST = 1e-6
"""Probabilities are kept this far from 0 and 1, where a logit ends."""
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
STEPS = 50
SETTLED = 1e-10


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases with about the same probability.

    Attributes:
        predicted: Their mean probability.
        observed: Share of abnormal among them.
        n: How many they are.
    """

    predicted: float
    observed: Estimate
    n: int


@dataclass(frozen=True)
class Reliability:
    """Probabilities against what was found.

    Attributes:
        bins: From the lowest probability up, about equally many cases in each; ties stay
            together.
        intercept: Log odds by which all probabilities are too low (above 0) or too high, the
            slope held at 1.
        slope: Below 1 where probabilities are too extreme. None where the fit has no end because
            the probabilities separate the classes fully.
        brier: Mean squared distance of probability and label.
        expected_error: Mean distance of predicted and observed over the bins, by their cases.
    """

    bins: tuple[ReliabilityBin, ...]
    intercept: Estimate | None
    slope: Estimate | None
    brier: float
    expected_error: float


@dataclass(frozen=True)
class NormalRate:
    """What a p-value promises and what normals kept.

    Attributes:
        promised: At most this share of normals has a p-value of at most this.
        observed: Share of the normals that has.
        kept: False where the whole interval lies above the promise.
    """

    promised: float
    observed: Estimate
    kept: bool


def reliability(labels: np.ndarray, probabilities: np.ndarray, *, bins: int = BINS) -> Reliability:
    """Compare probabilities of being abnormal with the labels.

    Args:
        labels: (N,) of 0 and 1, both present.
        probabilities: (N,) from 0 to 1.
        bins: Wanted; there are fewer where many probabilities are tied.

    Raises:
        MetricError: A class is missing, or a probability lies outside 0 to 1.
    """
    split_by_class(labels, probabilities)
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if ((p < 0) | (p > 1)).any() or bins < 1:
        problem = "Some probabilities lie outside 0 to 1, or no bin is asked for."
        raise MetricError(problem, "Turn scores into probabilities first.")
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    of_case = np.searchsorted(edges, p, side="left")
    found = []
    for number in np.unique(of_case):
        inside = of_case == number
        n = int(inside.sum())
        found.append(ReliabilityBin(float(p[inside].mean()), share_of(int(y[inside].sum()), n), n))
    log_odds = logit(np.clip(p, NEAREST, 1 - NEAREST))
    both = _logistic(np.column_stack([np.ones(len(y)), log_odds]), y, np.zeros(len(y)))
    level = _logistic(np.ones((len(y), 1)), y, log_odds)
    return Reliability(
        bins=tuple(found),
        intercept=None if level is None else _estimate(level, 0),
        slope=None if both is None else _estimate(both, 1),
        brier=float(np.mean((p - y) ** 2)),
        expected_error=sum(abs(b.predicted - b.observed.value) * b.n for b in found) / len(y),
    )


def cross_fitted(labels: np.ndarray, scores: np.ndarray, *, folds: int = FOLDS) -> np.ndarray:
    """Probabilities of being abnormal from scores, each case's by a curve fitted without it.

    A logistic curve in the standardised score is fitted on all folds but the case's
    own. Where it has no end (the classes are fully apart) it is held back by a penalty.

    Args:
        labels: (N,) of 0 and 1, at least ``folds`` of each.
        scores: (N,).
        folds: At least 2; each has its share of both classes, drawn with a fixed seed.

    Returns:
        (N,) from 0 to 1, at the share of abnormal cases of these cases.

    Raises:
        MetricError: A class has fewer cases than folds, or a score is not finite.
    """
    normal, abnormal = split_by_class(labels, scores)
    if not 2 <= folds <= min(len(normal), len(abnormal)):
        problem = f"{len(normal)} normal and {len(abnormal)} abnormal cases give no {folds} folds."
        raise MetricError(problem, "Read more cases of both kinds.")
    y, s = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    of_case = stratified_folds(np.asarray(labels), folds)
    found = np.empty(len(y))
    for fold in range(folds):
        rest, own = of_case != fold, of_case == fold
        centre, spread = float(s[rest].mean()), float(s[rest].std()) or 1.0
        design = np.column_stack([np.ones(len(s)), (s - centre) / spread])
        fit = _logistic(design[rest], y[rest], np.zeros(int(rest.sum())), penalty=1e-3)
        assert fit is not None  # the penalty gives every fit an end
        found[own] = expit(design[own] @ fit[0])
    return found


def stratified_folds(labels: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each case, (N,) of 0 to folds - 1, each class spread evenly; always the same."""
    generator = np.random.default_rng(SEED)
    of_case = np.empty(len(labels), np.int64)
    for label in (0, 1):
        own = generator.permutation(np.flatnonzero(labels == label))
        of_case[own] = np.arange(len(own)) % folds
    return of_case


def normal_rates(
    calibration: np.ndarray, normals: np.ndarray, *, rates: tuple[float, ...] = RATES
) -> tuple[NormalRate, ...]:
    """Do cases that readers call normal keep what the p-values promise?

    Args:
        calibration: (n,) scores of the model's calibration normals.
        normals: (m,) scores of other normals, such as cases read as normal.
        rates: p-values to look at.

    Raises:
        MetricError: One of the two is empty.
    """
    if not len(calibration) or not len(normals):
        problem = f"There are {len(calibration)} calibration normals and {len(normals)} others."
        raise MetricError(problem, "Both are needed.")
    reference = np.sort(np.asarray(calibration, np.float64))
    at_least = len(reference) - np.searchsorted(reference, normals, side="left")
    p_values = (1 + at_least) / (len(reference) + 1)
    found = []
    for rate in rates:
        observed = share_of(int((p_values <= rate + 1e-12).sum()), len(p_values))
        found.append(NormalRate(rate, observed, kept=observed.low <= rate))
    return tuple(found)


_Fit = tuple[np.ndarray, np.ndarray]


def _logistic(
    design: np.ndarray, labels: np.ndarray, offset: np.ndarray, *, penalty: float = 0.0
) -> _Fit | None:
    """Coefficients and their covariance by Newton's method, or None if it does not settle."""
    beta = np.zeros(design.shape[1])
    ridge = penalty * np.eye(len(beta))
    for _ in range(STEPS):
        p = expit(design @ beta + offset)
        information = (design * (p * (1 - p))[:, None]).T @ design + ridge
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, design.T @ (labels - p) - ridge @ beta)
        beta = beta + np.clip(step, -5, 5)
        if np.abs(step).max() < SETTLED:
            return beta, np.linalg.inv(information)
    return None


def _estimate(fit: _Fit, index: int) -> Estimate:
    value = float(fit[0][index])
    half = z_of(0.95) * math.sqrt(float(fit[1][index, index]))
    return Estimate(value, value - half, value + half)
