"""The worklist: every case with what decides the reading order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from app.services.access import Access
from app.services.models import ModelService, OperatingPointInForce, is_calibrated
from app.services.people import Action, Person
from app.services.scoring import ScoringService, is_current
from app.store.records import ImageRecord, ReadRecord, ScoreRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import UncalibratedError
from ddad_core.vocabulary import SCORE_TITLES

Sort = Literal["score", "newest", "oldest", "label"]
Show = Literal["all", "unread", "read", "flagged", "warned", "uploads", "gallery"]


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


@dataclass(frozen=True)
class Worklist:
    """The rows asked for, and counts over all cases.

    Attributes:
        rows: Filtered and sorted.
        total: Cases there are.
        unread: Cases this reader has not read.
        flagged: Cases at or above the operating point.
    """

    rows: tuple[WorklistRow, ...]
    total: int
    unread: int
    flagged: int


Rows = list[WorklistRow]


class WorklistService:
    """Lists cases for a reader."""

    def __init__(
        self, store: UnitOfWork, access: Access, models: ModelService, scoring: ScoringService
    ) -> None:
        self._store = store
        self._access = access
        self._models = models
        self._scoring = scoring

    def list(
        self, reader: Person, *, show: Show = "all", sort: Sort = "score", search: str = ""
    ) -> Worklist:
        """List cases.

        Args:
            reader: Whose reads decide "read" and "unread".
            show: Which cases.
            sort: "score" puts the highest percentile first, unjudged cases last.
            search: Part of a label, a view, a modality or a verdict; any case.

        Raises:
            ForbiddenError: The reader may not look at cases.
        """
        self._access.require(reader, Action.VIEW_CASES)
        rows = self._rows(reader)
        wanted = [row for row in rows if _shown(row, show) and _matches(row, search)]
        return Worklist(
            rows=tuple(_sorted(wanted, sort)),
            total=len(rows),
            unread=sum(row.verdict is None for row in rows),
            flagged=sum(row.flagged for row in rows),
        )

    def thumbnails(self, reader: Person, rows: Iterable[WorklistRow]) -> dict[int, bytes]:
        """Small JPEGs by case.

        Raises:
            ForbiddenError: The reader may not look at cases.
        """
        self._access.require(reader, Action.VIEW_CASES)
        with self._store.reading() as repositories:
            return repositories.images.thumbnails([row.image_id for row in rows])

    def _rows(self, reader: Person) -> Rows:
        cards = [card for card in self._models.cards if is_calibrated(card)]
        with self._store.reading() as repositories:
            images = repositories.images.list_all()
            reads = repositories.reads.latest_for_all()
            scores = {
                (card.name, score.image_id): score
                for card in cards
                for score in repositories.scores.for_model(card.name, card.model_hash)
                if is_current(score, card)
            }
        points = {card.name: self._models.operating_point(card.name) for card in cards}
        own = {read.image_id: read for read in reads if read.reader == reader.name}
        others: dict[int, int] = {}
        for read in reads:
            if read.reader != reader.name:
                others[read.image_id] = others.get(read.image_id, 0) + 1
        rows = []
        for image in images:
            model = self._models.choose(image.age_years).name
            row = _row(image, model, own.get(image.id), others.get(image.id, 0))
            try:
                # Without a score it was taken in under an earlier version of the model.
                score = scores.get((model, image.id)) or self._scoring.score(image, model)
                rows.append(_judged(row, score, points[model]))
            except UncalibratedError as error:
                rows.append(replace(row, warnings=(*row.warnings, str(error))))
        return rows


def describe(image: ImageRecord) -> str:
    """Facts of an image in one line, unknown ones left out."""
    age = None if image.age_years is None else f"{image.age_years:.0f} y"
    parts = (image.view, image.sex, age, image.modality or image.format.upper())
    return " · ".join([*(part for part in parts if part), f"{image.width} × {image.height}"])


_CONFLICT = "Another case has the same SOP Instance UID, but other pixels."


def _row(image: ImageRecord, model: str, read: ReadRecord | None, others: int) -> WorklistRow:
    """A case that no model has judged."""
    return WorklistRow(
        image_id=image.id,
        label=image.label,
        origin=image.origin,
        facts=describe(image),
        model=model,
        score_title="",
        score=None,
        percentile=None,
        flagged=False,
        warnings=(*image.warnings, _CONFLICT) if image.conflict else image.warnings,
        verdict=read.verdict if read else None,
        other_readers=others,
        added_at=image.added_at,
    )


def _judged(row: WorklistRow, score: ScoreRecord, point: OperatingPointInForce) -> WorklistRow:
    return replace(
        row,
        score_title=SCORE_TITLES[score.score_name],
        score=score.score,
        percentile=score.percentile,
        flagged=point.flags(score.score),
        warnings=(*row.warnings, *score.warnings),
    )


def _shown(row: WorklistRow, show: Show) -> bool:
    return {
        "all": True,
        "unread": row.verdict is None,
        "read": row.verdict is not None,
        "flagged": row.flagged,
        "warned": bool(row.warnings),
        "uploads": row.origin == "upload",
        "gallery": row.origin == "gallery",
    }[show]


def _matches(row: WorklistRow, search: str) -> bool:
    text = f"{row.label} {row.facts} {row.verdict or ''} {row.model}".casefold()
    return all(word in text for word in search.casefold().split())


def _sorted(rows: Rows, sort: Sort) -> Rows:
    by_label = sorted(rows, key=lambda row: (row.label, row.image_id))
    if sort == "score":
        return sorted(by_label, key=_rank, reverse=True)
    if sort == "label":
        return by_label
    return sorted(by_label, key=lambda row: (row.added_at, row.image_id), reverse=sort == "newest")


def _rank(row: WorklistRow) -> tuple[float, float]:
    if row.percentile is None or row.score is None:
        return -math.inf, -math.inf
    return row.percentile, row.score
