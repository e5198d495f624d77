"""What several commands of `ddad-admin` need: who runs them, the database, secrets, consent."""

from __future__ import annotations

import argparse
import getpass
import os
import pwd
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.opening import anchor_of
from app.services.people import Person
from app.settings import Settings
from app.store.engine import create_store_engine
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError

COMMAND = Person.named("ddad-admin")
"""Who looks after accounts and the audit trail from the shell."""


def operator() -> Person:
    """Who runs the command: its name and the system's account."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = str(os.getuid())
    return Person.named(f"ddad-admin ({account[:60]})")


def store_of(settings: Settings) -> UnitOfWork:
    """The database, whatever its schema."""
    return UnitOfWork(create_store_engine(settings.database_url), anchor=anchor_of(settings))


def add_passphrase_file(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--passphrase-file", type=Path, metavar="FILE", help="its first line; else it is asked for"
    )


def typed_secret(word: str, file: Path | None, *, twice: bool) -> str:
    """From the file's first line, a pipe, or typed.

    Args:
        word: What it is, for instance "passphrase"; also the name of the option for the file.
        file: Where it stands, or None.
        twice: Whether it must be typed once more.

    Raises:
        RequestError: The file is no text, or the two that were typed differ.
    """
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            problem = f"{file} is not a text in UTF-8."
            raise RequestError(problem, f"Give another --{word}-file.") from error
        return lines[0] if lines else ""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    typed = getpass.getpass(f"{word.capitalize()}: ")
    if twice and getpass.getpass("Once more: ") != typed:
        problem = f"The two {word}s differ."
        raise RequestError(problem, "Run the command again.")
    return typed


def agreed(arguments: argparse.Namespace, question: str) -> bool:
    """Whether to go on: asked unless --yes was given; nobody there to answer means no."""
    if arguments.yes:
        return True
    print(f"{question} [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def bar(words: str) -> Any:
    """A line with bytes, rate and time left; called with bytes done and bytes in all."""
    from tqdm import tqdm

    with tqdm(desc=words, unit="B", unit_scale=True, unit_divisor=1000, disable=None) as shown:

        def show(done: int, total: int) -> None:
            shown.total = total
            shown.update(done)

        made: Callable[[int, int], None] = show
        yield made
