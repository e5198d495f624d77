"""Scores of stored images: computed once per model version, then kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.gateways.files import FilesError, ImageFiles
from app.services.images import StoredImages
from app.services.models import ModelService, check_calibrated
from app.store.records import ImageRecord, NewScore, ScoreRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.card import Card
from ddad_core.imaging.suitability import check_suitability
from ddad_core.types import ScoreResult
from ddad_core.vocabulary import SCORE_TITLES, map_of_score

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


@dataclass(frozen=True, eq=False)
class ToScore:
    """A stored image on its way to the networks.

    Attributes:
        image: Its record.
        grey: uint8 (S, S), the input of the model that is asked.
    """

    image: ImageRecord
    grey: np.ndarray


class ScoringService:
    """Scores images that are stored."""

    def __init__(
        self, store: UnitOfWork, files: ImageFiles, images: StoredImages, models: ModelService
    ) -> None:
        self._store = store
        self._files = files
        self._images = images
        self._models = models

    def evidence(self, image: ImageRecord, model_name: str) -> Evidence:
        """Score and maps of an image, computed if they are not stored yet.

        Raises:
            RequestError: There is no such model.
            UncalibratedError: The model is not calibrated.
            FilesError: The pixels are missing or damaged.
        """
        card = self._models.card(model_name)
        check_calibrated(card)
        score = self._kept_score(image, card)
        maps = self._kept_maps(image, card) if score else None
        if score is not None and maps is not None:
            return Evidence(score, maps)
        return self.add(card, [ToScore(image, self._images.grey(image, card.input_size))])[0]

    def score(self, image: ImageRecord, model_name: str) -> ScoreRecord:
        """Score of an image without its maps; as :meth:`evidence`."""
        card = self._models.card(model_name)
        check_calibrated(card)
        kept = self._kept_score(image, card)
        return kept or self.evidence(image, model_name).score

    def _kept_score(self, image: ImageRecord, card: Card) -> ScoreRecord | None:
        with self._store.reading() as repositories:
            kept = repositories.scores.for_image(image.id, card.name, card.model_hash)
        return kept if kept and is_current(kept, card) else None

    def _kept_maps(self, image: ImageRecord, card: Card) -> Mapping[str, np.ndarray] | None:
        """Maps as kept; None if any is missing or damaged, for they can be made anew."""
        try:
            maps = self._files.maps(image.sha256, card.model_hash)
        except FilesError:
            log.warning("Damaged maps of image %d are computed again", image.id)
            return None
        # An older version of the program may have kept fewer maps of the same weights.
        return maps if maps is not None and card.maps.keys() <= maps.keys() else None

    def add(self, card: Card, images: Sequence[ToScore]) -> list[Evidence]:
        """Score stored images with one model and keep the results, in order.

        Raises:
            UncalibratedError: The model is not calibrated.
            FilesError: The disk does not take the maps.
            StoreError: The database does not take the scores.
        """
        started = time.perf_counter()
        results = self._models.score(card.name, [one.grey for one in images])
        seconds = (time.perf_counter() - started) / max(len(images), 1)
        for one, result in zip(images, results, strict=True):
            self._files.put_maps(one.image.sha256, card.model_hash, result.maps)
        with self._store.writing() as repositories:
            records = []
            for one, result in zip(images, results, strict=True):
                new = new_score(one.image, card, result, seconds)
                kept = repositories.scores.add_or_get(new)
                records.append(kept if is_current(kept, card) else repositories.scores.put(new))
        return [Evidence(s, r.maps) for s, r in zip(records, results, strict=True)]


def is_current(score: ScoreRecord, card: Card) -> bool:
    """Whether a stored score says all that the card asks for now.

    The same weights may since have got another primary score, a refinement or a calibration.
    """
    asked = required_scores(card)
    return score.score_name == card.primary and all(score.value(n) is not None for n in asked)


def required_scores(card: Card) -> tuple[str, ...]:
    """The scores that a current row of this model has."""
    return tuple(name for name in SCORE_TITLES if map_of_score(name) in card.maps)


def new_score(image: ImageRecord, card: Card, result: ScoreResult, seconds: float) -> NewScore:
    """Put a result into the form the store takes."""
    population = card.population
    return NewScore(
        image_id=image.id,
        model_name=card.name,
        model_hash=card.model_hash,
        a_rec=result.scores["a_rec"],
        a_rec_single=result.scores["a_rec_single"],
        a_intra=result.scores["a_intra"],
        a_inter=result.scores["a_inter"],
        r_dual=result.scores.get("r_dual"),
        r_intra=result.scores.get("r_intra"),
        c_rec=result.scores.get("c_rec"),
        c_intra=result.scores.get("c_intra"),
        c_inter=result.scores.get("c_inter"),
        a_ratio=result.scores.get("a_ratio"),
        score_name=result.primary,
        score=result.score,
        p_value=result.p_value,
        percentile=result.percentile,
        warnings=check_suitability(
            image.age_years, age_min=population.age_min, age_max=population.age_max
        )
        + result.warnings,
        seconds=seconds,
    )
