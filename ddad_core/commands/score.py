"""`ddad score`."""

from __future__ import annotations

import sys
from argparse import Namespace

EXIT_REFUSED = 3


def run(arguments: Namespace) -> int:
    """`ddad score`."""
    from ddad_core import scorefiles

    tally = scorefiles.score_paths(
        arguments.paths,
        weights=arguments.weights,
        model=arguments.model,
        device=arguments.device,
        output=arguments.output,
        workers=arguments.workers,
    )
    for line in tally.lines(scorefiles.STATUSES):
        print(line, file=sys.stderr)
    return EXIT_REFUSED if tally.statuses["refused"] else 0
