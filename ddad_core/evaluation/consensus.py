"""One label a case from several readers' verdicts. Cases, not reads, are the unit.

Counting reads as if they were cases makes cases that many people read weigh more, and intervals
too narrow, because readers of one case err together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from ddad_core.errors import MetricError

Rule = Literal["single", "majority", "arbiter"]


@dataclass(frozen=True)
class Verdict:
    """A reader's latest word on a case.

    Attributes:
        case: Its key.
        reader: Who.
        abnormal: True, False, or None for uncertain or unreadable.
        settles: Whether it settled the case where readers differed.
    """

    case: int | str
    reader: str
    abnormal: bool | None
    settles: bool = False


@dataclass(frozen=True)
class Consensus:
    """Labels by case.

    Attributes:
        labels: 1 abnormal, 0 normal.
        undecided: By case without a label: why.
        n_reads: Verdicts the labels rest on.
    """

    labels: dict[int | str, int]
    undecided: dict[int | str, str]
    n_reads: int


def consensus(verdicts: Iterable[Verdict], *, rule: Rule, reader: str | None = None) -> Consensus:
    """Turn verdicts into one label a case.

    * single: the named reader's, and nobody else's.
    * majority: what more readers said than the contrary; uncertain verdicts are no vote.
    * arbiter: what all who were certain said, and where they differ the named arbiter's word, or,
      with no name, that of whoever settled the case. The arbiter's word stands wherever there is
      one.

    Args:
        verdicts: The latest of each reader and case.
        rule: Which.
        reader: The single reader, or the arbiter; None for whoever settled each case.

    Raises:
        MetricError: There is no such rule, the single reader is not named, or a reader has two
            verdicts on one case.
    """
    if rule not in get_args(Rule):
        problem = f"There is no rule {rule!r}."
        raise MetricError(problem, f"Choose among {', '.join(get_args(Rule))}.")
    if rule == "single" and not reader:
        problem = f"The rule {rule} needs a reader."
        raise MetricError(problem, "Say whose verdicts count.")
    by_case: dict[int | str, dict[str, bool | None]] = {}
    settled: dict[int | str, str] = {}
    for verdict in verdicts:
        own = by_case.setdefault(verdict.case, {})
        if verdict.reader in own:
            problem = f"{verdict.reader} has two verdicts on case {verdict.case}."
            raise MetricError(problem, "Give each reader's latest alone.")
        own[verdict.reader] = verdict.abnormal
        if verdict.settles:
            settled[verdict.case] = verdict.reader
    labels: dict[int | str, int] = {}
    undecided: dict[int | str, str] = {}
    n_reads = 0
    for case, given in by_case.items():
        if rule == "single" and reader not in given:
            continue  # not read, as far as this rule goes
        found = _decide(given, rule, reader or settled.get(case))
        if isinstance(found, str):
            undecided[case] = found
        else:
            labels[case] = int(found)
            n_reads += 1 if rule == "single" else sum(v is not None for v in given.values())
    return Consensus(labels, undecided, n_reads)


def _decide(given: dict[str, bool | None], rule: Rule, reader: str | None) -> bool | str:
    """The label, or why there is none."""
    word = given.get(reader) if reader else None
    if rule == "single":
        return "uncertain" if word is None else word
    votes = [v for v in given.values() if v is not None]
    if rule == "arbiter":
        if word is not None:
            return word
        if len(set(votes)) == 1:
            return votes[0]
        return "readers differ, no arbiter's word" if votes else "uncertain"
    lead = 2 * sum(votes) - len(votes)
    if lead:
        return lead > 0
    return "readers differ evenly" if votes else "uncertain"
