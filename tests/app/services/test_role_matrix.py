"""Every role at every act of the real services: what the table says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from app.services.accounts import NewAccount
from app.services.container import Services
from app.services.erasing import Which
from app.services.exporting import EVERYTHING
from app.services.people import ROLES, ForbiddenError, Person
from app.services.read_draft import ReadDraft
from app.store.account_records import Role
from app.store.records import NewImage
from tests.accounts import PASSWORD

CLINICAL = {"reader", "arbiter", "lead"}
MAY: dict[str, set[str]] = {
    "worklist": {*CLINICAL, "auditor"},
    "thumbnails": {*CLINICAL, "auditor"},
    "open a case": {*CLINICAL, "auditor"},
    "see a case in full": {*CLINICAL, "auditor"},
    "see a case explained": {*CLINICAL, "auditor"},
    "a patient's images": {*CLINICAL, "auditor"},
    "threshold evidence": {*CLINICAL, "auditor"},
    "save a read": CLINICAL,
    "take in": CLINICAL,
    "take many in": CLINICAL,
    "set a threshold": {"lead"},
    "export a folder": {"lead", "administrator", "auditor"},
    "export an archive": {"lead", "administrator", "auditor"},
    "see what can be exported": {"lead", "administrator", "auditor"},
    "choose among exports": {"lead", "administrator", "auditor"},
    "count rows": {"lead", "administrator", "auditor"},
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
    return {
        "worklist": loaded.worklist.list,
        "thumbnails": lambda p: loaded.worklist.thumbnails(p, [case]),
        "open a case": lambda p: loaded.reading.open_case(p, case.image_id),
        "see a case in full": lambda p: loaded.viewing.full_display(p, opened),
        "see a case explained": lambda p: loaded.viewing.explain(p, opened),
        "a patient's images": lambda p: loaded.patients.others_of(p, image),
        "threshold evidence": lambda p: loaded.tuning.evidence(p, MODEL, "reads"),
        "save a read": lambda p: loaded.reading.save(p, case.image_id, MODEL, DRAFT),
        "take in": lambda p: loaded.intake.take(p, "x", small_png(7)),
        "take many in": lambda p: list(loaded.intake.take_many(p, [])),
        "set a threshold": lambda p: loaded.tuning.save(p, MODEL, 0.4, "because"),
        "export a folder": lambda p: loaded.exporting.folder(p, EVERYTHING, tmp_path / p.name),
        "export an archive": lambda p: loaded.exporting.archive(p, EVERYTHING, tmp_path / "a.zip"),
        "see what can be exported": loaded.exporting.tables,
        "choose among exports": loaded.exporting.choices,
        "count rows": loaded.exporting.counts,
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
