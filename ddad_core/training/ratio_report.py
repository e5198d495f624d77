"""What else than findings A_ratio may go by: the shortcut report of a card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ddad_core.card import estimate_to
from ddad_core.evaluation.metrics import auc_with_interval
from ddad_core.evaluation.two_sample import LEAST, LEVEL, TwoSampleTest, two_sample_test
from ddad_core.imaging.geometry import normalise
from ddad_core.ratio import RatioNetwork, pooled, ratio_maps
from ddad_core.training.manifest import ManifestRow
from ddad_core.training.matching import strata_of
from ddad_core.training.ratio_train import TrainedRatio

LEAST_IN_STRATUM = 10
MARK_SHARE = 1 / 8
"""Side of a planted mark, of the image's side."""


def difference_test(
    trained: TrainedRatio, normal: Sequence[ManifestRow], unlabeled: Sequence[ManifestRow]
) -> TwoSampleTest:
    """Test the held-apart scores of D_u against those of D_n, within folds and views."""
    rows = [*normal, *unlabeled]
    folds = np.concatenate([trained.normal_folds, trained.unlabeled_folds])
    return two_sample_test(
        trained.held,
        trained.of_unlabeled,
        groups=[row.patient_id for row in rows],
        strata=[f"{fold} {row.view}" for fold, row in zip(folds, rows, strict=True)],
    )


def statement_of(test: TwoSampleTest | None, unlabeled: int) -> str:
    """What the test says, in plain words."""
    if test is None:
        why = "There are no unlabelled images" if not unlabeled else "There are too few images"
        return (
            f"{why} ({unlabeled} unlabelled; {LEAST} of each set are the least): D_u cannot be "
            "told from D_n, so this model has no A_ratio and judges by what needs no D_u."
        )
    found = f"held-apart AUC {test.auc:.3f}, p {_p(test.p_value)}"
    if test.differ:
        return f"D_u differs from D_n ({found}, permutation of patients)."
    return (
        f"No difference between D_u and D_n was found ({found}, permutation of patients; "
        f"p at most {LEVEL:g} was asked for): D_u may hold no abnormal images, or too few. "
        "A_ratio says nothing here, and the model judges by what needs no D_u."
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def shortcut_report(
    trained: TrainedRatio,
    normal: Sequence[ManifestRow],
    unlabeled: Sequence[ManifestRow],
    unlabeled_grey: np.ndarray,
    calibration_grey: np.ndarray,
    matched: Sequence[str],
) -> dict[str, Any]:
    """JSON values for a card: what was matched, AUCs within strata, place of evidence, marks.

    Args:
        trained: With its held-apart scores.
        normal: Rows of D_n.
        unlabeled: Rows of D_u.
        unlabeled_grey: uint8 (M, S, S).
        calibration_grey: Calibration normals, uint8 (N, S, S).
        matched: Covariates that D_n was weighted by.
    """
    second, held = trained.of_unlabeled, trained.held
    within = {}
    for name, values in strata_of([*normal, *unlabeled]).items():
        for value in sorted(set(values) - {""}):
            inside = values == value
            n, m = int(np.sum(inside & ~second)), int(np.sum(inside & second))
            if min(n, m) >= LEAST_IN_STRATUM:
                found = auc_with_interval(second[inside].astype(int), held[inside])
                key = value if name == "age" else f"{name} {value}"
                within[key] = {"n_normal": n, "n_unlabeled": m, **estimate_to(found)}
    return {
        "matched_on": list(matched),
        "auc_of_unlabeled_within": within,
        "evidence": _places(trained.networks, unlabeled_grey, calibration_grey),
        "planted_mark": planted_mark(trained.networks, calibration_grey),
    }


def maps_of(networks: Sequence[RatioNetwork], grey: np.ndarray) -> torch.Tensor:
    """Evidence by place, uint8 (N, S, S) -> float32 (N, S, S), some images at a time."""
    parts = np.array_split(grey, max(1, len(grey) // 64))
    return torch.cat(
        [ratio_maps(networks, torch.from_numpy(normalise(part)).unsqueeze(1)) for part in parts]
    )


def scores_of(networks: Sequence[RatioNetwork], grey: np.ndarray) -> np.ndarray:
    """A_ratio of images, uint8 (N, S, S) -> float64 (N,)."""
    return pooled(maps_of(networks, grey)).double().numpy()


def _places(
    networks: Sequence[RatioNetwork], unlabeled: np.ndarray, normal: np.ndarray
) -> dict[str, float]:
    """By how much D_u's evidence exceeds that of normals, in the middle and around it."""
    maps = maps_of(networks, unlabeled).mean(dim=0) - maps_of(networks, normal).mean(dim=0)
    side = maps.shape[-1]
    margin = side // 5
    middle = torch.zeros_like(maps, dtype=torch.bool)
    middle[margin : side - margin, margin : side - margin] = True
    total = float(maps.mean())
    share = float(maps[middle].sum() / maps.sum()) if total else 0.0
    return {
        "middle": round(float(maps[middle].mean()), 4),
        "around": round(float(maps[~middle].mean()), 4),
        "share_of_middle": round(share, 4),
        "area_of_middle": round(float(middle.float().mean()), 4),
    }


def with_mark(grey: np.ndarray, level: int = 255) -> np.ndarray:
    """Put a square mark into the upper left corner, uint8 (N, S, S) -> a copy."""
    marked = grey.copy()
    side = max(1, round(grey.shape[-1] * MARK_SHARE))
    marked[:, :side, :side] = level
    return marked


def planted_mark(networks: Sequence[RatioNetwork], grey: np.ndarray) -> dict[str, float]:
    """By how much a corner mark raises the score of normals, in their standard deviation."""
    plain = scores_of(networks, grey)
    rise = {
        name: float(np.mean(scores_of(networks, with_mark(grey, level)) - plain))
        for name, level in (("white", 255), ("black", 0))
    }
    deviation = float(plain.std()) or 1.0
    return {name: round(value / deviation, 5) for name, value in rise.items()}
