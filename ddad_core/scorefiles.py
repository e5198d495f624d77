"""Scoring files and folders into a table, one row a file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ddad_core.card import Card, choose_card, list_cards
from ddad_core.errors import RefusedImageError, RequestError
from ddad_core.evaluation.thresholds import is_flagged
from ddad_core.imaging import read_radiograph_file
from ddad_core.imaging.files import find_files
from ddad_core.imaging.geometry import to_network_grey
from ddad_core.imaging.suitability import check_suitability
from ddad_core.registry import load_model
from ddad_core.scoring import BATCH_SIZE, Scorer
from ddad_core.types import ScoreResult
from ddad_core.vocabulary import SCORE_TITLES

STATUSES = ("scored", "warned", "refused")
SCORE_COLUMNS = tuple(name for name in SCORE_TITLES if name != "a_rec_single")
COLUMNS = (
    "path", "sha256", "status", "reason", "model", *SCORE_COLUMNS, "score_name", "score",
    "p_value", "abnormal", "warnings", "seconds",
)  # fmt: skip
FORMATS = (".csv", ".json", ".parquet")
Row = dict[str, Any]


@dataclass
class _Prepared:
    """A readable image on its way to the networks; the row is completed in place."""

    row: Row
    grey: np.ndarray
    card: Card


@dataclass
class _Models:
    """Cards at hand and scorers loaded so far."""

    weights: Path
    cards: tuple[Card, ...]
    device: str
    scorers: dict[str, Scorer] = field(default_factory=dict)

    def scorer(self, name: str) -> Scorer:
        if name not in self.scorers:
            self.scorers[name] = Scorer(load_model(self.weights / name), self.device)
        return self.scorers[name]


def score_paths(
    paths: Sequence[Path],
    *,
    weights: Path,
    model: str | None,
    device: str,
    output: Path | None,
) -> list[Row]:
    """Score files and folders and write the table.

    Args:
        paths: Files, and folders searched at every depth; hidden files in them are passed over.
        weights: Folder of the models.
        model: Name of a model, or None to choose by the patient's age.
        device: "auto", "cpu" or "cuda".
        output: A .csv, .json or .parquet file, or None for CSV on standard output.

    Returns:
        Rows with the keys ``COLUMNS``, in the order found.

    Raises:
        RequestError: A path does not exist, or the output has another ending.
        ModelError: The model does not exist or is damaged.
    """
    if output is not None and output.suffix.lower() not in FORMATS:
        problem = f"{output} ends in none of {', '.join(FORMATS)}."
        raise RequestError(problem, "Rename the output.")
    if output is not None and not output.absolute().parent.is_dir():
        problem = f"There is no folder {output.parent} for the output."
        raise RequestError(problem, "Make it, or give another --output.")
    files = list(find_files(paths))
    cards = list_cards(weights)
    if model is not None:
        cards = tuple(card for card in cards if card.name == model)
        if not cards:
            problem = f"There is no model called {model} under {weights}."
            raise RequestError(problem, "See the models there are with `ddad models`.")
    models = _Models(weights, cards, device)
    rows: list[Row] = []
    waiting: dict[str, list[_Prepared]] = {card.name: [] for card in cards}
    for path in tqdm(files, desc="scoring", unit="file", disable=not sys.stderr.isatty()):
        row = dict.fromkeys(COLUMNS)
        rows.append(row)
        prepared = _prepare(path, row, models)
        if prepared is None:
            continue
        batch = waiting[prepared.card.name]
        batch.append(prepared)
        if len(batch) == BATCH_SIZE:
            _score_batch(batch, models)
    for batch in waiting.values():
        _score_batch(batch, models)
    write_rows(rows, output)
    return rows


def _prepare(path: Path, row: Row, models: _Models) -> _Prepared | None:
    started = time.perf_counter()
    row.update(path=str(path), warnings="")
    try:
        radiograph = read_radiograph_file(path)
        card = choose_card(models.cards, radiograph.facts.age_years)
        grey = to_network_grey(radiograph, card.input_size)
    except (RefusedImageError, OSError) as error:
        row.update(status="refused", reason=str(error), sha256=_sha256(path))
        row["seconds"] = round(time.perf_counter() - started, 4)
        return None
    warnings = radiograph.warnings + check_suitability(
        radiograph, age_min=card.population.age_min, age_max=card.population.age_max
    )
    row.update(
        sha256=radiograph.sha256,
        status="warned" if warnings else "scored",
        reason="",
        warnings=" ".join(warnings),
    )
    row["seconds"] = time.perf_counter() - started
    return _Prepared(row, grey, card)


def _sha256(path: Path) -> str | None:
    """Digest of a refused file, however large; None if it cannot be opened."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _score_batch(batch: list[_Prepared], models: _Models) -> None:
    """Complete the rows of a batch and empty it."""
    if not batch:
        return
    card = batch[0].card
    scorer = models.scorer(card.name)
    started = time.perf_counter()
    results = scorer.score_prepared(np.stack([prepared.grey for prepared in batch]))
    share = (time.perf_counter() - started) / len(batch)
    for prepared, result in zip(batch, results, strict=True):
        prepared.row.update(_columns(card, result))
        _add_warnings(prepared.row, result.warnings)
        prepared.row["seconds"] = round(prepared.row["seconds"] + share, 4)
    batch.clear()


def _add_warnings(row: Row, warnings: tuple[str, ...]) -> None:
    if warnings:
        sentences = filter(None, (row["warnings"], *warnings))
        row.update(status="warned", warnings=" ".join(sentences))


def _columns(card: Card, result: ScoreResult) -> Row:
    return {
        "model": card.name,
        **{name: result.scores.get(name) for name in SCORE_COLUMNS},
        "score_name": card.primary,
        "score": result.score,
        "p_value": result.p_value,
        "abnormal": is_flagged(result.score, card.operating_point.threshold),
    }


def write_rows(rows: Sequence[Row], output: Path | None) -> None:
    """Write the table as CSV, JSON or Parquet, by the file's ending.

    Raises:
        RequestError: The file cannot be written.
    """
    if output is None:
        _write_csv(rows, sys.stdout)
        return
    unfinished = output.with_name(output.name + ".unfinished")
    try:
        if output.suffix.lower() == ".parquet":
            import pandas as pd

            pd.DataFrame(list(rows), columns=list(COLUMNS)).to_parquet(unfinished, index=False)
        else:
            text = io.StringIO(newline="")
            if output.suffix.lower() == ".json":
                json.dump([_finite(row) for row in rows], text, indent=1, ensure_ascii=False)
                text.write("\n")
            else:
                _write_csv(rows, text)
            unfinished.write_text(text.getvalue(), encoding="utf-8", newline="")
        unfinished.replace(output)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        problem = f"{output} cannot be written: {error.strerror or error}."
        raise RequestError(problem, "Make room or give another --output.") from error


def _write_csv(rows: Sequence[Row], file: io.TextIOBase | Any) -> None:
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        abnormal = row["abnormal"]
        writer.writerow({**row, "abnormal": "" if abnormal is None else str(abnormal).lower()})


def _finite(row: Row) -> Row:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
