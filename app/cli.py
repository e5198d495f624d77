"""`ddad-admin`: what looks after an installation from its own shell."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app.commands import (
    accounts,
    audit,
    backup,
    doctor,
    erase,
    exporting,
    importing_reads,
    migrating,
    move_database,
    restore,
)
from app.settings import load_settings
from ddad_core.errors import DdadError, RequestError

EXIT_ERROR = 1
EXIT_REFUSED = 3


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    made = argparse.ArgumentParser(
        prog="ddad-admin", description="Look after a DDAD Review installation."
    )
    sub = made.add_subparsers(required=True, metavar="COMMAND")
    importing = sub.add_parser("import", help="take files, folders and ZIP archives in")
    importing.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    importing.add_argument(
        "--gallery", action="store_true", help="load the demonstration gallery if it is not there"
    )
    importing.add_argument("--reader", default="ddad-admin", help="who brings them in")
    importing.add_argument(
        "--outcomes", type=Path, metavar="FILE.csv", help="write what became of each file"
    )
    importing.add_argument(
        "--batch",
        default="",
        metavar="NAME",
        help="name of the batch in the worklist; when it came if left out",
    )
    importing.set_defaults(command=_import)
    accounts.add_to(sub)
    audit.add_to(sub)
    for commands in (
        exporting, importing_reads, migrating, backup, restore, doctor, erase, move_database,
    ):  # fmt: skip
        commands.add_to(sub)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 success; 1 an error, told in one sentence, or faults found; 2 wrong usage; 3 a file was
    refused (`import`) or missing (`backup`), or a row is in conflict (`import-reads`).
    """
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except (DdadError, OSError) as error:
        print(f"ddad-admin: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("ddad-admin: interrupted; what was done is kept", file=sys.stderr)
        return 130


def _import(arguments: argparse.Namespace) -> int:
    # Wiring the services is what makes other commands slow to start.
    from tqdm import tqdm

    from app.bootstrap import build_services
    from app.importing import ImportRequest, import_files
    from app.services.batch_names import checked_batch, named_by_time
    from app.services.intake import STATUSES
    from app.services.people import Person

    if not arguments.paths and not arguments.gallery:
        problem = "Nothing to import."
        raise RequestError(problem, "Give files, folders or ZIP archives, or --gallery.")
    reader = Person.named(arguments.reader)
    settings = load_settings(os.environ)
    services = build_services(settings)
    try:
        if arguments.gallery and (entries := services.gallery.missing()):
            with tqdm(total=len(entries), desc="demonstration gallery", unit="image") as bar:
                services.gallery.load(entries, lambda _: bar.update())
        if not arguments.paths:
            return 0
        journals = settings.home / "imports"
        batch = checked_batch(arguments.batch) or named_by_time("Import")
        request = ImportRequest(arguments.paths, reader, arguments.outcomes, journals, batch)
        tally = import_files(request, services.intake)
    finally:
        services.close()
    for line in tally.lines(STATUSES):
        print(line)
    return EXIT_REFUSED if tally.statuses["refused"] else 0


if __name__ == "__main__":
    sys.exit(main())
