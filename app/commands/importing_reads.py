"""`ddad-admin import-reads`: another site's reads and labels from outside."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.shared import operator
from app.opening import open_store
from app.settings import load_settings

if TYPE_CHECKING:
    from app.services.importing_reads import ImportReport

EXIT_CONFLICTS = 3
_SHOWN = 20


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = sub.add_parser(
        "import-reads", help="merge an export of another site, or labels from outside"
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument(
        "--site", default="", metavar="NAME", help="where reads come from, if no file says it"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.set_defaults(command=_import)


def _import(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from app.services.access import Access
    from app.services.importing_reads import ImportingService

    store = open_store(load_settings(os.environ))
    service, person = ImportingService(store, Access(store)), operator()
    if arguments.dry_run:
        report = service.plan(person, arguments.paths, arguments.site)
    else:
        with tqdm(desc="rows", unit="row", disable=None) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            report = service.carry_out(person, arguments.paths, arguments.site, show)
    for line in _lines(report, dry=arguments.dry_run):
        print(line)
    return EXIT_CONFLICTS if report.reads.conflicts + report.labels.conflicts else 0


def _lines(report: ImportReport, *, dry: bool) -> list[str]:
    said = []
    if report.site:
        said.append(f"site: {report.site}{' (this installation)' if report.own else ''}")
    for word, tally in (("reads", report.reads), ("labels", report.labels)):
        if tally.found:
            said.append(
                f"{word}: {tally.found} in the file, {tally.added} {'new' if dry else 'added'}, "
                f"{tally.there} here already, {tally.no_image} of images that are not here, "
                f"{tally.conflicts} in conflict"
            )
    if report.boxes:
        said.append(f"boxes: {report.boxes} {'new' if dry else 'added'}")
    for one in report.readers:
        taken = "; the name was taken" if one.renamed else ""
        said.append(f"reader {one.there}: {one.reads} reads as {one.here}{taken}")
    for table, rows in report.passed_over.items():
        if rows:
            said.append(f"not taken: {rows} rows of {table.replace('_', ' ')}")
    said += report.conflicts[:_SHOWN]
    if len(report.conflicts) > _SHOWN:
        said.append(f"and {len(report.conflicts) - _SHOWN} more conflicts")
    if dry:
        return [*said, "Nothing was stored."]
    return said if report.adds else [*said, "There was nothing new in it."]
