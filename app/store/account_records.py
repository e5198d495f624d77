"""The values of accounts, sessions, the audit trail and drafts. See `app.store.records`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Role = Literal["reader", "arbiter", "lead", "administrator", "auditor"]
SessionMethod = Literal["password", "single sign-on"]
AuditAction = Literal[
    "sign-in",
    "sign-in failed",
    "sign-out",
    "session ended",
    "account locked",
    "view",
    "upload",
    "refusal",
    "denied",
    "verdict",
    "amendment",
    "assignment",
    "assignment taken back",
    "arbitration",
    "saved view",
    "threshold",
    "audit sample",
    "threshold proposed",
    "threshold refused",
    "threshold withdrawn",
    "threshold overtaken",
    "export",
    "import",
    "user created",
    "user changed",
    "settings changed",
    "backup",
    "restore",
    "erasure",
    "migration",
]


@dataclass(frozen=True, kw_only=True)
class NewUser:
    """An account to be.

    Attributes:
        name: Signs in with it, and reads are stored under it; unique whatever the case.
        full_name: How people call them.
        roles: What they may do; none means nothing.
        password_hash: argon2id in PHC form; None if they sign in elsewhere.
        issuer: Of the OpenID Connect provider; None for a local account.
        subject: The provider's name for the person; None for a local account.
        must_change_password: Whether the password was set by someone else.
        created_by: Who made the account.
    """

    name: str
    full_name: str
    roles: tuple[Role, ...]
    password_hash: str | None = field(default=None, repr=False)
    issuer: str | None = None
    subject: str | None = None
    must_change_password: bool = False
    created_by: str


@dataclass(frozen=True, kw_only=True)
class UserRecord(NewUser):
    """An account.

    Attributes:
        id: Of the account; never given again.
        active: False once it is removed. Accounts are never deleted: reads point to their names.
        failed_attempts: Wrong passwords in a row.
        locked_until: No password is taken before then; None if it is not locked.
        created_at: UTC.
        password_changed_at: UTC; None if there never was one.
    """

    id: int
    active: bool
    failed_attempts: int
    locked_until: datetime | None
    created_at: datetime
    password_changed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class NewSession:
    """A browser that signed in.

    Attributes:
        token_sha256: Of the cookie's random token; the token itself is kept nowhere.
        user_id: Whose it is.
        address: Where from.
        method: How they signed in.
    """

    token_sha256: str = field(repr=False)
    user_id: int
    address: str
    method: SessionMethod


@dataclass(frozen=True, kw_only=True)
class SessionRecord(NewSession):
    """A session, open or ended.

    Attributes:
        id: Of the session.
        opened_at: UTC.
        seen_at: When the person last did something, UTC, to the minute.
        ended_at: UTC; None while it is open.
        end_reason: Why it ended; None while it is open.
    """

    id: int
    opened_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    end_reason: str | None


@dataclass(frozen=True, kw_only=True)
class NewAuditEvent:
    """An act to be put on record.

    Attributes:
        actor: Name of the account, or of the command that ran; for a failed sign-in the account
            that was tried if there is one, else empty: people type passwords there.
        actor_id: The account; None for a command.
        action: What was done.
        subject: To what, for instance "image 12", "user anna", "operating point nih-ae-u".
        address: Where from; empty for a command.
        before: What was, by name; None where nothing was.
        after: What is, by name; None where nothing is.
        reason: In the actor's words or the program's.
    """

    actor: str
    actor_id: int | None
    action: AuditAction
    subject: str
    address: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditEvent(NewAuditEvent):
    """A link of the chain.

    Attributes:
        id: 1 for the first, and no number left out.
        at: UTC.
        previous: The hash of the link before; 64 zeros for the first.
        hash: SHA-256 over ``previous`` and everything else of this link, hexadecimal.
    """

    id: int
    at: datetime
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """Which events are wanted; None leaves a question open.

    Attributes:
        actor: Exact name.
        actions: Any of these; empty for all.
        subject: Exact subject.
        since: From this instant on.
        until: Before this instant.
    """

    actor: str | None = None
    actions: tuple[AuditAction, ...] = ()
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class DraftRecord:
    """A read that is not saved yet.

    Attributes:
        reader: Whose.
        image_id: Of which case.
        content: As the screen keeps it.
        saved_at: UTC.
    """

    reader: str
    image_id: int
    content: Mapping[str, Any]
    saved_at: datetime
