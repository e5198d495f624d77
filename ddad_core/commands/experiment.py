"""`ddad experiment`."""

from __future__ import annotations

from argparse import Namespace


def run(arguments: Namespace) -> int:
    """`ddad experiment`."""
    from ddad_core.experiments.config import load_config
    from ddad_core.experiments.report import write_report
    from ddad_core.experiments.run import check_experiment, run_experiment

    config = load_config(
        arguments.config,
        images=arguments.images,
        out=arguments.out,
        device=arguments.device,
        seeds=tuple(arguments.seeds) if arguments.seeds else None,
    )
    if arguments.check:
        for name, words, done in check_experiment(config):
            print(f"{name}  {words}{', finished' if done else ''}")
        return 0
    outcome = run_experiment(config)
    page, *others = write_report(outcome, arguments.config)
    count = len(outcome.cells)
    beside = ", ".join(path.name for path in others)
    print(f"{page}: {count} cell{'s' if count > 1 else ''}. Beside it: {beside}.")
    return 0
