"""Opening a case and saving a read of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from app.gateways.files import ImageFiles
from app.services.models import ModelService, ModelSummary, OperatingPointInForce
from app.services.people import Reader
from app.services.pixels import pack
from app.services.scoring import ScoringService, restore_radiograph
from app.services.worklist import describe
from app.store.records import Box, ImageRecord, NewRead, ReadRecord, ScoreRecord
from app.store.schema import Verdict
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError
from ddad_core.overlay import default_window
from ddad_core.types import Window

VERDICTS: tuple[str, ...] = get_args(Verdict)
FINDINGS = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "Interstitial lung disease",
    "Infiltration",
    "Lung opacity",
    "Nodule or mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
)
"""The 14 categories of VinBigData."""
COMMENT_LIMIT = 4000
MAX_BOXES = 100
MAP_TITLES = {"inter": "A_inter", "intra": "A_intra", "rec": "A_rec"}


@dataclass(frozen=True)
class MapLayer:
    """One discrepancy map, ready to be laid over the whole image.

    Attributes:
        name: Key of the map, for instance "inter".
        title: What the map choice calls it, for instance "A_inter".
        unit: Unit of the values, shown on the colour bar.
        values: zlib of little-endian float32, (size, size), row-major.
        size: S, the side of the map.
        threshold: Pixel threshold to start with, in map units.
        maximum: Top of the colour scale and of the threshold slider, in map units.
    """

    name: str
    title: str
    unit: str
    values: bytes
    size: int
    threshold: float
    maximum: float


@dataclass(frozen=True, eq=False)
class CaseView:
    """All that the review screen shows of a case under one model.

    Attributes:
        image: Its record.
        facts: In one line.
        pixels: zlib of little-endian uint16, H x W, row by row.
        window: Default display window in pixel values.
        presets: Further windows of the file.
        maps: A_inter, A_intra, A_rec.
        score: As stored.
        operating_point: In force now.
        flagged: Whether the score reaches it.
        model: The model that judged.
        suggested_model: The model for this patient's age, else the default.
        suggested_for_age: Whether the suggested model's population includes the known age.
        normals: Scores of the model's calibration normals, ascending.
        warnings: Sentences a reader must see.
        history: All of this reader's revisions, oldest first.
    """

    image: ImageRecord
    facts: str
    pixels: bytes
    window: Window
    presets: tuple[Window, ...]
    maps: tuple[MapLayer, ...]
    score: ScoreRecord
    operating_point: OperatingPointInForce
    flagged: bool
    model: ModelSummary
    suggested_model: str
    suggested_for_age: bool
    normals: tuple[float, ...]
    warnings: tuple[str, ...]
    history: tuple[ReadRecord, ...]

    @property
    def read(self) -> ReadRecord | None:
        """This reader's latest read, or None."""
        return self.history[-1] if self.history else None


@dataclass(frozen=True)
class ReadDraft:
    """What a reader is about to save, and what was on the screen.

    Attributes:
        verdict: One of ``VERDICTS``.
        confidence: 1 (guess) to 5 (certain), or None.
        findings: Any of ``FINDINGS``.
        comment: Free text.
        boxes: In image pixels.
        map_name: The map in view.
        pixel_threshold: Its threshold in view.
        opacity: Of the overlay.
        ai_visible: Whether the overlay was on.
        seconds: From opening the case, or None.
    """

    verdict: str
    confidence: int | None
    findings: tuple[str, ...]
    comment: str
    boxes: tuple[Box, ...]
    map_name: str | None
    pixel_threshold: float | None
    opacity: float | None
    ai_visible: bool
    seconds: float | None


class ReadingService:
    """Opens cases and keeps reads."""

    def __init__(
        self, store: UnitOfWork, files: ImageFiles, models: ModelService, scoring: ScoringService
    ) -> None:
        self._store = store
        self._files = files
        self._models = models
        self._scoring = scoring

    def open_case(self, reader: Reader, image_id: int, model_name: str | None = None) -> CaseView:
        """Gather what the review screen needs.

        Args:
            reader: Whose reads are shown.
            image_id: The case.
            model_name: The model to judge with; None takes the one for the patient's age.

        Raises:
            RequestError: There is no such case or model.
            FilesError: The pixels are missing or damaged.
        """
        image = self._image(image_id)
        suggested = self._models.choose(image.age_years)
        card = self._models.card(model_name) if model_name else suggested
        evidence = self._scoring.evidence(image, card.name)
        values = self._files.pixels(image.sha256)
        radiograph = restore_radiograph(image, values)
        window = default_window(radiograph)
        point = self._models.operating_point(card.name)
        with self._store.reading() as repositories:
            history = tuple(repositories.reads.history(image.id, reader.name))
        return CaseView(
            image=image,
            facts=describe(image),
            pixels=pack(values),
            window=window,
            presets=radiograph.windows,
            maps=tuple(
                MapLayer(
                    name=name,
                    title=title,
                    unit=card.maps[name].unit,
                    values=pack(evidence.maps[name]),
                    size=evidence.maps[name].shape[0],
                    threshold=card.maps[name].threshold,
                    maximum=card.maps[name].maximum,
                )
                for name, title in MAP_TITLES.items()
            ),
            score=evidence.score,
            operating_point=point,
            flagged=point.flags(evidence.score.score),
            model=self._models.summary(card.name),
            suggested_model=suggested.name,
            suggested_for_age=image.age_years is not None
            and suggested.population.includes(image.age_years),
            normals=tuple(float(v) for v in card.reference.of_score(card.primary)),
            warnings=(*image.warnings, *evidence.score.warnings),
            history=history,
        )

    def save(self, reader: Reader, image_id: int, model_name: str, draft: ReadDraft) -> ReadRecord:
        """Append a read; an earlier one of this reader stays, followed by this revision.

        Raises:
            RequestError: The draft is incomplete or out of range, or the case is unknown.
            StoreError: The database did not take it; nothing was stored.
        """
        image = self._image(image_id)
        _check(draft, image)
        card = self._models.card(model_name)
        score = self._scoring.score(image, card.name)
        point = self._models.operating_point(card.name)
        new = NewRead(
            image_id=image.id,
            reader=reader.name,
            verdict=draft.verdict,  # type: ignore[arg-type]  # checked above
            ai_visible=draft.ai_visible,
            confidence=draft.confidence,
            findings=draft.findings,
            comment=draft.comment.strip(),
            model_name=card.name,
            model_hash=card.model_hash,
            operating_point_id=point.id,
            score=score.score,
            threshold=point.threshold,
            map_name=draft.map_name,
            pixel_threshold=draft.pixel_threshold,
            opacity=draft.opacity,
            seconds_to_verdict=draft.seconds,
            boxes=draft.boxes,
        )
        with self._store.writing() as repositories:
            return repositories.reads.append(new)

    def _image(self, image_id: int) -> ImageRecord:
        with self._store.reading() as repositories:
            image = repositories.images.get(image_id)
        if image is None:
            problem = f"There is no case number {image_id}."
            raise RequestError(problem, "Go back to the worklist and open another.")
        return image


def _check(draft: ReadDraft, image: ImageRecord) -> None:
    if draft.verdict not in VERDICTS:
        problem = "The read has no verdict yet."
        raise RequestError(problem, f"Choose one of: {', '.join(VERDICTS)}.")
    if draft.confidence is not None and not 1 <= draft.confidence <= 5:
        problem = f"The confidence {draft.confidence} is not between 1 and 5."
        raise RequestError(problem, "Choose 1 (a guess) to 5 (certain).")
    unknown = [finding for finding in draft.findings if finding not in FINDINGS]
    if unknown:
        problem = f"Unknown finding: {', '.join(unknown)}."
        raise RequestError(problem, "Choose from the list, or write it as a comment.")
    if len(draft.comment) > COMMENT_LIMIT:
        problem = f"The comment has {len(draft.comment)} characters, {COMMENT_LIMIT} at most."
        raise RequestError(problem, "Shorten it.")
    if len(draft.boxes) > MAX_BOXES:
        problem = f"There are {len(draft.boxes)} boxes, {MAX_BOXES} at most."
        raise RequestError(problem, "Delete some.")
    for box in draft.boxes:
        numbers = (box.x, box.y, box.width, box.height)
        inside = box.x + box.width <= image.width + 0.5 and box.y + box.height <= image.height + 0.5
        positive = box.x >= 0 and box.y >= 0 and box.width > 0 and box.height > 0
        if not (all(map(math.isfinite, numbers)) and positive and inside):
            problem = "A box lies outside the image."
            raise RequestError(problem, "Delete it and draw it again.")
