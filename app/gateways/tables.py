"""Tables in files: CSV, JSON Lines and Parquet, written and read some rows at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

from ddad_core.errors import DdadError
from ddad_core.spreadsheet import formula_safe, without_guard

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["text", "integer", "number", "flag", "time", "texts", "object"]
Format = Literal["csv", "jsonl", "parquet"]
Row = Mapping[str, Any]
ENDINGS: dict[Format, str] = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet"}
KIND_WORDS: dict[Kind, str] = {
    "text": "text",
    "integer": "whole number",
    "number": "number",
    "flag": "true or false",
    "time": "instant, ISO 8601, UTC",
    "texts": "list of texts",
    "object": "JSON object",
}
_PARQUET_ROWS = 20_000
_SEPARATOR = " | "  # sentences hold semicolons


class TableFileError(DdadError):
    """A file is no table of this kind."""


@dataclass(frozen=True)
class Column:
    """A column and what it means.

    Attributes:
        name: In files.
        kind: Of its values.
        meaning: In a sentence.
        unit: For instance "mm"; empty for none.
        values: All it can be; empty if that is not a short list.
        source: Its name in the rows that a table is made of, where that is another one.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    values: tuple[str, ...] = ()
    source: str = ""


class TableWriter(Protocol):
    """Takes rows until it is closed."""

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""

    def close(self) -> None:
        """Finish the file."""


def open_table(path: Path, kind: Format, columns: Sequence[Column]) -> TableWriter:
    """A new file for a table.

    Raises:
        OSError: It cannot be made.
    """
    writers: dict[Format, Callable[[Path, Sequence[Column]], TableWriter]] = {
        "csv": _CsvWriter,
        "jsonl": _JsonLinesWriter,
        "parquet": _ParquetWriter,
    }
    return writers[kind](path, columns)


class _CsvWriter:
    """UTF-8 with a byte order mark; nothing in it that a spreadsheet takes for a formula."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8-sig", newline="")
        self._columns = columns
        self._writer = csv.writer(self._file, lineterminator="\r\n")
        self._writer.writerow([column.name for column in columns])

    def write(self, rows: Sequence[Row]) -> None:
        names = [(column.name, column.kind) for column in self._columns]
        self._writer.writerows([[_cell(row[name], kind) for name, kind in names] for row in rows])

    def close(self) -> None:
        self._file.close()


def _cell(value: Any, kind: Kind) -> Any:
    if value is None:
        return ""
    if kind == "text":
        return formula_safe(value)
    if kind == "flag":
        return "true" if value else "false"
    if kind == "time":
        return value.isoformat()
    if kind == "texts":
        return formula_safe(_SEPARATOR.join(value))
    return formula_safe(json.dumps(value, ensure_ascii=False)) if kind == "object" else value


class _JsonLinesWriter:
    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="\n")
        self._columns = columns
        self._encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

    def write(self, rows: Sequence[Row]) -> None:
        names = [(column.name, column.kind == "time") for column in self._columns]
        lines = [
            self._encode(
                {
                    name: row[name].isoformat() if time and row[name] is not None else row[name]
                    for name, time in names
                }
            )
            for row in rows
        ]
        self._file.write("".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        self._file.close()


class _ParquetWriter:
    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        import pyarrow.parquet  # noqa: PLC0415 - 50 MB that only this format needs

        self._schema = _arrow_schema(columns)
        self._columns = columns
        self._waiting: list[Row] = []
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[Row]) -> None:
        self._waiting.extend(rows)
        if len(self._waiting) >= _PARQUET_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa  # noqa: PLC0415

        rows, self._waiting = self._waiting, []
        arrays = [
            pa.array([_parquet_value(row[c.name], c.kind) for row in rows], field.type)
            for c, field in zip(self._columns, self._schema, strict=True)
        ]
        self._writer.write_table(pa.table(arrays, schema=self._schema))

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()


def _parquet_value(value: Any, kind: Kind) -> Any:
    return json.dumps(value, ensure_ascii=False) if kind == "object" and value else value


def _arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415

    types: dict[Kind, pa.DataType] = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "texts": pa.list_(pa.string()),
        "object": pa.string(),
    }
    return pa.schema([(column.name, types[column.kind]) for column in columns])


def first_columns(path: Path, kind: Format) -> frozenset[str]:
    """The names in the first row of a file; none if it has no row.

    Raises:
        TableFileError: It is no table of this kind.
        OSError: It cannot be read.
    """
    try:
        return frozenset(next(iter(_READERS[kind](path)), ()))
    except _NOT_A_TABLE as error:
        problem = f"{path.name} is no table of its kind ({error})."
        raise TableFileError(problem, "Nothing was taken from it. Export it again.") from error


def read_table(
    path: Path, kind: Format, columns: Sequence[Column], *, required: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """The rows of a file with the columns that are known; None for what it lacks.

    Args:
        path: The file.
        kind: Of the file.
        columns: Which, and of what kind; others are passed over.
        required: Names that it must have.

    Raises:
        TableFileError: It is no such table, lacks a required column, or a value is not of its
            column's kind.
        OSError: It cannot be read.
    """
    number = 0
    try:
        for row in _READERS[kind](path):
            number += 1
            missing = [name for name in required if name not in row]
            if missing:
                problem = f"{path.name} has no column {' or '.join(missing)}."
                raise TableFileError(problem, "docs/export.md says what the columns are.")
            yield {c.name: _value(row.get(c.name), c.kind, kind) for c in columns}
    except _NOT_A_TABLE as error:
        problem = f"{path.name}, row {max(number, 1)}, is not as it should be ({error})."
        raise TableFileError(problem, "Nothing was taken from it. Export it again.") from error


def _value(value: Any, kind: Kind, file: Format) -> Any:
    if value is None or (file == "csv" and value == "" and kind not in ("text", "texts")):
        return None
    if file == "csv":
        return _of_cell(without_guard(value), kind)
    if kind == "time":
        return value if isinstance(value, datetime) else _instant(value)
    if kind == "object" and isinstance(value, str):
        return json.loads(value)
    expected: dict[Kind, Any] = {
        "text": str,
        "integer": int,
        "number": (int, float),
        "flag": bool,
        "texts": list,
    }
    wrong_flag = isinstance(value, bool) and kind != "flag"
    if wrong_flag or not isinstance(value, expected.get(kind, object)):
        message = f"{value!r} is no {KIND_WORDS[kind]}"
        raise ValueError(message)
    return value


def _of_cell(text: str, kind: Kind) -> Any:
    if kind == "text":
        return text
    if kind == "texts":
        return text.split(_SEPARATOR) if text else []
    if kind == "flag":
        return {"true": True, "false": False}[text.lower()]
    if kind == "time":
        return _instant(text)
    return json.loads(text) if kind == "object" else (int if kind == "integer" else float)(text)


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        message = f"{text!r} has no time zone"
        raise ValueError(message)
    return found


def _read_csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            if None in row or None in row.values():
                message = "it has another number of cells than the header"
                raise ValueError(message)
            yield row


def _read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if not isinstance(row, dict):
                message = "a line is no JSON object"
                raise TypeError(message)
            yield row


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet  # noqa: PLC0415

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(2000):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise ValueError(str(error).partition("\n")[0]) from error


_READERS: dict[Format, Callable[[Path], Iterator[dict[str, Any]]]] = {
    "csv": _read_csv,
    "jsonl": _read_json_lines,
    "parquet": _read_parquet,
}
_NOT_A_TABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error)
