"""docs/results.md: a page of which parts, between markers, are written by programs."""

from __future__ import annotations

import re

from benchmarks.serving import REPOSITORY

RESULTS = REPOSITORY / "docs" / "results.md"
EMPTY_PAGE = """# Results

Figures of this page come from the command named beside each. The parts between the markers are
written by those commands; do not edit them by hand.

## Speed, waiting and memory
<!-- bench:start -->
<!-- bench:end -->

## Frames of the viewer
<!-- frames:start -->
<!-- frames:end -->

## Models
<!-- models:start -->
<!-- models:end -->

## Do intervals hold the truth?
<!-- coverage:start -->
<!-- coverage:end -->

## Where the maps point
<!-- localization:start -->
<!-- localization:end -->

## The density ratio
<!-- ratio:start -->
<!-- ratio:end -->

## Experiments
<!-- experiments:start -->
<!-- experiments:end -->
"""


def write_part(name: str, text: str) -> None:
    """Replace what stands between the markers of a part; make the page if there is none."""
    page = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else EMPTY_PAGE
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        message = f"{RESULTS} must have one part between {start} and {end}."
        raise ValueError(message)
    whole = f"{start}\n{text.strip()}\n{end}"
    RESULTS.write_text(pattern.sub(lambda _: whole, page), encoding="utf-8")
