"""Column types that hand back the values the records hold; all are portable SQL underneath."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from app.store.records import Box, WindowRecord
from app.store.storable import storable


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: stored as UTC, given back with its time zone (UTC).

    SQLite keeps no time zone and PostgreSQL answers in the session's; both become UTC here.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time into UTC.

        Raises:
            ValueError: The time has no time zone, so nobody can say which instant it is.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"The time {value.isoformat()} has no time zone."
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn a stored time into an aware one."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class StorableText(TypeDecorator[str]):
    """Text; characters that not every database stores become U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what cannot be stored."""
        return None if value is None else str(storable(value))


class TextTuple(TypeDecorator[tuple[str, ...]]):
    """A tuple of texts, as a JSON list."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> Any:
        """Turn the tuple into a list of what can be stored."""
        return None if value is None else list(storable(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[str, ...] | None:
        """Turn the list into a tuple."""
        return None if value is None else tuple(value)


class WindowTuple(TypeDecorator[tuple[WindowRecord, ...]]):
    """Display windows, as a JSON list of {center, width, name}.

    Windows that are no straight line have {function} besides, and a lookup table {table,
    table_max}, the table packed by zlib and written in base 64.
    """

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[WindowRecord, ...] | None, dialect: Dialect) -> Any:
        """Turn the windows into a list of objects."""
        return None if value is None else [_window_to_json(window) for window in value]

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[WindowRecord, ...] | None:
        """Turn the list of objects into windows."""
        return None if value is None else tuple(_window_from_json(window) for window in value)


def _window_to_json(window: WindowRecord) -> dict[str, Any]:
    found = asdict(window)
    if window.function == "linear":  # as it has been written from the first schema on
        return {name: found[name] for name in ("center", "width", "name")}
    if window.function == "lut":
        return found | {"table": b64encode(zlib.compress(window.table)).decode("ascii")}
    return {name: found[name] for name in ("center", "width", "name", "function")}


def _window_from_json(found: dict[str, Any]) -> WindowRecord:
    if "table" in found:
        found = found | {"table": zlib.decompress(b64decode(found["table"]))}
    return WindowRecord(**found)


class BoxTuple(TypeDecorator[tuple[Box, ...]]):
    """Boxes, as a JSON list of {x, y, width, height, label}."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[Box, ...] | None, dialect: Dialect) -> Any:
        """Turn the boxes into a list of objects."""
        return None if value is None else [asdict(box) for box in value]

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Box, ...] | None:
        """Turn the list of objects into boxes."""
        return None if value is None else tuple(Box(**box) for box in value)
