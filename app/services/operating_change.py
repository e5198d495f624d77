"""A change of an operating point before it is made: what it is now, what it would be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.services.evidence import SOURCE_TITLES
from app.services.models import OperatingPointInForce
from app.services.tuning import BY_HAND, TuningService
from app.services.tuning_evidence import TuningEvidence
from app.store.records import PointKind
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.pixel_policies import LevelChoice
from ddad_core.evaluation.policies import OperatingChoice
from ddad_core.evaluation.thresholds import flags
from ddad_core.vocabulary import MAP_TITLES


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What to expect of one threshold.

    Attributes:
        threshold: Of the score, or the level of the map.
        sensitivity: Share of abnormal cases flagged, of findings hit for a level; None where no
            case tells.
        specificity: Share of normal cases not flagged; None for a level, or where none tells.
        n_abnormal: Abnormal cases (images with findings) that this rests on.
        n_normal: Normal cases (images that false regions were counted on) that this rests on.
        flagged: Of all scored cases.
        scored: All scored cases.
        normals_flagged: Share of the model's calibration normals flagged; None for a level.
        false_regions: An image; None for a threshold of the score.
        n_findings: Findings the sensitivity of a level rests on.
    """

    threshold: float
    sensitivity: Estimate | None = None
    specificity: Estimate | None = None
    n_abnormal: int = 0
    n_normal: int = 0
    flagged: int = 0
    scored: int = 0
    normals_flagged: float | None = None
    false_regions: Estimate | None = None
    n_findings: int = 0

    def on_record(self) -> dict[str, Any]:
        """The same as JSON; estimates are [value, low, high], and what is unknown is left out."""
        values = {
            "threshold": self.threshold,
            "sensitivity": _listed(self.sensitivity),
            "specificity": _listed(self.specificity),
            "false_regions": _listed(self.false_regions),
            "n_findings": self.n_findings or None,
            "flagged": self.flagged if self.scored else None,
            "normals_flagged": self.normals_flagged,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of an operating point, measured and not made yet.

    Attributes:
        model_name: Of the model.
        title: What people call the score or the map.
        kind: "image" for a threshold of the score, "pixel" for a level of a map.
        map_name: Of the map; None for the score.
        policy: How the new one was chosen.
        source: Where the labels come from, in words.
        filters: Which reads or labels were chosen, by name.
        measured: How the figures were measured, and what is guaranteed, in words.
        present: What is in force now, and what to expect of it.
        proposed: The same of the new one.
        newly_flagged: Cases that it flags and the present one does not.
        no_longer_flagged: The other way round.
        present_id: The site's operating point in force; None while the card's own is.
        present_version: 0 for the card's own.
        restores: The earlier version it goes back to; None for none.
    """

    model_name: str
    title: str
    kind: PointKind = "image"
    map_name: str | None = None
    policy: str
    source: str
    filters: dict[str, Any] = field(default_factory=dict)
    measured: str = ""
    present: Expectation
    proposed: Expectation
    newly_flagged: int = 0
    no_longer_flagged: int = 0
    present_id: int | None
    present_version: int
    restores: int | None = None

    def on_record(self) -> dict[str, Any]:
        """What the change rests on, as JSON."""
        return {
            "source": self.source,
            "filters": self.filters,
            "measured": self.measured,
            "n_normal": self.proposed.n_normal,
            "n_abnormal": self.proposed.n_abnormal,
            "scored": self.proposed.scored,
            "present": self.present.on_record(),
            "proposed": self.proposed.on_record(),
            "newly_flagged": self.newly_flagged,
            "no_longer_flagged": self.no_longer_flagged,
        }


def change_of_threshold(
    evidence: TuningEvidence,
    threshold: float,
    choice: OperatingChoice | None = None,
    *,
    filters: dict[str, Any] | None = None,
    restores: int | None = None,
    policy: str = "",
) -> Change:
    """Measure a threshold beside the one in force; no network runs.

    Args:
        evidence: Of the model.
        threshold: The new one.
        choice: The policy's, if it is its threshold: then what it expects counts, for it takes the
            luck of choosing on the same cases off.
        filters: Which reads or labels were chosen.
        restores: The earlier version that has this threshold.
        policy: In words, where there is no choice; by hand if empty.
    """
    proposed = _expected(evidence, threshold)
    measured = "On the labelled cases at hand, exact intervals."
    if choice is not None and choice.threshold == threshold:
        policy = choice.policy
        measured = f"{choice.measured} {choice.guarantee}".strip() or measured
        proposed = Expectation(
            **{
                **proposed.__dict__,
                "sensitivity": choice.sensitivity or proposed.sensitivity,
                "specificity": choice.specificity or proposed.specificity,
            }
        )
    present = evidence.in_force.threshold
    everything = np.concatenate([evidence.scores, evidence.unlabelled])
    before, after = flags(everything, present), flags(everything, threshold)
    return Change(
        model_name=evidence.model,
        title=evidence.score_title,
        policy=policy or BY_HAND,
        source=SOURCE_TITLES[evidence.source],
        filters=filters or {},
        measured=measured,
        present=_expected(evidence, present),
        proposed=proposed,
        newly_flagged=int(np.sum(after & ~before)),
        no_longer_flagged=int(np.sum(before & ~after)),
        present_id=evidence.in_force.id,
        present_version=evidence.in_force.version,
        restores=restores,
    )


def change_of_level(
    model_name: str,
    map_name: str,
    in_force: OperatingPointInForce,
    *,
    present: LevelChoice | None,
    proposed: LevelChoice,
    source: str,
    filters: dict[str, Any] | None = None,
    restores: int | None = None,
) -> Change:
    """A level of a map beside the one in force.

    Args:
        model_name: Of the model.
        map_name: Of the map.
        in_force: Of that map; see `ModelService.level`.
        present: What the level in force does on the same images; None where nothing tells.
        proposed: The new level, one that could be chosen.
        source: Where the boxes come from, in words.
        filters: Which reads were chosen.
        restores: The earlier version that has this level.
    """
    assert proposed.level is not None
    now = Expectation(threshold=in_force.threshold)
    return Change(
        model_name=model_name,
        title=MAP_TITLES[map_name],
        kind="pixel",
        map_name=map_name,
        policy=proposed.policy,
        source=source,
        filters=filters or {},
        measured=f"False regions counted on {proposed.counted_on}; intervals by bootstrap."
        if proposed.n_images
        else "",
        present=_of_level(present, in_force.threshold) if present else now,
        proposed=_of_level(proposed, proposed.level),
        present_id=in_force.id,
        present_version=in_force.version,
        restores=restores,
    )


def _expected(evidence: TuningEvidence, threshold: float) -> Expectation:
    effect = TuningService.effect(evidence, threshold)
    abnormal = int(np.sum(np.asarray(evidence.labels) == 1))
    return Expectation(
        threshold=float(threshold),
        sensitivity=effect.counts.sensitivity,
        specificity=effect.counts.specificity,
        n_abnormal=abnormal,
        n_normal=len(evidence.labels) - abnormal,
        flagged=effect.flagged,
        scored=effect.scored,
        normals_flagged=effect.normal_rate,
    )


def _of_level(choice: LevelChoice, level: float) -> Expectation:
    return Expectation(
        threshold=level,
        sensitivity=choice.lesion_sensitivity,
        false_regions=choice.false_regions,
        n_abnormal=choice.n_images,
        n_normal=choice.n_counted,
        n_findings=choice.n_findings,
    )


def _listed(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None else [estimate.value, estimate.low, estimate.high]
