"""`ddad-admin backup`: one file of everything that cannot be made anew; or check such a file."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from app.commands.shared import add_passphrase_file, bar, operator, store_of, typed_secret
from app.settings import load_settings
from app.store.snapshot import HOLD_SECONDS

EXIT_MISSING = 3


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = sub.add_parser("backup", help="back the installation up, or check a backup")
    parser.add_argument("target", type=Path, metavar="FILE|FOLDER", help="a folder gets a new file")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--encrypt", action="store_true", help="with a passphrase")
    how.add_argument("--recipient", default="", metavar="AGE-KEY", help="encrypt to this key")
    how.add_argument("--verify", action="store_true", help="check that backup, write nothing")
    add_passphrase_file(parser)
    add_identity_file(parser)
    parser.add_argument(
        "--hold",
        type=float,
        default=HOLD_SECONDS,
        metavar="SECONDS",
        help="how long writers may be held up at most (SQLite)",
    )
    parser.set_defaults(command=_run)


def add_identity_file(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--identity-file", type=Path, metavar="FILE", help="the secret age key, to open a backup"
    )


def identities(file: Path | None) -> tuple[str, ...]:
    """The secret keys in a file of age-keygen."""
    if file is None:
        return ()
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _run(arguments: argparse.Namespace) -> int:
    return _verify(arguments) if arguments.verify else _back_up(arguments)


def _back_up(arguments: argparse.Namespace) -> int:
    from app.keeping.backup import Installation, back_up
    from app.keeping.sealing import Seal

    settings = load_settings(os.environ)
    encrypt = arguments.encrypt or (arguments.passphrase_file and not arguments.recipient)
    words = typed_secret("passphrase", arguments.passphrase_file, twice=True) if encrypt else ""
    seal = Seal(words, arguments.recipient)
    if encrypt and not words:
        seal = Seal(" ")  # refused as too short: never unencrypted where encryption was asked for
    store = store_of(settings)
    home = settings.home
    what = Installation(home, settings.database_url, settings.pseudonym_key_file, store)
    with bar("backup") as progress:
        made = back_up(
            what,
            arguments.target,
            operator(),
            seal=seal,
            progress=progress,
            hold_seconds=arguments.hold,
        )
    print(f"{made.path}: {made.bytes} bytes, {made.files} image files, {made.originals} originals")
    print(", ".join(f"{count} {table}" for table, count in made.rows.items() if count))
    if not seal.passphrase and not seal.recipient:
        print("It is not encrypted and holds the key of the pseudonyms: keep it as you keep both.")
    if made.missing:
        print(
            f"{len(made.missing)} image files are missing from the installation, and so from the "
            "backup: see `ddad-admin doctor`.",
            file=sys.stderr,
        )
        return EXIT_MISSING
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from app.keeping.reading import go_through
    from app.keeping.sealing import Unseal

    unseal = Unseal(
        lambda: typed_secret("passphrase", arguments.passphrase_file, twice=False),
        identities(arguments.identity_file),
    )
    total = [0]
    with bar("checking") as progress:
        contents = go_through(
            arguments.target,
            unseal,
            labelled=lambda label: total.__setitem__(0, label.content_bytes),
            progress=lambda done: progress(done, total[0]),
        )
    label, manifest = contents.label, contents.manifest
    print(f"{label.program}, schema {label.schema}, {label.made_at}")
    print(f"{len(manifest.members)} files, every SHA-256 as it was written.")
    if manifest.missing:
        print(f"{len(manifest.missing)} image files were missing when it was made.")
    return 0
