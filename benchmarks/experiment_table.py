"""`python -m benchmarks.experiment_table REPORT.json...`: experiments in docs/results.md.

Nothing is measured here: each figure was written by `ddad experiment` into its report.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.page import write_part
from ddad_core.experiments import markdown

COMMAND = "python -m benchmarks.experiment_table"


def experiments_part(reports: Sequence[dict[str, Any]]) -> str:
    intro = (
        "Each figure is read from the `report.json` of `ddad experiment`; the command below each "
        f"title runs it again, given the images. This part is rewritten by `{COMMAND} "
        "REPORT.json...`."
    )
    parts = [intro, reports[0]["figures"]["intervals"], markdown.tests_caption()]
    for report in reports:
        parts += _experiment(report)
    foreign = next((r for r in reports if not r["published"]["beside"]), None)
    if foreign:
        parts += ["### Published figures, other data", markdown.published_part(foreign)]
    return "\n\n".join(parts)


def _experiment(report: dict[str, Any]) -> list[str]:
    data, made = report["data"], report["provenance"]
    machine = made["hardware"]
    where = machine["gpu"] or f"{machine['cores']} CPU cores ({machine['cpu']})"
    return [
        f"### {report['title']}",
        f"`{made['command']}`. Tested on {data['n_normal']} normal and {data['n_abnormal']} "
        f"abnormal images, patients apart from training. {len(report['cells'])} trainings, "
        f"{made['seconds'] / 60:.0f} min on {where}.",
        markdown.table_caption(report),
        markdown.grid_table(report),
        markdown.tests_table(report),
        *(
            part
            for sweep in report["figures"]["sweeps"]
            for part in markdown.sweep_part(report, sweep, "####")
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+", metavar="REPORT.json")
    paths = parser.parse_args(arguments).reports
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    write_part("experiments", experiments_part(reports))


if __name__ == "__main__":
    main()
