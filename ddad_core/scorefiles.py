"""Scoring files, folders and archives into a table, one row a file, however many there are."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ddad_core.card import Card, choose_card, list_cards
from ddad_core.errors import RefusedImageError, RequestError
from ddad_core.evaluation.thresholds import is_flagged
from ddad_core.imaging.desk import take_up
from ddad_core.imaging.prepare import Prepared, Wanted
from ddad_core.imaging.sandbox import Sandbox
from ddad_core.imaging.sources import Source, sources_of
from ddad_core.imaging.suitability import check_suitability
from ddad_core.journal import Row
from ddad_core.outcomes import Tally
from ddad_core.parallel import in_batches, in_order, processors
from ddad_core.registry import load_model
from ddad_core.scoretable import COLUMNS, SCORE_COLUMNS, Table, check_output
from ddad_core.scoring import Scorer
from ddad_core.types import ScoreResult

BATCH_SIZE = 16
"""Files that share a pass through the networks: few, so that readers need not wait for it."""
BATCH_SECONDS = 0.5
"""After so long a file waits for no other to share a pass with."""
STATUSES = ("scored", "warned", "refused")


@dataclass(frozen=True, eq=False)
class _Read:
    """A file that was read, or why not.

    Attributes:
        identity: Of the source.
        row: Completed by scoring unless the file was refused.
        card: The model for it; None if the file was refused.
        grey: uint8 (S, S), likewise.
    """

    identity: str
    row: Row
    card: Card | None = None
    grey: np.ndarray | None = None


@dataclass
class _Models:
    """Cards at hand and scorers loaded so far."""

    weights: Path
    cards: tuple[Card, ...]
    device: str
    scorers: dict[str, Scorer] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides of the inputs that are needed."""
        return tuple(sorted({card.input_size for card in self.cards}))

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
    workers: int | None = None,
    sandbox: Sandbox | None = None,
    scorers: dict[str, Scorer] | None = None,
) -> Tally:
    """Score files, folders and ZIP archives and write the table.

    Files are read in child processes, as many as there are processors, and scored in batches;
    memory does not grow with their number. Rows are written as they come, in the order found: to
    standard output, or to a file beside ``output`` that becomes it at the end. Killed and started
    again with the same arguments, it goes on where it was.

    Args:
        paths: Files, and folders searched at every depth; hidden files in them are passed over.
        weights: Folder of the models.
        model: Name of a model, or None to choose by the patient's age.
        device: "auto", "cpu" or "cuda".
        output: A .csv, .json or .parquet file, or None for CSV on standard output.
        workers: Child processes; as many as processors if None.
        sandbox: To read in, for who scores more than once; started and ended here if None.
        scorers: Loaded models by name, likewise; models that are missing are added to it.

    Returns:
        Counts by outcome and reason.

    Raises:
        RequestError: A path does not exist, or the output has another ending.
        ModelError: The model does not exist or is damaged.
    """
    check_output(output)
    total = sum(1 for _ in sources_of(paths))
    cards = list_cards(weights)
    if model is not None:
        cards = tuple(card for card in cards if card.name == model)
        if not cards:
            problem = f"There is no model called {model} under {weights}."
            raise RequestError(problem, "See the models there are with `ddad models`.")
    models = _Models(weights, cards, device, {} if scorers is None else scorers)
    tally = Tally()
    hashes = {card.name: card.model_hash for card in cards}
    patience = 0.2 if sys.stderr.isatty() else 30.0
    with (
        nullcontext(sandbox) if sandbox else Sandbox(workers or processors()) as readers,
        Table(output, hashes) as table,
        tqdm(total=total, desc="scoring", unit="file", mininterval=patience) as bar,
    ):
        sources = sources_of(paths)
        for row in table.resume(source.identity for source in sources_of(paths)):
            next(sources)
            _count(row, tally)
            bar.update()
        readers.warm_up()
        # Twice as many threads as readers, so that none of these waits for a disk.
        threads = 2 * readers.workers
        read = in_order(lambda source: _read(source, models, readers), sources, threads)
        for batch in in_batches(read, BATCH_SIZE, seconds=BATCH_SECONDS):
            _score(batch, models)
            table.write((one.identity, one.row) for one in batch)
            for one in batch:
                _count(one.row, tally)
            bar.update(len(batch))
    return tally


def _count(row: Row, tally: Tally) -> None:
    reasons = row["reason"] if row["status"] == "refused" else row["warnings"]
    tally.add(row["status"], [reasons])


def _read(source: Source, models: _Models, sandbox: Sandbox) -> _Read:
    started = time.perf_counter()
    row: Row = {**dict.fromkeys(COLUMNS), "path": source.name, "warnings": ""}
    sha256: str | None = None
    try:
        with take_up(sandbox, source) as desk:
            sha256 = desk.sha256()
            prepared = desk.prepare(Wanted(sizes=models.sizes, sha256=sha256))
    except (RefusedImageError, OSError) as error:
        row.update(status="refused", reason=str(error), sha256=sha256)
        row["seconds"] = round(time.perf_counter() - started, 4)
        return _Read(source.identity, row)
    card = choose_card(models.cards, prepared.facts.age_years)
    warnings = _warnings(prepared, card)
    row.update(
        sha256=prepared.sha256,
        status="warned" if warnings else "scored",
        reason="",
        warnings=" ".join(warnings),
    )
    row["seconds"] = time.perf_counter() - started
    return _Read(source.identity, row, card, prepared.grey[card.input_size])


def _warnings(prepared: Prepared, card: Card) -> tuple[str, ...]:
    population = card.population
    return prepared.warnings + check_suitability(
        prepared.facts.age_years, age_min=population.age_min, age_max=population.age_max
    )


def _score(batch: Sequence[_Read], models: _Models) -> None:
    """Complete the rows of a batch."""
    for card in models.cards:
        mine = [one for one in batch if one.card is card]
        if not mine:
            continue
        scorer = models.scorer(card.name)
        started = time.perf_counter()
        results = scorer.score_prepared(
            np.stack([one.grey for one in mine if one.grey is not None])
        )
        share = (time.perf_counter() - started) / len(mine)
        for one, result in zip(mine, results, strict=True):
            one.row.update(_columns(card, result))
            _add_warnings(one.row, result.warnings)
            one.row["seconds"] = round(one.row["seconds"] + share, 4)


def _add_warnings(row: Row, warnings: tuple[str, ...]) -> None:
    if warnings:
        sentences = filter(None, (row["warnings"], *warnings))
        row.update(status="warned", warnings=" ".join(sentences))


def _columns(card: Card, result: ScoreResult) -> dict[str, Any]:
    return {
        "model": card.name,
        **{name: result.scores.get(name) for name in SCORE_COLUMNS},
        "score_name": card.primary,
        "score": result.score,
        "p_value": result.p_value,
        "abnormal": is_flagged(result.score, card.operating_point.threshold),
    }
