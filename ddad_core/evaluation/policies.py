"""Operating points by policy, and what each lets one expect.

A policy takes what is known (:class:`Known`) and gives a threshold with the sensitivity,
specificity and share flagged to expect of it, or says why it cannot. Two policies guarantee
something whatever the scores' distribution:

* at most x % of normals flagged, from the calibration normals. Flagging while
  (1 + normals at or above) / (n + 1) is at most x, a new normal is flagged with a chance of at
  most x, averaged over sets of n calibration normals (Vovk, Gammerman and Shafer, Algorithmic
  Learning in a Random World, 2005). For one set of normals the share lies about that; asked for
  with a confidence, the threshold is raised until it holds for so many sets (Wilks, Annals of
  Mathematical Statistics 12, 1941, 91-96).
* at least x % sensitivity: the threshold is the k-th lowest abnormal score, k chosen from n and x
  alone (Wilks), so that the true sensitivity is below x in at most 5 % of sets.

The others choose where the cases look best, and what looks best is partly luck. How much is
measured by the bootstrap, as a resample's figures at its own choice less all cases' figures there
(Efron, JASA 78, 1983, 316-331), and taken off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import betainc, betaincinv
from scipy.stats import poisson

from ddad_core.errors import MetricError
from ddad_core.evaluation.intervals import share_of, wilson
from ddad_core.evaluation.metrics import BOOTSTRAP_SEED, Estimate
from ddad_core.evaluation.thresholds import confusion, flags, threshold_above

CONFIDENCE = 0.95
SAMPLES = 200
LEAST = 10
"""Cases of each class below which nothing is called best."""
_NONE = np.empty(0)


@dataclass(frozen=True, eq=False)
class Known:
    """What policies choose from.

    Attributes:
        labels: (N,) of 0 and 1, the cases with a usable label; may be empty.
        scores: (N,) of these cases.
        all_scores: (M,) of all scored cases, these among them; may be empty.
        normals: (n,) of the model's calibration normals; may be empty.
    """

    labels: np.ndarray = field(default_factory=lambda: _NONE)
    scores: np.ndarray = field(default_factory=lambda: _NONE)
    all_scores: np.ndarray = field(default_factory=lambda: _NONE)
    normals: np.ndarray = field(default_factory=lambda: _NONE)


@dataclass(frozen=True)
class OperatingChoice:
    """A threshold and what to expect of it.

    Attributes:
        policy: In words, with its figures.
        threshold: Flagged means score >= threshold; None where the policy cannot be met.
        sensitivity: To expect; None without abnormal cases.
        specificity: To expect; None without normal cases.
        flag_rate: Share of all scored cases flagged; None without any.
        normal_rate: Share of calibration normals flagged; None without any.
        n_abnormal: Cases the sensitivity rests on.
        n_normal: Cases the specificity rests on.
        n_scored: Cases the share flagged rests on.
        n_normals: Calibration normals.
        guarantee: What holds whatever the scores' distribution; empty if nothing does.
        measured: How sensitivity and specificity were measured.
        why_not: Why there is no threshold, and what it would take; empty if there is one.
        flagged_a_day: To expect of the workload policy, from few to many; None for the others.
    """

    policy: str
    threshold: float | None
    sensitivity: Estimate | None = None
    specificity: Estimate | None = None
    flag_rate: Estimate | None = None
    normal_rate: Estimate | None = None
    n_abnormal: int = 0
    n_normal: int = 0
    n_scored: int = 0
    n_normals: int = 0
    guarantee: str = ""
    measured: str = ""
    why_not: str = ""
    flagged_a_day: Estimate | None = None


AT_HAND = "On the labelled cases at hand."
LUCK_OFF = "On the labelled cases at hand, less the luck of the choice (bootstrap)."


def by_hand(known: Known, threshold: float) -> OperatingChoice:
    """A threshold chosen by a person."""
    return _expect(known, f"By hand: {threshold:.4g}", threshold)


def at_most_normals(
    known: Known, rate: float, *, confidence: float | None = None
) -> OperatingChoice:
    """Flag at most a share of normals, as many as the guarantee allows.

    Args:
        known: Only its calibration normals decide.
        rate: Share of normals, between 0 and 1.
        confidence: None for a guarantee on average over sets of calibration normals; a share such
            as 0.95 for one that holds with this confidence for this set.

    Raises:
        MetricError: The rate or the confidence is not between 0 and 1.
    """
    _check_share(rate)
    n = len(known.normals)
    if confidence is None:
        allowed = math.floor(rate * (n + 1) + 1e-9) - 1
        policy = f"At most {rate:.1%} of normals flagged"
        guarantee = (
            f"A new normal like the {n} calibration normals is flagged with a chance of at most "
            f"{rate:.1%}, on average over such sets of normals."
        )
        least = math.ceil(1 / rate - 1e-9) - 1
    else:
        _check_share(confidence)
        # Above the (k + 1)-th highest of n lies a share distributed as Beta(k + 1, n - k).
        k = np.arange(n)
        holds = betainc(k + 1, n - k, rate) >= confidence
        allowed = int(holds.sum()) - 1
        policy = f"At most {rate:.1%} of normals flagged, with {confidence:.0%} confidence"
        guarantee = (
            f"With {confidence:.0%} confidence at most {rate:.1%} of normals like the {n} "
            "calibration normals are flagged."
        )
        least = math.ceil(math.log(1 - confidence) / math.log(1 - rate) - 1e-9)
    if allowed < 0:
        return _cannot(
            policy, f"{n} calibration normals cannot show a rate of {rate:.1%}; it takes {least}."
        )
    threshold = threshold_above(known.normals, allowed)
    return _expect(known, policy, threshold, guarantee=guarantee)


def at_least_sensitivity(
    known: Known, target: float, *, confidence: float = CONFIDENCE
) -> OperatingChoice:
    """Flag as little as a lower bound of the sensitivity allows.

    Args:
        known: Only its labelled abnormal cases decide.
        target: Sensitivity, between 0 and 1.
        confidence: Of the bound, one-sided.

    Raises:
        MetricError: The target or the confidence is not between 0 and 1.
    """
    _check_share(target)
    _check_share(confidence)
    abnormal = np.sort(known.scores[known.labels == 1])
    m = len(abnormal)
    policy = f"Sensitivity of at least {target:.1%}, with {confidence:.0%} confidence"
    # From the (i + 1)-th lowest of m upwards lies a share distributed as Beta(m - i, i + 1).
    missed = np.arange(m)
    holds = 1 - betainc(m - missed, missed + 1, target) >= confidence
    if not holds.any():
        least = math.ceil(math.log(1 - confidence) / math.log(target) - 1e-9)
        return _cannot(
            policy,
            f"{m} abnormal cases cannot show a sensitivity of {target:.1%}, even if all were "
            f"flagged; it takes {least}.",
        )
    allowed = int(holds.sum()) - 1
    bound = float(betaincinv(m - allowed, allowed + 1, 1 - confidence))
    return _expect(
        known,
        policy,
        float(abnormal[allowed]),
        guarantee=(
            f"With {confidence:.0%} confidence the sensitivity for abnormal cases like these {m} "
            f"is at least {bound:.1%}."
        ),
    )


def youden(known: Known) -> OperatingChoice:
    """The threshold with the highest sensitivity + specificity - 1."""
    return _best(known, "Youden: highest sensitivity + specificity - 1", 1.0, 1.0)


def cost_ratio(known: Known, *, miss: float, prevalence: float) -> OperatingChoice:
    """The threshold with the least cost.

    Args:
        known: Its labelled cases decide.
        miss: How many false alarms one missed abnormal case is worth.
        prevalence: Share of abnormal cases where the threshold will be used.

    Raises:
        MetricError: A miss costs nothing, or the prevalence is not between 0 and 1.
    """
    _check_share(prevalence)
    if not (miss > 0 and math.isfinite(miss)):
        problem = f"A miss worth {miss} false alarms is no cost."
        raise MetricError(problem, "Give a number above 0.")
    policy = f"Least cost: a miss is worth {miss:g} false alarms, prevalence {prevalence:.1%}"
    return _best(known, policy, miss * prevalence, 1 - prevalence)


def workload(known: Known, *, flagged_a_day: float, cases_a_day: float) -> OperatingChoice:
    """Flag at most so many cases a day.

    Args:
        known: All its scored cases decide; they must be as those to come.
        flagged_a_day: Flagged cases a day, on average.
        cases_a_day: Cases that come a day, on average.

    Raises:
        MetricError: A number is not above 0.
    """
    if not (flagged_a_day > 0 and cases_a_day > 0 and math.isfinite(cases_a_day)):
        problem = f"{flagged_a_day} of {cases_a_day} cases a day is no workload."
        raise MetricError(problem, "Give numbers above 0.")
    m = len(known.all_scores)
    policy = f"Workload: {flagged_a_day:g} of {cases_a_day:g} cases a day flagged"
    rate = flagged_a_day / cases_a_day
    if rate >= 1:
        return _cannot(policy, "So many can be read that no threshold is needed; every case can.")
    allowed = math.floor(rate * (m + 1) + 1e-9) - 1
    if allowed < 0:
        least = math.ceil(1 / rate - 1e-9) - 1
        return _cannot(policy, f"{m} scored cases cannot show this; it takes {least}.")
    found = _expect(
        known,
        policy,
        threshold_above(known.all_scores, allowed),
        guarantee=(
            f"While cases stay like the {m} scored ones, at most {flagged_a_day:g} of "
            f"{cases_a_day:g} a day are flagged on average; single days lie above and below."
        ),
    )
    assert found.flag_rate is not None
    mean = found.flag_rate.value * cases_a_day
    few, many = (float(poisson.ppf(q, mean)) for q in (0.025, 0.975))
    return replace(found, flagged_a_day=Estimate(mean, few, many))


def _check_share(value: float) -> None:
    if not 0 < value < 1:
        problem = f"{value} is not between 0 and 1."
        raise MetricError(problem, "Give a share such as 0.1.")


def _cannot(policy: str, why_not: str) -> OperatingChoice:
    return OperatingChoice(policy, None, why_not=why_not)


def _expect(known: Known, policy: str, threshold: float, *, guarantee: str = "") -> OperatingChoice:
    counts = confusion(known.labels, known.scores, threshold)
    n_abnormal = counts.true_positive + counts.false_negative
    n_normal = counts.true_negative + counts.false_positive
    return OperatingChoice(
        policy,
        threshold,
        sensitivity=share_of(counts.true_positive, n_abnormal) if n_abnormal else None,
        specificity=share_of(counts.true_negative, n_normal) if n_normal else None,
        flag_rate=_flagged(known.all_scores, threshold),
        normal_rate=_flagged(known.normals, threshold),
        n_abnormal=n_abnormal,
        n_normal=n_normal,
        n_scored=len(known.all_scores),
        n_normals=len(known.normals),
        guarantee=guarantee,
        measured=AT_HAND if n_abnormal + n_normal else "",
    )


def _flagged(scores: np.ndarray, threshold: float) -> Estimate | None:
    return share_of(int(flags(scores, threshold).sum()), len(scores)) if len(scores) else None


def _best(known: Known, policy: str, of_miss: float, of_alarm: float) -> OperatingChoice:
    labels, scores = np.asarray(known.labels), np.asarray(known.scores, np.float64)
    n, m = int((labels == 0).sum()), int((labels == 1).sum())
    if min(n, m) < LEAST:
        return _cannot(
            policy, f"There are {n} normal and {m} abnormal cases; it takes {LEAST} of each."
        )
    steps = _Steps.of(labels, scores)
    found = _expect(known, policy, _between(steps.values, int(steps.best(of_miss, of_alarm)[0])))
    assert found.sensitivity is not None
    assert found.specificity is not None
    luck = _luck(steps, of_miss, of_alarm)
    return replace(
        found,
        sensitivity=_less(found.sensitivity.value - luck[0], m),
        specificity=_less(found.specificity.value - luck[1], n),
        measured=LUCK_OFF,
    )


def _less(value: float, n: int) -> Estimate:
    value = min(max(value, 0.0), 1.0)
    return wilson(np.asarray(value * n), np.asarray(n)).at()


@dataclass(frozen=True, eq=False)
class _Steps:
    """What each threshold does; the last flags nothing.

    Attributes:
        values: (T,) distinct scores, ascending.
        counts: (T,) normal and abnormal cases at each.
        missed: (B, T + 1) share of abnormal cases below each.
        alarms: (B, T + 1) share of normal cases at or above each.
    """

    values: np.ndarray
    counts: tuple[np.ndarray, np.ndarray]
    missed: np.ndarray
    alarms: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, scores: np.ndarray) -> _Steps:
        values, place = np.unique(scores, return_inverse=True)
        normal, abnormal = (
            np.bincount(place[labels == label], minlength=len(values)) for label in (0, 1)
        )
        return cls.counted(values, normal[None], abnormal[None])

    @classmethod
    def counted(cls, values: np.ndarray, normal: np.ndarray, abnormal: np.ndarray) -> _Steps:
        """From (B, T) counts."""
        below = [
            np.concatenate([np.zeros((len(c), 1)), c.cumsum(axis=1)], axis=1)
            / c.sum(axis=1, keepdims=True)
            for c in (normal, abnormal)
        ]
        return cls(values, (normal[0], abnormal[0]), below[1], 1 - below[0])

    def best(self, of_miss: float, of_alarm: float) -> np.ndarray:
        """Index of the threshold with the least cost, (B,); of equal ones that flags least."""
        cost = np.round(of_miss * self.missed + of_alarm * self.alarms, 12)
        return cost.shape[1] - 1 - cost[:, ::-1].argmin(axis=1)


def _luck(steps: _Steps, of_miss: float, of_alarm: float) -> tuple[float, float]:
    """By how much sensitivity and specificity look too good where they were chosen."""
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = _Steps.counted(
        steps.values,
        *(generator.multinomial(c.sum(), c / c.sum(), SAMPLES) for c in steps.counts),
    )
    chosen = drawn.best(of_miss, of_alarm)
    rows = np.arange(SAMPLES)
    missed = steps.missed[0, chosen] - drawn.missed[rows, chosen]
    alarms = steps.alarms[0, chosen] - drawn.alarms[rows, chosen]
    return float(missed.mean()), float(alarms.mean())


def _between(values: np.ndarray, best: int) -> float:
    """A threshold that flags the values from an index on, midway to the one before."""
    if best == len(values):
        return float(np.nextafter(values[-1], np.inf))
    if best == 0:
        return float(values[0])
    middle = float((values[best - 1] + values[best]) / 2)
    return middle if middle > values[best - 1] else float(values[best])
