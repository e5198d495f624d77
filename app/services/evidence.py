"""What a threshold is tuned on: which reads count, how they become labels, what is left out.

Cases, not reads, are the unit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np

from app.store.evidence_records import ReadColumns
from ddad_core.errors import RequestError
from ddad_core.evaluation.consensus import Consensus, Rule, Verdict, consensus

Source = Literal["reads", "reference"]
Stages = Literal["latest", "unaided", "aided"]
ABNORMAL = {"normal": False, "abnormal": True}
SOURCE_TITLES: dict[str, str] = {
    "reads": "Stored reads",
    "reference": "Reference labels that came with the gallery",
}
STAGES: dict[Stages, tuple[str, ...]] = {
    "latest": ("unaided", "aided"),
    "unaided": ("unaided",),
    "aided": ("aided",),
}
_STAGE_WORDS: dict[Stages, str] = {
    "latest": "each reader's last word, unaided or aided",
    "unaided": "reads made before the AI was shown",
    "aided": "reads made with the AI",
}
_MANY = 4


@dataclass(frozen=True)
class EvidenceChoice:
    """Which labels a threshold is measured against.

    Attributes:
        source: Stored reads, or labels that came with the images.
        readers: Whose reads count; empty for everybody's.
        since: First day on which a read that counts was saved, UTC; None for no limit.
        until: Last day likewise.
        read_with: Model that was in use; None for any, or none at all.
        stage: Which of a reader's reads of a case counts: the last of all, the last unaided or the
            last aided one. A read that its reader amended at that stage never counts.
        rule: How several readers become one label.
        word: Whose reads alone count, or whose settles, as the rule asks; an arbiter without a
            name is whoever settled each case.
    """

    source: Source = "reads"
    readers: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    read_with: str | None = None
    stage: Stages = "latest"
    rule: Rule = "majority"
    word: str = ""

    def on_record(self) -> dict[str, object]:
        """The same as JSON, for the record of a change that rests on it."""
        if self.source == "reference":
            return {"source": self.source}
        return {
            "source": self.source,
            "readers": list(self.readers) or "all",
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "read_with": self.read_with,
            "stage": self.stage,
            "rule": self.rule,
            "reader_of_the_rule": self.word or None,
        }


@dataclass(frozen=True)
class Ages:
    """Whether labelled cases are of the ages a model was made for.

    Attributes:
        inside: Cases of those ages.
        outside: Cases of others.
        unknown: Cases without an age.
    """

    inside: int
    outside: int
    unknown: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        cases = self.inside + self.outside + self.unknown
        if not cases:
            return ""
        rest = (
            [f"{self.outside:,} {'is' if self.outside == 1 else 'are'} not"] if self.outside else []
        )
        rest += [f"{self.unknown:,} have no age"] if self.unknown else []
        tail = f"; {', '.join(rest)}" if rest else ""
        return f"{self.inside:,} of {cases:,} labelled cases are of the ages it was made for{tail}."


@dataclass(frozen=True)
class EvidenceFacts:
    """What the labels rest on.

    Attributes:
        cases: Scored cases with a label.
        unlabelled: Scored cases without.
        reads: Reads behind the labels; 0 for labels that came with images.
        readers: Whose they are.
        described: What was chosen, in words.
        left_out: Why and how many: read cases without a label, and reads that do not count.
        ages: Against the model's population.
    """

    cases: int
    unlabelled: int
    reads: int
    readers: tuple[str, ...]
    described: str
    left_out: tuple[tuple[str, int], ...]
    ages: Ages

    @property
    def sentence(self) -> str:
        """What was chosen, of how many, and what was left out and why."""
        whose = ""
        if self.reads:
            names = ", ".join(self.readers) if len(self.readers) <= _MANY else ""
            whose = f" from {counted(self.reads, 'read')} of {counted(len(self.readers), 'reader')}"
            whose += f" ({names})" if names else ""
        out = "; ".join(f"{why} ({n:,})" for why, n in self.left_out)
        return (
            f"{counted(self.cases, 'labelled case')}{whose}: {self.described}. "
            f"{f'Left out: {out}. ' if out else ''}"
            f"Without a label: {counted(self.unlabelled, 'scored case')}."
        )


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels by case, and what they rest on.

    Attributes:
        found: As decided.
        kept: The reads that count.
        left_out: Reads that do not, by reason.
    """

    found: Consensus
    kept: ReadColumns
    left_out: Counter[str] = field(default_factory=Counter)


def counted(n: int, noun: str) -> str:
    """So many of something."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def check(choice: EvidenceChoice) -> None:
    """See that a choice can be made.

    Raises:
        RequestError: A rule lacks its reader, or the period ends before it begins.
    """
    if choice.source == "reads" and choice.rule == "single" and not choice.word:
        problem = f"The rule “{choice.rule}” needs a reader."
        raise RequestError(problem, "Say whose reads count.")
    if choice.since and choice.until and choice.since > choice.until:
        problem = f"The period ends on {choice.until}, before it begins on {choice.since}."
        raise RequestError(problem, "Swap the days.")


def labels_of(reads: ReadColumns, choice: EvidenceChoice) -> Labels:
    """One label a case from the reads that count.

    Args:
        reads: The last of each reader and case at the choice's stage.
        choice: Which of them count, and the rule.

    Raises:
        RequestError: See :func:`check`.
    """
    check(choice)
    left_out: Counter[str] = Counter()
    kept: list[int] = []
    whose = {*choice.readers, *([choice.word] if choice.readers and choice.word else [])}
    settling = choice.rule == "arbiter" and not choice.word
    for place, (reader, model, at, settled) in enumerate(
        zip(reads.reader, reads.model_name, reads.saved_at, reads.settles, strict=True)
    ):
        day = at.date()
        if whose and reader not in whose and not (settling and settled):
            left_out["reads of other readers"] += 1
        elif (choice.since and day < choice.since) or (choice.until and day > choice.until):
            left_out["reads of another time"] += 1
        elif choice.read_with is not None and model != choice.read_with:
            left_out["reads made with another model"] += 1
        elif choice.rule == "single" and reader != choice.word:
            left_out["reads of other readers"] += 1
        else:
            kept.append(place)
    own = reads.taken(kept)
    verdicts = (
        Verdict(case, reader, ABNORMAL.get(verdict), settled)
        for case, reader, verdict, settled in zip(
            own.image_id, own.reader, own.verdict, own.settles, strict=True
        )
    )
    found = consensus(verdicts, rule=choice.rule, reader=choice.word or None)
    return Labels(found, own, left_out)


def described(choice: EvidenceChoice) -> str:
    """A choice in words."""
    if choice.source == "reference":
        return "labels that came with the images"
    rule = {
        "majority": "majority of the readers",
        "single": f"reads of {choice.word} alone",
        "arbiter": "what all agree on; where they differ, the word of "
        + (choice.word or "whoever settled the case"),
    }[choice.rule]
    parts = [rule, _STAGE_WORDS[choice.stage]]
    if choice.since or choice.until:
        first = f"{choice.since:%Y-%m-%d}" if choice.since else "the beginning"
        last = f"{choice.until:%Y-%m-%d}" if choice.until else "now"
        parts.append(f"saved from {first} to {last}")
    if choice.read_with is not None:
        parts.append(f"read with {choice.read_with}")
    return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class ReadTable:
    """Reads as a table, a row a case and a column a reader.

    Attributes:
        cases: (N,) their numbers, ascending.
        readers: R names.
        calls: (N, R) 1 abnormal, 0 normal, nan where not read, uncertain or unreadable.
        suspicion: (N, R) from -5 (surely normal) to 5 (surely abnormal) where a confidence was
            given, 0 for uncertain; nan elsewhere.
    """

    cases: np.ndarray
    readers: tuple[str, ...]
    calls: np.ndarray
    suspicion: np.ndarray


def table_of(reads: ReadColumns, cases: np.ndarray, readers: tuple[str, ...]) -> ReadTable:
    """Lay reads of given cases and readers out; others are left out.

    Args:
        reads: At most one a reader and case.
        cases: (N,) ascending.
        readers: R names.
    """
    calls = np.full((len(cases), len(readers)), np.nan)
    suspicion = np.full_like(calls, np.nan)
    column = {name: place for place, name in enumerate(readers)}
    row = {int(case): place for place, case in enumerate(cases)}
    for case, reader, verdict, sure in zip(
        reads.image_id, reads.reader, reads.verdict, reads.confidence, strict=True
    ):
        at = row.get(case), column.get(reader)
        if at[0] is None or at[1] is None:
            continue
        abnormal = ABNORMAL.get(verdict)
        if abnormal is not None:
            calls[at] = float(abnormal)
            if sure is not None:
                suspicion[at] = sure if abnormal else -sure
        elif verdict == "uncertain":
            suspicion[at] = 0.0
    return ReadTable(cases, readers, calls, suspicion)
