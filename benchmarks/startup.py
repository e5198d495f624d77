"""`python -m benchmarks.startup`: from the command to the page.

By default a second start: the environment, the database and the gallery are there already. With
``--clean-clone``, everything from the clone on, package downloads included (several minutes).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.figures import Figure, show, spread
from benchmarks.serving import REPOSITORY, Launched, environment, free_port, page_urls

COMMAND = "python -m benchmarks.startup"
STARTS = 3
SECOND_START_TARGET_S = 15.0
CLEAN_CLONE_TARGET_S = 300.0
CLEAN_CLONE_LIMIT_S = 1800.0


def _make_run(folder: Path) -> list[str]:
    return ["make", "-C", str(folder), "run"]


def _without_make() -> list[str]:
    """What `make run` runs once there is an environment, with this interpreter."""
    python = f"'{sys.executable}'"
    steps = f"{python} -m app.cli import --gallery && exec {python} -m app.serve"
    return ["sh", "-c", steps]


def _seconds_to_page(
    command: Sequence[str], home: Path, folder: Path, limit: float, log: Path
) -> float:
    """Launch, wait until the page and the server's health answer 200, end the whole group."""
    port = free_port()
    environ = environment(home, port)
    if command[0] == "make":
        del environ["PYTHONPATH"]  # the environment that make keeps knows where the app is
    started = time.perf_counter()
    launched = Launched(command, environ, folder, log)
    try:
        launched.wait_for(page_urls(port), limit)
        return time.perf_counter() - started
    finally:
        launched.stop()


def second_start(starts: int = STARTS) -> list[Figure]:
    by_make = (REPOSITORY / ".venv" / "installed").is_file()
    command = _make_run(REPOSITORY) if by_make else _without_make()
    how = "`make run`" if by_make else "the two commands of `make run`, without make"
    with tempfile.TemporaryDirectory(prefix="ddad-bench-") as name:
        folder = Path(name)

        def once() -> float:
            log = folder / "start.log"
            return _seconds_to_page(command, folder / "home", REPOSITORY, 180, log)

        first = once()
        later = [once() for _ in range(starts)]
    return [
        Figure(
            f"Second start ({how}): from the command to the page",
            f"at most {SECOND_START_TARGET_S:g} s",
            spread(later, "s", 1),
            COMMAND,
            statistics.median(later) <= SECOND_START_TARGET_S,
        ),
        Figure(
            "The start before it, which makes the database and scores the gallery",
            "",
            f"{first:.1f} s (n = 1)",
            COMMAND,
        ),
    ]


def clean_clone() -> list[Figure]:
    """Clone what is committed, and `make run` there; the time of both together."""
    with tempfile.TemporaryDirectory(prefix="ddad-bench-") as name:
        folder = Path(name)
        clone = folder / "clone"
        started = time.perf_counter()
        git = shutil.which("git") or "git"
        cloning = [git, "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(clone)]
        subprocess.run(cloning, check=True, timeout=300)
        cloned = time.perf_counter() - started
        log = folder / "start.log"
        ran = _seconds_to_page(_make_run(clone), folder / "home", clone, CLEAN_CLONE_LIMIT_S, log)
    seconds = cloned + ran
    return [
        Figure(
            "Clean clone: `git clone` and `make run`, package downloads included, to the page",
            f"at most {CLEAN_CLONE_TARGET_S:g} s",
            f"{seconds:.0f} s (n = 1)",
            f"{COMMAND} --clean-clone",
            seconds <= CLEAN_CLONE_TARGET_S,
        )
    ]


def run() -> list[Figure]:
    return second_start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean-clone", action="store_true", help="measure a first start instead")
    measure: Callable[[], list[Figure]] = clean_clone if parser.parse_args().clean_clone else run
    show(measure())


if __name__ == "__main__":
    main()
