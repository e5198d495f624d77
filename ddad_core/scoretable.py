"""The table of ``ddad score``: written row by row, so that a kill loses a batch at most."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from ddad_core.errors import RequestError
from ddad_core.journal import Journal, Row
from ddad_core.parallel import in_batches
from ddad_core.spreadsheet import formula_safe
from ddad_core.vocabulary import SCORE_TITLES

SCORE_COLUMNS = tuple(name for name in SCORE_TITLES if name != "a_rec_single")
COLUMNS = (
    "path", "sha256", "status", "reason", "model", *SCORE_COLUMNS, "score_name", "score",
    "p_value", "abnormal", "warnings", "seconds",
)  # fmt: skip
FORMATS = (".csv", ".json", ".parquet")

_VERSION = 1
_TEXTS = ("path", "sha256", "status", "reason", "model", "score_name", "warnings")
_ROW_GROUP = 4096


def check_output(output: Path | None) -> None:
    """Refuse an output that could not be written, before anything is read.

    Raises:
        RequestError: Its ending is none of ``FORMATS``, or its folder is not there.
    """
    if output is not None and output.suffix.lower() not in FORMATS:
        problem = f"{output} ends in none of {', '.join(FORMATS)}."
        raise RequestError(problem, "Rename the output.")
    if output is not None and not output.absolute().parent.is_dir():
        problem = f"There is no folder {output.parent} for the output."
        raise RequestError(problem, "Make it, or give another --output.")


class Table:
    """Rows in the order found, on their way to a file or to standard output.

    Until the end, rows stand as JSON lines in ``OUTPUT.unfinished``; that is also where an
    interrupted run goes on from.

    Args:
        output: A .csv, .json or .parquet file, or None for CSV on standard output.
        models: Hash by name: rows of other models are not gone on from.
    """

    def __init__(self, output: Path | None, models: Mapping[str, str]) -> None:
        self._output = output
        head = {"version": _VERSION, "models": dict(models)}
        path = output and output.with_name(output.name + ".unfinished")
        self._journal = Journal(path, head) if path else None
        self._printed = 0

    def resume(self, identities: Iterable[str]) -> Iterator[Row]:
        """Rows of an interrupted run; see :meth:`ddad_core.journal.Journal.resume`."""
        if self._journal:
            with self._writing():
                yield from self._journal.resume(identities)

    def write(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Add rows, each with the identity of its file; they last from then on.

        Raises:
            RequestError: The disk does not take them.
        """
        if self._journal is None:
            self._print(row for _, row in rows)
            return
        with self._writing():
            self._journal.write((identity, _finite(row)) for identity, row in rows)

    def _print(self, rows: Iterable[Row]) -> None:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        if not self._printed:
            writer.writeheader()
        for row in rows:
            writer.writerow(_csv_row(row))
            self._printed += 1
        sys.stdout.flush()

    def _finish(self, journal: Journal, output: Path) -> None:
        """Turn the journal into what was asked for."""
        ending = output.suffix.lower()
        part = output.with_name(output.name + ".part")
        try:
            with self._writing():
                if ending == ".parquet":
                    _write_parquet(journal.read(), part)
                else:
                    with part.open("w", encoding="utf-8", newline="") as file:
                        write = _write_csv if ending == ".csv" else _write_json
                        write(journal.read(), file)
                part.replace(output)
                journal.remove()
        finally:
            part.unlink(missing_ok=True)

    def _writing(self) -> _Writing:
        return _Writing(self._output)

    def __enter__(self) -> Table:
        """Use it in a ``with`` statement: at its end, the output is there."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._journal is None:
            if kind is None and not self._printed:
                self._print(())
            return
        if kind is None and self._output:
            self._finish(self._journal, self._output)
        else:
            self._journal.close()


class _Writing:
    """Turns an error of the disk into a sentence."""

    def __init__(self, output: Path | None) -> None:
        self._output = output

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            problem = f"{self._output} cannot be written: {error.strerror or error}."
            raise RequestError(problem, "Make room or give another --output.") from error


def _finite(row: Row) -> Row:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _csv_row(row: Row) -> Row:
    abnormal = row["abnormal"]
    texts = {name: formula_safe(row[name] or "") for name in _TEXTS}  # names of files, for one
    return {**row, **texts, "abnormal": "" if abnormal is None else str(abnormal).lower()}


def _write_csv(rows: Iterator[Row], file: IO[str]) -> None:
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_csv_row(row) for row in rows)


def _write_json(rows: Iterator[Row], file: IO[str]) -> None:
    file.write("[")
    for i, row in enumerate(rows):
        text = json.dumps(row, ensure_ascii=False, indent=1)
        file.write((",\n" if i else "\n") + "\n".join(f" {line}" for line in text.splitlines()))
    file.write("\n]\n")


def _write_parquet(rows: Iterator[Row], path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 (slow to import, and seldom needed)
    import pyarrow.parquet as pq  # noqa: PLC0415

    kinds = {name: pa.string() for name in _TEXTS} | {"abnormal": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in COLUMNS])
    with pq.ParquetWriter(path, schema) as writer:
        for batch in in_batches(rows, _ROW_GROUP):
            writer.write_table(pa.Table.from_pylist(batch, schema))
