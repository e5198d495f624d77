"""Levels of a map tuned from boxes: findings hit against false regions an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.services.access import Access
from app.services.evidence import Source
from app.services.models import ModelService, check_calibrated, map_names
from app.services.people import Action, Person
from app.services.scoring import ScoringService
from app.services.tuning_evidence import TuningEvidence
from app.store.records import Box, ImageRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import DdadError, MetricError, RequestError
from ddad_core.evaluation import regions
from ddad_core.evaluation.froc import Trace, trace
from ddad_core.evaluation.pixel_policies import (
    LevelChoice,
    at_least_lesion_sensitivity,
    at_level,
    at_most_false_regions,
)
from ddad_core.vocabulary import MAP_TITLES

LevelPolicy = Literal["hand", "falses", "findings"]
Progress = Callable[[int, int], None]
MOST_IMAGES = 200
"""Images of each kind whose maps are looked through; more are drawn from by chance, always the
same ones."""
BOX_TITLES: dict[Source, str] = {
    "reads": "Readers' boxes",
    "reference": "Boxes that came along",
}
SEED = 20220608
SAME_FINDING = 0.3
"""Boxes of two readers whose intersection has this share of their union are of one finding."""


@dataclass(frozen=True, eq=False)
class LevelEvidence:
    """What lowering a map's level does on boxed images.

    Attributes:
        model: Its name.
        map_name: The map.
        title: What people call it.
        unit: Of its values.
        shipped: The level that the model's card has.
        traced: Findings hit and false regions at each level.
        boxed: Images with boxes that were looked through.
        findings: Their findings.
        normals: Normal images that false regions were counted on; 0 where they were counted on
            images with findings, for want of normal ones.
        passed_over: Images whose map could not be had.
        source_title: Where the boxes come from, in words.
    """

    model: str
    map_name: str
    title: str
    unit: str
    shipped: float
    traced: Trace
    boxed: int
    findings: int
    normals: int
    passed_over: int
    source_title: str

    @property
    def sentence(self) -> str:
        """What the figures rest on, in words."""
        where = (
            f"{self.normals:,} images labelled normal"
            if self.normals
            else "the images with findings, for no normal one has a label"
        )
        out = f" {self.passed_over} images were passed over." if self.passed_over else ""
        return (
            f"{self.findings:,} findings on {self.boxed:,} images with boxes; false regions are "
            f"counted on {where}.{out}"
        )


@dataclass(frozen=True)
class PixelChoice:
    """A level of a map that can be put in force.

    Attributes:
        model: Name of the model.
        map_name: The map whose level it is.
        choice: The level, how it was chosen and what to expect of it.
    """

    model: str
    map_name: str
    choice: LevelChoice


class LevelService:
    """Measures levels of maps on stored boxes."""

    def __init__(
        self, store: UnitOfWork, access: Access, models: ModelService, scoring: ScoringService
    ) -> None:
        self._store = store
        self._access = access
        self._models = models
        self._scoring = scoring

    def maps(self, model_name: str) -> dict[str, str]:
        """A model's maps with what people call them, in the order they are offered.

        Raises:
            RequestError: There is no such model.
        """
        return {name: MAP_TITLES[name] for name in map_names(self._models.card(model_name))}

    def evidence(
        self,
        person: Person,
        evidence: TuningEvidence,
        map_name: str,
        source: Source,
        progress: Progress = lambda done, total: None,
    ) -> LevelEvidence:
        """Trace a map on images with boxes and on images labelled normal.

        Args:
            person: Who asks.
            evidence: Of the model; its labels say which images are normal, its readers whose
                boxes count.
            map_name: The map.
            source: Readers' boxes, or those that came with the images.
            progress: Told how many images are done, of how many.

        Raises:
            ForbiddenError: The person may not look at cases.
            RequestError: There is no such map, or no image has a box.
            UncalibratedError: The model is not calibrated.
        """
        self._access.require(person, Action.VIEW_CASES)
        card = self._models.card(evidence.model)
        check_calibrated(card)
        if map_name not in map_names(card):
            problem = f"The model has no map called {map_name}."
            raise RequestError(problem, "Choose one of the list.")
        ids = [int(one) for one in (*evidence.ids, *evidence.unlabelled_ids)]
        boxes = self._boxes(evidence, source)
        boxed = _some([one for one in ids if one in boxes])
        labels = zip(evidence.ids.tolist(), evidence.labels.tolist(), strict=True)
        normal = _some([one for one, label in labels if label == 0 and one not in boxes])
        maps: dict[int, np.ndarray] = {}
        frames: dict[int, tuple[int, int]] = {}
        for done, one in enumerate([*boxed, *normal]):
            progress(done, len(boxed) + len(normal))
            with self._store.reading() as repositories:
                image = repositories.images.get(one)
            values = self._map(image, card.name, map_name) if image else None
            if image is not None and values is not None:
                maps[one], frames[one] = values, (image.height, image.width)
        if not any(one in maps for one in boxed):
            problem = "No image with a box has a map of this model."
            raise RequestError(problem, "Draw boxes around findings on the Review screen first.")
        found = [one for one in boxed if one in maps]
        cells = [
            regions.regions_of_boxes(
                [regions.Box(b.x, b.y, b.width, b.height) for b in boxes[one]],
                frame=frames[one],
                size=maps[one].shape[0],
            )
            for one in found
        ]
        others = [maps[one] for one in normal if one in maps]
        display = card.maps[map_name]
        return LevelEvidence(
            model=card.name,
            map_name=map_name,
            title=MAP_TITLES[map_name],
            unit=display.unit,
            shipped=display.threshold,
            traced=trace(
                np.stack([maps[one] for one in found]), cells, np.stack(others) if others else None
            ),
            boxed=len(found),
            findings=sum(len(c) for c in cells),
            normals=len(others),
            passed_over=len(boxed) + len(normal) - len(maps),
            source_title=BOX_TITLES[source],
        )

    @staticmethod
    def at(evidence: LevelEvidence, level: float) -> LevelChoice | None:
        """What a level does on the same images; None where it lies below those traced."""
        try:
            return at_level(evidence.traced, level)
        except MetricError:
            return None

    @staticmethod
    def choose(evidence: LevelEvidence, policy: LevelPolicy, value: float) -> PixelChoice:
        """The level that a policy chooses, with what to expect of it, or why it cannot.

        Args:
            evidence: Of the map.
            policy: Which.
            value: False regions an image for "falses", percent of findings for "findings", the
                level for "hand".

        Raises:
            MetricError: The value makes no sense for the policy.
        """
        choices: dict[LevelPolicy, Callable[[], LevelChoice]] = {
            "hand": lambda: at_level(evidence.traced, value),
            "falses": lambda: at_most_false_regions(evidence.traced, value),
            "findings": lambda: at_least_lesion_sensitivity(evidence.traced, value / 100),
        }
        return PixelChoice(evidence.model, evidence.map_name, choices[policy]())

    def _map(self, image: ImageRecord, model: str, map_name: str) -> np.ndarray | None:
        try:
            return np.asarray(self._scoring.evidence(image, model).maps[map_name])
        except DdadError:  # its file is gone
            return None

    def _boxes(self, evidence: TuningEvidence, source: Source) -> dict[int, tuple[Box, ...]]:
        """Boxes by case; those of several readers around one finding count once."""
        with self._store.reading() as repositories:
            if source == "reference":
                images = repositories.images.list_all()
                return {i.id: i.reference_boxes for i in images if i.reference_boxes}
            reads = repositories.evidence.boxes()
        counted = set(zip(evidence.reads.image_id, evidence.reads.reader, strict=True))
        found: dict[int, list[Box]] = {}
        for case, reader, box in reads:
            if evidence.source == "reads" and (case, reader) not in counted:
                continue
            own = found.setdefault(case, [])
            if all(overlap(box, other) < SAME_FINDING for other in own):
                own.append(box)
        return {case: tuple(own) for case, own in found.items()}


def effect_of(evidence: LevelEvidence, level: float) -> LevelChoice | None:
    """What a level does on the same images; None below the lowest that was traced."""
    return None if level < evidence.traced.levels[-1] else at_level(evidence.traced, level)


def overlap(one: Box, other: Box) -> float:
    """Intersection of two boxes over their union, 0 to 1."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one.width * one.height + other.width * other.height - shared)


def _some(ids: Sequence[int]) -> list[int]:
    """At most so many, by chance but always the same."""
    if len(ids) <= MOST_IMAGES:
        return list(ids)
    chosen = np.random.default_rng(SEED).choice(len(ids), MOST_IMAGES, replace=False)
    return [ids[place] for place in sorted(chosen)]
