"""`ddad-admin import`: files, folders and archives, however many, and again after a kill."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from tqdm import tqdm

from app.services.intake import (
    BATCH_SECONDS,
    BATCH_SIZE,
    UPLOAD,
    IntakeOutcome,
    IntakeService,
    Provenance,
)
from app.services.people import Person
from ddad_core.errors import RequestError
from ddad_core.imaging.sources import Source, sources_of
from ddad_core.journal import Journal
from ddad_core.outcomes import Tally
from ddad_core.parallel import in_batches
from ddad_core.spreadsheet import formula_safe

COLUMNS = ("file", "outcome", "case", "reason")
_VERSION = 1


@dataclass(frozen=True)
class ImportRequest:
    """What to take in.

    Attributes:
        paths: Files, folders and ZIP archives.
        reader: Who brings them in.
        outcomes: CSV file for the outcome of each file, or None.
        batch: Name of the batch that new cases belong to; empty for none.
        journals: Folder for what an interrupted import goes on from; names of files are not in it.
    """

    paths: Sequence[Path]
    reader: Person
    outcomes: Path | None
    journals: Path
    batch: str = ""


def import_files(request: ImportRequest, intake: IntakeService) -> Tally:
    """Take everything in, with progress on standard error.

    Raises:
        RequestError: A path does not exist, or the table of outcomes cannot be written.
        DdadError: The disk or the database does not take an image; what was done is kept.
    """
    total = sum(1 for _ in sources_of(request.paths))
    asked = "\0".join(str(path.absolute()) for path in request.paths)
    name = hashlib.sha256(asked.encode("utf-8", "surrogateescape")).hexdigest()
    journal = Journal(request.journals / f"{name}.jsonl", {"version": _VERSION})
    tally = Tally()
    patience = 0.2 if sys.stderr.isatty() else 30.0
    bar = tqdm(total=total, desc="import", unit="file", mininterval=patience, disable=not total)
    try:
        sources = sources_of(request.paths)
        for row in journal.resume(source.identity for source in sources_of(request.paths)):
            next(sources)
            tally.add(row["status"], [row["reason"]])
            bar.update()
        with _Outcomes(request.outcomes, fresh=journal.rows == 0) as table, bar:
            told = request.outcomes is None  # else the table says it
            _take(intake, request, sources, journal, tally, table, bar.update, told=told)
    except BaseException:
        journal.close()
        raise
    journal.remove()
    return tally


def _take(
    intake: IntakeService,
    request: ImportRequest,
    sources: Iterator[Source],
    journal: Journal,
    tally: Tally,
    table: _Outcomes,
    on_progress: Callable[[], object],
    *,
    told: bool,
) -> None:
    identities: deque[str] = deque()

    def noted() -> Iterable[tuple[Source, Provenance]]:
        for source in sources:
            identities.append(source.identity)
            yield source, UPLOAD

    # What take_many has yielded is kept; the journal may lag behind, but never runs ahead.
    outcomes = intake.take_many(request.reader, noted(), request.batch)
    for batch in in_batches(outcomes, BATCH_SIZE, seconds=BATCH_SECONDS):
        table.write(batch)
        journal.write(
            (identities.popleft(), {"status": one.status, "reason": one.reason}) for one in batch
        )
        for outcome in batch:
            tally.add(outcome.status, [outcome.reason])
            if told and outcome.reason:
                tqdm.write(
                    f"{outcome.file_name}: {outcome.status}. {outcome.reason}", file=sys.stderr
                )
            on_progress()


class _Outcomes:
    """A CSV file with a row for each file, written as they come."""

    def __init__(self, path: Path | None, *, fresh: bool) -> None:
        self._file: IO[str] | None = None
        if path is None:
            return
        try:
            new = fresh or not path.exists()
            self._file = path.open("w" if new else "a", encoding="utf-8", newline="")
        except OSError as error:
            problem = f"{path} cannot be written: {error.strerror or error}."
            raise RequestError(problem, "Give another --outcomes.") from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        if new:
            self._writer.writerow(COLUMNS)

    def write(self, outcomes: Iterable[IntakeOutcome]) -> None:
        """Add rows."""
        if self._file:
            for one in outcomes:
                row = (one.file_name, one.status, one.label, one.reason)
                self._writer.writerow([formula_safe(text) for text in row])
            self._file.flush()

    def __enter__(self) -> _Outcomes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()
