"""Opening a case and saving a read of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from app.services.access import Access
from app.services.arbitration import settle
from app.services.drafts import Drafting
from app.services.images import StoredImages
from app.services.models import (
    ModelService,
    ModelSummary,
    OperatingPointInForce,
    default_map,
)
from app.services.people import Action, Person
from app.services.preparing import PREVIEW_SIDE, PreparedCase
from app.services.read_draft import FINDINGS, ReadDraft, check
from app.services.scoring import ScoringService
from app.services.unaided import UnaidedFirst
from app.services.worklist import describe
from app.store.records import ImageRecord, NewRead, ReadRecord, ScoreRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.card import Card
from ddad_core.errors import RequestError, UncalibratedError
from ddad_core.imaging.prepare import Display
from ddad_core.imaging.stored import pack
from ddad_core.types import Window
from ddad_core.vocabulary import MAP_TITLES, SCORE_TITLES

UNAIDED = "Your verdict first: what the AI says is shown once it is saved."
_BY_PLACE = "standard deviations above the calibration normals at the same place"
_SHORT_UNITS = {"log ratio": "nat"}
"""Beside each figure there is room for a few letters."""
MAP_HINTS = {
    "inter": "Where the networks A and the networks B differ",
    "c_inter": f"A_inter in {_BY_PLACE}",
    "intra": "Where the networks B differ among themselves",
    "c_intra": f"A_intra in {_BY_PLACE}",
    "rec": "Where the image differs from its reconstruction by the networks B",
    "c_rec": f"A_rec in {_BY_PLACE}",
    "r_dual": "A_inter and A_intra refined by a network trained on synthetic anomalies, 0 to 1",
    "r_intra": "A_intra refined by a network trained on synthetic anomalies, 0 to 1",
    "ratio": "Evidence that the image is one of D_u and not of D_n, as the natural logarithm of a "
    "ratio of densities (nat)",
}
"""What each map shows, for who chooses one."""


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
        hint: What the map shows, in one sentence.
    """

    name: str
    title: str
    unit: str
    values: bytes
    size: int
    threshold: float
    maximum: float
    hint: str = ""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a calibrated model says of a case.

    Attributes:
        score: As stored.
        score_title: What people call the primary score.
        operating_point: In force now.
        flagged: Whether the score reaches it.
        normals: Scores of the model's calibration normals, ascending.
        maps: All maps of the model, in the order they are offered.
        default_map: Name of the map shown first.
    """

    score: ScoreRecord
    score_title: str
    operating_point: OperatingPointInForce
    flagged: bool
    normals: tuple[float, ...]
    maps: tuple[MapLayer, ...]
    default_map: str


@dataclass(frozen=True, eq=False)
class CaseView:
    """All that the review screen shows of a case under one model, calibrated or not.

    Attributes:
        image: Its record.
        facts: In one line.
        display: Pixels for the browser, and the default window.
        presets: Further windows of the file.
        judgement: What the model says; None if it is not calibrated.
        refusal: Why there is no judgement and what to do; empty if there is one.
        model: The model chosen.
        suggested_model: The model for this patient's age, else the default.
        suggested_for_age: Whether the suggested model's population includes the known age.
        warnings: Sentences a reader must see.
        history: All of this reader's revisions, oldest first.
        unaided: Whether the AI stays hidden until this reader's first verdict is saved.
    """

    image: ImageRecord
    facts: str
    display: Display
    presets: tuple[Window, ...]
    judgement: Judgement | None
    refusal: str
    model: ModelSummary
    suggested_model: str
    suggested_for_age: bool
    warnings: tuple[str, ...]
    history: tuple[ReadRecord, ...]
    unaided: bool = False

    @property
    def read(self) -> ReadRecord | None:
        """This reader's latest read, or None."""
        return self.history[-1] if self.history else None


class ReadingService(Drafting):
    """Opens cases and keeps reads.

    Args:
        store: The database.
        access: Who may do what.
        images: The pixels.
        models: The models at hand.
        scoring: What they say.
        unaided_first: Whether every reader commits a verdict before the AI is shown.
        more_findings: The site's own findings, beside ``FINDINGS``.
    """

    def __init__(
        self,
        store: UnitOfWork,
        access: Access,
        images: StoredImages,
        models: ModelService,
        scoring: ScoringService,
        *,
        unaided_first: bool = False,
        more_findings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(store, access)
        self._unaided = UnaidedFirst(store, access, always=unaided_first)
        self.findings = tuple(dict.fromkeys((*FINDINGS, *more_findings)))
        self._images = images
        self._models = models
        self._scoring = scoring

    def open_case(
        self,
        reader: Person,
        image_id: int,
        model_name: str | None = None,
        *,
        unaided: bool = False,
        prepared: PreparedCase | None = None,
    ) -> CaseView:
        """Gather what the review screen needs.

        Args:
            reader: Whose reads are shown.
            image_id: The case.
            model_name: The model to judge with; None takes the one for the patient's age.
            unaided: Whether the AI stays hidden until this reader's first verdict, where the
                setting does not ask for that anyway. Nothing of it then leaves this service.
            prepared: The case's picture, if it was made in advance; of another image, or of what
                this one was before, it is not used.

        Raises:
            ForbiddenError: The reader may not look at cases.
            RequestError: There is no such case or model.
            FilesError: The pixels are missing or damaged.
        """
        self._access.require(reader, Action.VIEW_CASES)
        image = self._image(image_id)
        suggested = self._models.choose(image.age_years)
        card = self._models.card(model_name) if model_name else suggested
        hidden = self._unaided.hides(reader, image.id, unaided=unaided)
        judgement, refusal = None, UNAIDED if hidden else ""
        try:
            judgement = None if hidden else self._judgement(image, card)
        except UncalibratedError as error:
            refusal = str(error)
        if prepared is not None and prepared.image == image:
            picture = prepared.picture
        else:
            picture = self._images.picture(image, PREVIEW_SIDE)
        with self._store.writing() as repositories:
            history = tuple(repositories.reads.history(image.id, reader.name))
            repositories.audit.append(
                reader.did(
                    "view", _subject(image.id), after={"model": card.name, "ai_shown": not hidden}
                )
            )
        return CaseView(
            image=image,
            facts=describe(image),
            display=picture.display,
            presets=picture.presets,
            judgement=judgement,
            refusal=refusal,
            model=self._models.summary(card.name),
            suggested_model=suggested.name,
            suggested_for_age=image.age_years is not None
            and suggested.population.includes(image.age_years),
            warnings=(*image.warnings, *(judgement.score.warnings if judgement else ())),
            history=history,
            unaided=hidden,
        )

    def _judgement(self, image: ImageRecord, card: Card) -> Judgement:
        point = self._models.operating_point(card.name)
        evidence = self._scoring.evidence(image, card.name)
        return Judgement(
            score=evidence.score,
            score_title=SCORE_TITLES[card.primary],
            operating_point=point,
            flagged=point.flags(evidence.score.score),
            normals=tuple(float(v) for v in card.reference.of_score(card.primary)),
            maps=tuple(
                _layer(card, name, evidence.maps[name], level.threshold)
                for name, level in self._models.levels(card.name).items()
            ),
            default_map=default_map(card),
        )

    def save(
        self,
        reader: Person,
        image_id: int,
        model_name: str,
        draft: ReadDraft,
        *,
        unaided: bool = False,
    ) -> ReadRecord:
        """Append a read; an earlier one of this reader stays, followed by this revision.

        Args:
            reader: Whose read it is.
            image_id: The case.
            model_name: The model that was in use.
            draft: What was decided, and what was on the screen.
            unaided: As the case was opened. The first read of a case opened so is stored as one
                made without the AI.

        Raises:
            ForbiddenError: The reader may not store reads.
            RequestError: The draft is incomplete or out of range, or the case is unknown.
            StoreError: The database did not take it; nothing was stored.
        """
        self._access.require(reader, Action.READ)
        image = self._image(image_id)
        check(draft, image, self.findings)
        hidden = self._unaided.hides(reader, image.id, unaided=unaided)
        new = NewRead(
            image_id=image.id,
            reader=reader.name,
            verdict=draft.verdict,  # type: ignore[arg-type]  # checked above
            confidence=draft.confidence,
            findings=draft.findings,
            comment=draft.comment.strip(),
            seconds_to_verdict=draft.seconds,
            boxes=draft.boxes,
            rejected=draft.rejected,
            ai_visible=False,
            stage="unaided" if hidden else "aided",
            agreement={} if hidden else dict(draft.agreement),
        )
        try:
            new = self._with_evidence(new, image, model_name, draft)
        except UncalibratedError:  # such a model said nothing: it was a read without one
            new = replace(new, rejected=())
        if hidden:
            new = replace(
                new,
                map_name=None,
                pixel_threshold=None,
                opacity=None,
                ai_visible=False,
                rejected=(),
            )
        may_settle = self._access.may(reader, Action.ARBITRATE)
        with self._store.writing() as repositories:
            earlier = repositories.reads.history(image.id, reader.name)
            saved = repositories.reads.append(new)
            repositories.audit.append(
                reader.did(
                    "amendment" if earlier else "verdict",
                    _subject(image.id),
                    before=_on_record(earlier[-1]) if earlier else None,
                    after=_on_record(saved),
                )
            )
            repositories.drafts.remove(reader.name, image.id)
            if may_settle:
                settle(repositories, reader, saved)
            return saved

    def _with_evidence(
        self, new: NewRead, image: ImageRecord, model_name: str, draft: ReadDraft
    ) -> NewRead:
        """The read with what the model said and what was on the screen."""
        card = self._models.card(model_name)
        point = self._models.operating_point(card.name)
        return replace(
            new,
            model_name=card.name,
            model_hash=card.model_hash,
            operating_point_id=point.id,
            score=self._scoring.score(image, card.name).score,
            threshold=point.threshold,
            map_name=draft.map_name,
            pixel_threshold=draft.pixel_threshold,
            opacity=draft.opacity,
            ai_visible=draft.ai_visible,
        )

    def _image(self, image_id: int) -> ImageRecord:
        with self._store.reading() as repositories:
            image = repositories.images.get(image_id)
        if image is None:
            problem = f"There is no case number {image_id}."
            raise RequestError(problem, "Go back to the worklist and open another.")
        return image


def _subject(image_id: int) -> str:
    return f"image {image_id}"


def _on_record(read: ReadRecord) -> dict[str, Any]:
    """What the audit tells of a read; a comment may speak of a patient and stays in the read."""
    return {
        "read": read.id,
        "revision": read.revision,
        "verdict": read.verdict,
        "confidence": read.confidence,
        "findings": list(read.findings),
        "boxes": len(read.boxes),
        "rejected_regions": len(read.rejected),
        "model": read.model_name,
        "operating_point": read.operating_point_id,
        "ai_visible": read.ai_visible,
        "stage": read.stage,
        "agreement": dict(read.agreement),
    }


def _layer(card: Card, name: str, values: np.ndarray, level: float) -> MapLayer:
    display = card.maps[name]
    return MapLayer(
        name=name,
        title=MAP_TITLES[name],
        # "0 to 1", which a card may say of a refined map, is a range, not a unit; the hint has it.
        unit="" if name.startswith("r_") else _SHORT_UNITS.get(display.unit, display.unit),
        values=pack(values),
        size=values.shape[0],
        threshold=level,
        # A level above the card's scale would otherwise be out of the slider's reach.
        maximum=max(display.maximum, level),
        hint=MAP_HINTS[name],
    )
