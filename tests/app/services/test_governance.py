"""Operating points under governance."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.services.container import Services
from app.services.governance import GovernanceService
from app.services.governed import Rules, numbers_of
from app.services.operating_change import Change, change_of_level, change_of_threshold
from app.services.people import ForbiddenError, Person
from app.services.read_draft import ReadDraft
from app.store.account_records import AuditFilter
from ddad_core.errors import RequestError
from ddad_core.evaluation.metrics import Estimate
from ddad_core.evaluation.pixel_policies import LevelChoice
from tests.thresholds import FEW, measured, put_in_force

MODEL = "nih-ae-u"
SUBJECT = f"operating point {MODEL}"
LEAD, OTHER = Person("ana", frozenset({"lead"})), Person("ben", frozenset({"arbiter"}))
ENOUGH = 60


def governed(
    services: Services, *, min_cases: int = 50, second_approval: bool = False
) -> GovernanceService:
    rules = Rules(min_cases, second_approval)
    return GovernanceService(services.access._store, services.access, services.models, rules)


def change_on(services: Services, n_normal: int, n_abnormal: int, threshold: float = 0.5) -> Change:
    """A change measured on made-up cases: normals from 0 to 0.6, abnormal ones from 0.4 to 1."""
    evidence = dataclasses.replace(
        services.tuning.evidence(LEAD, MODEL, "reads"),
        scores=np.concatenate([np.linspace(0, 0.6, n_normal), np.linspace(0.4, 1, n_abnormal)]),
        labels=np.array([0] * n_normal + [1] * n_abnormal),
        unlabelled=np.array([0.1, 0.45, 0.9]),
    )
    return change_of_threshold(evidence, threshold)


def acts(services: Services) -> list[tuple[str, str]]:
    with services.access._store.reading() as repositories:
        events = repositories.audit.iter_all(AuditFilter(subject=SUBJECT))
        return [(event.action, event.actor) for event in events]


def test_a_change_shows_both_thresholds_and_who_changes_side(loaded: Services) -> None:
    change = change_on(loaded, 61, 61)
    present = loaded.models.operating_point(MODEL).threshold
    scores = np.concatenate([np.linspace(0, 0.6, 61), np.linspace(0.4, 1, 61), [0.1, 0.45, 0.9]])
    new = change.proposed
    assert (new.n_normal, new.n_abnormal, new.scored) == (61, 61, 125)
    assert new.sensitivity is not None and new.sensitivity.value == pytest.approx(51 / 61)
    assert new.specificity is not None and new.specificity.value == pytest.approx(50 / 61)
    assert new.sensitivity.low < new.sensitivity.value < new.sensitivity.high
    assert new.flagged == np.sum(scores >= 0.5)
    assert change.present.threshold == present and change.present_version == 0
    assert change.present.flagged == np.sum(scores >= present)
    low, high = min(present, 0.5), max(present, 0.5)
    moved = int(np.sum((scores >= low) & (scores < high)))
    assert sorted([change.newly_flagged, change.no_longer_flagged]) == [0, moved] and moved > 0


def test_a_policys_own_threshold_has_the_policys_figures(loaded: Services, ana: Person) -> None:
    evidence = loaded.tuning.evidence(ana, MODEL, "reference")
    choice = loaded.tuning.choose(evidence, "normals", 10.0)
    assert choice.threshold is not None
    other = dataclasses.replace(choice, sensitivity=Estimate(0.5, 0.1, 0.9), measured="Less luck.")
    change = change_of_threshold(evidence, choice.threshold, other)
    assert (change.policy, change.proposed.sensitivity) == (choice.policy, Estimate(0.5, 0.1, 0.9))
    assert change.measured.startswith("Less luck.") and choice.guarantee in change.measured
    moved = change_of_threshold(evidence, choice.threshold * 1.5, other)
    assert moved.policy.startswith("Chosen by hand") and moved.proposed.sensitivity != Estimate(
        0.5, 0.1, 0.9
    )


@pytest.mark.parametrize(("n_normal", "n_abnormal"), [(49, 80), (80, 49), (0, 0)])
def test_too_few_cases_are_refused_without_a_reason_of_their_own(
    loaded: Services, n_normal: int, n_abnormal: int
) -> None:
    service = governed(loaded)
    change = change_on(loaded, n_normal, n_abnormal)
    with pytest.raises(RequestError, match=f"{n_normal} normal and {n_abnormal} abnormal") as no:
        service.change(LEAD, change, "because", "  ")
    assert "at least 50" in no.value.problem and "why it cannot wait" in no.value.next_step
    assert loaded.models.operating_point(MODEL).version == 0 and acts(loaded) == []
    made = service.change(LEAD, change, "because", " the scanner was replaced ").in_force
    assert made is not None and made.override_reason == "the scanner was replaced"


def test_enough_cases_need_no_override_and_what_was_shown_is_kept(loaded: Services) -> None:
    change = change_on(loaded, 50, ENOUGH)
    made = governed(loaded).change(LEAD, change, " because ", "not needed").in_force
    assert made is not None
    assert (made.version, made.set_by, made.reason, made.override_reason) == (
        1,
        "ana",
        "because",
        "",
    )
    assert (made.kind, made.map_name, made.approved_by, made.restores) == (
        "image",
        None,
        None,
        None,
    )
    kept = made.evidence
    assert (kept["n_normal"], kept["n_abnormal"], kept["scored"]) == (50, ENOUGH, 50 + ENOUGH + 3)
    sensitivity = change.proposed.sensitivity
    assert sensitivity is not None
    assert kept["proposed"]["sensitivity"] == pytest.approx(
        [sensitivity.value, sensitivity.low, sensitivity.high]
    )
    assert kept["present"]["threshold"] == change.present.threshold
    assert kept["newly_flagged"] + kept["no_longer_flagged"] > 0
    assert kept["source"] == "Stored reads"
    assert made.population == loaded.models.card(MODEL).population.description
    assert acts(loaded) == [("threshold", "ana")]


@pytest.mark.parametrize("reason", ["", "   ", "\n\t"])
def test_no_change_without_a_reason(loaded: Services, reason: str) -> None:
    with pytest.raises(RequestError, match="needs a reason"):
        governed(loaded).change(LEAD, change_on(loaded, 60, 60), reason)
    assert loaded.models.operating_point(MODEL).version == 0


@pytest.mark.parametrize("threshold", [math.nan, math.inf, -math.inf])
def test_what_is_no_threshold_is_refused(loaded: Services, threshold: float) -> None:
    change = change_on(loaded, 60, 60)
    wrong = dataclasses.replace(change.proposed, threshold=threshold)
    with pytest.raises(RequestError, match="is not a threshold"):
        governed(loaded).change(LEAD, dataclasses.replace(change, proposed=wrong), "because")


def test_a_change_measured_against_an_older_version_is_not_made(loaded: Services) -> None:
    service = governed(loaded)
    old = change_on(loaded, 60, 60)
    service.change(LEAD, change_on(loaded, 60, 60, 0.7), "first")
    with pytest.raises(RequestError, match="Meanwhile version 1 by ana") as refusal:
        service.change(LEAD, old, "second")
    assert "not applied" in refusal.value.problem
    assert loaded.models.operating_point(MODEL).threshold == 0.7


def test_a_second_person_puts_a_proposal_in_force(loaded: Services) -> None:
    service = governed(loaded, second_approval=True)
    own = loaded.models.operating_point(MODEL)
    outcome = service.change(LEAD, change_on(loaded, 60, 60), "fewer alarms")
    assert outcome.in_force is None and outcome.proposal is not None
    assert loaded.models.operating_point(MODEL) == own
    assert [one.id for one in service.history(OTHER, MODEL).waiting] == [outcome.proposal.id]
    made = service.approve(OTHER, outcome.proposal.id, "agreed")
    assert (made.set_by, made.approved_by, made.reason) == ("ana", "ben", "fewer alarms")
    point = loaded.models.operating_point(MODEL)
    assert (point.version, point.threshold, point.approved_by) == (1, 0.5, "ben")
    found = service.history(OTHER, MODEL)
    (proposal,) = found.proposals
    assert found.waiting == () and proposal.decision is not None
    assert (proposal.decision.decision, proposal.decision.reason) == ("approved", "agreed")
    assert proposal.decision.operating_point_id == made.id and made.evidence == proposal.evidence
    assert acts(loaded) == [("threshold proposed", "ana"), ("threshold", "ben")]


@pytest.mark.parametrize("name", ["ana", "Ana"])
def test_nobody_approves_or_refuses_what_they_proposed(loaded: Services, name: str) -> None:
    service = governed(loaded, second_approval=True)
    made = service.change(LEAD, change_on(loaded, 60, 60), "because").proposal
    assert made is not None
    same = Person(name, frozenset({"lead", "arbiter"}))
    for act in (
        lambda: service.approve(same, made.id),
        lambda: service.refuse(same, made.id, "no"),
    ):
        with pytest.raises(RequestError, match="second person"):
            act()
    assert service.history(LEAD, MODEL).waiting[0].decision is None
    assert loaded.models.operating_point(MODEL).version == 0


def test_a_refusal_needs_a_reason_and_ends_a_proposal(loaded: Services) -> None:
    service = governed(loaded, second_approval=True)
    made = service.change(LEAD, change_on(loaded, 60, 60), "because").proposal
    assert made is not None
    with pytest.raises(RequestError, match="needs a reason"):
        service.refuse(OTHER, made.id, " ")
    service.refuse(OTHER, made.id, "too few from scanner 2")
    for act in (
        lambda: service.approve(OTHER, made.id),
        lambda: service.refuse(OTHER, made.id, "again"),
        lambda: service.withdraw(LEAD, made.id),
    ):
        with pytest.raises(RequestError, match="was refused by ben. too few from scanner 2"):
            act()
    with pytest.raises(RequestError, match="no proposal number 99"):
        service.approve(OTHER, 99)
    assert acts(loaded) == [("threshold proposed", "ana"), ("threshold refused", "ben")]


def test_only_its_maker_withdraws_a_proposal(loaded: Services) -> None:
    service = governed(loaded, second_approval=True)
    made = service.change(LEAD, change_on(loaded, 60, 60), "because").proposal
    assert made is not None
    with pytest.raises(RequestError, match="is ana's"):
        service.withdraw(Person("cy", frozenset({"lead"})), made.id)
    service.withdraw(LEAD, made.id)
    assert service.history(LEAD, MODEL).waiting == ()
    assert acts(loaded)[-1] == ("threshold withdrawn", "ana")


def test_what_was_overtaken_is_not_applied(loaded: Services) -> None:
    service = governed(loaded, second_approval=True)
    first = service.change(LEAD, change_on(loaded, 60, 60, 0.5), "one").proposal
    second = service.change(LEAD, change_on(loaded, 60, 60, 0.6), "two").proposal
    assert first is not None and second is not None
    service.approve(OTHER, second.id)
    with pytest.raises(RequestError, match="overtaken by ben. Version 1 was put in force first"):
        service.approve(OTHER, first.id)
    assert loaded.models.operating_point(MODEL).threshold == 0.6
    assert acts(loaded)[-2:] == [("threshold", "ben"), ("threshold overtaken", "ben")]


def test_a_proposal_for_another_site_or_other_weights_is_not_applied(loaded: Services) -> None:
    service = governed(loaded, second_approval=True)
    made = service.change(LEAD, change_on(loaded, 60, 60), "because").proposal
    assert made is not None
    loaded.models.site = "Elsewhere"
    with pytest.raises(RequestError, match="other weights, another score, population or site"):
        service.approve(OTHER, made.id)
    loaded.models.site = ""
    assert service.approve(OTHER, made.id).version == 1


def test_going_back_is_a_new_version_that_says_so(loaded: Services) -> None:
    service = governed(loaded)
    own = loaded.models.operating_point(MODEL).threshold
    for threshold in (0.5, 0.7):
        service.change(LEAD, change_on(loaded, 60, 60, threshold), "because")
    evidence = loaded.tuning.evidence(LEAD, MODEL, "reads")  # without a case: no override asked for
    back = change_of_threshold(evidence, 0.5, restores=1)
    with pytest.raises(RequestError, match="needs a reason"):
        service.change(LEAD, back, "")
    made = service.change(LEAD, back, "too many misses").in_force
    assert made is not None
    assert (made.version, made.threshold, made.restores, made.replaces_id) == (3, 0.5, 1, 2)
    evidence = loaded.tuning.evidence(LEAD, MODEL, "reads")
    made = service.change(
        LEAD, change_of_threshold(evidence, own, restores=0), "as delivered"
    ).in_force
    assert made is not None and (made.version, made.threshold, made.restores) == (4, own, 0)


def test_a_version_that_is_not_restored_needs_its_cases(loaded: Services) -> None:
    """Calling any threshold a way back would be a way round the minimum."""
    service = governed(loaded)
    service.change(LEAD, change_on(loaded, 60, 60, 0.5), "because")
    evidence = loaded.tuning.evidence(LEAD, MODEL, "reads")
    for restores in (0, 1, 9):
        with pytest.raises(RequestError, match="is not what version"):
            service.change(LEAD, change_of_threshold(evidence, 0.33, restores=restores), "back")


def test_a_threshold_is_for_one_model_one_site_and_one_population(
    loaded: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_force(loaded, LEAD, MODEL, 0.5)
    assert loaded.models.operating_point("kermany-ae-u").version == 0
    loaded.models.site = "South"
    assert loaded.models.operating_point(MODEL).version == 0
    assert [one.version for one in loaded.governance.history(LEAD, MODEL).elsewhere] == [1]
    assert put_in_force(loaded, LEAD, MODEL, 0.6).version == 2
    loaded.models.site = ""
    assert loaded.models.operating_point(MODEL).threshold == 0.5
    card = loaded.models.card(MODEL)
    newer = dataclasses.replace(card, files={name: "0" * 64 for name in card.files})
    monkeypatch.setitem(loaded.models._cards, MODEL, newer)
    assert loaded.models.operating_point(MODEL).version == 0
    assert len(loaded.governance.history(LEAD, MODEL).elsewhere) == 2
    grown = dataclasses.replace(card.population, description="Others")
    monkeypatch.setitem(loaded.models._cards, MODEL, dataclasses.replace(card, population=grown))
    assert loaded.models.operating_point(MODEL).version == 0


def level_choice(level: float) -> LevelChoice:
    return LevelChoice(
        policy="At most 0.5 false regions an image", level=level,
        lesion_sensitivity=Estimate(0.6, 0.5, 0.7), false_regions=Estimate(0.4, 0.3, 0.5),
        n_findings=90, n_images=70, n_counted=80, counted_on="read normals",
    )  # fmt: skip


def test_a_level_in_force_is_what_the_viewer_starts_with(
    loaded: Services, ids: dict[str, int], ana: Person
) -> None:
    def layers() -> dict[str, float]:
        case = loaded.reading.open_case(ana, ids["00000150"], MODEL)
        assert case.judgement is not None
        return {layer.name: layer.threshold for layer in case.judgement.maps}

    before = layers()
    threshold = loaded.models.operating_point(MODEL)
    change = change_of_level(
        MODEL, "inter", loaded.models.levels(MODEL)["inter"], present=level_choice(before["inter"]),
        proposed=level_choice(0.123), source="Boxes of stored reads",
    )  # fmt: skip
    assert change.title == "A_inter" and change.proposed.n_abnormal == 70
    made = loaded.governance.change(LEAD, change, "boxes say so").in_force
    assert made is not None and (made.kind, made.map_name) == ("pixel", "inter")
    assert made.evidence["proposed"]["false_regions"] == [0.4, 0.3, 0.5]
    assert made.evidence["proposed"]["n_findings"] == 90
    assert layers() == {**before, "inter": 0.123}
    assert loaded.models.operating_point(MODEL) == threshold
    assert loaded.models.levels(MODEL)["inter"].version == 1
    assert [one.id for one in loaded.governance.history(ana, MODEL).versions] == [made.id]


def test_reads_keep_the_version_they_were_read_under(
    loaded: Services, ids: dict[str, int], ana: Person, draft: Callable[..., ReadDraft]
) -> None:
    kept = []
    for threshold in (0.4, 0.6):
        point = put_in_force(loaded, LEAD, MODEL, threshold)
        read = loaded.reading.save(ana, ids["00000150"], MODEL, draft("abnormal"))
        kept.append((read.operating_point_id, read.threshold) == (point.id, threshold))
    assert kept == [True, True]


def test_the_record_names_the_events_and_leaves_one(loaded: Services) -> None:
    made = put_in_force(loaded, LEAD, MODEL, 0.5, "because")
    found = loaded.governance.record(Person("eve", frozenset({"auditor"})), MODEL)
    assert [one.id for one in found.versions] == [made.id]
    (number,) = numbers_of(found.events, "operating_point", made.id)
    (event,) = [one for one in found.events if one.id == number]
    assert (event.action, event.reason, event.actor) == ("threshold", "because", "ana")
    newest = loaded.audit.page(Person.named("checking"), limit=1).events[0]
    assert (newest.action, newest.actor) == ("export", "eve")
    assert newest.subject == f"change record {MODEL}"


def test_a_store_that_fails_leaves_neither_version_nor_event(
    loaded: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.store.proposal_repository import ProposalRepository  # noqa: PLC0415

    def fail(*_: object) -> None:
        message = "the disk is full"
        raise OSError(message)

    monkeypatch.setattr(ProposalRepository, "of_model", fail)
    with pytest.raises(OSError, match="full"):
        put_in_force(loaded, LEAD, MODEL, 0.5)
    assert loaded.models.operating_point(MODEL).version == 0 and acts(loaded) == []


def test_settings_decide_what_is_asked_for(
    build: Callable[..., Services], loaded_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build(loaded_home)
    assert services.governance.rules == Rules(min_cases=50, second_approval=False)
    change = measured(services, MODEL, 0.5)
    with pytest.raises(ForbiddenError):
        services.governance.change(OTHER, change, "because", FEW)
