"""Text as every database gives it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Zero bytes, which PostgreSQL does not store, and lone surrogates, which no database does.
_UNSTORABLE = {0: "\ufffd"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def storable(value: Any) -> Any:
    """The value with U+FFFD in place of each character that cannot be stored.

    Mappings become dicts with texts for keys, tuples lists, as JSON gives them back.
    """
    if isinstance(value, str):
        return value.translate(_UNSTORABLE)
    if isinstance(value, Mapping):
        return {storable(str(name)): storable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [storable(one) for one in value]
    return value
