"""Scores of stored images: computed once per model version, then kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.gateways.files import FilesError, ImageFiles
from app.services.models import ModelService
from app.services.pixels import StoredPixels, from_stored
from app.store.records import ImageRecord, NewScore, ScoreRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.card import Card
from ddad_core.imaging.suitability import check_suitability
from ddad_core.types import Radiograph, RadiographFacts, ScoreResult, Window

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Score and maps of one image under one model.

    Attributes:
        score: As stored.
        maps: float32 (S, S) by name.
    """

    score: ScoreRecord
    maps: Mapping[str, np.ndarray]


def restore_radiograph(image: ImageRecord, values: np.ndarray) -> Radiograph:
    """Rebuild a radiograph from what is kept of it.

    Args:
        image: Its record.
        values: uint16 (H, W), as kept.
    """
    return Radiograph(
        pixels=from_stored(StoredPixels(values, image.slope, image.intercept)),
        sha256=image.sha256,
        facts=RadiographFacts(
            format=image.format,
            modality=image.modality,
            view=image.view,
            body_part=image.body_part,
            age_years=image.age_years,
            sex=image.sex,
            spacing_mm=image.spacing_mm,
            bits=image.bits,
        ),
        windows=tuple(Window(w.center, w.width, w.name) for w in image.windows),
        warnings=tuple(image.warnings),
    )


class ScoringService:
    """Scores images that are stored."""

    def __init__(self, store: UnitOfWork, files: ImageFiles, models: ModelService) -> None:
        self._store = store
        self._files = files
        self._models = models

    def evidence(self, image: ImageRecord, model_name: str) -> Evidence:
        """Score and maps of an image, computed if they are not stored yet.

        Raises:
            RequestError: There is no such model.
            FilesError: The pixels are missing or damaged.
        """
        card = self._models.card(model_name)
        score = self._kept_score(image, card)
        maps = self._kept_maps(image, card) if score else None
        if score is not None and maps is not None:
            return Evidence(score, maps)
        radiograph = restore_radiograph(image, self._files.pixels(image.sha256))
        return self.add(card, [(image, radiograph)])[0]

    def score(self, image: ImageRecord, model_name: str) -> ScoreRecord:
        """Score of an image without its maps; as :meth:`evidence`."""
        kept = self._kept_score(image, self._models.card(model_name))
        return kept or self.evidence(image, model_name).score

    def _kept_score(self, image: ImageRecord, card: Card) -> ScoreRecord | None:
        with self._store.reading() as repositories:
            return repositories.scores.for_image(image.id, card.name, card.model_hash)

    def _kept_maps(self, image: ImageRecord, card: Card) -> Mapping[str, np.ndarray] | None:
        """Maps as kept; None if they are missing or damaged, for they can be made anew."""
        try:
            return self._files.maps(image.sha256, card.model_hash)
        except FilesError:
            log.warning("Damaged maps of image %d are computed again", image.id)
            return None

    def add(self, card: Card, images: Sequence[tuple[ImageRecord, Radiograph]]) -> list[Evidence]:
        """Score stored images with one model and keep the results, in order.

        Raises:
            FilesError: The disk does not take the maps.
            StoreError: The database does not take the scores.
        """
        started = time.perf_counter()
        results = self._models.score(card.name, [radiograph for _, radiograph in images])
        seconds = (time.perf_counter() - started) / max(len(images), 1)
        for (image, _), result in zip(images, results, strict=True):
            self._files.put_maps(image.sha256, card.model_hash, result.maps)
        with self._store.writing() as repositories:
            records = [
                repositories.scores.add_or_get(new_score(image.id, card, radiograph, r, seconds))
                for (image, radiograph), r in zip(images, results, strict=True)
            ]
        return [Evidence(s, r.maps) for s, r in zip(records, results, strict=True)]


def new_score(
    image_id: int, card: Card, radiograph: Radiograph, result: ScoreResult, seconds: float
) -> NewScore:
    """Put a result into the form the store takes."""
    return NewScore(
        image_id=image_id,
        model_name=card.name,
        model_hash=card.model_hash,
        a_rec=result.scores["a_rec"],
        a_rec_single=result.scores["a_rec_single"],
        a_intra=result.scores["a_intra"],
        a_inter=result.scores["a_inter"],
        score_name=result.primary,
        score=result.score,
        p_value=result.p_value,
        percentile=result.percentile,
        warnings=check_suitability(
            radiograph, age_min=card.population.age_min, age_max=card.population.age_max
        ),
        seconds=seconds,
    )
