"""`python -m benchmarks.localization_table OUT.json...`: localisation in docs/results.md.

Nothing is measured here: each figure was written by `ddad localize --json OUT.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.page import write_part
from ddad_core.vocabulary import MAP_TITLES

CENTRE = "centre"


def localization_part(found: Sequence[dict[str, Any]]) -> str:
    return "\n\n".join(_table(values) for values in found)


def _table(values: dict[str, Any]) -> str:
    first = next(iter(values["maps"].values()))
    lines = [
        f"### `{values['model']}` against radiologists' boxes",
        "",
        f"{first['n_regions']} boxes on {first['n_images']} images of `{values['boxes']}`, "
        f"{first['n_normal']} normals of the {values['normals']} part; 95 % intervals: pointing "
        "Clopper-Pearson, the rest bootstrap over images. False regions are counted an image, on "
        "the normals.",
        "",
        "| map | highest point in a box | pixel AUC | AUPRO to 0.3 | boxes hit at 1 false region "
        "| at 2 | pixel AUC less that of the image's centre |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, title in MAP_TITLES.items():
        if name in values["maps"]:
            lines.append(_row(title, values["maps"][name]))
    chance = f"| chance | {first['chance_pointing']:.3f} | 0.500 | 0.150 | | | |"
    command = (
        f"`ddad localize {values['model']} --images FOLDER --boxes {values['boxes']} "
        f"--normals {values['normals']}`"
    )
    return "\n".join([*lines, chance, "", f"To reproduce: {command}"])


def _row(title: str, found: dict[str, Any]) -> str:
    froc = found["froc"]["at"]
    gain = next(v for name, v in found["gains"].items() if CENTRE in name)["pixel_auc_gain"]
    cells = [found["pointing"], found["pixel_auc"], found["aupro"], froc["1.0"], froc["2.0"], gain]
    return f"| {title} | " + " | ".join(_interval(cell) for cell in cells) + " |"


def _interval(values: dict[str, float]) -> str:
    return f"{values['value']:.3f} ({values['low']:.3f} to {values['high']:.3f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path)
    given = [json.loads(path.read_text()) for path in parser.parse_args().reports]
    write_part("localization", localization_part(given))
