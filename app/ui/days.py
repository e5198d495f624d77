"""Days as the reader's own calendar has them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st


def zone() -> tzinfo:
    """The browser's time zone; UTC where it is unknown."""
    try:
        return ZoneInfo(st.context.timezone or "")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def today() -> date:
    """The day it is there."""
    return datetime.now(zone()).date()


def start_of(day: date) -> datetime:
    """When a day begins there."""
    return datetime.combine(day, time(), zone())
