"""What a backup says of itself: a label in front, a manifest of every file at the end."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from ddad_core.errors import DdadError

LABEL = "ddad-backup.json"
MANIFEST = "manifest.json"
DATABASE = "ddad.sqlite"
KEY = "pseudonym.key"
ANCHOR = "audit.anchor"
FORMAT = 1
SMALL = 64 * 2**20
"""No label, key, anchor or manifest is larger, in bytes."""

# What may be in a backup; nothing else is ever written to a disk.
_NAMES = re.compile(
    r"ddad\.sqlite|pseudonym\.key|audit\.anchor"
    r"|images/[0-9a-f]{2}/[0-9a-f]{64}\.(png|dcm)"
    r"|originals/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{1,8}"
)


class BackupError(DdadError):
    """A backup cannot be made, read or put in place."""


def damaged(why: str) -> BackupError:
    """The error for a backup that does not hold what it should."""
    problem = f"The backup is damaged or incomplete: {why}."
    return BackupError(problem, "Nothing was put in place: take another backup.")


@dataclass(frozen=True)
class Label:
    """The first member.

    Attributes:
        program: Name and version of what made it.
        schema: Revision of the database's schema.
        made_at: UTC, ISO 8601.
        content_bytes: Of all members but the label and the manifest, as far as known at the start.
    """

    program: str
    schema: str
    made_at: str
    content_bytes: int

    def encoded(self) -> bytes:
        """As JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode("utf-8")


@dataclass(frozen=True)
class Manifest:
    """The last member.

    Attributes:
        rows: Rows by table.
        members: Size in bytes and SHA-256 of every other member, by name.
        missing: Names of files that their rows ask for but that were not there.
    """

    rows: dict[str, int]
    members: dict[str, tuple[int, str]]
    missing: tuple[str, ...] = field(default=())

    def encoded(self) -> bytes:
        """As JSON that ends with its own SHA-256."""
        content = json.dumps(asdict(self), sort_keys=True)
        digest = hashlib.sha256(content.encode("utf-8")).hexdigest()
        return json.dumps({"content": content, "sha256": digest}).encode("utf-8")


def read_label(data: bytes) -> Label:
    """The label.

    Raises:
        BackupError: It is none, or one of a later format.
    """
    try:
        found: dict[str, Any] = json.loads(data)
        version = found.pop("format")
        if version == FORMAT:
            return Label(**found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(why="its label cannot be read") from error
    problem = f"The backup has format {version}; this version reads format {FORMAT}."
    raise BackupError(problem, "Use the version of the program that made it.")


def read_manifest(data: bytes) -> Manifest:
    """The manifest.

    Raises:
        BackupError: It is damaged.
    """
    try:
        outer = json.loads(data)
        content: str = outer["content"]
        if hashlib.sha256(content.encode("utf-8")).hexdigest() != outer["sha256"]:
            raise damaged(why="its manifest was changed")
        found = json.loads(content)
        members = {name: (int(size), str(sha)) for name, (size, sha) in found["members"].items()}
        return Manifest(dict(found["rows"]), members, tuple(found["missing"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(why="its manifest cannot be read") from error


def check_name(name: str) -> None:
    """Refuse what does not belong into a backup, paths to elsewhere among it.

    Raises:
        BackupError: It does not.
    """
    if not _NAMES.fullmatch(name):
        raise damaged(why=f"it holds {name[:80]!r}, which no backup has")


def check_complete(manifest: Manifest, found: dict[str, tuple[int, str]]) -> None:
    """Compare what was read with what was written.

    Raises:
        BackupError: Something is missing, changed or too much.
    """
    for name, (_, digest) in manifest.members.items():
        if name not in found:
            raise damaged(why=f"{name} is missing")
        if found[name][1] != digest:
            raise damaged(why=f"{name} was changed")
    if extra := sorted(found.keys() - manifest.members.keys()):
        raise damaged(why=f"{extra[0]} is not in its manifest")
    if DATABASE not in found:
        raise damaged(why="it holds no database")
