"""`ddad-admin restore`: make a home of a backup."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from app.commands.backup import add_identity_file, identities
from app.commands.shared import add_passphrase_file, bar, operator, typed_secret
from app.settings import Settings, load_settings


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = sub.add_parser("restore", help="put a backup in place; stop the server first")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="instead of DDAD_HOME")
    parser.add_argument(
        "--replace", action="store_true", help="move what is in the home aside first"
    )
    add_passphrase_file(parser)
    add_identity_file(parser)
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from app.keeping.restore import restore
    from app.keeping.sealing import Unseal

    settings = load_settings(os.environ)
    home = arguments.into.absolute() if arguments.into else settings.home
    unseal = Unseal(
        lambda: typed_secret("passphrase", arguments.passphrase_file, twice=False),
        identities(arguments.identity_file),
    )
    total = arguments.file.stat().st_size
    with bar("restoring") as progress:
        done = restore(
            arguments.file,
            home,
            operator(),
            unseal=unseal,
            replace=arguments.replace,
            progress=lambda more: progress(more, total),
        )
    contents = done.contents
    print(f"{home}: restored as it was at {contents.label.made_at}, every file checked.")
    print(", ".join(f"{count} {table}" for table, count in contents.manifest.rows.items() if count))
    if done.aside:
        print(f"What was there before is in {done.aside}; remove it when you need it no longer.")
    if done.upgraded:
        print(f"The database was brought up from schema {contents.label.schema}.")
    for words in _warnings(done.faults, len(contents.manifest.missing), settings, home):
        print(words, file=sys.stderr)
    return 0


def _warnings(faults: tuple[str, ...], missing: int, settings: Settings, home: Path) -> list[str]:
    found = [f"The audit trail had this fault when it was backed up: {one}" for one in faults]
    if missing:
        found.append(f"{missing} image files were missing when the backup was made.")
    if home != settings.home:
        found.append("Set DDAD_HOME to that folder to use it.")
    elif settings.database_url.partition("?")[0] != _default_url(home):
        found.append(
            "DDAD_DATABASE_URL names another database than the one restored, ddad.sqlite in "
            "DDAD_HOME: unset it, or move the restored one there."
        )
    if settings.pseudonym_key_file.parent != settings.home:
        found.append(
            "DDAD_PSEUDONYM_KEY_FILE is set: move the restored pseudonym.key to that place."
        )
    return found


def _default_url(home: Path) -> str:
    return load_settings({"DDAD_HOME": str(home)}).database_url
