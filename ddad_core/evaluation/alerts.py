"""When does a month deserve a second look? Rules on monthly figures, each with its own interval.

A rule speaks only when a 95 % interval lies wholly on the wrong side of its limit, so that a
trifle among many cases and chance among few both stay silent. Each rule judges the newest month
that has enough; rules do not know of each other, so one in twenty silent months or fewer would
speak by chance only where the truth lies at the limit itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ddad_core.evaluation.delong import delong_auc
from ddad_core.evaluation.drift import LEAST, Drift
from ddad_core.evaluation.intervals import ratio_of_shares, share_of

Rule = Literal["score drift", "flag rate", "agreement", "refusals", "reading time"]

FLAG_FACTOR = 1.5
"""The flag rate is told of above this many times the earlier rate, or below its inverse."""
LEAST_AGREEMENT = 0.7
"""Share of reads that agree with the flag; told of surely below."""
MOST_REFUSED = 0.1
"""Share of files refused; told of surely above."""
SLOWER = 0.6
"""Chance that a read takes longer than an earlier one; told of surely above."""

RULES: dict[Rule, str] = {
    "score drift": "The newest month with at least 20 cases read as normal lies wholly outside "
    "0.4 to 0.6, the chance that a score is above a calibration normal's.",
    "flag rate": f"The share flagged is surely more than {FLAG_FACTOR:g} times, or less than "
    f"1/{FLAG_FACTOR:g} of, that of all earlier months.",
    "agreement": f"Reads agree with the flag in surely less than {LEAST_AGREEMENT:.0%}.",
    "refusals": f"Surely more than {MOST_REFUSED:.0%} of the files brought were refused.",
    "reading time": "The chance that a read takes longer than one of an earlier month is surely "
    f"above {SLOWER:g}.",
}


@dataclass(frozen=True)
class Share:
    """A count of a month.

    Attributes:
        month: Such as "2026-11".
        count: That have it.
        n: Of all.
    """

    month: str
    count: int
    n: int


@dataclass(frozen=True)
class Alert:
    """A rule that speaks.

    Attributes:
        rule: Which.
        month: Of the figures.
        sentence: What was found, with n and interval.
        step: What to do about it.
    """

    rule: Rule
    month: str
    sentence: str
    step: str


def drift_alert(found: Drift) -> Alert | None:
    """Whether the newest month that can be judged drifted."""
    judged = [month for month in found.months if month.verdict != "too few"]
    if not judged or judged[-1].verdict != "drifted" or judged[-1].higher is None:
        return None
    month, chance = judged[-1], judged[-1].higher
    way = "higher" if chance.value > 0.5 else "lower"
    return Alert(
        "score drift",
        month.month,
        f"Scores of cases read as normal are {way} than the calibration normals': chance "
        f"{chance.value:.2f} ({chance.low:.2f} to {chance.high:.2f}), n = {month.n}.",
        "Look for a new scanner, view or population; set the operating point anew if it stays.",
    )


def flag_alert(months: Sequence[Share]) -> Alert | None:
    """Whether the newest month with enough cases is flagged much more or less than before."""
    place = _newest(months)
    if place is None:
        return None
    last, earlier = months[place], months[:place]
    count, n = sum(m.count for m in earlier), sum(m.n for m in earlier)
    if n < LEAST:
        return None
    ratio = ratio_of_shares(last.count, last.n, count, n).at()
    if ratio.low <= FLAG_FACTOR and ratio.high >= 1 / FLAG_FACTOR:
        return None
    return Alert(
        "flag rate",
        last.month,
        f"{last.count} of {last.n} cases are flagged, {last.count / last.n:.0%}; before it were "
        f"{count} of {n}, {count / n:.0%}.",
        "Look at the newest cases: other patients, another scanner, or images that do not fit?",
    )


def agreement_alert(months: Sequence[Share]) -> Alert | None:
    """Whether readers and the flag disagree much in the newest month with enough reads."""
    place = _newest(months)
    if place is None:
        return None
    last = months[place]
    share = share_of(last.count, last.n)
    if share.high >= LEAST_AGREEMENT:
        return None
    return Alert(
        "agreement",
        last.month,
        f"{last.count} of {last.n} reads agree with the flag, {share.value:.0%} "
        f"({share.low:.0%} to {share.high:.0%}).",
        "Look at the disagreements on the worklist and at the operating point.",
    )


def refusal_alert(months: Sequence[Share]) -> Alert | None:
    """Whether many files were refused in the newest month with enough of them."""
    place = _newest(months)
    if place is None:
        return None
    last = months[place]
    share = share_of(last.count, last.n)
    if share.low <= MOST_REFUSED:
        return None
    return Alert(
        "refusals",
        last.month,
        f"{last.count} of {last.n} files brought were refused, {share.value:.0%} "
        f"({share.low:.0%} to {share.high:.0%}).",
        "Ask who sends them what was said; an export setting of the PACS is a common cause.",
    )


def time_alert(seconds: Mapping[str, np.ndarray]) -> Alert | None:
    """Whether reads take longer than they did.

    Args:
        seconds: By month, in order of time, (n,) seconds to a verdict.
    """
    names = list(seconds)
    enough = [i for i, name in enumerate(names) if len(seconds[name]) >= LEAST]
    if not enough:
        return None
    place = enough[-1]
    last = seconds[names[place]]
    earlier = np.concatenate([np.empty(0), *(seconds[name] for name in names[:place])])
    if len(earlier) < LEAST:
        return None
    labels = np.repeat([0, 1], [len(earlier), len(last)])
    chance = delong_auc(labels, np.concatenate([earlier, last]))
    if chance.low <= SLOWER:
        return None
    return Alert(
        "reading time",
        names[place],
        f"A read takes {np.median(last):.0f} s in the median, n = {len(last)}; before it were "
        f"{np.median(earlier):.0f} s, n = {len(earlier)}.",
        "Ask readers what changed: harder cases, or a slow machine?",
    )


def _newest(months: Sequence[Share]) -> int | None:
    """The place of the newest month with enough, or None."""
    return next((i for i in reversed(range(len(months))) if months[i].n >= LEAST), None)
