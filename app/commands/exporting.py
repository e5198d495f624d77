"""`ddad-admin export`: what is stored, as a folder or a ZIP file."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from app.commands.shared import COMMAND
from app.opening import open_store
from app.services.access import Access
from app.services.exporting import FORMATS, ExportingService, ExportWish
from app.services.models import ModelService
from app.settings import load_settings
from app.store.export_records import ExportFilter
from app.store.records import Origin, Verdict


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = sub.add_parser("export", help="write what is stored into a folder or a .zip file")
    parser.add_argument("target", type=Path, metavar="PATH")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, metavar="FORMAT")
    parser.add_argument("--reader", action="append", default=[], help="only this one's reads")
    parser.add_argument("--verdict", action="append", default=[], choices=get_args(Verdict))
    parser.add_argument("--model", help="only its reads, scores and operating points")
    parser.add_argument("--since", type=_day, metavar="DATE", help="reads saved from this day on")
    parser.add_argument("--until", type=_day, metavar="DATE", help="reads saved before this day")
    parser.add_argument("--latest", action="store_true", help="only last revisions of reads")
    parser.add_argument("--origin", choices=get_args(Origin), help="only images from there")
    parser.add_argument("--comments", action="store_true", help="readers' comments as well")
    parser.add_argument(
        "--site-pseudonyms", action="store_true", help="patients by this site's pseudonyms"
    )
    parser.set_defaults(command=_export)


def _export(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    settings = load_settings(os.environ)
    store = open_store(settings)
    service = ExportingService(
        store, Access(store), ModelService(settings.weights, "cpu", store), settings.site
    )
    wish = ExportWish(
        rows=ExportFilter(
            readers=tuple(arguments.reader),
            verdicts=tuple(arguments.verdict),
            model=arguments.model,
            since=arguments.since,
            until=arguments.until,
            latest_only=arguments.latest,
            origin=arguments.origin,
        ),
        formats=tuple(arguments.formats),
        comments=arguments.comments,
        site_pseudonyms=arguments.site_pseudonyms,
    )
    target: Path = arguments.target
    write = service.archive if target.suffix == ".zip" else service.folder
    with tqdm(desc="rows", unit="row", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        made = write(COMMAND, wish, target, show)
    for name, rows in made.files.items():
        print(f"{name}: {rows} rows")
    print(f"{made.path}: whole, with manifest.json")
    return 0


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        problem = f"{text!r} is no day such as 2026-03-31"
        raise argparse.ArgumentTypeError(problem) from None
