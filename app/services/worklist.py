"""The worklist: every case with what decides the reading order."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from app.services.access import Access
from app.services.models import ModelService, is_calibrated
from app.services.people import Action, Person
from app.services.presence import ALIVE
from app.services.scoring import ScoringService, required_scores
from app.store.records import ImageRecord
from app.store.unit_of_work import UnitOfWork
from app.store.worklist_records import (
    NOBODY,
    ModelTerms,
    Show,
    Sort,
    Wish,
    WorklistCase,
    WorklistQuestion,
)
from ddad_core.card import Card, in_order_of_choice
from ddad_core.errors import DdadError, UncalibratedError
from ddad_core.vocabulary import SCORE_TITLES

__all__ = [
    "NOBODY",
    "Show",
    "Sort",
    "Wish",
    "Worklist",
    "WorklistRow",
    "WorklistService",
    "describe",
]

log = logging.getLogger(__name__)
BY_SCORE = ("score", "uncertainty")
"""Orders that tell of the AI."""
SEEDS = 49
"""Different random orders there are."""
SCORED_ON_THE_WAY = 64
"""Cases without a current score that a look at the worklist makes up for, at most."""


@dataclass(frozen=True)
class WorklistRow:
    """One case as the worklist shows it.

    Attributes:
        image_id: The case.
        label: What it is called.
        origin: "gallery" or "upload".
        facts: View, age, sex, modality and size in one line.
        model: Model that judged it, or would if it were calibrated.
        score_title: What people call the model's primary score; empty if it did not judge.
        score: Primary score; None if the model is not calibrated.
        percentile: Percent of the model's calibration normals below it; None likewise.
        flagged: Whether the score reaches the operating point in force.
        warnings: Sentences a reader must see.
        verdict: This reader's latest verdict, or None if unread by them.
        other_readers: How many others have read it.
        added_at: When it was taken in, UTC.
        hidden: Whether what the AI says is kept from this reader until their first verdict.
        offered: Whether it waits for a read by this reader, were it unread by them.
        assigned: To whom it is assigned.
        open_by: Who else has it open now.
    """

    image_id: int
    label: str
    origin: str
    facts: str
    model: str
    score_title: str
    score: float | None
    percentile: float | None
    flagged: bool
    warnings: tuple[str, ...]
    verdict: str | None
    other_readers: int
    added_at: datetime
    hidden: bool = False
    offered: bool = True
    assigned: tuple[str, ...] = ()
    open_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Worklist:
    """The rows asked for, and counts.

    Attributes:
        rows: Filtered, sorted and paged.
        matching: Cases that match, on all pages.
        first_unread: The first case that matches, waits for this reader and is open nowhere else,
            or None.
        total: Cases there are.
        unread: Cases that wait for a read by this reader.
        flagged: Cases at or above the operating point; None where that is hidden.
    """

    rows: tuple[WorklistRow, ...]
    matching: int
    first_unread: int | None
    total: int
    unread: int
    flagged: int | None


EVERYTHING = Wish()


class WorklistService:
    """Lists cases for a reader."""

    def __init__(
        self,
        store: UnitOfWork,
        access: Access,
        models: ModelService,
        scoring: ScoringService,
        *,
        unaided_first: bool = False,
        readers_per_case: int | None = None,
    ) -> None:
        self.unaided_first = unaided_first
        self.readers_per_case = readers_per_case
        self._store = store
        self._access = access
        self._models = models
        self._scoring = scoring
        self._unscorable: set[tuple[int, str]] = set()

    def list(
        self,
        reader: Person,
        wish: Wish = EVERYTHING,
        *,
        offset: int = 0,
        limit: int | None = None,
    ) -> Worklist:
        """List cases.

        Args:
            reader: Whose reads decide "read" and "unread".
            wish: Which, and in which order.
            offset: How many to pass over.
            limit: How many rows at most; None for all.

        Raises:
            ForbiddenError: The reader may not look at cases, or not see where others disagree.
        """
        self._access.require(reader, Action.VIEW_CASES)
        wish = self._checked(reader, wish)
        question = self._question(reader, wish)
        with self._store.reading() as repositories:
            counts = repositories.worklist.counts(question)
        if counts.unscored and self._make_up_for_scores(question):
            with self._store.reading() as repositories:
                counts = repositories.worklist.counts(question)
        with self._store.reading() as repositories:
            cases = repositories.worklist.cases(question, offset=offset, limit=limit)
            first = next(
                (
                    one.image.id
                    for one in cases
                    if one.verdict is None and one.offered and not one.open_by
                ),
                None,
            )
            all_seen = not offset and len(cases) == counts.matching
            if (first is None and not all_seen) or offset:
                first = repositories.worklist.first_unread(question)
        return Worklist(
            rows=tuple(self._row(one, hidden=wish.unaided) for one in cases),
            matching=counts.matching,
            first_unread=first,
            total=counts.total,
            unread=counts.unread,
            flagged=None if wish.unaided else counts.flagged,
        )

    def order(self, reader: Person, wish: Wish = EVERYTHING) -> tuple[int, ...]:
        """The numbers of all cases that match, in order.

        Raises:
            ForbiddenError: The reader may not look at cases.
        """
        self._access.require(reader, Action.VIEW_CASES)
        question = self._question(reader, self._checked(reader, wish))
        with self._store.reading() as repositories:
            return tuple(repositories.worklist.ids(question))

    def without_readers(
        self, person: Person, wish: Wish, *, readers_per_case: int, limit: int
    ) -> tuple[int, ...]:
        """The first cases that match and that fewer people have read or are to read.

        Raises:
            ForbiddenError: The person may not assign cases.
        """
        self._access.require(person, Action.ASSIGN)
        question = self._question(person, self._checked(person, wish))
        with self._store.reading() as repositories:
            found = repositories.worklist.without_readers(question, readers_per_case, limit)
        return tuple(found)

    def thumbnails(self, reader: Person, rows: Iterable[WorklistRow]) -> dict[int, bytes]:
        """Small JPEGs by case.

        Raises:
            ForbiddenError: The reader may not look at cases.
        """
        self._access.require(reader, Action.VIEW_CASES)
        with self._store.reading() as repositories:
            return repositories.images.thumbnails([row.image_id for row in rows])

    def _checked(self, reader: Person, wish: Wish) -> Wish:
        """The wish as it may be fulfilled: unaided, nothing of the AI decides what is shown.

        Raises:
            ForbiddenError: It asks where others disagree.
        """
        if wish.show == "arbitration":
            self._access.require(reader, Action.SEE_DISAGREEMENTS)
        unaided = (wish.unaided or self.unaided_first) and self._access.may(reader, Action.READ)
        if not unaided:
            return replace(wish, unaided=False)
        return replace(
            wish,
            unaided=True,
            sort="newest" if wish.sort in BY_SCORE else wish.sort,
            show="all" if wish.show == "flagged" else wish.show,
        )

    def _question(self, reader: Person, wish: Wish) -> WorklistQuestion:
        models = [self._terms(card) for card in in_order_of_choice(self._models.cards)]
        now = self._store.now()
        return WorklistQuestion(
            reader=reader.name,
            models=models,
            wish=wish,
            now=now,
            alive_since=now - ALIVE,
            readers_per_case=self.readers_per_case,
            sees_disputes=self._access.may(reader, Action.SEE_DISAGREEMENTS),
        )

    def _terms(self, card: Card) -> ModelTerms:
        population = card.population
        terms = ModelTerms(
            name=card.name,
            hash=card.model_hash,
            lowest_age=population.age_min,
            # "5 years" lasts a year, as Population.includes has it.
            highest_age=None if population.age_max is None else population.age_max + 1,
        )
        if not is_calibrated(card):
            return terms
        low, high = np.quantile(card.reference.of_score(card.primary), (0.25, 0.75))
        return replace(
            terms,
            score_name=card.primary,
            needed=required_scores(card),
            threshold=self._models.operating_point(card.name).threshold,
            spread=float(high - low) or 1.0,
        )

    def _make_up_for_scores(self, question: WorklistQuestion) -> bool:
        """Score cases that were taken in under an earlier version of their model."""
        tried = self._unscorable  # once: looking at the worklist must not try again every time
        with self._store.reading() as repositories:
            found = repositories.worklist.unscored(question, SCORED_ON_THE_WAY + len(tried))
        done = 0
        for image, model in found:
            if (image.id, model) in tried:
                continue
            try:
                self._scoring.score(image, model)
                done += 1
            except DdadError as error:  # its file is gone: the case stays unscored
                log.warning("Image %d cannot be scored: %s", image.id, error.problem)
                tried.add((image.id, model))
        return done > 0

    def _row(self, one: WorklistCase, *, hidden: bool) -> WorklistRow:
        warnings = (*one.image.warnings, _CONFLICT) if one.image.conflict else one.image.warnings
        row = WorklistRow(
            image_id=one.image.id,
            label=one.image.label,
            origin=one.image.origin,
            facts=describe(one.image),
            model=one.model,
            score_title="",
            score=None,
            percentile=None,
            flagged=False,
            warnings=warnings,
            verdict=one.verdict,
            other_readers=one.others,
            added_at=one.image.added_at,
            offered=one.offered,
            assigned=one.assigned,
            open_by=one.open_by,
        )
        if hidden and one.verdict is None:
            return replace(row, hidden=True)
        score = one.score
        if score is None:
            return replace(row, warnings=(*warnings, *self._why_unscored(one.model)))
        return replace(
            row,
            score_title=SCORE_TITLES[score.score_name],
            score=score.score,
            percentile=score.percentile,
            flagged=one.flagged,
            warnings=(*warnings, *score.warnings),
        )

    def _why_unscored(self, model: str) -> tuple[str, ...]:
        try:
            self._models.operating_point(model)
        except UncalibratedError as error:
            return (str(error),)
        return ("This case has no score yet: open it, or look at its stored file.",)


def describe(image: ImageRecord) -> str:
    """Facts of an image in one line, unknown ones left out."""
    age = None if image.age_years is None else f"{image.age_years:.0f} y"
    parts = (image.view, image.sex, age, image.modality or image.format.upper())
    return " · ".join([*(part for part in parts if part), f"{image.width} × {image.height}"])


_CONFLICT = "Another case has the same SOP Instance UID, but other pixels."
