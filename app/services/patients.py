"""The other images of a patient, and those that contradict an image."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.services.access import Access
from app.services.people import Action, Person
from app.store.records import ImageRecord
from app.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class OtherImage:
    """An image beside the one in view.

    Attributes:
        image_id: The case.
        label: What the worklist calls it.
        facts: View and age in one line, unknown ones left out.
        verdict: This reader's latest verdict, or None if unread by them.
        taken_in: When.
    """

    image_id: int
    label: str
    facts: str
    verdict: str | None
    taken_in: datetime

    @property
    def status(self) -> str:
        """The verdict in words."""
        return self.verdict or "unread"


@dataclass(frozen=True)
class RelatedImages:
    """What else is here of the image in view.

    Attributes:
        of_patient: The patient's other images, the first one first.
        in_conflict: Images with the same SOP Instance UID, but other pixels.
    """

    of_patient: tuple[OtherImage, ...] = ()
    in_conflict: tuple[OtherImage, ...] = ()


class PatientService:
    """Finds what belongs together by pseudonyms."""

    def __init__(self, store: UnitOfWork, access: Access) -> None:
        self._store = store
        self._access = access

    def others_of(self, reader: Person, image: ImageRecord) -> RelatedImages:
        """Gather the images beside one.

        Args:
            reader: Whose reads are told.
            image: The one in view; without pseudonyms it stands alone.

        Raises:
            ForbiddenError: The reader may not look at cases.
        """
        self._access.require(reader, Action.VIEW_CASES)
        if not (image.patient or image.instance):
            return RelatedImages()
        with self._store.reading() as repositories:
            same_patient, namesakes = [], []
            if image.patient:
                same_patient = repositories.images.of_patient(image.patient, exclude_id=image.id)
            if image.instance:
                found = repositories.images.by_instance(image.instance)
                namesakes = [other for other in found if other.id != image.id]
            verdicts = {}
            for other in {one.id: one for one in (*same_patient, *namesakes)}.values():
                history = repositories.reads.history(other.id, reader.name)
                verdicts[other.id] = history[-1].verdict if history else None
        return RelatedImages(
            tuple(_other(one, verdicts[one.id]) for one in same_patient),
            tuple(_other(one, verdicts[one.id]) for one in namesakes),
        )


def _other(image: ImageRecord, verdict: str | None) -> OtherImage:
    age = None if image.age_years is None else f"{image.age_years:.0f} y"
    facts = " · ".join(part for part in (image.view, age) if part)
    return OtherImage(image.id, image.label, facts, verdict, image.added_at)
