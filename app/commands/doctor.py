"""`ddad-admin doctor`: what is wrong with the installation, and what to do about it."""

from __future__ import annotations

import argparse
import os

from app.commands.shared import store_of
from app.settings import ConfigurationError, load_settings

EXIT_FAULTS = 1


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = sub.add_parser("doctor", help="check the installation and say what to mend")
    parser.add_argument("--deep", action="store_true", help="also read every image file")
    parser.add_argument("--sweep", action="store_true", help="remove files that belong to no image")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from app.keeping.check import Check
    from app.keeping.doctor import Patient, examine

    try:
        settings = load_settings(os.environ)
    except ConfigurationError as error:
        print(Check("settings", "fault", error.problem, error.next_step).line())
        return EXIT_FAULTS
    print(Check("settings", "ok", "all can be used.").line())
    patient = Patient(
        settings.home,
        settings.database_url,
        settings.pseudonym_key_file,
        settings.weights,
        settings.retention_days,
        lambda: store_of(settings),
    )
    faults = 0
    with tqdm(desc="image files", unit="file", disable=None, leave=False) as shown:

        def progress(done: int, total: int) -> None:
            shown.total = total
            shown.update(done)

        for check in examine(
            patient, deep=arguments.deep, sweep=arguments.sweep, progress=progress
        ):
            tqdm.write(check.line())
            faults += check.state == "fault"
    print("No fault." if not faults else f"{faults} faults.")
    return EXIT_FAULTS if faults else 0
