"""What images that came in together are called."""

from __future__ import annotations

from datetime import UTC, datetime

from ddad_core.errors import RequestError

BATCH_NAME_LIMIT = 80


def checked_batch(text: str) -> str:
    """A name as it is stored; empty for none.

    Raises:
        RequestError: It is too long or holds control characters.
    """
    name = " ".join(text.split())
    if len(name) > BATCH_NAME_LIMIT or not name.isprintable():
        problem = f"The name of a batch has at most {BATCH_NAME_LIMIT} printable characters."
        raise RequestError(problem, "Shorten it.")
    return name


def named_by_time(what: str) -> str:
    """A name for a batch that nobody named: what it is and the time, to the second, in UTC."""
    return f"{what} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
