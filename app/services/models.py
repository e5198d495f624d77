"""The models at hand, loaded once, and the operating point in force for each."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.store.records import OperatingPointRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.card import Card, choose_card, estimate_from, list_cards
from ddad_core.errors import RequestError, UncalibratedError
from ddad_core.evaluation.thresholds import is_flagged
from ddad_core.types import ScoreResult
from ddad_core.vocabulary import MAP_TITLES, SCORE_TITLES

if TYPE_CHECKING:
    from ddad_core.scoring import Scorer

OWN_LEVEL = "The 95th percentile of the calibration normals' pixels"


@dataclass(frozen=True)
class OperatingPointInForce:
    """The threshold that decides the flag today.

    Attributes:
        id: Of the site's operating point; None while the card's own is in force.
        version: 0 for the card's own.
        threshold: Flagged means score >= threshold.
        policy: How it was chosen.
        set_by: Who set it; empty for the card's own.
        set_at: When, or None for the card's own.
        reason: In the words of who set it.
        approved_by: The second person; empty where none was asked for.
    """

    id: int | None
    version: int
    threshold: float
    policy: str
    set_by: str = ""
    set_at: datetime | None = None
    reason: str = ""
    approved_by: str = ""

    def flags(self, score: float) -> bool:
        """Whether a score is called abnormal."""
        return is_flagged(score, self.threshold)


@dataclass(frozen=True)
class ModelSummary:
    """What a screen says of a model.

    Attributes:
        name: Of the model.
        title: For people.
        population: In words.
        figures: AUC of the primary score with interval and n, or that it was not measured.
        statement: The finding of the test in plain words.
        score_title: What people call the primary score; empty for an uncalibrated model.
    """

    name: str
    title: str
    population: str
    figures: str
    statement: str
    score_title: str


class ModelService:
    """Finds, loads and applies models; safe to share between threads.

    Args:
        weights: Folder of the models.
        device: "auto", "cpu" or "cuda".
        store: For the site's operating points.
        site: Whose operating points count.
    """

    def __init__(self, weights: Path, device: str, store: UnitOfWork, site: str = "") -> None:
        self.site = site
        self._weights = weights
        self._device = device
        self._store = store
        self._cards = {card.name: card for card in list_cards(weights)}
        self._scorers: dict[str, Scorer] = {}
        self._loading = threading.Lock()

    @property
    def cards(self) -> tuple[Card, ...]:
        """All models, by name."""
        return tuple(self._cards.values())

    def card(self, name: str) -> Card:
        """Look a model up.

        Raises:
            RequestError: There is none of this name.
        """
        try:
            return self._cards[name]
        except KeyError:
            problem = f"There is no model called {name}."
            raise RequestError(problem, "Choose one from the list.") from None

    def choose(self, age: float | None) -> Card:
        """The model for a patient of this age (years, None if unknown)."""
        return choose_card(self.cards, age)

    def summaries(self) -> tuple[ModelSummary, ...]:
        """All models as a screen shows them."""
        return tuple(_summary(card) for card in self.cards)

    def summary(self, name: str) -> ModelSummary:
        """One model as a screen shows it.

        Raises:
            RequestError: There is no such model.
        """
        return _summary(self.card(name))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides of the inputs of all models, ascending."""
        return tuple(sorted({card.input_size for card in self.cards}))

    def score(self, name: str, grey: Sequence[np.ndarray]) -> list[ScoreResult]:
        """Score images with one model, in order.

        Args:
            name: Of the model.
            grey: uint8 (S, S) each, as made by ``to_network_grey``.

        Raises:
            RequestError: There is no such model.
            UncalibratedError: The model is not calibrated.
            ModelError: The model's files are damaged.
        """
        check_calibrated(self.card(name))
        return self._scorer(name).score_prepared(np.stack(grey)) if len(grey) else []

    def reconstruct(self, name: str, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Reconstruct one image, uint8 (S, S), by modules A and B; see ``Scorer.reconstruct``.

        Raises:
            RequestError: There is no such model.
            ModelError: The model's files are damaged.
        """
        return self._scorer(name).reconstruct(grey)

    def warm_up(self) -> None:
        """Load every model now, so that the first reader does not wait for it.

        For a server: one core is left to requests. Torch's threads wait actively for each other,
        and with all cores taken a single image can cost a second instead of milliseconds.
        """
        from ddad_core.scoring import limit_threads  # noqa: PLC0415

        limit_threads((os.cpu_count() or 2) - 1)
        for card in filter(is_calibrated, self.cards):
            blank = np.zeros((1, card.input_size, card.input_size), dtype=np.uint8)
            self._scorer(card.name).score_prepared(blank)
        # Streamlit collects all garbage after every page run; what lives as long as the process
        # (torch, pandas, the models: some 370 000 objects) need not be walked each time.
        gc.collect()
        gc.freeze()

    def load(self, name: str) -> None:
        """Load one model now, so that what comes next does not wait for it.

        Raises:
            RequestError: There is no such model.
            ModelError: Its files are damaged.
        """
        self._scorer(name)

    def operating_point(self, name: str) -> OperatingPointInForce:
        """The operating point in force: the site's latest, else the card's own.

        Raises:
            RequestError: There is no such model.
            UncalibratedError: The model is not calibrated, so nothing may be flagged.
        """
        card = self.card(name)
        check_calibrated(card)
        with self._store.reading() as repositories:
            site = repositories.operating_points.in_force(
                card.name, card.model_hash, card.primary, **scope_of(card, self.site)
            )
        if site is None:
            point = card.operating_point
            return OperatingPointInForce(None, 0, point.threshold, point.policy)
        return _of_site(site)

    def levels(self, name: str) -> dict[str, OperatingPointInForce]:
        """The level in force of each map of a model: the site's latest, else the card's own.

        Raises:
            RequestError: There is no such model.
        """
        card = self.card(name)
        scope = scope_of(card, self.site)
        with self._store.reading() as repositories:
            site = {
                one: repositories.operating_points.in_force(
                    card.name, card.model_hash, level_name(one), **scope
                )
                for one in map_names(card)
            }
        return {
            one: _of_site(point)
            if point
            else OperatingPointInForce(None, 0, card.maps[one].threshold, OWN_LEVEL)
            for one, point in site.items()
        }

    def _scorer(self, name: str) -> Scorer:
        # Torch takes seconds to import; a page that scores nothing must not wait for it.
        from ddad_core.registry import load_model  # noqa: PLC0415
        from ddad_core.scoring import Scorer  # noqa: PLC0415

        card = self.card(name)
        with self._loading:
            if card.name not in self._scorers:
                model = load_model(self._weights / card.name)
                self._scorers[card.name] = Scorer(model, self._device)
            return self._scorers[card.name]


def _of_site(point: OperatingPointRecord) -> OperatingPointInForce:
    return OperatingPointInForce(
        id=point.id,
        version=point.version,
        threshold=point.threshold,
        policy=point.policy,
        set_by=point.set_by,
        set_at=point.set_at,
        reason=point.reason,
        approved_by=point.approved_by or "",
    )


def level_name(map_name: str) -> str:
    """What the level of a map is stored under, where the threshold of a score has its name."""
    return f"map {map_name}"


def scope_of(card: Card, site: str) -> dict[str, str]:
    """Whom an operating point is for, beside the model's weights."""
    return {"population": card.population.description, "site": site}


def check_calibrated(card: Card) -> None:
    """Refuse a model that has no normal reference or no operating point of its own.

    Raises:
        UncalibratedError: It is not calibrated; the sentences are meant for readers.
    """
    try:
        card.reference.of_score(card.primary)
    except UncalibratedError as error:
        problem = f"The model “{card.title}” is not calibrated, so it calls nothing abnormal."
        next_step = "Choose another model, or have this one calibrated before it is used."
        raise UncalibratedError(problem, next_step) from error


def is_calibrated(card: Card) -> bool:
    """Whether a model may call anything abnormal."""
    try:
        check_calibrated(card)
    except UncalibratedError:
        return False
    return True


def map_names(card: Card) -> tuple[str, ...]:
    """The maps a model has, in the order a reader is offered them."""
    return tuple(name for name in MAP_TITLES if name in card.maps)


def default_map(card: Card) -> str:
    """The map that is shown first; an empty string for a model without maps."""
    wanted = card.default_map if card.maps else ""
    names = map_names(card)
    return wanted if wanted in names else next(iter(names), "")


def _summary(card: Card) -> ModelSummary:
    calibrated = is_calibrated(card)
    evaluation = card.raw.get("evaluation")
    measured = evaluation["auc"].get(card.primary) if evaluation and calibrated else None
    if evaluation and measured:
        auc = estimate_from(measured)
        figures = (
            f"AUC {auc.value:.2f} (95 % CI {auc.low:.2f} to {auc.high:.2f}) on "
            f"{evaluation['n_normal']} normal and {evaluation['n_abnormal']} abnormal test images"
        )
        statement = str(evaluation["statement"])
    else:
        figures, statement = "Not measured on test images", ""
    return ModelSummary(
        name=card.name,
        title=card.title,
        population=card.population.description,
        figures=figures,
        statement=statement,
        score_title=SCORE_TITLES[card.primary] if calibrated else "",
    )
