"""Monitoring: is the model still what it was, month by month, and does anything need a look?

Months are of UTC. Cases count in the month in which they came in, reads in that in which they
were saved.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from app.services.access import Access
from app.services.models import ModelService, OperatingPointInForce, check_calibrated, is_calibrated
from app.services.people import Action, Person
from app.services.scoring import required_scores
from app.store.monitoring_repository import ScoredCase, TimedRead
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import DdadError
from ddad_core.evaluation import alerts
from ddad_core.evaluation.alerts import Alert, Share
from ddad_core.evaluation.consensus import Verdict, consensus
from ddad_core.evaluation.drift import Drift, score_drift
from ddad_core.evaluation.intervals import share_of
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.thresholds import flags
from ddad_core.vocabulary import SCORE_TITLES

BASELINE_CASES = 100
"""All cases are compared with the first months that together have so many."""
DAY_SECONDS = 24 * 3600.0
_ABNORMAL = {"normal": False, "abnormal": True}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class MonthOfReads:
    """What was read in a month.

    Attributes:
        month: Such as "2026-11".
        reads: Saved in it, amendments not counted twice.
        agreement: Share of the decided reads that agree with the flag then in view; None without.
        compared: How many these are.
        median_seconds: To the verdict; None if none was timed.
        timed: How many were.
    """

    month: str
    reads: int
    agreement: Estimate | None
    compared: int
    median_seconds: float | None
    timed: int


@dataclass(frozen=True)
class Group:
    """Cases of one scanner, view or origin.

    Attributes:
        kind: "Scanner", "View" or "Origin".
        name: Which; a pseudonym for a scanner.
        n: Cases with a score.
        median: Of their scores.
        flagged: Share at or above the threshold in force.
    """

    kind: str
    name: str
    n: int
    median: float
    flagged: Estimate


@dataclass(frozen=True)
class Overview:
    """All that the page shows of one model.

    Attributes:
        model: Its name.
        score_title: What people call its score.
        in_force: The operating point that flags are counted by.
        normals: Cases read as normal against the calibration normals; None if there are none.
        cases: Later months' cases against the first ones'; None without later ones.
        baseline: Of ``cases``: months that it is compared with, such as "2026-01 to 2026-03".
        flagged: By month.
        reads: By month.
        files: By month, refused among those brought.
        groups: By scanner, view and origin.
        alerts: Rules that speak.
    """

    model: str
    score_title: str
    in_force: OperatingPointInForce
    normals: Drift | None
    cases: Drift | None
    baseline: str
    flagged: tuple[Share, ...]
    reads: tuple[MonthOfReads, ...]
    files: tuple[Share, ...]
    groups: tuple[Group, ...]
    alerts: tuple[Alert, ...]


class MonitoringService:
    """Looks at what is stored; changes nothing."""

    def __init__(self, store: UnitOfWork, access: Access, models: ModelService) -> None:
        self._store = store
        self._access = access
        self._models = models
        self._told: set[tuple[str, str, str]] = set()
        self._ending = threading.Event()

    def overview(self, person: Person, model_name: str) -> Overview:
        """Everything of one model.

        Raises:
            ForbiddenError: The person may not see how models do.
            RequestError: There is no such model.
            UncalibratedError: The model is not calibrated: it flags nothing.
        """
        self._access.require(person, Action.MONITOR)
        return self._overview(model_name)

    def note_alerts(self) -> int:
        """Write rules that speak into the log, each month's once; how many were new."""
        new = 0
        for card in self._models.cards:
            if not is_calibrated(card):
                continue
            for alert in self._overview(card.name).alerts:
                key = (card.name, alert.rule, alert.month)
                if key not in self._told:
                    self._told.add(key)
                    new += 1
                    _LOG.warning(
                        "monitoring: %s, %s, %s: %s %s",
                        card.name,
                        alert.month,
                        alert.rule,
                        alert.sentence,
                        alert.step,
                    )
        return new

    def watch(self) -> None:
        """Note alerts now and once a day, until :meth:`end`."""
        while not self._ending.is_set():
            try:
                self.note_alerts()
            except DdadError as error:
                _LOG.warning("monitoring: %s", error)
            self._ending.wait(DAY_SECONDS)

    def end(self) -> None:
        """Stop watching."""
        self._ending.set()

    def _overview(self, model_name: str) -> Overview:
        card = self._models.card(model_name)
        check_calibrated(card)
        in_force = self._models.operating_point(card.name)
        with self._store.reading() as repositories:
            cases = repositories.monitoring.scored(
                card.name, card.model_hash, card.primary, required_scores(card)
            )
            reads = repositories.monitoring.reads()
            files = repositories.monitoring.files_by_month()
        threshold = in_force.threshold
        flagged = _flagged_by_month(cases, threshold)
        agreeing = _agreement_by_month(reads, card.model_hash)
        seconds = _seconds_by_month(reads)
        brought = tuple(Share(month, refused, n) for month, n, refused in files)
        normals = _normals_drift(cases, reads, card.reference.of_score(card.primary), threshold)
        later, baseline = _cases_drift(cases, threshold)
        spoken = (
            alerts.drift_alert(normals) if normals else None,
            alerts.flag_alert(flagged),
            alerts.agreement_alert(agreeing),
            alerts.refusal_alert(brought),
            alerts.time_alert(seconds),
        )
        return Overview(
            model=card.name,
            score_title=SCORE_TITLES[card.primary],
            in_force=in_force,
            normals=normals,
            cases=later,
            baseline=baseline,
            flagged=flagged,
            reads=_months_of_reads(reads, agreeing, seconds),
            files=brought,
            groups=_groups(cases, threshold),
            alerts=tuple(alert for alert in spoken if alert),
        )


def _flagged_by_month(cases: Iterable[ScoredCase], threshold: float) -> tuple[Share, ...]:
    scores: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        scores[f"{case.added_at:%Y-%m}"].append(case.score)
    return tuple(
        Share(month, int(flags(np.array(scores[month]), threshold).sum()), len(scores[month]))
        for month in sorted(scores)
    )


def _agreement_by_month(reads: Iterable[TimedRead], model_hash: str) -> tuple[Share, ...]:
    """Decided reads whose verdict is that of the flag in view when they were saved."""
    agree: dict[str, list[bool]] = defaultdict(list)
    for read in reads:
        said = _ABNORMAL.get(read.verdict)
        if said is None or read.model_hash != model_hash:
            continue
        if read.score is None or read.threshold is None:
            continue
        flagged = bool(flags(np.array([read.score]), read.threshold)[0])
        agree[f"{read.saved_at:%Y-%m}"].append(flagged == said)
    return tuple(Share(month, sum(agree[month]), len(agree[month])) for month in sorted(agree))


def _seconds_by_month(reads: Iterable[TimedRead]) -> dict[str, np.ndarray]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for read in reads:
        if read.seconds is not None and read.first:  # an amendment takes as long as it takes
            seconds[f"{read.saved_at:%Y-%m}"].append(read.seconds)
    return {month: np.array(seconds[month]) for month in sorted(seconds)}


def _months_of_reads(
    reads: Iterable[TimedRead], agreeing: Iterable[Share], seconds: dict[str, np.ndarray]
) -> tuple[MonthOfReads, ...]:
    counts: dict[str, int] = defaultdict(int)
    for read in reads:
        counts[f"{read.saved_at:%Y-%m}"] += 1
    shares = {share.month: share for share in agreeing}
    found = []
    for month in sorted(counts):
        share, times = shares.get(month), seconds.get(month)
        found.append(
            MonthOfReads(
                month=month,
                reads=counts[month],
                agreement=share_of(share.count, share.n) if share else None,
                compared=share.n if share else 0,
                median_seconds=None if times is None else float(np.median(times)),
                timed=0 if times is None else len(times),
            )
        )
    return tuple(found)


def _normals_drift(
    cases: Iterable[ScoredCase],
    reads: Iterable[TimedRead],
    reference: np.ndarray,
    threshold: float,
) -> Drift | None:
    """Cases that most readers call normal, against the model's calibration normals."""
    verdicts = [Verdict(read.image_id, read.reader, _ABNORMAL.get(read.verdict)) for read in reads]
    labels = consensus(verdicts, rule="majority").labels
    normal = [case for case in cases if labels.get(case.image_id) == 0]
    if not normal or len(reference) < 2:
        return None
    scores = np.array([case.score for case in normal])
    return score_drift(reference, scores, _times(normal), threshold=threshold)


def _cases_drift(cases: list[ScoredCase], threshold: float) -> tuple[Drift | None, str]:
    """Later months' cases against those of the first months, abnormal ones among both."""
    months = sorted({f"{case.added_at:%Y-%m}" for case in cases})
    first: list[str] = []
    early: list[ScoredCase] = []
    for month in months:
        if len(early) >= BASELINE_CASES:
            break
        first.append(month)
        early += [case for case in cases if f"{case.added_at:%Y-%m}" == month]
    later = [case for case in cases if f"{case.added_at:%Y-%m}" not in first]
    if len(early) < BASELINE_CASES or not later:
        return None, ""
    found = score_drift(
        np.array([case.score for case in early]),
        np.array([case.score for case in later]),
        _times(later),
        threshold=threshold,
    )
    return found, first[0] if len(first) == 1 else f"{first[0]} to {first[-1]}"


def _times(cases: Iterable[ScoredCase]) -> np.ndarray:
    return np.array([case.added_at.replace(tzinfo=None) for case in cases], "datetime64[s]")


def _groups(cases: Iterable[ScoredCase], threshold: float) -> tuple[Group, ...]:
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for case in cases:
        scores["Scanner", case.station or "not known"].append(case.score)
        scores["View", case.view or "not known"].append(case.score)
        scores["Origin", case.origin].append(case.score)
    found = []
    for (kind, name), values in sorted(scores.items()):
        count = int(flags(np.array(values), threshold).sum())
        found.append(
            Group(kind, name, len(values), float(np.median(values)), share_of(count, len(values)))
        )
    return tuple(found)
