"""Who acts, what each role may do, and how an act is put on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, get_args

from app.store.account_records import AuditAction, NewAuditEvent, Role
from ddad_core.errors import RequestError

NAME_LIMIT = 80
ROLES: tuple[Role, ...] = get_args(Role)
ROLE_HELP: dict[Role, str] = {
    "reader": "Looks at cases, takes images in, and stores reads.",
    "arbiter": "As a reader; settles cases that readers disagree on, approves operating points.",
    "lead": "As a reader; assigns cases, changes and approves operating points, exports, imports, "
    "monitors.",
    "administrator": "Looks after accounts, sees the audit trail, exports, erases. Sees no cases.",
    "auditor": "Looks only: cases, thresholds, monitoring, the audit trail, exports.",
}


class Action(StrEnum):
    """What needs permission; the value completes "You may not …"."""

    VIEW_CASES = "look at cases"
    TAKE_IN = "take images in"
    READ = "store reads"
    ASSIGN = "assign cases to readers"
    ARBITRATE = "settle disagreements"
    SEE_DISAGREEMENTS = "see where readers disagree"
    SET_OPERATING_POINT = "change operating points"
    APPROVE_OPERATING_POINT = "approve changes of operating points"
    EXPORT = "export what is stored"
    IMPORT = "import reads and labels"
    MONITOR = "see how models do"
    MANAGE_USERS = "look after accounts"
    VIEW_AUDIT = "see the audit trail"
    ERASE = "erase images"


_CLINICAL = frozenset({Action.VIEW_CASES, Action.TAKE_IN, Action.READ})
PERMISSIONS: Mapping[Role, frozenset[Action]] = {
    "reader": _CLINICAL,
    "arbiter": _CLINICAL
    | {Action.ARBITRATE, Action.SEE_DISAGREEMENTS, Action.APPROVE_OPERATING_POINT},
    "lead": _CLINICAL
    | {
        Action.ASSIGN,
        Action.SEE_DISAGREEMENTS,
        Action.SET_OPERATING_POINT,
        Action.APPROVE_OPERATING_POINT,
        Action.EXPORT,
        Action.IMPORT,
        Action.MONITOR,
    },
    "administrator": frozenset(
        {Action.MANAGE_USERS, Action.VIEW_AUDIT, Action.EXPORT, Action.ERASE, Action.MONITOR}
    ),
    "auditor": frozenset(
        {
            Action.VIEW_CASES,
            Action.SEE_DISAGREEMENTS,
            Action.VIEW_AUDIT,
            Action.EXPORT,
            Action.MONITOR,
        }
    ),
}


def permitted(roles: frozenset[Role] | tuple[Role, ...]) -> frozenset[Action]:
    """All that any of these roles may do; an unknown role may do nothing."""
    return frozenset().union(*(PERMISSIONS.get(role, frozenset()) for role in roles))


class ForbiddenError(RequestError):
    """The person's roles do not allow this."""


class SignedOutError(RequestError):
    """The account was removed, or the session is over."""


@dataclass(frozen=True)
class Person:
    """Who acts.

    Attributes:
        name: Of the account; reads are stored under it. Without surrounding or repeated blanks.
        roles: At sign-in; what counts is what the account has when it acts.
        user_id: The account; None for a command on the server and for the demonstration, whose
            roles are then the last word.
        session_id: The session they act in; None where there is none.
        address: Where from; empty for a command.
        full_name: How people call them; the name if empty.
    """

    name: str
    roles: frozenset[Role] = frozenset()
    user_id: int | None = None
    session_id: int | None = None
    address: str = ""
    full_name: str = field(default="", compare=False)

    @classmethod
    def named(cls, text: str, *roles: Role) -> Person:
        """Someone on this machine without an account, with every role unless some are named.

        Raises:
            RequestError: The name is empty, too long or holds control characters.
        """
        return cls(checked_name(text), frozenset(roles or ROLES))

    def did(
        self,
        action: AuditAction,
        subject: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> NewAuditEvent:
        """The record of an act of this person."""
        return NewAuditEvent(
            actor=self.name,
            actor_id=self.user_id,
            action=action,
            subject=subject,
            address=self.address,
            before=before,
            after=after,
            reason=reason,
        )


def checked_name(text: str) -> str:
    """A name as it is stored.

    Raises:
        RequestError: It is empty, too long or holds control characters.
    """
    name = " ".join(text.split())
    if not name:
        problem = "A reader needs a name."
        raise RequestError(problem, "Type the name your reads are to be stored under.")
    if len(name) > NAME_LIMIT or not name.isprintable():
        problem = f"The name must have at most {NAME_LIMIT} printable characters."
        raise RequestError(problem, "Shorten it.")
    return name
