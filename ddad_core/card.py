"""The typed card beside each set of weights (``card.json``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ddad_core.calibration import NormalReference
from ddad_core.errors import ModelError, UncalibratedError
from ddad_core.evaluation.metrics import Estimate
from ddad_core.vocabulary import map_of_score

SCHEMA = 1
CARD_FILE = "card.json"
DEFAULT_MODEL = "nih-ae-u"
"""Judges a radiograph whose patient's age is unknown."""
PREFERRED = (DEFAULT_MODEL, "kermany-ae-u-128")
"""Asked first, in this order, where several models were made for an age."""


@dataclass(frozen=True)
class Population:
    """Whom a model was made for.

    Attributes:
        description: In words, for instance "children of 1 to 5 years".
        age_min: Years, or None if unknown.
        age_max: Years, or None if unknown.
    """

    description: str
    age_min: float | None
    age_max: float | None

    def includes(self, age: float) -> bool:
        """Whether a patient of this age (in years) belongs to the population."""
        low = -np.inf if self.age_min is None else self.age_min
        high = np.inf if self.age_max is None else self.age_max + 1  # "5 years" lasts a year
        return bool(low <= age < high)


@dataclass(frozen=True)
class OperatingPoint:
    """The model's own threshold and how it was chosen.

    Attributes:
        score: Name of the score it applies to; this is the model's primary score.
        threshold: Flagged means score >= threshold.
        policy: In words.
        n: Calibration normals it was chosen on.
        flagged: Of these, how many it flags.
        rate: The share flagged with its exact interval.
    """

    score: str
    threshold: float
    policy: str
    n: int
    flagged: int
    rate: Estimate


@dataclass(frozen=True)
class MapDisplay:
    """How a map is shown by default, from the calibration normals' pixels.

    Attributes:
        threshold: 95th percentile of the pixels.
        maximum: Top of the colour scale.
        unit: Of the map's values.
    """

    threshold: float
    maximum: float
    unit: str


@dataclass(frozen=True, eq=False)
class Card:
    """What is known of a model; see ``docs/models.md`` for the file's fields.

    Attributes:
        name: Folder under the weights.
        title: For people.
        network: "ae", "ae-u" or "memae".
        input_size: S.
        members: K.
        pixels: How an image becomes the network's input.
        files: SHA-256 by file name.
        population: Whom it was made for.
        reference: Scores of the calibration normals; empty if the model is not calibrated.
        own_point: The model's own operating point, or None if it is not calibrated.
        maps: Display defaults by map name.
        raw: The whole file, for what is only shown.
    """

    name: str
    title: str
    network: str
    input_size: int
    members: int
    pixels: str
    files: dict[str, str]
    population: Population
    reference: NormalReference
    own_point: OperatingPoint | None
    maps: dict[str, MapDisplay]
    raw: dict[str, Any]

    @property
    def operating_point(self) -> OperatingPoint:
        """The model's own operating point.

        Raises:
            UncalibratedError: It has none, so it calls nothing abnormal.
        """
        if self.own_point is None or not self.reference.scores:
            problem = f"The model {self.name} is not calibrated, so it calls nothing abnormal."
            next_step = "Calibrate it with `ddad calibrate`, or use another."
            raise UncalibratedError(problem, next_step)
        return self.own_point

    @property
    def primary(self) -> str:
        """Name of the primary score.

        Raises:
            UncalibratedError: The model is not calibrated.
        """
        return self.operating_point.score

    @property
    def default_map(self) -> str:
        """The map a reader is shown first, calibrated or not."""
        named = self.raw.get("default_map")
        if not named and self.own_point:
            named = map_of_score(self.own_point.score)
        return str(named) if named in self.maps else next(iter(self.maps))

    @property
    def model_hash(self) -> str:
        """SHA-256 over all that decides a score: network, size, pixel path and weights."""
        parts = [self.network, str(self.input_size), str(self.members), self.pixels]
        parts += [f"{name}={digest}" for name, digest in sorted(self.files.items())]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def estimate_from(values: dict[str, Any]) -> Estimate:
    """Read {"value", "ci95": [low, high]}."""
    low, high = values["ci95"]
    return Estimate(float(values["value"]), float(low), float(high))


def estimate_to(estimate: Estimate) -> dict[str, Any]:
    """Write {"value", "ci95": [low, high]}, rounded to six digits."""
    return {
        "value": round(estimate.value, 6),
        "ci95": [round(estimate.low, 6), round(estimate.high, 6)],
    }


def load_card(folder: Path) -> Card:
    """Read and check ``card.json``.

    Raises:
        ModelError: It is missing, is not JSON or lacks a field.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        problem = f"There is no model at {folder}: {CARD_FILE} is missing."
        raise ModelError(problem, "See the models there are with `ddad models`.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return _card(raw)
    except (ValueError, TypeError, AttributeError) as error:
        problem = f"{path} is damaged: {error}."
        raise ModelError(problem, "Restore the file as it was shipped.") from error
    except KeyError as error:
        problem = f"{path} lacks the field {error}."
        raise ModelError(problem, "Restore the file as it was shipped.") from error


def _card(raw: dict[str, Any]) -> Card:
    if raw["schema"] != SCHEMA:
        message = f"schema {raw['schema']} is not {SCHEMA}"
        raise ValueError(message)
    return Card(
        name=str(raw["name"]),
        title=str(raw["title"]),
        network=str(raw["network"]),
        input_size=int(raw["input_size"]),
        members=int(raw["members"]),
        pixels=str(raw["pixels"]),
        files={str(name): str(entry["sha256"]) for name, entry in raw["files"].items()},
        population=Population(**raw["population"]),
        reference=NormalReference.of((raw.get("reference") or {}).get("scores", {})),
        own_point=_point(raw.get("operating_point")),
        maps={name: MapDisplay(**display) for name, display in raw["maps"].items()},
        raw=raw,
    )


def _point(values: dict[str, Any] | None) -> OperatingPoint | None:
    if not values:
        return None
    return OperatingPoint(
        score=str(values["score"]),
        threshold=float(values["threshold"]),
        policy=str(values["policy"]),
        n=int(values["n"]),
        flagged=int(values["flagged"]),
        rate=estimate_from(values["rate"]),
    )


def list_cards(weights: Path) -> tuple[Card, ...]:
    """Cards of all models under the weights folder, by name.

    Raises:
        ModelError: The folder holds no model, or a card is damaged.
    """
    folders = sorted(path.parent for path in weights.glob(f"*/{CARD_FILE}"))
    if not folders:
        problem = f"There is no model under {weights}."
        raise ModelError(problem, "Point to the shipped weights, or train one with `ddad train`.")
    return tuple(load_card(folder) for folder in folders)


def choose_card(cards: Sequence[Card], age: float | None) -> Card:
    """Choose the model for a patient: the one made for this age, else the default.

    Args:
        cards: At least one.
        age: Years, or None if unknown.
    """
    default, *others = in_order_of_choice(cards)
    if age is None or default.population.includes(age):
        return default
    return next((card for card in others if card.population.includes(age)), default)


def in_order_of_choice(cards: Sequence[Card]) -> list[Card]:
    """The default model first, then the others as they are tried for an age.

    Args:
        cards: At least one.
    """
    by_name = {card.name: card for card in cards}
    default = by_name.get(DEFAULT_MODEL, cards[0])
    preferred = [by_name[name] for name in PREFERRED if name in by_name]
    return list({card.name: card for card in (default, *preferred, *cards)}.values())
