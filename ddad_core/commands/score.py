"""`ddad score`."""

from __future__ import annotations

import sys
from argparse import Namespace

EXIT_REFUSED = 3


def run(arguments: Namespace) -> int:
    """`ddad score`."""
    from ddad_core import scorefiles

    rows = scorefiles.score_paths(
        arguments.paths,
        weights=arguments.weights,
        model=arguments.model,
        device=arguments.device,
        output=arguments.output,
    )
    outcomes = [row["status"] for row in rows]
    counts = ", ".join(f"{outcomes.count(s)} {s}" for s in scorefiles.STATUSES)
    print(f"{len(rows)} files: {counts}", file=sys.stderr)
    return EXIT_REFUSED if "refused" in outcomes else 0
