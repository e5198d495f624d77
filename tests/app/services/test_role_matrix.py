"""Every role at every act of the real services: what the table says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.services.accounts import NewAccount
from app.services.container import Services
from app.services.deciding import sides
from app.services.erasing import Which
from app.services.evidence import EvidenceChoice
from app.services.exporting import EVERYTHING
from app.services.people import ROLES, ForbiddenError, Person
from app.services.read_draft import ReadDraft
from app.services.reading import CaseView
from app.services.worklist import Wish
from app.store.account_records import Role
from app.store.proposal_records import NewProposal
from app.store.records import NewImage
from tests.accounts import PASSWORD
from tests.thresholds import put_in_force

CLINICAL = {"reader", "arbiter", "lead"}
MAY: dict[str, set[str]] = {
    "worklist": {*CLINICAL, "auditor"},
    "thumbnails": {*CLINICAL, "auditor"},
    "open a case": {*CLINICAL, "auditor"},
    "see a case in full": {*CLINICAL, "auditor"},
    "prepare a case": {*CLINICAL, "auditor"},
    "see a case explained": {*CLINICAL, "auditor"},
    "a patient's other image": {*CLINICAL, "auditor"},
    "what else is on record": {*CLINICAL, "auditor"},
    "a patient's images": {*CLINICAL, "auditor"},
    "threshold evidence": {*CLINICAL, "auditor"},
    "make a performance report": {"lead", "auditor"},
    "see how models do": {"lead", "administrator", "auditor"},
    "look at changed cases": {*CLINICAL, "auditor"},
    "who has read": {*CLINICAL, "auditor"},
    "reads both ways": {*CLINICAL, "auditor"},
    "see audit samples": {*CLINICAL, "auditor"},
    "look through maps": {*CLINICAL, "auditor"},
    "draw an audit sample": {"lead"},
    "save a read": CLINICAL,
    "where others disagree": {"arbiter", "lead", "auditor"},
    "find cases to assign": {"lead"},
    "see who can be given cases": {"lead"},
    "assign": {"lead"},
    "take assigned cases back": {"lead"},
    "take all back from a reader": {"lead"},
    "say that a case is open": {*CLINICAL, "auditor"},
    "say that it is left": {*CLINICAL, "auditor"},
    "ask what others have open": {*CLINICAL, "auditor"},
    "see saved views": {*CLINICAL, "auditor"},
    "see batches": {*CLINICAL, "auditor"},
    "save a view": {*CLINICAL, "auditor"},
    "save a view for everybody": {"lead"},
    "rename a view": {*CLINICAL, "auditor"},
    "delete a view": {*CLINICAL, "auditor"},
    "see one's own day": CLINICAL,
    "take in": CLINICAL,
    "take many in": CLINICAL,
    "set a threshold": {"lead"},
    "approve a threshold": {"lead", "arbiter"},
    "refuse a threshold": {"lead", "arbiter"},
    "withdraw a threshold": {"lead"},
    "see what was set": {*CLINICAL, "auditor"},
    "take the change record out": {*CLINICAL, "auditor"},
    "export a folder": {"lead", "administrator", "auditor"},
    "export an archive": {"lead", "administrator", "auditor"},
    "see what can be exported": {"lead", "administrator", "auditor"},
    "choose among exports": {"lead", "administrator", "auditor"},
    "count rows": {"lead", "administrator", "auditor"},
    "look into an import": {"lead"},
    "import": {"lead"},
    "list users": {"administrator"},
    "create a user": {"administrator"},
    "change roles": {"administrator"},
    "rename": {"administrator"},
    "reset a password": {"administrator"},
    "unlock": {"administrator"},
    "remove a user": {"administrator"},
    "bring a user back": {"administrator"},
    "see the audit trail": {"administrator", "auditor"},
    "see who acted": {"administrator", "auditor"},
    "check the audit trail": {"administrator", "auditor"},
    "export the audit trail": {"administrator", "auditor"},
    "accept the audit trail": {"administrator"},
    "find what to erase": {"administrator"},
    "erase": {"administrator"},
}
MODEL = "nih-ae-u"
DRAFT = ReadDraft("normal", None, (), "", (), None, None, None, ai_visible=False, seconds=None)


def to_erase(services: Services) -> Which:
    """One image of a patient of its own."""
    with services.access._store.writing() as repositories:
        image = repositories.images.list_all()[0]
        new = replace(image, sha256="f" * 64, patient="P-TOERASE")
        values = {f.name: getattr(new, f.name) for f in fields(NewImage) if f.name != "thumbnail"}
        if not repositories.images.by_sha256("f" * 64):
            repositories.images.add(NewImage(**values, thumbnail=b"x"))
    return Which(patient="P-TOERASE")


def proposed(services: Services, by: str) -> int:
    """The number of a proposal that waits, made against what is in force."""
    card = services.models.card(MODEL)
    scope = {"population": card.population.description, "site": ""}
    key = {"model_name": MODEL, "model_hash": card.model_hash, "score_name": card.primary}
    with services.access._store.writing() as repositories:
        now = repositories.operating_points.in_force(*key.values(), **scope)
        new = NewProposal(
            **key, **scope, threshold=0.4, policy="p", reason="r", set_by=by,
            present_id=now and now.id,
        )  # fmt: skip
        return repositories.proposals.append(new).id


def two_of_a_patient(services: Services) -> tuple[CaseView, int]:
    """An open case and the number of another image that is said to be of its patient."""
    ana = Person.named("setting up")
    first, second = (row.image_id for row in services.worklist.list(ana).rows[:2])
    with services.access._store.writing() as repositories:
        statement = text("UPDATE images SET patient = 'P-TWO' WHERE id IN (:a, :b)")
        repositories.images._connection.execute(statement, {"a": first, "b": second})
    return services.reading.open_case(ana, first), second


def own_view(services: Services, person: Person) -> int:
    """A view of the person's, made past the service."""
    with services.access._store.writing() as repositories:
        name = f"view {len(repositories.saved_views.offered_to(person.name))}"
        return repositories.saved_views.add(person.name, name, {}, shared=False).id


@pytest.fixture
def acts(
    loaded: Services, small_png: Callable[[int], bytes], tmp_path: Path
) -> dict[str, Callable[[Person], Any]]:
    """Every act by name; the services' own state lets each succeed for who may."""
    ana = Person.named("setting up")
    case = loaded.worklist.list(ana).rows[0]
    opened = loaded.reading.open_case(ana, case.image_id)
    image = opened.image
    other = loaded.accounts.create(ana, NewAccount("other", "", ("reader",), PASSWORD)).id
    accounts = loaded.accounts
    evidence = loaded.tuning.evidence(ana, MODEL, "reference")
    labels = tmp_path / "labels.csv"
    labels.write_text(f"sha256,label\n{'a' * 64},1\n")
    return {
        "worklist": loaded.worklist.list,
        "thumbnails": lambda p: loaded.worklist.thumbnails(p, [case]),
        "open a case": lambda p: loaded.reading.open_case(p, case.image_id),
        "prepare a case": lambda p: loaded.preparing.prepare(p, case.image_id),
        "see a case in full": lambda p: loaded.viewing.full_display(p, opened),
        "see a case explained": lambda p: loaded.viewing.explain(p, opened),
        "a patient's other image": lambda p: loaded.viewing.beside(p, *two_of_a_patient(loaded)),
        "what else is on record": lambda p: loaded.details.of_case(p, case.image_id, MODEL),
        "a patient's images": lambda p: loaded.patients.others_of(p, image),
        "threshold evidence": lambda p: loaded.tuning.evidence(p, MODEL, "reads"),
        "make a performance report": lambda p: loaded.reporting.performance(
            p, MODEL, EvidenceChoice(), 0.1
        ),
        "see how models do": lambda p: loaded.monitoring.overview(p, MODEL),
        "look at changed cases": lambda p: loaded.tuning.look(p, sides(evidence, 0.4), 3),
        "who has read": loaded.tuning.who,
        "reads both ways": lambda p: loaded.tuning.both_ways(p, evidence),
        "see audit samples": lambda p: loaded.sampling.drawn(p, MODEL),
        "look through maps": lambda p: loaded.levels.evidence(p, evidence, "inter", "reference"),
        "draw an audit sample": lambda p: loaded.sampling.draw(p, MODEL, 1),
        "save a read": lambda p: loaded.reading.save(p, case.image_id, MODEL, DRAFT),
        "where others disagree": lambda p: loaded.worklist.list(p, Wish("arbitration")),
        "find cases to assign": lambda p: loaded.worklist.without_readers(
            p, Wish(), readers_per_case=1, limit=1
        ),
        "see who can be given cases": loaded.assigning.readers,
        "assign": lambda p: loaded.assigning.assign(p, [case.image_id], ["other"]),
        "take assigned cases back": lambda p: loaded.assigning.take_back(p, [case.image_id]),
        "take all back from a reader": lambda p: loaded.assigning.take_all_back(p, "other"),
        "say that a case is open": lambda p: loaded.presence.open(p, "a" * 32, case.image_id),
        "say that it is left": lambda p: loaded.presence.leave(p, "a" * 32),
        "ask what others have open": loaded.presence.taken,
        "see saved views": loaded.saved_views.offered,
        "see batches": loaded.saved_views.batches,
        "save a view": lambda p: loaded.saved_views.save(p, "one", Wish()),
        "save a view for everybody": lambda p: loaded.saved_views.save(p, "1", Wish(), shared=True),
        "rename a view": lambda p: loaded.saved_views.rename(p, own_view(loaded, p), "two"),
        "delete a view": lambda p: loaded.saved_views.delete(p, own_view(loaded, p)),
        "see one's own day": lambda p: loaded.progress.day(p, image.added_at),
        "take in": lambda p: loaded.intake.take(p, "x", small_png(7)),
        "take many in": lambda p: list(loaded.intake.take_many(p, [])),
        "set a threshold": lambda p: put_in_force(loaded, p, MODEL, 0.4, "because"),
        "approve a threshold": lambda p: loaded.governance.approve(p, proposed(loaded, "cy")),
        "refuse a threshold": lambda p: loaded.governance.refuse(p, proposed(loaded, "cy"), "no"),
        "withdraw a threshold": lambda p: loaded.governance.withdraw(p, proposed(loaded, p.name)),
        "see what was set": lambda p: loaded.governance.history(p, MODEL),
        "take the change record out": lambda p: loaded.governance.record(p, MODEL),
        "export a folder": lambda p: loaded.exporting.folder(p, EVERYTHING, tmp_path / p.name),
        "export an archive": lambda p: loaded.exporting.archive(p, EVERYTHING, tmp_path / "a.zip"),
        "see what can be exported": loaded.exporting.tables,
        "choose among exports": loaded.exporting.choices,
        "count rows": loaded.exporting.counts,
        "look into an import": lambda p: loaded.importing.plan(p, [labels]),
        "import": lambda p: loaded.importing.carry_out(p, [labels]),
        "list users": accounts.list_users,
        "create a user": lambda p: accounts.create(p, NewAccount("n", "", ("reader",), PASSWORD)),
        "change roles": lambda p: accounts.change_roles(p, other, ["lead"], "because"),
        "rename": lambda p: accounts.rename(p, other, "Other"),
        "reset a password": lambda p: accounts.reset_password(p, other, PASSWORD),
        "unlock": lambda p: accounts.unlock(p, other),
        "remove a user": lambda p: accounts.remove(p, other, "because"),
        "bring a user back": lambda p: accounts.bring_back(p, other, "because"),
        "see the audit trail": loaded.audit.page,
        "see who acted": loaded.audit.actors,
        "check the audit trail": loaded.audit.verify,
        "export the audit trail": loaded.audit.export_csv,
        "accept the audit trail": lambda p: loaded.audit.accept(p, "because"),
        "find what to erase": lambda p: loaded.erasing.find(p, Which(patient="P-1")),
        "erase": lambda p: loaded.erasing.erase(p, to_erase(loaded), "because"),
    }


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_what_the_matrix_says(
    loaded: Services, acts: dict[str, Callable[[Person], Any]], role: Role
) -> None:
    assert set(acts) == set(MAY)
    person = Person("tester", frozenset({role}), address="192.0.2.5")
    for name, act in acts.items():
        if role in MAY[name]:
            act(person)
            continue
        with pytest.raises(ForbiddenError):
            act(person)
        newest = loaded.audit.page(Person.named("checking"), limit=1).events[0]
        assert (newest.action, newest.actor, newest.address) == ("denied", "tester", "192.0.2.5"), (
            name
        )


def test_nobody_without_a_role_may_anything(
    loaded: Services, acts: dict[str, Callable[[Person], Any]]
) -> None:
    for act in acts.values():
        with pytest.raises(ForbiddenError):
            act(Person("nobody"))


def test_two_roles_may_what_either_may(
    loaded: Services, acts: dict[str, Callable[[Person], Any]]
) -> None:
    both = Person("two", frozenset({"reader", "administrator"}))
    acts["save a read"](both)
    acts["list users"](both)
    with pytest.raises(ForbiddenError):
        acts["set a threshold"](both)
    acts["set a threshold"](replace(both, roles=frozenset({"lead"})))
