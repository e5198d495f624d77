"""The table of ``ddad score``: written row by row, so that a kill loses a batch at most."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ddad_core.errors import RequestError
from ddad_core.parallel import in_batches
from ddad_core.vocabulary import SCORE_TITLES

SCORE_COLUMNS = tuple(name for name in SCORE_TITLES if name != "a_rec_single")
COLUMNS = (
    "path", "sha256", "status", "reason", "model", *SCORE_COLUMNS, "score_name", "score",
    "p_value", "abnormal", "warnings", "seconds",
)  # fmt: skip
FORMATS = (".csv", ".json", ".parquet")
Row = dict[str, Any]

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

    Until the end, rows stand as JSON lines in ``OUTPUT.unfinished``, with the identity of the file
    that each is about; that is also where an interrupted run goes on from.

    Args:
        output: A .csv, .json or .parquet file, or None for CSV on standard output.
        models: Hash by name: rows of other models are not gone on from.
    """

    def __init__(self, output: Path | None, models: Mapping[str, str]) -> None:
        self._output = output
        self._head = {"version": _VERSION, "models": dict(models)}
        self._journal = output and output.with_name(output.name + ".unfinished")
        self._file: IO[str] | None = None
        self._rows = 0

    def resume(self, identities: Iterable[str]) -> Iterator[Row]:
        """Rows of an interrupted run, as long as they are about the same files in the same order.

        Must be exhausted before the first :meth:`write`.

        Args:
            identities: Of all files, in the order found.
        """
        if self._journal is None:
            return
        good = 0
        if self._journal.is_file():
            with self._journal.open("rb") as file:
                if _json(file.readline()) == self._head:
                    good = file.tell()
                    # Identities first: zip takes one of each, and none may be lost at the end.
                    for line, identity in zip(file, identities, strict=False):
                        row = _json(line)
                        if not line.endswith(b"\n") or row is None or row.pop("id", 0) != identity:
                            break
                        good += len(line)
                        self._rows += 1
                        yield row
        with self._writing():
            self._file = self._journal.open("a", encoding="utf-8")
            self._file.truncate(good)
            if not good:
                self._put(self._head)

    def write(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Add rows, each with the identity of its file; they last from then on.

        Raises:
            RequestError: The disk does not take them.
        """
        if self._journal is None:
            self._print(row for _, row in rows)
            return
        assert self._file
        with self._writing():
            for identity, row in rows:
                self._put({**_finite(row), "id": identity})
                self._rows += 1
            self._file.flush()
            os.fsync(self._file.fileno())

    def _print(self, rows: Iterable[Row]) -> None:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        if not self._rows:
            writer.writeheader()
        for row in rows:
            writer.writerow(_csv_row(row))
            self._rows += 1
        sys.stdout.flush()

    def _put(self, values: Mapping[str, Any]) -> None:
        assert self._file
        self._file.write(json.dumps(values, ensure_ascii=False) + "\n")

    def _rows_written(self) -> Iterator[Row]:
        assert self._journal
        with self._journal.open("rb") as file:
            file.readline()
            for line in file:
                row = json.loads(line)
                del row["id"]
                yield row

    def _finish(self) -> None:
        """Turn the journal into what was asked for."""
        assert self._output and self._journal and self._file
        self._file.close()
        ending = self._output.suffix.lower()
        part = self._output.with_name(self._output.name + ".part")
        try:
            with self._writing():
                if ending == ".parquet":
                    _write_parquet(self._rows_written(), part)
                else:
                    with part.open("w", encoding="utf-8", newline="") as file:
                        write = _write_csv if ending == ".csv" else _write_json
                        write(self._rows_written(), file)
                part.replace(self._output)
                self._journal.unlink()
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
        if self._file is None:
            if kind is None and not self._rows:
                self._print(())
            return
        if kind is None:
            self._finish()
            return
        self._file.close()
        if not self._rows and self._journal:  # nothing to go on from
            self._journal.unlink(missing_ok=True)


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


def _json(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _finite(row: Row) -> Row:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _csv_row(row: Row) -> Row:
    abnormal = row["abnormal"]
    return {**row, "abnormal": "" if abnormal is None else str(abnormal).lower()}


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
