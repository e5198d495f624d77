"""`ddad-admin erase`: remove images with everything made of them, on record."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from app.commands.shared import agreed, operator, store_of
from app.opening import anchor_of
from app.settings import load_settings
from ddad_core.errors import RequestError

if TYPE_CHECKING:
    from app.store.erasure_repository import ErasureRows

EXIT_LEFT = 1
_SHOWN = 20


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = sub.add_parser("erase", help="erase a patient's images, or those older than kept")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--patient", default="", metavar="PSEUDONYM", help="P-...")
    which.add_argument("--older-than", type=int, metavar="DAYS", help="since they were taken in")
    which.add_argument("--overdue", action="store_true", help="older than DDAD_RETENTION_DAYS says")
    parser.add_argument("--keep-read", action="store_true", help="leave what somebody has read")
    parser.add_argument("--reason", default="", metavar="TEXT", help="goes on record")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from app.gateways.files import ImageFiles
    from app.gateways.home_lock import HomeLock
    from app.services.access import Access
    from app.services.erasing import ErasingService, Which
    from app.store.automatic_copy import FOLDER, automatic_copies
    from app.store.migrate import migrate

    settings = load_settings(os.environ)
    days, reason = arguments.older_than, arguments.reason
    if arguments.overdue:
        if settings.retention_days is None:
            problem = "DDAD_RETENTION_DAYS is not set: images are kept for ever."
            raise RequestError(problem, "Set it, or say --older-than DAYS.")
        days = settings.retention_days
        reason = reason or f"kept for {days} days (DDAD_RETENTION_DAYS)"
    if not reason.strip():
        problem = "An erasure needs a reason."
        raise RequestError(problem, "Add --reason TEXT; it goes on record.")
    migrate(settings.database_url, anchor=anchor_of(settings))
    store, person = store_of(settings), operator()
    erasing = ErasingService(
        store, Access(store), ImageFiles(settings.home), HomeLock(settings.home)
    )
    which = Which(arguments.patient, days, keep_read=arguments.keep_read and not arguments.patient)
    found = erasing.find(person, which)
    if not found.images:
        print(f"There is no image of {which.described()}: nothing to erase.")
        return 0
    for image in found.images[:_SHOWN]:
        print(f"image {image.id}: {image.label}, taken in {image.added_at:%Y-%m-%d}")
    if len(found.images) > _SHOWN:
        print(f"and {len(found.images) - _SHOWN} more")
    counts = _in_words(found.rows)
    if not agreed(arguments, f"Erase for good: {counts}, and their files?"):
        print("Nothing was erased.")
        return 0
    done = erasing.erase(person, which, reason)
    print(f"Erased: {_in_words(done.rows)}")
    print("Backups made before still hold them until you remove those backups.")
    for copy in automatic_copies(settings.home / FOLDER):
        print(f"So does the automatic copy {copy}.")
    for words in done.left:
        print(f"{words} `ddad-admin doctor --sweep` tries again.", file=sys.stderr)
    return EXIT_LEFT if done.left else 0


def _in_words(rows: ErasureRows) -> str:
    named = ((name.replace("_", " "), count) for name, count in asdict(rows).items())
    return ", ".join(f"{count} {name}" for name, count in named)
