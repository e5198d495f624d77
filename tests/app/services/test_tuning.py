from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.services.container import Services
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.services.tuning import BY_HAND, TuningEvidence, TuningService
from ddad_core.errors import RequestError
from tests.thresholds import put_in_force

Ids = dict[str, int]
Draft = Callable[..., ReadDraft]
MODEL = "nih-ae-u"


@pytest.fixture
def evidence(loaded: Services) -> TuningEvidence:
    """Scores made up so that every number can be checked by hand."""
    return dataclasses.replace(
        loaded.tuning.evidence(Person.named("Ana"), MODEL, "reads"),
        scores=np.array([0.1, 0.4, 0.5, 0.5, 0.9]),
        labels=np.array([0, 0, 1, 0, 1]),
        unlabelled=np.array([0.2, 0.5, 0.8]),
        normals=np.array([0.1, 0.2, 0.3, 0.5, 0.6]),
    )


@pytest.mark.parametrize(
    ("threshold", "tp", "fn", "fp", "tn", "flagged", "normal_rate"),
    [
        (0.5, 2, 0, 1, 2, 5, 0.4),
        (0.50001, 1, 1, 0, 3, 2, 0.2),
        (0.0, 2, 0, 3, 0, 8, 1.0),
        (1.0, 0, 2, 0, 3, 0, 0.0),
    ],
)
def test_effect_of_a_threshold_is_what_counting_gives(
    evidence: TuningEvidence,
    threshold: float,
    tp: int,
    fn: int,
    fp: int,
    tn: int,
    flagged: int,
    normal_rate: float,
) -> None:
    effect = TuningService.effect(evidence, threshold)
    counts = effect.counts
    assert (counts.true_positive, counts.false_negative) == (tp, fn)
    assert (counts.false_positive, counts.true_negative) == (fp, tn)
    assert (effect.flagged, effect.scored) == (flagged, 8)
    assert effect.normal_rate == pytest.approx(normal_rate)
    assert counts.sensitivity is not None and counts.specificity is not None
    assert counts.sensitivity.value == pytest.approx(tp / 2)
    assert counts.specificity.value == pytest.approx(tn / 3)


def test_span_covers_every_score(evidence: TuningEvidence) -> None:
    assert evidence.span == (0.1, 0.9)
    nothing = dataclasses.replace(evidence, scores=np.array([]), unlabelled=np.array([]))
    assert nothing.span == (0.1, 0.6)


def test_reference_labels_are_those_of_the_gallery(loaded: Services, ids: Ids, ana: Person) -> None:
    found = loaded.tuning.evidence(Person.named("Ana"), MODEL, "reference")
    score = {
        name: loaded.reading.open_case(ana, image_id).judgement.score.score
        for name, image_id in ids.items()
    }
    pairs = sorted(zip(found.scores.tolist(), found.labels.tolist(), strict=True))
    truth = {"00000150": 1, "00001426": 0, "00003391": 1}
    assert pairs == sorted((score[name], label) for name, label in truth.items())
    assert found.unlabelled.size == 0 and found.left_out == 0
    above = sum(score[name] > score["00001426"] for name in ("00000150", "00003391"))
    assert found.auc is not None and found.auc.value == pytest.approx(above / 2)
    assert found.roc is not None and len(found.normals) == 50


def test_reads_are_the_labels_and_the_rest_counts_as_unlabelled(
    loaded: Services, ids: Ids, ana: Person, ben: Person, draft: Draft
) -> None:
    before = loaded.tuning.evidence(Person.named("Ana"), MODEL, "reads")
    assert (before.scores.size, before.unlabelled.size, before.auc) == (0, 3, None)
    loaded.reading.save(ana, ids["00000150"], MODEL, draft("normal"))
    loaded.reading.save(ana, ids["00000150"], MODEL, draft("abnormal"))  # amended: this counts
    loaded.reading.save(ana, ids["00001426"], MODEL, draft("abnormal"))
    one_class = loaded.tuning.evidence(Person.named("Ana"), MODEL, "reads")
    assert (one_class.labels.tolist(), one_class.roc) == ([1, 1], None)
    loaded.reading.save(ben, ids["00001426"], MODEL, draft("normal"))  # a tie
    loaded.reading.save(ben, ids["00003391"], MODEL, draft("normal"))
    found = loaded.tuning.evidence(Person.named("Ana"), MODEL, "reads")
    assert sorted(found.labels.tolist()) == [0, 1]
    assert (found.unlabelled.size, found.left_out) == (1, 1)
    assert found.auc is not None


def test_unknown_model_is_told(loaded: Services, ana: Person) -> None:
    with pytest.raises(RequestError, match="no model called x"):
        loaded.tuning.evidence(Person.named("Ana"), "x", "reads")
    with pytest.raises(RequestError, match="no model called x"):
        put_in_force(loaded, ana, "x", 0.5, "why")


def test_each_change_is_a_version_with_who_why_and_when(
    loaded: Services, ana: Person, ben: Person
) -> None:
    own = loaded.models.operating_point(MODEL)
    assert (own.id, own.version, own.set_at) == (None, 0, None)
    first = put_in_force(loaded, ana, MODEL, 0.5, "  too many alarms ")
    second = put_in_force(loaded, ben, MODEL, 0.7, "still too many")
    assert [(p.version, p.set_by, p.reason) for p in (first, second)] == [
        (1, ana.name, "too many alarms"),
        (2, ben.name, "still too many"),
    ]
    assert second.replaces_id == first.id
    found = loaded.tuning.evidence(Person.named("Ana"), MODEL, "reads")
    assert found.history == (second, first)
    point = found.in_force
    assert (point.id, point.version, point.threshold, point.set_by, point.set_at) == (
        second.id,
        2,
        0.7,
        ben.name,
        second.set_at,
    )
    other = loaded.models.operating_point("kermany-ae-u")
    assert other.version == 0  # another model's threshold stays its own


@pytest.mark.parametrize("reason", ["", "   ", "\n\t"])
def test_change_without_a_reason_is_refused(loaded: Services, ana: Person, reason: str) -> None:
    with pytest.raises(RequestError, match="needs a reason"):
        put_in_force(loaded, ana, MODEL, 0.5, reason)
    assert loaded.models.operating_point(MODEL).version == 0


@pytest.mark.parametrize(
    ("model", "threshold"),
    [*((MODEL, value) for value in (math.nan, math.inf, -math.inf)), ("kermany-ae-u", -0.001)],
)
def test_threshold_that_is_none_is_refused(
    loaded: Services, ana: Person, model: str, threshold: float
) -> None:
    with pytest.raises(RequestError, match="is not a threshold"):
        put_in_force(loaded, ana, model, threshold, "why")
    assert loaded.models.operating_point(model).version == 0


def test_flags_follow_the_operating_point_without_any_network(
    loaded: Services,
    loaded_home: Path,
    ana: Person,
    build: Callable[[Path], Services],
    no_network: None,
) -> None:
    scores = sorted(row.score for row in loaded.worklist.list(ana).rows)
    for threshold, flagged in ((scores[0], 3), (scores[1], 2), (scores[2] * 1.01, 0)):
        put_in_force(loaded, ana, MODEL, threshold, "trial")
        found = loaded.worklist.list(ana)
        assert found.flagged == flagged
        assert {row.score for row in found.rows if row.flagged} == set(scores[3 - flagged :])
        assert loaded.tuning.effect(
            loaded.tuning.evidence(Person.named("Ana"), MODEL, "reads"), threshold
        ).flagged == (flagged)
    assert build(loaded_home).worklist.list(ana).flagged == 0  # after a restart too


def test_a_policy_chooses_from_the_calibration_normals(loaded: Services, ana: Person) -> None:
    evidence = loaded.tuning.evidence(ana, MODEL, "reference")
    choice = loaded.tuning.choose(evidence, "normals", 10.0)
    assert choice.threshold is not None
    flagged = np.sum(evidence.normals >= choice.threshold)
    assert (flagged + 1) / (len(evidence.normals) + 1) <= 0.1
    assert (flagged + 2) / (len(evidence.normals) + 1) > 0.1  # as many as the guarantee allows
    assert "10.0%" in choice.policy and choice.guarantee
    by_hand = loaded.tuning.choose(evidence, "hand", 0.4)
    assert by_hand.threshold == 0.4


def test_a_policy_that_cannot_choose_says_why(loaded: Services, ana: Person) -> None:
    evidence = loaded.tuning.evidence(ana, MODEL, "reads")  # nobody has read anything
    for policy in ("youden", "sensitivity", "cost"):
        choice = loaded.tuning.choose(evidence, policy, 90.0)
        assert choice.threshold is None and len(choice.why_not) > 20
    effect = loaded.tuning.effect(evidence, 0.4)
    assert loaded.tuning.predictive(effect, 0.05)[0] is None
    assert loaded.tuning.predictive(effect, 0.05)[1]


def test_the_policy_is_on_record_with_the_threshold(loaded: Services, ana: Person) -> None:
    evidence = loaded.tuning.evidence(ana, MODEL, "reference")
    choice = loaded.tuning.choose(evidence, "normals", 10.0)
    assert choice.threshold is not None
    saved = put_in_force(loaded, ana, MODEL, choice.threshold, "as agreed", choice.policy)
    assert (saved.policy, saved.threshold) == (choice.policy, choice.threshold)
    assert put_in_force(loaded, ana, MODEL, 0.4, "by eye").policy == BY_HAND
