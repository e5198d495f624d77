"""A model with every score and every map, made of a shipped one, and one without calibration.

The refined and calibrated maps are made up from the shipped model's own, each of them with a
square of its own that stands out, so that a test can tell on the screen which one is shown.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.services import models
from ddad_core import registry
from ddad_core.scoring import Scorer
from ddad_core.types import ScoreResult
from ddad_core.vocabulary import MAP_TITLES, SCORE_TITLES, map_of_score

SHIPPED = Path(__file__).resolve().parents[1] / "weights"
BASE = "nih-ae-u"
OTHER = "kermany-ae-u"
HASH_SALT = "eight maps"
DEFAULT_MAP = "c_inter"
PRIMARY = "r_dual"
NORMALS = [round(0.01 * i, 2) for i in range(1, 51)]  # of every made-up score
THRESHOLD = 0.46
SQUARE, HOT, COLD = 8, 0.9, 0.05
DISPLAY = {"r": {"threshold": 0.5, "maximum": 1.0, "unit": "0 to 1"}}
DISPLAY["c"] = {"threshold": 0.6, "maximum": 1.2, "unit": "SD"}


def made_up(names: dict[str, str]) -> list[str]:
    return [name for name in names if name[:2] in ("r_", "c_")]


def make_map(name: str, side: int) -> np.ndarray:
    """Cold, with one hot square whose place depends on the name: float32 (S, S)."""
    values = np.full((side, side), COLD, np.float32)
    at = SQUARE * made_up(MAP_TITLES).index(name)
    values[at : at + SQUARE, at : at + SQUARE] = HOT
    return values


def made_up_score(base: ScoreResult, name: str) -> float:
    """Between 0 and 1, rising with the shipped model's A_inter."""
    return base.scores["a_inter"] / (1 + base.scores["a_inter"]) + 0.001 * len(name)


def copy_weights(folder: Path) -> Path:
    """The shipped models; more than their cards is not changed by any test, so links will do."""
    for name in (BASE, OTHER):
        shutil.copytree(SHIPPED / name, folder / name, copy_function=link)
    return folder


def link(source: str, target: str) -> None:
    if source.endswith("card.json"):
        shutil.copy(source, target)
    else:
        Path(target).symlink_to(source)


def edit_card(weights: Path, name: str, **changes: Any) -> None:
    path = weights / name / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**card, **changes}), encoding="utf-8")


def give_eight_maps(weights: Path, *, primary: str = PRIMARY, name: str = BASE) -> Path:
    """Change a model's card into one that promises every score and map."""
    raw = json.loads((weights / name / "card.json").read_text(encoding="utf-8"))
    scores = {**raw["reference"]["scores"], **{n: NORMALS for n in made_up(SCORE_TITLES)}}
    maps = {**raw["maps"], **{n: DISPLAY[n[0]] for n in made_up(MAP_TITLES)}}
    point = {**raw["operating_point"], "score": primary, "threshold": THRESHOLD}
    edit_card(
        weights,
        name,
        reference={**raw["reference"], "scores": scores},
        maps=maps,
        operating_point=point,
        default_map=DEFAULT_MAP,
    )
    return weights


def take_calibration(weights: Path, name: str = BASE) -> Path:
    """Leave a model without its normal reference."""
    edit_card(weights, name, reference={"n": 0, "scores": {}})
    return weights


class EightMapScorer:
    """Stands for the core's scorer: the shipped model's result with all that its card promises."""

    def __init__(self, card: Any, device: str) -> None:
        self.card = card
        self.shipped = Scorer(registry.load_model(SHIPPED / card.name), device)

    def score_many(self, radiographs: Any) -> list[ScoreResult]:
        return [self.completed(result) for result in self.shipped.score_many(radiographs)]

    def score_prepared(self, grey: np.ndarray) -> list[ScoreResult]:
        return [self.completed(result) for result in self.shipped.score_prepared(grey)]

    def completed(self, result: ScoreResult) -> ScoreResult:
        card, side = self.card, len(result.maps["inter"])
        new = [n for n in made_up(SCORE_TITLES) if map_of_score(n) in card.maps]
        scores = {**result.scores, **{n: made_up_score(result, n) for n in new}}
        maps = {**result.maps, **{map_of_score(n): make_map(map_of_score(n), side) for n in new}}
        score = scores[card.primary]
        return replace(
            result,
            scores=scores,
            maps=maps,
            primary=card.primary,
            p_value=card.reference.p_value(card.primary, score),
            percentile=card.reference.percentile(card.primary, score),
        )


def _scorer(self: models.ModelService, name: str) -> EightMapScorer:
    card = self.card(name)
    with self._loading:
        if card.name not in self._scorers:
            self._scorers[card.name] = EightMapScorer(card, self._device)  # type: ignore[assignment]
        return self._scorers[card.name]  # type: ignore[return-value]


def install(monkeypatch: Any = None) -> None:
    """Let the app score with it: for one test, or for the whole process."""
    if monkeypatch is None:
        models.ModelService._scorer = _scorer  # type: ignore[method-assign,assignment]
    else:
        monkeypatch.setattr(models.ModelService, "_scorer", _scorer)


if __name__ == "__main__":  # for the browser's tests: the server, or `ddad-admin` with arguments
    from app import cli, serve

    install()
    sys.exit(cli.main() if sys.argv[1:] else serve.main())
