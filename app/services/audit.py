"""The audit trail: looked through, checked and taken out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields

from app.services.access import Access
from app.services.people import Action, Person
from app.store.account_records import AuditEvent, AuditFilter
from app.store.audit_chain import Head, Verification, verify
from app.store.audit_repository import Anchor
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError
from ddad_core.spreadsheet import formula_safe

COLUMNS = tuple(f.name for f in fields(AuditEvent))
EVERYTHING = AuditFilter()


@dataclass(frozen=True)
class AuditPage:
    """Some events, the newest first.

    Attributes:
        events: At most as many as were asked for.
        total: How many match.
    """

    events: tuple[AuditEvent, ...]
    total: int


class AuditService:
    """Shows what is on record; nothing here can change it.

    Args:
        store: The database.
        access: Who may look.
        anchor: Where the newest event is noted outside of the database.
    """

    def __init__(self, store: UnitOfWork, access: Access, anchor: Anchor) -> None:
        self._store = store
        self._access = access
        self._anchor = anchor

    def page(
        self,
        person: Person,
        wanted: AuditFilter = EVERYTHING,
        *,
        before_id: int | None = None,
        limit: int = 100,
    ) -> AuditPage:
        """Events, the newest first.

        Args:
            person: Who asks.
            wanted: Which.
            before_id: Only older ones than this: the next page.
            limit: How many at most.

        Raises:
            ForbiddenError: The person may not see the audit trail.
        """
        self._access.require(person, Action.VIEW_AUDIT)
        with self._store.reading() as repositories:
            return AuditPage(
                tuple(repositories.audit.find(wanted, before_id=before_id, limit=limit)),
                repositories.audit.count(wanted),
            )

    def actors(self, person: Person) -> tuple[str, ...]:
        """Everybody who ever acted, by name.

        Raises:
            ForbiddenError: The person may not see the audit trail.
        """
        self._access.require(person, Action.VIEW_AUDIT)
        with self._store.reading() as repositories:
            return tuple(repositories.audit.actors())

    def verify(self, person: Person, kept: Head | None = None) -> Verification:
        """Check the whole chain against itself and against what was noted outside.

        Args:
            person: Who asks.
            kept: A head that was written down earlier, somewhere else.

        Raises:
            ForbiddenError: The person may not see the audit trail.
        """
        self._access.require(person, Action.VIEW_AUDIT)
        noted = self._anchor.read()
        heads = [head for head in (kept, Head(*noted) if noted else None) if head]
        with self._store.reading() as repositories:
            found = verify(repositories.audit.iter_all(), heads)
        if noted is not None or found.events == 0:
            return found
        lost = (
            "The note of the newest event outside the database, audit.anchor, is missing or "
            "damaged: whether the end of the trail was cut cannot be told."
        )
        return Verification(found.events, found.head, (*found.faults, lost))

    def accept(self, person: Person, reason: str) -> Head:
        """Note the present end of the trail outside anew, after a restore; on record.

        Raises:
            ForbiddenError: The person is no administrator.
            RequestError: There is no reason.
        """
        self._access.require(person, Action.MANAGE_USERS)
        if not reason.strip():
            problem = "Accepting the trail as it is needs a reason."
            raise RequestError(problem, "Say in a sentence why it is right.")
        faults = self.verify(person).faults
        with self._store.writing() as repositories:
            repositories.audit.append(
                person.did(
                    "settings changed",
                    "audit anchor",
                    before={"faults": list(faults[:10])},
                    reason=reason.strip(),
                )
            )
            head = repositories.audit.head()
        self._anchor.replace(head.id, head.hash)
        return head

    def export_csv(self, person: Person, wanted: AuditFilter = EVERYTHING) -> bytes:
        """Events as UTF-8 CSV that a spreadsheet will not take for formulas; on record.

        Raises:
            ForbiddenError: The person may not see the audit trail.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for event in self._exported(person, wanted):
            values = _plain(event).values()
            writer.writerow([formula_safe(_cell(value)) for value in values])
        return ("\ufeff" + text.getvalue()).encode("utf-8")

    def export_json_lines(self, person: Person, wanted: AuditFilter = EVERYTHING) -> bytes:
        """Events as JSON, one a line, from which the chain can be checked; on record.

        Raises:
            ForbiddenError: The person may not see the audit trail.
        """
        lines = [json.dumps(_plain(event)) for event in self._exported(person, wanted)]
        return "".join(f"{line}\n" for line in lines).encode("utf-8")

    def _exported(self, person: Person, wanted: AuditFilter) -> Iterator[AuditEvent]:
        self._access.require(person, Action.VIEW_AUDIT)
        with self._store.writing() as repositories:
            rows = repositories.audit.count(wanted)
            repositories.audit.append(person.did("export", "audit trail", after={"rows": rows}))
        with self._store.reading() as repositories:
            yield from repositories.audit.iter_all(wanted)


def _plain(event: AuditEvent) -> dict[str, object]:
    values = {name: getattr(event, name) for name in COLUMNS}
    return values | {"at": event.at.isoformat(timespec="microseconds")}


def _cell(value: object) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
