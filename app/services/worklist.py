"""The worklist: every case with what decides the reading order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.services.models import ModelService
from app.services.people import Reader
from app.services.scoring import ScoringService
from app.store.records import ImageRecord, ReadRecord, ScoreRecord
from app.store.unit_of_work import UnitOfWork

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
        model: Model that judged it.
        score: Primary score.
        percentile: Percent of the model's calibration normals below it.
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
    score: float
    percentile: float
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

    def __init__(self, store: UnitOfWork, models: ModelService, scoring: ScoringService) -> None:
        self._store = store
        self._models = models
        self._scoring = scoring

    def list(
        self, reader: Reader, *, show: Show = "all", sort: Sort = "score", search: str = ""
    ) -> Worklist:
        """List cases.

        Args:
            reader: Whose reads decide "read" and "unread".
            show: Which cases.
            sort: "score" puts the highest percentile first.
            search: Part of a label, a view, a modality or a verdict; any case.
        """
        rows = self._rows(reader)
        wanted = [row for row in rows if _shown(row, show) and _matches(row, search)]
        return Worklist(
            rows=tuple(_sorted(wanted, sort)),
            total=len(rows),
            unread=sum(row.verdict is None for row in rows),
            flagged=sum(row.flagged for row in rows),
        )

    def thumbnails(self, rows: Iterable[WorklistRow]) -> dict[int, bytes]:
        """Small JPEGs by case."""
        with self._store.reading() as repositories:
            return repositories.images.thumbnails([row.image_id for row in rows])

    def _rows(self, reader: Reader) -> Rows:
        with self._store.reading() as repositories:
            images = repositories.images.list_all()
            reads = repositories.reads.latest_for_all()
            scores = {
                (card.name, score.image_id): score
                for card in self._models.cards
                for score in repositories.scores.for_model(card.name, card.model_hash)
            }
        flags = {card.name: self._models.operating_point(card.name) for card in self._models.cards}
        own = {read.image_id: read for read in reads if read.reader == reader.name}
        others: dict[int, int] = {}
        for read in reads:
            if read.reader != reader.name:
                others[read.image_id] = others.get(read.image_id, 0) + 1
        rows = []
        for image in images:
            model = self._models.choose(image.age_years).name
            score = scores.get((model, image.id))
            if score is None:  # taken in under an earlier version of the model
                score = self._scoring.score(image, model)
            flagged = flags[model].flags(score.score)
            rows.append(_row(image, score, own.get(image.id), others.get(image.id, 0), flagged))
        return rows


def describe(image: ImageRecord) -> str:
    """Facts of an image in one line, unknown ones left out."""
    age = None if image.age_years is None else f"{image.age_years:.0f} y"
    parts = (image.view, image.sex, age, image.modality or image.format.upper())
    return " · ".join([*(part for part in parts if part), f"{image.width} × {image.height}"])


def _row(
    image: ImageRecord, score: ScoreRecord, read: ReadRecord | None, others: int, flagged: bool
) -> WorklistRow:
    return WorklistRow(
        image_id=image.id,
        label=image.label,
        origin=image.origin,
        facts=describe(image),
        model=score.model_name,
        score=score.score,
        percentile=score.percentile,
        flagged=flagged,
        warnings=(*image.warnings, *score.warnings),
        verdict=read.verdict if read else None,
        other_readers=others,
        added_at=image.added_at,
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
        return sorted(by_label, key=lambda row: (row.percentile, row.score), reverse=True)
    if sort == "label":
        return by_label
    return sorted(by_label, key=lambda row: (row.added_at, row.image_id), reverse=sort == "newest")
