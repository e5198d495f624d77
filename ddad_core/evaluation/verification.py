"""Figures from reads of which flagged cases have more than their share.

Flagged cases are read, of the others only a sample. Counted as they come, the reads miss abnormal
cases that were not flagged: sensitivity looks too high and specificity too low (verification
bias). The app knows each case's chance of being read, so both can be put right:

* inverse probability: each read case stands for 1 / chance cases (Horvitz and Thompson, JASA 47,
  1952, 663-685);
* Begg and Greenes (Biometrics 39, 1983, 207-215): within cases alike in chance and in flag, the
  share of abnormal among the read is taken for all.

Both suppose that whether a case was read depended on its chance alone. Reads picked by hand among
unflagged cases break that, and no figure shows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from ddad_core.errors import MetricError
from ddad_core.evaluation.intervals import on_logit, share_of, wilson
from ddad_core.evaluation.metrics import BOOTSTRAP_SEED, Estimate
from ddad_core.evaluation.thresholds import confusion, flags

DRAWS = 4000
LEAST_UNFLAGGED = 20
"""Reads of unflagged cases below which nothing is said of what was not flagged."""
WIDEST = 0.3
"""Width of the sensitivity's interval beyond which it says nothing."""
GROUPS = 10
"""Chances of being read are taken together into at most so many groups."""


@dataclass(frozen=True, eq=False)
class ScoredCases:
    """Cases of which some were read.

    Attributes:
        scores: (N,) of all scored cases, higher is more abnormal.
        labels: (N,) 1 abnormal, 0 normal, -1 not read or without a usable label.
        chance: (N,) of each case's being read, known beforehand: above 0 where it could be.
    """

    scores: np.ndarray
    labels: np.ndarray
    chance: np.ndarray

    @property
    def read(self) -> np.ndarray:
        """(N,) whether there is a label."""
        return self.labels >= 0

    def weights(self) -> np.ndarray:
        """For how many cases each read case stands, (n read,)."""
        return 1 / self.chance[self.read]


@dataclass(frozen=True)
class Corrected:
    """One figure, as it comes and put right.

    Attributes:
        naive: From the reads as they are; None where they say nothing.
        weighted: By inverse probability; None likewise.
        begg_greenes: By Begg and Greenes; None likewise, or where a group has no read.
    """

    naive: Estimate | None
    weighted: Estimate | None
    begg_greenes: Estimate | None


@dataclass(frozen=True)
class VerifiedFigures:
    """What a threshold does among all scored cases.

    Attributes:
        sensitivity: Share of abnormal cases flagged.
        specificity: Share of normal cases not flagged.
        ppv: Share of abnormal among the flagged.
        npv: Share of normal among the others.
        prevalence: Share of abnormal among all scored cases.
        flagged: Scored cases flagged.
        flagged_read: Those of them with a label.
        unflagged: Scored cases not flagged.
        unflagged_read: Those of them with a label.
        unflagged_abnormal: Abnormal among those.
        too_few: Why sensitivity, specificity, NPV and prevalence say nothing; empty if they do.
        reads_needed: About how many unflagged reads it takes; None where enough.
    """

    sensitivity: Corrected
    specificity: Corrected
    ppv: Corrected
    npv: Corrected
    prevalence: Corrected
    flagged: int
    flagged_read: int
    unflagged: int
    unflagged_read: int
    unflagged_abnormal: int
    too_few: str
    reads_needed: int | None


def check_cases(cases: ScoredCases) -> None:
    """See that cases are what they claim.

    Raises:
        MetricError: Shapes differ, a score is not finite, a label is another number, a chance
            lies outside 0 to 1, or a read case had none.
    """
    shapes = {np.shape(part) for part in (cases.scores, cases.labels, cases.chance)}
    if len(shapes) != 1 or np.ndim(cases.scores) != 1 or not len(cases.scores):
        problem = "Scores, labels and chances do not match, or there are none."
        raise MetricError(problem, "Give one of each a case.")
    if not np.isfinite(cases.scores).all() or not np.isin(cases.labels, (-1, 0, 1)).all():
        problem = "Some scores are not finite, or labels other than 1, 0 and -1 were given."
        raise MetricError(problem)
    if (
        not ((cases.chance >= 0) & (cases.chance <= 1)).all()
        or (cases.chance[cases.read] <= 0).any()
    ):
        problem = (
            "Some chances of being read lie outside 0 to 1, or are 0 for a case that was read."
        )
        raise MetricError(problem, "Give each case's chance as the audit drew it.")


def verified_figures(cases: ScoredCases, threshold: float) -> VerifiedFigures:
    """Sensitivity and its kin at a threshold, which need not be the one that cases were read by.

    Args:
        cases: All scored cases, read or not.
        threshold: Flagged means score >= threshold.

    Raises:
        MetricError: The cases are not what they claim (:func:`check_cases`).
    """
    check_cases(cases)
    flagged = flags(cases.scores, threshold)
    read = cases.read
    counts = confusion(cases.labels[read], cases.scores[read], threshold)
    tp, fn, fp, tn = (
        counts.true_positive, counts.false_negative, counts.false_positive, counts.true_negative
    )  # fmt: skip
    weighted = _weighted(cases, flagged)
    greenes = _begg_greenes(cases, flagged)
    naive = {
        "sensitivity": (tp, tp + fn), "specificity": (tn, tn + fp), "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn), "prevalence": (tp + fn, tp + fn + fp + tn),
    }  # fmt: skip
    figures = {
        name: Corrected(
            naive=share_of(k, n) if n else None,
            weighted=weighted[name],
            begg_greenes=greenes[name],
        )
        for name, (k, n) in naive.items()
    }
    too_few, needed = _too_few(flagged, read, fn, figures["sensitivity"])
    return VerifiedFigures(
        **figures,
        flagged=int(flagged.sum()),
        flagged_read=int((flagged & read).sum()),
        unflagged=int((~flagged).sum()),
        unflagged_read=int((~flagged & read).sum()),
        unflagged_abnormal=fn,
        too_few=too_few,
        reads_needed=needed,
    )


_NAMES = ("sensitivity", "specificity", "ppv", "npv", "prevalence")


def _weighted(cases: ScoredCases, flagged: np.ndarray) -> dict[str, Estimate | None]:
    """Weighted shares with their linearised standard errors on the logit scale."""
    read, weights = cases.read, cases.weights()
    labels, called = cases.labels[read], flagged[read]
    about = {
        "sensitivity": (labels == 1, called), "specificity": (labels == 0, ~called),
        "ppv": (called, labels == 1), "npv": (~called, labels == 0),
        "prevalence": (np.ones(len(labels), bool), labels == 1),
    }  # fmt: skip
    found: dict[str, Estimate | None] = {}
    for name, (inside, hit) in about.items():
        w, x = weights[inside], hit[inside].astype(np.float64)
        if not len(w):
            found[name] = None
            continue
        value = float((w * x).sum() / w.sum())
        few = len(w) / max(len(w) - 1, 1)
        error = math.sqrt(few * float((w**2 * (x - value) ** 2).sum())) / float(w.sum())
        found[name] = on_logit(value, error, effective_n=effective(w))
    return found


def effective(weights: np.ndarray) -> float:
    """Kish's size: cases of equal weight that would tell as much."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def groups(cases: ScoredCases) -> np.ndarray:
    """The group of each case, (N,) from 0: cases of one chance, or of chances next to it."""
    edges = np.unique(cases.chance)
    if len(edges) > GROUPS:
        edges = np.unique(np.quantile(edges, np.linspace(0, 1, GROUPS + 1)[1:], method="lower"))
    return np.searchsorted(edges, cases.chance, side="left").clip(max=len(edges) - 1)


def _begg_greenes(cases: ScoredCases, flagged: np.ndarray) -> dict[str, Estimate | None]:
    """Shares from the share of abnormal in each group alike in chance and flag.

    Intervals are those of Jeffreys' posterior, drawn: of the share of abnormal in each group from
    its reads, and of the groups' sizes from all cases. They hold where a group has no abnormal
    read, which the plain delta method takes for certainty.
    """
    group = groups(cases)
    last = 2 * (int(group.max()) + 1)
    cell = 2 * group + flagged
    size = np.bincount(cell, minlength=last)
    read = np.bincount(cell[cases.read], minlength=last)
    abnormal = np.bincount(cell[cases.labels == 1], minlength=last)
    of_chance = [np.repeat(counts.reshape(-1, 2).sum(axis=1), 2) for counts in (abnormal, read)]
    used = size > 0
    if (of_chance[1][used] == 0).any():
        return dict.fromkeys(_NAMES)
    # Where none was read of a part, the others of the same chance stand in for it; its interval is
    # that of knowing nothing, so a large part makes the whole say nothing.
    guess = np.where(read > 0, abnormal / np.maximum(read, 1), of_chance[0] / of_chance[1].clip(1))
    size, read, abnormal, guess = size[used], read[used], abnormal[used], guess[used]
    up = (np.flatnonzero(used) % 2).astype(bool)
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    # A Latin hypercube: each group's own quantiles are met exactly, whatever the seed.
    even = np.tile((np.arange(DRAWS) + 0.5) / DRAWS, (len(size), 1))
    uniform = generator.permuted(even, axis=1).T
    shares = betaincinv(abnormal + 0.5, read - abnormal + 0.5, uniform)
    # Nothing is left to guess of a group that was read whole: only of cases like these.
    sizes = generator.dirichlet(size + 0.5 / len(size), DRAWS)
    plain = _from_groups(size / size.sum(), guess, up)
    drawn = _from_groups(sizes, shares, up)
    found: dict[str, Estimate | None] = {}
    for name in _NAMES:
        value = float(plain[name])
        if math.isnan(value):
            found[name] = None
            continue
        low, high = np.nanpercentile(drawn[name], [2.5, 97.5])
        found[name] = Estimate(value, min(float(low), value), max(float(high), value))
    return found


def _from_groups(sizes: np.ndarray, shares: np.ndarray, up: np.ndarray) -> dict[str, np.ndarray]:
    """Figures from sizes and shares of abnormal of the groups, (..., G); ``up`` are flagged."""
    ill, well = sizes * shares, sizes * (1 - shares)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "sensitivity": ill[..., up].sum(-1) / ill.sum(-1),
            "specificity": well[..., ~up].sum(-1) / well.sum(-1),
            "ppv": ill[..., up].sum(-1) / sizes[..., up].sum(-1),
            "npv": well[..., ~up].sum(-1) / sizes[..., ~up].sum(-1),
            "prevalence": ill.sum(-1) / sizes.sum(-1),
        }


def _too_few(
    flagged: np.ndarray, read: np.ndarray, abnormal: int, sensitivity: Corrected
) -> tuple[str, int | None]:
    """Why the reads of unflagged cases are too few, and about how many it takes."""
    unflagged, seen = int((~flagged).sum()), int((~flagged & read).sum())
    found = sensitivity.begg_greenes
    if not unflagged or (found is not None and found.high - found.low <= WIDEST):
        enough = seen >= min(LEAST_UNFLAGGED, unflagged)
        if enough:
            return "", None
    if not int((flagged & read).sum()) and flagged.any():
        return "No flagged case has a usable read.", None
    if not seen:
        reason = "No unflagged case has a usable read, so nothing is known of what was missed."
    elif seen < LEAST_UNFLAGGED:
        reason = (
            f"Only {seen} of {unflagged} unflagged cases have a usable read: too few to say what "
            "was missed."
        )
    elif found is None:
        return (
            "Of the cases with one and the same chance of being read none was, so nothing is known "
            "of them.",
            None,
        )
    else:
        reason = (
            f"With {seen} of {unflagged} unflagged cases read, sensitivity lies anywhere from "
            f"{found.low:.2f} to {found.high:.2f}."
        )
    return reason, _needed(unflagged, seen, abnormal, sensitivity)


def _needed(unflagged: int, seen: int, abnormal: int, sensitivity: Corrected) -> int | None:
    """Reads at which what was missed is known to ``WIDEST``, if as many are found abnormal."""
    found = sensitivity.begg_greenes
    if found is None or not 0 < found.value:
        return min(LEAST_UNFLAGGED, unflagged) if seen < LEAST_UNFLAGGED else None
    # In units of the flagged abnormal cases, which are taken as known.
    rate = abnormal / seen
    scale = (1 - found.value) / found.value / rate if abnormal else None
    if scale is None:
        return None
    reads = max(seen, LEAST_UNFLAGGED)
    while reads < unflagged:
        missed = wilson(np.asarray(rate * reads), np.asarray(reads)).at()
        if 1 / (1 + scale * missed.low) - 1 / (1 + scale * missed.high) <= WIDEST:
            break
        reads = math.ceil(1.1 * reads)
    return min(reads, unflagged)
