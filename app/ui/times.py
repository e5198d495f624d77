"""Times as the reader's own clock shows them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st


def local(at: datetime | None, empty: str = "–") -> str:
    """A time in the browser's time zone, to the minute; UTC, and said so, where it is unknown.

    Args:
        at: An aware time; None gives ``empty``.
        empty: What stands for no time.
    """
    if at is None:
        return empty
    try:
        zone = ZoneInfo(st.context.timezone or "")
    except (ZoneInfoNotFoundError, ValueError):
        return f"{at:%Y-%m-%d %H:%M} UTC"
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
