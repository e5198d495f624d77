"""What the viewer of an open case asks for only when a reader looks closer."""

from __future__ import annotations

from dataclasses import dataclass

from app.services.access import Access
from app.services.images import Picture, StoredImages
from app.services.models import ModelService
from app.services.people import Action, Person
from app.services.reading import PREVIEW_SIDE, CaseView
from app.store.records import ImageRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError
from ddad_core.imaging.prepare import Display
from ddad_core.imaging.stored import pack


@dataclass(frozen=True, eq=False)
class Explanation:
    """What modules A and B make of an image: where they differ from it or from each other.

    Attributes:
        size: S, the side of the networks' pictures.
        slope: Pixel value of the image = 8-bit value * slope + intercept.
        intercept: See ``slope``.
        a: zlib of uint8, (S, S), row by row: the mean of module A's reconstructions.
        b: The same of module B.
    """

    size: int
    slope: float
    intercept: float
    a: bytes
    b: bytes


@dataclass(frozen=True, eq=False)
class Beside:
    """Another image of the patient, to compare an open case with.

    Attributes:
        image: Its record.
        picture: As a case opens with it.
    """

    image: ImageRecord
    picture: Picture


class ViewingService:
    """Pixels in full, reconstructions and a patient's other images; keeps nothing."""

    def __init__(
        self, store: UnitOfWork, access: Access, images: StoredImages, models: ModelService
    ) -> None:
        self._store = store
        self._access = access
        self._images = images
        self._models = models

    def full_display(self, reader: Person, case: CaseView) -> Display:
        """An open case's pixels in full, where it opened with a smaller picture.

        Raises:
            ForbiddenError: The reader may not look at cases.
            FilesError: The pixels are missing or damaged.
        """
        self._access.require(reader, Action.VIEW_CASES)
        return self._images.picture(case.image).display

    def explain(self, reader: Person, case: CaseView) -> Explanation:
        """Reconstruct an open case by modules A and B of its model.

        Raises:
            ForbiddenError: The reader may not look at cases.
            RequestError: Nothing the model says of the case may be shown.
            ModelError: The model's files are damaged.
            FilesError: The pixels are missing or damaged.
        """
        self._access.require(reader, Action.VIEW_CASES)
        if case.judgement is None:
            raise RequestError(case.refusal, "Save your read, or choose a calibrated model.")
        size = self._models.card(case.model.name).input_size
        grey = self._images.grey(case.image, size)
        a, b = self._models.reconstruct(case.model.name, grey)
        # Networks see the image stretched from its lowest to its highest value.
        low, high = case.display.intercept, case.display.highest
        return Explanation(size, (high - low) / 255, low, pack(a), pack(b))

    def beside(self, reader: Person, case: CaseView, other_id: int) -> Beside:
        """Another image of an open case's patient; that it was looked at goes on record.

        Raises:
            ForbiddenError: The reader may not look at cases.
            RequestError: There is no such image of this patient.
            FilesError: The pixels are missing or damaged.
        """
        self._access.require(reader, Action.VIEW_CASES)
        with self._store.reading() as repositories:
            other = repositories.images.get(other_id)
        if other is None or other.id == case.image.id or not _same_patient(other, case.image):
            problem = f"Case number {other_id} is no other image of this patient."
            raise RequestError(problem, "Choose one from the list.")
        found = Beside(other, self._images.picture(other, PREVIEW_SIDE))
        with self._store.writing() as repositories:
            subject, after = f"image {other.id}", {"beside": case.image.id, "ai_shown": False}
            repositories.audit.append(reader.did("view", subject, after=after))
        return found


def _same_patient(one: ImageRecord, other: ImageRecord) -> bool:
    return one.patient is not None and one.patient == other.patient
