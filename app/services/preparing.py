"""Preparing the case that is read next, while another is on the screen."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from app.services.access import Access
from app.services.images import Picture, StoredImages
from app.services.models import ModelService
from app.services.people import Action, Person
from app.services.scoring import ScoringService
from app.store.records import ImageRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError, UncalibratedError

PREVIEW_SIDE = 2048
"""Longest side of the pixels a case opens with; a larger image comes in full when asked for."""


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """The picture of a case that was made before it is opened. Nothing of the AI is in it.

    Attributes:
        image: The record that it was made from; for no other is it good.
        picture: As it opens, at most ``PREVIEW_SIDE`` pixels long.
    """

    image: ImageRecord
    picture: Picture


class PreparingService:
    """Makes pictures before they are asked for. Who holds one drops it; nothing is kept here.

    Preparing is not looking: it opens no case, and goes on record only if it is refused. Opening
    the case asks for permission anew.
    """

    def __init__(
        self,
        store: UnitOfWork,
        access: Access,
        images: StoredImages,
        models: ModelService,
        scoring: ScoringService,
    ) -> None:
        self._store = store
        self._access = access
        self._images = images
        self._models = models
        self._scoring = scoring
        # One thread for all sessions: whoever waits for a case in view goes before.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prepare")

    def prepare(self, reader: Person, image_id: int, model_name: str | None = None) -> PreparedCase:
        """Make what opening a case waits for: its picture; score and maps, if they are not kept.

        Args:
            reader: For whom.
            image_id: The case.
            model_name: The model to judge with; None takes the one for the patient's age.

        Raises:
            ForbiddenError: The reader may not look at cases.
            RequestError: There is no such case or model.
            FilesError: The pixels are missing or damaged.
        """
        self._access.require(reader, Action.VIEW_CASES)
        with self._store.reading() as repositories:
            image = repositories.images.get(image_id)
        if image is None:
            problem = f"There is no case number {image_id}."
            raise RequestError(problem, "Go back to the worklist and open another.")
        card = self._models.card(model_name) if model_name else self._models.choose(image.age_years)
        with suppress(UncalibratedError):
            self._scoring.evidence(image, card.name)
        return PreparedCase(image, self._images.picture(image, PREVIEW_SIDE))

    def begin(
        self, reader: Person, image_id: int, model_name: str | None = None
    ) -> Future[PreparedCase]:
        """As :meth:`prepare`, in the background; what it raises is in the answer."""
        return self._thread.submit(self.prepare, reader, image_id, model_name)

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
