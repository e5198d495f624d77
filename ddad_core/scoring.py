"""Scorer: modules + geometry + calibration -> ScoreResult."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ddad_core.calibration import PlaceReference
from ddad_core.discrepancy import discrepancy_maps, image_scores
from ddad_core.ensemble import Ensemble
from ddad_core.errors import ModelError
from ddad_core.imaging.geometry import normalise, to_network_grey
from ddad_core.inference.choice import choose_engine, choose_ratio_engine
from ddad_core.inference.engines import full_precision
from ddad_core.inference.parity import Reconstruct
from ddad_core.ratio import RATIO, RatioMapping, pooled
from ddad_core.refinement import RefinementNetwork, refine
from ddad_core.registry import Model
from ddad_core.types import Radiograph, ScoreResult
from ddad_core.vocabulary import BASE_MAPS

BATCH_SIZE = 64
MAP_NAMES = BASE_MAPS
SCORE_NAMES = ("a_rec", "a_rec_single", "a_intra", "a_inter")


@dataclass(frozen=True, eq=False)
class BatchScores:
    """Scores and maps of N images.

    Attributes:
        scores: float64 (N,) by score name.
        maps: float32 (N, S, S) by map name.
    """

    scores: dict[str, np.ndarray]
    maps: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Extras:
    """What makes further maps out of those of modules A and B.

    Attributes:
        refiners: Refinement networks in evaluation mode by kind, "r_dual" or "r_intra".
        places: The calibration normals' maps, place by place, or None.
        ratio: Makes the maps of A_ratio, on the device; None without that score.
    """

    refiners: Mapping[str, RefinementNetwork] = field(default_factory=dict)
    places: PlaceReference | None = None
    ratio: RatioMapping | None = None


def resolve_device(name: str) -> torch.device:
    """Turn "auto", "cpu" or "cuda" into a device.

    Raises:
        ModelError: CUDA was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        problem = "No CUDA device is available to this installation of torch."
        raise ModelError(problem, "Use --device cpu, or install a CUDA build of torch.")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def limit_threads(count: int) -> None:
    """Let torch use this many CPU threads in this process."""
    torch.set_num_threads(max(1, count))


def score_grey(
    a: Ensemble,
    b: Ensemble,
    grey: np.ndarray,
    *,
    device: torch.device | None = None,
    extras: Extras | None = None,
) -> BatchScores:
    """Score prepared images in batches.

    Args:
        a: Module A in evaluation mode, on ``device``.
        b: Module B, likewise.
        grey: uint8 (N, S, S), as made by ``to_network_grey``.
        device: Where the modules are; the CPU if None.
        extras: What else makes maps out of the modules' own.
    """
    with full_precision():
        return score_batches(lambda images: (a(images), b(images)), grey, device, extras)


@torch.inference_mode()
def score_batches(
    reconstruct: Reconstruct,
    grey: np.ndarray,
    device: torch.device | None = None,
    extras: Extras | None = None,
) -> BatchScores:
    """Score prepared images in batches, by whatever reconstructs them.

    Args:
        reconstruct: Images (B, 1, S, S) on the device -> what modules A and B give back.
        grey: uint8 (N, S, S), as made by ``to_network_grey``.
        device: Where to compute; the CPU if None.
        extras: What else makes maps out of the modules' own.
    """
    extras = extras or Extras()
    device = device or torch.device("cpu")
    refiners = {kind: network.to(device) for kind, network in extras.refiners.items()}
    parts: list[BatchScores] = []
    for start in range(0, len(grey), BATCH_SIZE):
        batch = torch.from_numpy(normalise(grey[start : start + BATCH_SIZE]))
        images = batch.unsqueeze(1).to(device)  # (B, 1, S, S)
        found = discrepancy_maps(images, *reconstruct(images))
        refined = refine(refiners, found) if refiners else {}
        means = image_scores(found) | {k: v.mean(dim=(1, 2)) for k, v in refined.items()}
        if extras.ratio:
            refined[RATIO] = extras.ratio(images)
            means[f"a_{RATIO}"] = pooled(refined[RATIO])
        scores = {name: values.double().cpu().numpy() for name, values in means.items()}
        tensors = {name: getattr(found, name) for name in MAP_NAMES} | refined
        maps = {name: values.float().cpu().numpy() for name, values in tensors.items()}
        placed = extras.places.calibrate(maps) if extras.places else {}
        scores |= {name: v.mean(axis=(1, 2), dtype=np.float64) for name, v in placed.items()}
        parts.append(BatchScores(scores, maps | placed))
    return BatchScores(
        {name: np.concatenate([part.scores[name] for part in parts]) for name in parts[0].scores},
        {name: np.concatenate([part.maps[name] for part in parts]) for name in parts[0].maps},
    )


class Scorer:
    """Judges radiographs with one model.

    Args:
        model: From the registry.
        device: "auto", "cpu" or "cuda".
        engine: What runs the networks, by name; the fastest there is if None.

    Attributes:
        engine_name: What runs the networks.
        engine_note: Why this engine and no other, in words.

    Raises:
        ModelError: CUDA was asked for and there is none, or the engine asked for is not usable.
    """

    def __init__(self, model: Model, device: str = "auto", engine: str | None = None) -> None:
        self.card = model.card
        self.device = resolve_device(device)
        chosen = choose_engine(model.a, model.b, model.card.input_size, self.device, prefer=engine)
        self.engine_name, self.engine_note = chosen.name, chosen.note
        self._reconstruct = chosen.reconstruct
        self._extras = Extras(model.refiners, model.places)
        if model.ratio:
            ratio = choose_ratio_engine(model.ratio, self.device, prefer=engine)
            self._extras = replace(self._extras, ratio=ratio.maps)
            self.engine_note += f"; A_ratio by {ratio.name}"
        self._familiarity = model.familiarity

    def score(self, radiograph: Radiograph) -> ScoreResult:
        """Score one radiograph.

        Raises:
            RefusedImageError: The image is blank.
            UncalibratedError: The model has no normal reference.
        """
        return self.score_many([radiograph])[0]

    def score_many(self, radiographs: Sequence[Radiograph]) -> list[ScoreResult]:
        """Score radiographs in batches, in order.

        Raises:
            RefusedImageError: An image is blank.
            UncalibratedError: The model has no normal reference.
        """
        size = self.card.input_size
        if not radiographs:
            return []
        return self.score_prepared(np.stack([to_network_grey(r, size) for r in radiographs]))

    def score_prepared(self, grey: np.ndarray) -> list[ScoreResult]:
        """Score images prepared by ``to_network_grey``, uint8 (N, S, S), in order.

        Raises:
            UncalibratedError: The model has no normal reference.
        """
        found = self.scores(grey)
        return [self._result(found, i, picture) for i, picture in enumerate(grey)]

    def scores(self, grey: np.ndarray) -> BatchScores:
        """Scores and maps of prepared images, uint8 (N, S, S), without judging them."""
        return score_batches(self._reconstruct, grey, self.device, self._extras)

    @torch.inference_mode()
    def reconstruct(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What modules A and B make of one prepared image.

        Args:
            grey: uint8 (S, S), as made by ``to_network_grey``.

        Returns:
            The means over the networks of A and of B, uint8 (S, S) each, on the scale of ``grey``.
        """
        images = torch.from_numpy(normalise(grey[None, None])).to(self.device)  # (1, 1, S, S)
        a, b = (
            ((found.means.mean(dim=0)[0, 0] + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
            for found in self._reconstruct(images)
        )
        return a, b

    def _result(self, found: BatchScores, i: int, grey: np.ndarray) -> ScoreResult:
        primary = self.card.primary
        score = float(found.scores[primary][i])
        return ScoreResult(
            model=self.card.name,
            scores={name: float(values[i]) for name, values in found.scores.items()},
            maps={name: values[i] for name, values in found.maps.items()},
            primary=primary,
            p_value=self.card.reference.p_value(primary, score),
            percentile=self.card.reference.percentile(primary, score),
            warnings=self._familiarity.judge(grey) if self._familiarity else (),
        )
