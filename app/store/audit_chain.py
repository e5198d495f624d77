"""The chain of audit events: what a link's hash covers, and what is wrong with a chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC
from typing import Any

from app.store.account_records import AuditEvent

FIRST_PREVIOUS = "0" * 64


@dataclass(frozen=True)
class Head:
    """The newest link of a chain.

    Attributes:
        id: Its number; 0 of an empty chain.
        hash: Its hash.
    """

    id: int
    hash: str


EMPTY = Head(0, FIRST_PREVIOUS)


def link_hash(content: dict[str, Any]) -> str:
    """The hash of a link.

    Args:
        content: Every field of an `AuditEvent` but ``hash``.

    Returns:
        SHA-256 of the content as JSON with sorted keys, in hexadecimal.
    """
    plain = content | {"at": content["at"].astimezone(UTC).isoformat(timespec="microseconds")}
    text = json.dumps(plain, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def content_of(event: AuditEvent) -> dict[str, Any]:
    """What a link's hash covers."""
    return {f.name: getattr(event, f.name) for f in fields(event) if f.name != "hash"}


@dataclass(frozen=True)
class Verification:
    """What checking a chain found.

    Attributes:
        events: How many there are.
        head: The newest link; keep it elsewhere to check against later.
        faults: What is wrong, in sentences; empty if nothing is.
    """

    events: int
    head: Head
    faults: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


MAX_FAULTS = 100


def verify(events: Iterable[AuditEvent], kept: Iterable[Head] = ()) -> Verification:
    """Check a chain from its first link to its last.

    Args:
        events: In the order of their ids; streamed.
        kept: Heads that were noted outside of the database, earlier.
    """
    expected = {head.id: head.hash for head in kept if head.id > 0}
    faults: list[str] = []
    head, count = EMPTY, 0
    try:
        for event in events:
            faults += _faults_of(event, head)
            noted = expected.pop(event.id, None)
            if noted is not None and noted != event.hash:
                faults.append(
                    f"Event {event.id} is not the one that was noted outside the database."
                )
            head, count = Head(event.id, event.hash), count + 1
    except (ValueError, TypeError, KeyError, AttributeError):
        # What this program writes it can read.
        faults.append(f"An event after number {head.id} cannot be read: it was changed.")
    faults += [
        f"Event {number} was noted outside the database, but is gone."
        for number in sorted(expected)
    ]
    return Verification(count, head, tuple(faults[:MAX_FAULTS]))


def _faults_of(event: AuditEvent, before: Head) -> Iterator[str]:
    if event.id != before.id + 1:
        yield f"After event {before.id} comes {event.id}: events between them are gone."
    elif event.previous != before.hash:
        yield f"Event {event.id} does not continue event {before.id}: one of them was changed."
    if link_hash(content_of(event)) != event.hash:
        yield f"Event {event.id} was changed after it was written."
